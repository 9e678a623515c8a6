"""Hostile and broken files: nothing is executed, nothing crashes or hangs, each is refused with a word or read right.

Everything is read in a child process whose audit hook sees what the interpreter is asked to do.
"""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import hostile
import numpy as np
import pytest
from PIL import Image
from places import REPOSITORY

SLOW_SECONDS = 10.0
# torch says what it does with an archive of TorchScript before it refuses it.
WARNINGS = ("-W", "error", "-W", "ignore:'torch.load' received a zip file:UserWarning")


class Outcome(NamedTuple):
    kind: str
    said: Any
    seconds: float


Audit = Callable[[list[tuple[str, Path]]], dict[str, Outcome]]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Read files in a child; fails when a file makes it do anything else, crash or linger."""

    def read(files: list[tuple[str, Path]], warm: Iterable[tuple[str, Path]] = ()) -> dict[str, Outcome]:
        target = tmp_path / "unpacked"
        target.mkdir(exist_ok=True)
        before = set(tmp_path.iterdir())
        listed = [(kind, str(path)) for kind, path in files]
        job = {"files": listed, "warm": [*valid_files(tmp_path / "valid"), *map(list, warm)], "target": str(target)}
        done = subprocess.run(
            [sys.executable, *WARNINGS, str(REPOSITORY / "tests/support/audited.py")],
            input=json.dumps(job, default=str),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests/support'}"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads(done.stdout)
        assert report["events"] == [], "\n".join(report["events"])
        outcomes = {path: Outcome(*outcome) for path, outcome in report["outcomes"].items()}
        assert [path for _, path in listed] == list(outcomes)
        crashed = [f"{path}: {outcome.said}" for path, outcome in outcomes.items() if outcome.kind == "crash"]
        assert crashed == [], "\n".join(crashed)
        assert [(path, outcome.seconds) for path, outcome in outcomes.items() if outcome.seconds > SLOW_SECONDS] == []
        assert set(tmp_path.iterdir()) - before <= {tmp_path / "valid"}, "a file left another one"
        return outcomes

    return read


def valid_files(folder: Path) -> list[tuple[str, str]]:
    """One sound file of each kind."""
    folder.mkdir(exist_ok=True)
    array = hostile.valid_array()
    image = io.BytesIO()
    Image.fromarray(array[0]).save(image, "PNG")
    contents = {
        "pickle": pickle.dumps([array], 2),
        "npy": hostile.npy(array),
        "npz": hostile.npz(array),
        "image": image.getvalue(),
        "json": hostile.poses(),
        "archive": gzip.compress(hostile.tar_names(["a/1.png"])),
    }
    for kind, content in contents.items():
        (folder / kind).write_bytes(content)
    (folder / "zip").write_bytes(hostile.zip_of({"a/1.png": b"content"}))
    (folder / "old").write_bytes(pickle.dumps([array], 0))
    (folder / "broken").write_bytes(b"broken")
    return [
        *((kind, str(folder / kind)) for kind in contents),
        ("archive", str(folder / "zip")),
        ("pickle", str(folder / "old")),
        *((kind, str(folder / "broken")) for kind in contents),
    ]


def write(folder: Path, files: Iterable[tuple[str, bytes]], suffix: str = "") -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in files:
        paths.append(folder / f"{name}{suffix}")
        paths[-1].write_bytes(content)
    return paths


def assert_refused(outcomes: dict[str, Outcome], error: str = "DatasetError") -> None:
    for path, outcome in outcomes.items():
        assert outcome.kind == error, (path, outcome)
        assert path in outcome.said, (path, outcome.said)
        assert len(outcome.said) < 1000, path


def test_the_hook_sees_what_pickle_does(tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(hostile.Trap(tmp_path / "sprung")))
    program = (
        "import sys, pickle, audited; watch = audited.Watch(); sys.addaudithook(watch); watch.case = 'a.pkl'\n"
        "pickle.load(open('a.pkl', 'rb')); watch.case = ''; print(watch.events)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests/support'}"},
    )
    assert "pickle.find_class" in done.stdout
    assert "to write" in done.stdout
    assert (tmp_path / "sprung").exists()


def test_hostile_pickles(tmp_path: Path, audit: Audit) -> None:
    paths = write(tmp_path / "p", hostile.pickles(tmp_path / "sprung"), ".pkl")
    assert len(paths) > 250
    outcomes = audit([("pickle", path) for path in paths])
    assert_refused(outcomes)
    for path in paths:
        name, _, protocol = path.stem.rpartition("-")
        if name in hostile.GADGETS and not name.startswith(("numpy.ndarray", "numpy.core.multiarray._re", "_codecs.e")):
            named = name if name != "builtins.bytes" else "builtins.bytes in a way"
            assert f"{named}" in outcomes[str(path)].said, protocol


def test_hostile_arrays(tmp_path: Path, audit: Audit) -> None:
    sprung = tmp_path / "sprung"
    npys = write(tmp_path / "a", hostile.npys(sprung), ".npy")
    npzs = write(tmp_path / "z", hostile.npzs(sprung), ".npz")
    assert_refused(audit([*(("npy", path) for path in npys), *(("npz", path) for path in npzs)]))


def test_hostile_archives(tmp_path: Path, audit: Audit) -> None:
    paths = write(tmp_path / "a", hostile.archives())
    outcomes = audit([("archive", path) for path in paths])
    assert_refused(outcomes)
    assert list((tmp_path / "unpacked").glob("[0-9]*")) == []
    assert not Path("/tmp/gaitbench-sprung").exists()


def test_hostile_text(tmp_path: Path, audit: Audit) -> None:
    assert_refused(audit([("json", path) for path in write(tmp_path / "j", hostile.texts(), ".json")]))


def test_hostile_images(tmp_path: Path, audit: Audit) -> None:
    def saved(mode: str, size: tuple[int, int], form: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, form, **options)
        return buffer.getvalue()

    png = saved("L", (64, 64), "PNG")
    frames = [Image.new("L", (4, 4), value) for value in (1, 2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    files = {
        "bomb.png": saved("1", (20_000, 10_000), "PNG"),
        "large-bomb.png": saved("1", (10_000, 9_999), "PNG"),
        "sixteen-bits.png": saved("I;16", (4, 4), "PNG"),
        "animation.png": buffer.getvalue(),
        "tiff.png": saved("L", (4, 4), "TIFF"),
        "gif.png": saved("L", (4, 4), "GIF"),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "cut.png": png[: len(png) // 2],
        "header.png": png[:40],
        "cut.jpg": saved("L", (640, 640), "JPEG")[:600],
        "checksum.png": png[:60] + b"x" + png[61:],
        "noise.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "empty.png": b"",
    }
    assert_refused(audit([("image", path) for path in write(tmp_path / "i", files.items())]))


@pytest.mark.parametrize("protocol", hostile.PROTOCOLS)
def test_damaged_pickles(tmp_path: Path, audit: Audit, protocol: int) -> None:
    array = hostile.valid_array()
    data = pickle.dumps([array, array[:2].astype(">f4"), np.asfortranarray(array)], protocol)
    paths = write(tmp_path / "d", hostile.damaged(data), ".pkl")
    outcomes = audit([("pickle", path) for path in paths])
    assert_refused({path: outcome for path, outcome in outcomes.items() if "cut-" in path})
    for path, outcome in outcomes.items():
        # A flipped bit of a pixel cannot be told; one of the structure is.
        assert outcome.kind in ("DatasetError", "read"), path
        assert outcome.kind == "read" or path in outcome.said


@pytest.mark.parametrize("kind", ["npz", "npz-stored", "zip", "tar", "tar.gz", "tar.xz", "npy", "png"])
def test_damaged_files(tmp_path: Path, audit: Audit, kind: str) -> None:
    array = hostile.valid_array()
    members = {f"{number}.bin": array[number].tobytes() for number in range(4)}
    stored, image = io.BytesIO(), io.BytesIO()
    np.savez(stored, silhouettes=array)
    noise = np.random.default_rng(3).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(noise).save(image, "PNG")
    data, reader = {
        "npz": (hostile.npz(array), "npz"),
        "npz-stored": (stored.getvalue(), "npz"),
        "zip": (hostile.zip_of(members, zipfile.ZIP_DEFLATED), "archive"),
        "tar": (hostile.tar_names(list(members)), "archive"),
        "tar.gz": (hostile.tar_of([*tar_members(members)], "w:gz"), "archive"),
        "tar.xz": (hostile.tar_of([*tar_members(members)], "w:xz"), "archive"),
        "npy": (hostile.npy(array), "npy"),
        "png": (image.getvalue(), "image"),
    }[kind]
    sound = tmp_path / "sound"
    sound.write_bytes(data)
    paths = [sound, *write(tmp_path / "d", hostile.damaged(data), f".{kind}")]
    outcomes = audit([(reader, path) for path in paths])
    truth = outcomes.pop(str(sound))
    assert truth.kind == "read", truth
    has_checksum = kind in ("npz", "npz-stored", "zip", "tar.gz", "tar.xz", "png")
    for path, outcome in outcomes.items():
        assert outcome.kind in ("DatasetError", "read"), (path, outcome)
        if outcome.kind == "DatasetError":
            assert path in outcome.said
        elif "cut-" in path:
            # Padding after the end of a tar archive may go.
            assert outcome.said == truth.said, path
        elif has_checksum:
            assert is_same_content(outcome.said, truth.said), path


def tar_members(members: dict[str, bytes]) -> Iterable[tuple[Any, bytes]]:
    return ((hostile.special(name, b"0"), content) for name, content in members.items())


def is_same_content(got: Any, expected: Any) -> bool:
    """Names are in no checksum of a zip file; contents are."""
    if isinstance(expected, dict):
        return sorted(map(str, got.values())) == sorted(map(str, expected.values()))
    return bool(got == expected)


@pytest.fixture
def sound_checkpoints() -> dict[str, bytes]:
    """A state dict of another model, in torch's two formats."""
    torch = pytest.importorskip("torch")
    state = {"a": torch.zeros(3)}
    torch.save(state, current := io.BytesIO())
    torch.save(state, legacy := io.BytesIO(), _use_new_zipfile_serialization=False)
    return {"current": current.getvalue(), "legacy": legacy.getvalue()}


