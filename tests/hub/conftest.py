"""A small prepared dataset in every modality, and its export, made once."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitbench.dataset import GaitDataset
from gaitbench.hub.export import export
from gaitbench.protocol import Protocol, Selection
from tests.support.hub_server import TOKEN, FakeHub, run_hub
from tests.support.tiny_dataset import ALL_MODALITIES, prepare_tiny

TINY_PROTOCOL = Protocol(
    name="tiny",
    dataset="tiny",
    title="Two train, two test",
    source="made up",
    train=Selection(subjects=("000..001",)),
    test_subjects=("002..003",),
    gallery=Selection(conditions=("nm-*",)),
    probes={"BG": Selection(conditions=("bg-*",))},
    headline="BG",
)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("GAITBENCH_CACHE", str(cache))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("GAITBENCH_QUIET", "1")
        yield cache


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    """Four subjects, two sequences each."""
    root = tmp_path_factory.mktemp("tiny") / "prepared"
    return prepare_tiny(root, ALL_MODALITIES, num_subjects=4, lidar_rate_hz=10.0, height_px=30, width_px=22)


@pytest.fixture(scope="session")
def repository(tiny: GaitDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's export; not to be changed."""
    out = tmp_path_factory.mktemp("export") / "out"
    export(tiny, out, protocol=TINY_PROTOCOL)
    return out


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on this machine that knows the token in the environment."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("gaitbench.hub.connection._FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with run_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served
        huggingface_hub.close_session()


def bomb(width: int, height: int) -> bytes:
    """The beginning of a PNG file that claims to be huge."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_gaitbench() -> dict[str, str]:
    """An environment for a child process that must do without this package."""
    return {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
