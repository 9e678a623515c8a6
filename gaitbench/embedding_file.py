"""Embeddings in a file, with what a protocol must know of each sequence.

``.npz``: arrays ``embeddings`` ``[N, D, P]`` (or ``[N, D]`` for one part), ``labels``, ``types`` and ``views`` ``[N]``
(subject, condition and view), and optionally ``sequence_ids`` ``[N]`` and ``view_deg`` ``[N]``. ``.parquet``: a row per
sequence with columns of the same names, ``embeddings`` being a list of D lists of P numbers. Nothing is unpickled.

Axes: N sequences, D embedding width, P parts.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from torch import Tensor

from gaitbench import atomic
from gaitbench.errors import DatasetError
from gaitbench.reading.arrays import ArrayLimits, check_members
from gaitbench.reading.zip_directory import check_directory
from gaitbench.table import SequenceTable
from gaitbench.tasks.arrays import table_of_arrays

__all__ = ["StoredEmbeddings", "read_embeddings", "read_npz", "write_embeddings"]

WORDS = ("labels", "types", "views")
"""Arrays that every file has, besides the embeddings."""

SUFFIXES = (".npz", ".parquet")

_LIMITS = ArrayLimits(num_bytes=2**50, num_arrays=1000)
"""Size is no object to arrays that stay in the file; a small file that unpacks to a large one is."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbeddings:
    """What a file holds."""

    embeddings: Tensor
    """``[N, D, P]`` float16, float32 or float64; in a memory map where the file allows it, so never written to."""
    table: SequenceTable
    """``[N]`` rows in the same order."""


def read_embeddings(path: Path | str) -> StoredEmbeddings:
    """Read embeddings; arrays of an uncompressed ``.npz`` stay in the file until they are used.

    Args:
        path: An ``.npz`` or ``.parquet`` file.

    Raises:
        DatasetError: The file is missing, damaged, of another kind, holds pickled objects, or lacks an array.
        ShapeError: Arrays differ in length.
    """
    path = Path(path)
    _check_suffix(path)
    arrays = read_npz(path) if path.suffix == ".npz" else _read_parquet(path)
    if missing := [name for name in ("embeddings", *WORDS) if name not in arrays]:
        raise DatasetError(
            f"{path} lacks {', '.join(missing)} (it has {', '.join(arrays) or 'nothing'}); embeddings are scored with "
            "arrays embeddings [N, D, P], labels, types and views [N]"
        )
    embeddings = arrays["embeddings"]
    if embeddings.dtype.kind != "f" or embeddings.ndim not in (2, 3):
        raise DatasetError(
            f"{path}: embeddings must be floating point [N, D, P] or [N, D], got {embeddings.dtype} "
            f"{list(embeddings.shape)}"
        )
    for name in (*WORDS, "sequence_ids"):
        if name in arrays and (arrays[name].ndim != 1 or len(arrays[name]) != len(embeddings)):
            raise DatasetError(
                f"{path}: {name} {list(arrays[name].shape)} must have one entry for each of the {len(embeddings)} "
                "embeddings"
            )
    table = table_of_arrays(
        *(arrays[name] for name in WORDS),
        sequence_ids=arrays.get("sequence_ids"),
        view_deg=arrays.get("view_deg"),
    )
    tensor = _tensor(embeddings)
    return StoredEmbeddings(tensor[:, :, None] if tensor.ndim == 2 else tensor, table)


def write_embeddings(path: Path | str, embeddings: Tensor, table: SequenceTable) -> None:
    """Write embeddings in one piece or not at all; the suffix says how.

    Args:
        path: An ``.npz`` or ``.parquet`` file; one that is there is replaced.
        embeddings: ``[N, D, P]`` float16, float32 or float64 on the CPU.
        table: ``[N]`` rows in the same order.

    Raises:
        DatasetError: The suffix is another one.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    _check_suffix(path)
    words = {
        "labels": table.subject_id,
        "types": table.condition,
        "views": table.view,
        "sequence_ids": table.sequence_id,
        "view_deg": table.view_deg,
    }
    values = embeddings.contiguous().numpy()
    with atomic.atomic_path(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, allow_pickle=False, embeddings=values, **words)
        else:
            part = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[2])
            rows = pa.FixedSizeListArray.from_arrays(part, values.shape[1])
            pq.write_table(pa.table({"embeddings": rows} | {name: pa.array(x) for name, x in words.items()}), file)


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read the arrays of an ``.npz`` file; those that are not compressed come as read-only memory maps.

    Raises:
        DatasetError: The file is missing or damaged, or holds pickled objects.
    """
    try:
        check_directory(path, _LIMITS.num_arrays)
        with zipfile.ZipFile(path) as archive:
            check_members(path, archive.infolist(), _LIMITS)
            return {
                info.filename.removesuffix(".npy"): _read_member(path, archive, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{path} cannot be read as an .npz file: {error}; write it with numpy.savez") from error


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(info) as file:
        version = npy_format.read_magic(file)
        read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if dtype.hasobject:
            raise DatasetError(
                f"{path}: {info.filename} holds pickled Python objects, which are never loaded; write words as an "
                "array of strings (labels.astype(str))"
            )
        if info.compress_type != zipfile.ZIP_STORED or info.file_size == file.tell():
            with archive.open(info) as whole:
                array: NDArray[np.generic] = npy_format.read_array(whole, allow_pickle=False)
            return array
        within = file.tell()
    with path.open("rb") as file:
        # The sizes of name and extra field in the local header may differ from those of the archive's directory.
        file.seek(info.header_offset + 26)
        name_and_extra = sum(np.frombuffer(file.read(4), "<u2").tolist())
    offset = info.header_offset + 30 + name_and_extra + within
    if offset + int(np.prod(shape)) * dtype.itemsize > path.stat().st_size:
        raise DatasetError(f"{path} ends before its array {info.filename}; copy it again")
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if is_fortran else "C")


def _read_parquet(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        table = pq.read_table(path, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} cannot be read as a Parquet file: {error}") from error
    if nulls := [name for name in (*WORDS, "sequence_ids") if name in table.column_names and table[name].null_count]:
        raise DatasetError(f"{path}: a value of {', '.join(nulls)} is missing (null); write one for every row")
    arrays = {
        name: np.asarray(table[name].to_pylist() if pa.types.is_string(table[name].type) else table[name].to_numpy())
        for name in table.column_names
        if name != "embeddings"
    }
    if "embeddings" in table.column_names and table.num_rows:
        arrays["embeddings"] = _nested(path, table["embeddings"].combine_chunks(), table.num_rows)
    return arrays


def _nested(path: Path, column: pa.Array, num_rows: int) -> NDArray[np.generic]:
    """``[N, D]`` or ``[N, D, P]`` of lists of numbers, or lists of lists."""
    shape = [num_rows]
    while (
        pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type)
    ):
        before = len(column)
        if column.null_count:
            raise DatasetError(f"{path}: an embedding is missing (null); write one for every row")
        sizes = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if len(sizes) != 1:
            raise DatasetError(
                f"{path}: embeddings differ in shape ({sizes.tolist()} values); they must be [D, P] each"
            )
        column = column.flatten()
        shape.append(len(column) // before)
    if column.null_count:
        raise DatasetError(f"{path}: {column.null_count} embedding values are missing (null)")
    return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(shape)


def _tensor(array: NDArray[np.generic]) -> Tensor:
    import warnings

    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        return torch.from_numpy(array)


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise DatasetError(
            f"{path}: embeddings are kept in .npz or .parquet files, not in {path.suffix or 'no suffix'}"
        )
