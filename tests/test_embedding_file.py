"""Embeddings on disk: what goes in comes out, large files stay on disk, and nothing is ever unpickled."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gaitbench.embedding_file import read_embeddings, read_npz, write_embeddings
from gaitbench.errors import DatasetError, GaitbenchError
from gaitbench.tasks.arrays import table_of_arrays

WORDS = {"labels": ["a", "a", "b"], "types": ["nm", "bg", "nm"], "views": ["000", "090", "000"]}


def arrays(**changes: object) -> dict[str, np.ndarray]:
    given = {"embeddings": np.arange(24, dtype=np.float32).reshape(3, 4, 2), **WORDS, **changes}
    return {name: np.asarray(value) for name, value in given.items() if value is not None}


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    embeddings = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    table = table_of_arrays(*WORDS.values(), sequence_ids=["x", "y", "z"], view_deg=[0, 90, 12.5])
    write_embeddings(tmp_path / f"e{suffix}", embeddings, table)
    found = read_embeddings(tmp_path / f"e{suffix}")
    assert torch.equal(found.embeddings, embeddings)
    assert found.embeddings.dtype == dtype
    for name in ("sequence_id", "subject_id", "condition", "view", "view_deg"):
        np.testing.assert_array_equal(getattr(found.table, name), getattr(table, name))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_npz_of_numpy_is_read(tmp_path: Path, save: object, order: str) -> None:
    given = arrays()
    given["embeddings"] = np.asarray(given["embeddings"], order=order)
    save(tmp_path / "e.npz", **given)  # type: ignore[operator]
    found = read_embeddings(tmp_path / "e.npz")
    np.testing.assert_array_equal(found.embeddings.numpy(), given["embeddings"])
    assert found.table.sequence_id.tolist() == ["a-nm-000", "a-bg-090", "b-nm-000"]


def test_arrays_that_are_not_compressed_stay_on_disk(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", **arrays())
    assert isinstance(read_npz(tmp_path / "e.npz")["embeddings"], np.memmap)


def test_one_part_and_numbers_as_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", **arrays(embeddings=np.zeros((3, 4)), labels=[1, 1, 2]))
    found = read_embeddings(tmp_path / "e.npz")
    assert found.embeddings.shape == (3, 4, 1)
    assert found.table.subject_id.tolist() == ["1", "1", "2"]


def test_pickled_words_are_refused_without_being_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "e.npz", **(arrays() | {"labels": np.array([Trap()] * 3, dtype=object)}))
    with pytest.raises(DatasetError, match=r"labels.npy holds pickled Python objects.*never loaded"):
        read_embeddings(tmp_path / "e.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": None}, "lacks views"),
        ({"embeddings": np.zeros((3, 2), np.int64)}, r"floating point .* int64"),
        ({"embeddings": np.zeros(3)}, r"\[N, D, P\] or \[N, D\]"),
        ({"labels": ["a", "b"]}, "labels .* one entry for each of the 3"),
        ({"sequence_ids": ["x", "x", "y"]}, "distinct"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    np.savez(tmp_path / "e.npz", **arrays(**changes))
    with pytest.raises(GaitbenchError, match=message):
        read_embeddings(tmp_path / "e.npz")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", **arrays())
    whole = (tmp_path / "e.npz").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"hello"), ("empty", b"")):
        (tmp_path / f"{name}.npz").write_bytes(content)
        (tmp_path / f"{name}.parquet").write_bytes(content)
        for suffix in (".npz", ".parquet"):
            with pytest.raises(DatasetError, match=f"{name}{suffix} (cannot be read|has no directory at its end)"):
                read_embeddings(tmp_path / f"{name}{suffix}")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_embeddings(tmp_path / "missing.npz")
    with pytest.raises(DatasetError, match=r"\.npz or \.parquet"):
        read_embeddings(tmp_path / "e.csv")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("embeddings.npy", b"no array")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_embeddings(tmp_path / "odd.npz")


def test_ragged_lists_in_parquet(tmp_path: Path) -> None:
    for rows, message in (([[1.0], [1.0, 2.0], [1.0]], "differ in shape"), ([[1.0], None, [1.0]], "missing")):
        pq.write_table(pa.table({"embeddings": rows, **WORDS}), tmp_path / "e.parquet")
        with pytest.raises(DatasetError, match=message):
            read_embeddings(tmp_path / "e.parquet")


def test_words_that_are_missing_in_parquet(tmp_path: Path) -> None:
    """A null would be read as the subject None."""
    for name in WORDS:
        words = {**WORDS, name: [None, *list(WORDS[name])[1:]]}
        pq.write_table(pa.table({"embeddings": [[1.0], [2.0], [3.0]], **words}), tmp_path / "e.parquet")
        with pytest.raises(DatasetError, match=f"a value of {name} is missing"):
            read_embeddings(tmp_path / "e.parquet")
