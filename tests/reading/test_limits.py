"""Limits of a process, and reading in a process of its own."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import hostile
import numpy as np
import pytest
from places import REPOSITORY

from gaitbench.errors import DatasetError, UsageError
from gaitbench.reading.child import in_child
from gaitbench.reading.limits import ProcessLimits, reading


def run(source: str) -> str:
    """Run a program that limits itself; gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_memory_beyond_the_limit_is_an_error_that_names_the_file() -> None:
    assert run(
        """
        import numpy as np
        from gaitbench.errors import DatasetError
        from gaitbench.reading.limits import ProcessLimits, limit_process, reading
        np.zeros(2**29, np.uint8)
        limit_process(ProcessLimits(memory_bytes=2**28))
        try:
            with reading("walk.pkl"):
                np.zeros(2**29, np.uint8)
        except DatasetError as error:
            print(error)
        print(np.zeros(2**27, np.uint8).sum())
        """
    ).startswith("walk.pkl needs more memory than there is")


def test_time_beyond_the_limit_is_an_error_that_names_the_file() -> None:
    said = run(
        """
        from gaitbench.errors import DatasetError
        from gaitbench.reading.limits import ProcessLimits, limit_process, reading
        limit_process(ProcessLimits(seconds_per_file=0.2))
        for name in ("a.pkl", "b.pkl"):
            try:
                with reading("folder"), reading(name):
                    while True:
                        try:
                            sum(range(1000))
                        except Exception:
                            pass
            except DatasetError as error:
                print(error)
        for number in range(3):
            with reading(f"{number}.pkl"):
                sum(range(5_000_000))  # some 0.1 s each: the time is counted per file
        """
    ).splitlines()
    assert [line.partition(" of processor")[0] for line in said] == [
        "a.pkl took longer than 0.2 s",
        "b.pkl took longer than 0.2 s",
    ]


def test_without_limits_nothing_is_timed() -> None:
    with reading("walk.pkl"):
        pass
    with pytest.raises(UsageError), reading("walk.pkl"):
        raise UsageError("stays what it is")
    with pytest.raises(DatasetError, match=r"walk\.pkl is damaged \(ZeroDivisionError"), reading("walk.pkl"):
        raise ZeroDivisionError


def test_values_come_back_from_a_child(tmp_path: Path) -> None:
    path = tmp_path / "walk.pkl"
    path.write_bytes(pickle.dumps({"a": [np.arange(6).reshape(2, 3), np.zeros((0, 3))], "b": 1.5}))
    value = in_child("gaitbench.reading.unpickle:read_pickle", path)
    assert list(value) == ["a", "b"]
    np.testing.assert_array_equal(value["a"][0], [[0, 1, 2], [3, 4, 5]])
    assert value["a"][1].shape == (0, 3)
    assert value["b"] == 1.5


def test_errors_come_back_from_a_child(tmp_path: Path) -> None:
    path = tmp_path / "walk.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(DatasetError, match=r"walk\.pkl asks for posix\.system"):
        in_child("gaitbench.reading.unpickle:read_pickle", path)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("crash", "was ended by SIGSEGV: the file is damaged or made to crash the reader"),
        ("fill_memory", "needs more memory than"),
        ("write", r"damaged|cannot be read: File too large"),
        ("leave", "failed: code 3"),
        ("hang", "was ended by SIGXCPU: it took more processor time"),
    ],
)
def test_a_child_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, message: str) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests/support"))
    monkeypatch.chdir(tmp_path)
    limits = ProcessLimits(memory_bytes=2**28, seconds_per_file=0.3)
    with pytest.raises(DatasetError, match=message) as caught:
        in_child(f"bad_readers:{function}", "walk.pkl", limits=limits)
    assert "walk.pkl" in str(caught.value)
    assert not (tmp_path / "written").exists() or (tmp_path / "written").stat().st_size == 0


def test_damaged_file_in_a_limited_process(tmp_path: Path) -> None:
    for number, (_, data) in enumerate(hostile.npys(tmp_path / "sprung")):
        (tmp_path / f"{number}.npy").write_bytes(data)
    with pytest.raises(DatasetError, match=r"0\.npy holds pickled Python objects"):
        in_child("gaitbench.reading.arrays:read_npy", tmp_path / "0.npy")
