"""Annotations in a file: Parquet, with a column ``values`` of one field per question, or JSON.

A Parquet file holds the header as JSON in its metadata, under the key ``gaitbench``.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.records import AnnotationHeader, Annotations
from gaitbench.atomic import atomic_path, make_folder, output_errors, write_text
from gaitbench.digest import file_digest
from gaitbench.errors import DatasetError, OutputError, UsageError
from gaitbench.reading.limits import check_regular_file
from gaitbench.reading.text import read_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "annotation_digest",
    "annotation_path",
    "check_writable",
    "only_writer",
    "read_annotations",
    "write_annotations",
]

SUFFIXES = (".parquet", ".json")
METADATA_KEY = b"gaitbench"
MOST_FILE_BYTES = 2 << 30


def annotation_digest(path: Path | str) -> str:
    """Hash a file of annotations.

    Raises:
        OSError: The file cannot be read, is none (a pipe, a device, a folder), or is larger than annotations may be.
    """
    return file_digest(Path(path), max_bytes=MOST_FILE_BYTES)


def read_annotations(path: Path | str) -> Annotations:
    """Read a file that ``gaitbench annotate`` wrote, and hold it against its own schema.

    Args:
        path: A ``.parquet`` or ``.json`` file.

    Raises:
        DatasetError: The file is missing, damaged, or no annotations.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise DatasetError(f"{path}: annotations are kept in .parquet or .json files, not in {path.suffix or 'others'}")
    content = _read_parquet(path) if path.suffix == ".parquet" else read_json(path)
    try:
        return Annotations.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = clean_text(f"{where}: {first['msg']}" if where else first["msg"], 200)
        raise DatasetError(f"{path} holds no annotations of gaitbench, or was altered ({reason})") from None


def write_annotations(path: Path | str, annotations: Annotations) -> None:
    """Write annotations in one piece or not at all; the suffix says how.

    Raises:
        UsageError: The suffix is neither ``.parquet`` nor ``.json``.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"annotations are written to .parquet or .json files, not to {path.name}.")
    if path.suffix == ".json":
        write_text(path, annotations.model_dump_json(indent=1) + "\n")
        return
    import pyarrow.parquet as pq

    table = _table(annotations)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file)


def annotation_path(out: Path | None, name: str, *, forbidden: list[Path]) -> Path:
    """Where annotations go.

    Args:
        out: A file, or a folder; None for the folder ``annotations``.
        name: Of the file in a folder, without a suffix.
        forbidden: Folders of datasets, which nothing is written into.

    Raises:
        UsageError: The suffix is another one.
        OutputError: The place is inside a dataset.
    """
    out = Path("annotations") if out is None else out
    if out.suffix and not out.is_dir():
        path = out
        if path.suffix not in SUFFIXES:
            raise UsageError(f"annotations are written to .parquet or .json files, or into a folder; not to {path}.")
    else:
        path = out / f"{name}.parquet"
    place = path.resolve()
    inside = [folder for folder in forbidden if place.is_relative_to(folder.resolve())]
    inside += [folder for folder in place.parents if (folder / "dataset.json").is_file()]
    if inside:
        raise OutputError(
            f"{path} would lie inside the dataset {inside[0]}, which stays as it is; choose another place (--out)."
        )
    if path.is_dir():
        raise OutputError(f"cannot write {path}: a folder stands where a file is needed; choose another name (--out).")
    return path


def check_writable(path: Path) -> None:
    """Stop before anything is paid for when a file could not be written later.

    Raises:
        OutputError: The folder cannot be made or written.
    """
    make_folder(path.parent)
    with output_errors(path), tempfile.TemporaryFile(dir=path.parent):
        pass


@contextlib.contextmanager
def only_writer(path: Path, root: Path) -> Iterator[None]:
    """Stop when another process is annotating into the same file. The lock ends with the process.

    Args:
        path: The file.
        root: Folder for locks.

    Raises:
        OutputError: Another process has it, or the folder cannot be written.
    """
    lock = make_folder(root) / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]}.lock"
    with output_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"another process is writing {path}; wait for it, or choose another --out.") from None
        yield
    finally:
        os.close(descriptor)


def _table(annotations: Annotations) -> "pa.Table":
    import pyarrow as pa

    records = annotations.records
    columns: dict[str, pa.Array] = {}
    for name in ("sequence_id", "status", "reason"):
        columns[name] = pa.array([getattr(record, name) for record in records], pa.string())
    kinds = _kinds(annotations)
    if kinds:
        fields = [(name, pa.int32() if kind is int else pa.string()) for name, kind in kinds.items()]
        columns["values"] = pa.array([record.values or None for record in records], pa.struct(fields))
    columns["sentences"] = pa.array([list(record.sentences) for record in records], pa.list_(pa.string()))
    for name in ("request_sha256", "answered_by", "answered_at"):
        columns[name] = pa.array([getattr(record, name) for record in records], pa.string())
    for name in ("prompt_tokens", "completion_tokens", "num_requests"):
        columns[name] = pa.array([getattr(record, name) for record in records], pa.int64())
    return pa.table(columns, metadata={METADATA_KEY: annotations.header.model_dump_json().encode()})


def _kinds(annotations: Annotations) -> dict[str, type]:
    """Fields to the type of their values, in order; rounds of a text schema may differ in their fields."""
    fields = annotations.header.fields
    if fields:
        return {field.name: int if field.choices and isinstance(field.choices[0], int) else str for field in fields}
    names = dict.fromkeys(name for record in annotations.records for name in record.values)
    return dict.fromkeys(names, str)


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular_file(path, MOST_FILE_BYTES)
        # Arrow's reader threads may abort the process at exit (apache/arrow issue 34314): read without any.
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            if (claimed := sum(group.total_byte_size for group in groups)) > MOST_FILE_BYTES:
                raise DatasetError(f"{path} claims {claimed:,} bytes, more than annotations may have")
            table = file.read(use_threads=False)
        table.validate(full=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = clean_text(str(error), 200) or type(error).__name__
        raise DatasetError(f"{path} cannot be read as a Parquet file: {reason}") from error
    metadata = table.schema.metadata or {}
    if METADATA_KEY not in metadata:
        raise DatasetError(f"{path} is a Parquet file, but not one of gaitbench annotate: its metadata has no header")
    try:
        header = AnnotationHeader.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        raise DatasetError(
            f"{path}: its header is not one of gaitbench annotate ({error.error_count()} faults)"
        ) from None
    rows = table.to_pylist()
    for row in rows:
        values = row.get("values")
        if not isinstance(values, Mapping | None):
            raise DatasetError(
                f"{path} holds no annotations of gaitbench, or was altered: values are {type(values).__name__}, and no "
                "fields; write it again with gaitbench annotate"
            )
        # Arrow gives every field of a struct: those that a round of a text schema has not, as null.
        row["values"] = {} if values is None else {k: v for k, v in values.items() if header.fields or v is not None}
    return {"header": header, "records": rows}