def test_hostile_checkpoints(tmp_path: Path, audit: Audit, sound_checkpoints: dict[str, bytes]) -> None:
    """What ``gaitbench convert`` and loading weights make of files by others."""
    import torch

    trap = hostile.Trap(tmp_path / "sprung")
    torch.save({"model": {"a": torch.zeros(2)}, "trap": trap}, current := io.BytesIO())
    torch.save(trap, legacy := io.BytesIO(), _use_new_zipfile_serialization=False)
    members = {"a/data.pkl": pickle.dumps(trap, 2), "a/constants.pkl": pickle.dumps(trap, 2), "a/version": b"3"}
    files = {
        "trap.pt": current.getvalue(),
        "trap-legacy.pt": legacy.getvalue(),
        "plain.pt": pickle.dumps(trap),
        "script.pt": hostile.zip_of(members, zipfile.ZIP_STORED),
        "tar.pt": hostile.tar_of([(hostile.special("pickle", b"0"), pickle.dumps(trap, 2))]),
        "noise.pt": bytes(range(256)) * 8,
        "empty.pt": b"",
        **{
            f"{name}.pt": data
            for name, data in hostile.pickles(tmp_path / "sprung")
            # torch lets a file choose among Python's own codecs, and so import one of them.
            if name.endswith("-2") and name != "_codecs.encode-2"
        },
    }
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    tensors = {
        "huge-header": (2**60).to_bytes(8, "little") + b"{}",
        "huge-tensor": len(header).to_bytes(8, "little") + header + b"abc",
        "pickle": pickle.dumps(trap),
        "cut": b"\x10",
        "nested": (100_000).to_bytes(8, "little") + b"[" * 100_000,
        "empty": b"",
    }
    checkpoints = [*write(tmp_path / "c", files.items()), *write(tmp_path / "s", tensors.items(), ".safetensors")]
    weights = write(tmp_path / "w", tensors.items(), ".safetensors")
    warm = write(tmp_path / "warm", sound_checkpoints.items(), ".pt")
    outcomes = audit(
        [*(("checkpoint", path) for path in checkpoints), *(("weights", path) for path in weights)],
        [("checkpoint", path) for path in warm],
    )
    assert_refused(outcomes, "RecordError")


def test_damaged_checkpoints(tmp_path: Path, audit: Audit, sound_checkpoints: dict[str, bytes]) -> None:
    warm = write(tmp_path / "warm", sound_checkpoints.items(), ".pt")
    paths = [
        path
        for kind, data in sound_checkpoints.items()
        for path in write(tmp_path / kind, hostile.damaged(data), ".pt")
    ]
    outcomes = audit([("checkpoint", path) for path in paths], [("checkpoint", path) for path in warm])
    for path, outcome in outcomes.items():
        # What is still sound fits no model.
        assert outcome.kind in ("RecordError", "ModelError"), (path, outcome)
        assert path in outcome.said, (path, outcome.said)
