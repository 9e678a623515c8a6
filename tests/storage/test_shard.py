"""What a shard's hash covers: each bit of the file, with frames hashed once."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from gaitbench.card import PreparedCard, ShardEntry
from gaitbench.dataset import GaitDataset, verify
from gaitbench.errors import DatasetError
from gaitbench.storage.shard import Shard
from tests.support.tiny_dataset import prepare_tiny

MODALITIES = ["silhouette", "lidar"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare_tiny(tmp_path / "d", MODALITIES, num_subjects=2, height_px=8, width_px=8)
    return tmp_path / "d"


def entries(root: Path, name: str) -> tuple[ShardEntry, ...]:
    return PreparedCard.read(root).prepared[name].shards


def open_shard(root: Path, name: str) -> Shard:
    card = PreparedCard.read(root)
    return Shard.open(root / entries(root, name)[0].path, card.prepared[name].modality(name), card.streams[name])


@pytest.mark.parametrize("name", MODALITIES)
def test_hash_by_hand(root: Path, name: str) -> None:
    entry, shard = entries(root, name)[0], open_shard(root, name)
    content = (root / entry.path).read_bytes()
    frames = shard.data.tobytes()
    assert content.count(frames) == 1
    assert len(frames) > 100
    before, after = content.split(frames)
    hashes = b"".join(shard.packed(row).sha256() for row in range(len(shard)))
    assert entry.sha256 == hashlib.sha256(before + hashes + after).hexdigest()
    assert entry.hashed == "sequences"
    assert entry.num_bytes == len(content)


@pytest.mark.parametrize("name", MODALITIES)
def test_each_byte_counts(root: Path, name: str) -> None:
    entry = entries(root, name)[0]
    path = root / entry.path
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        try:
            found = open_shard(root, name).file_sha256()
        except DatasetError:
            continue
        assert found != entry.sha256, at


def test_shard_in_which_nobody_has_frames_has_a_hash(root: Path, tmp_path: Path) -> None:
    from gaitbench.sequence import Absent
    from gaitbench.storage.shard import write_shard

    card = PreparedCard.read(root)
    modality, info = card.prepared["lidar"].modality("lidar"), card.streams["lidar"]
    rows = [("a", Absent("not there")), ("b", Absent("nor here", is_defect=False))]
    entry = write_shard(tmp_path, "x/0.arrow", rows, modality, info)
    assert Shard.open(tmp_path / "x/0.arrow", modality, info).file_sha256() == entry.sha256
    again = write_shard(tmp_path, "x/1.arrow", [rows[0], ("b", Absent("no"))], modality, info)
    assert again.sha256 != entry.sha256


def test_folder_whose_shards_were_hashed_as_files_is_read_as_before(root: Path) -> None:
    card = PreparedCard.read(root)
    old = {
        name: stream.model_copy(
            update={
                "shards": tuple(
                    ShardEntry(
                        path=entry.path,
                        num_bytes=entry.num_bytes,
                        sha256=hashlib.sha256((root / entry.path).read_bytes()).hexdigest(),
                    )
                    for entry in stream.shards
                )
            }
        )
        for name, stream in card.prepared.items()
    }
    fingerprint = GaitDataset.open(root).fingerprint(MODALITIES)
    card.model_copy(update={"prepared": old}).write(root)
    dataset = GaitDataset.open(root)
    assert dataset.fingerprint(MODALITIES) == fingerprint
    assert np.asarray(dataset[0].frames["silhouette"]).any()
    assert verify(root).is_sound
    path = root / old["silhouette"].shards[0].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="was altered"):
        GaitDataset.open(root).bank("silhouette")
    assert not verify(root).is_sound
