import io
import os
import subprocess
import sys
import threading

import pytest
from places import REPOSITORY

from gaitbench import progress
from gaitbench.progress import announce, is_quiet, quiet, track


@pytest.fixture(autouse=True)
def not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAITBENCH_QUIET", raising=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with track(2, "work") as bar:
        bar.advance()
        bar.advance()
    assert capsys.readouterr().err == ""


def test_an_announcement_is_one_line_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    announce("24.1 GiB [in /cache]")
    with quiet():
        announce("nobody hears")
    assert capsys.readouterr() == ("", "24.1 GiB [in /cache]\n")


def test_lines_come_at_most_every_few_seconds(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with track(100, "train") as bar:
        for _ in range(100):
            clock[0] += 0.125
            bar.update("loss 0.5")
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "train: 40/100 loss 0.5 (5 s)",
        "train: 80/100 loss 0.5 (10 s)",
        "train: 100/100 loss 0.5 (12 s) done",
    ]


def test_unknown_total(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with track(None, "read") as bar:
        clock[0] += 6
        bar.advance(3)
    assert capsys.readouterr().err.splitlines()[0] == "read: 3 (6 s)"


def test_failed_work_is_not_called_done(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    def fail() -> None:
        with track(2, "work") as bar:
            clock[0] += 6
            bar.advance()
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert "done" not in capsys.readouterr().err


def test_quiet_is_nested_and_ends(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with quiet():
        with quiet():
            assert is_quiet()
        assert is_quiet()
        with track(1, "work") as bar:
            clock[0] += 60
            bar.advance()
    assert not is_quiet()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_quiet_by_environment(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITBENCH_QUIET", value)
    assert is_quiet() is expected


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_on_a_terminal_nest_and_work_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def work() -> None:
        with track(3, "inner") as bar:
            for _ in range(3):
                bar.advance()
                bar.update("ok")

    with track(2, "outer") as bar:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bar.advance(2)
    assert "outer" in terminal.getvalue()
    assert progress._display is None
    assert progress._open_bars == 0


def test_import_is_cheap() -> None:
    code = (
        "import sys, gaitbench.progress; print([m for m in ('rich', 'torch', 'numpy', 'pydantic') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert found.stdout.strip() == "[]"
