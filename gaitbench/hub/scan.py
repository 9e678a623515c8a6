"""Finding the pictures of a repository that gaitbench did not write: a row per picture, or per list of pictures.

Parquet files first, those of the README's configuration where it has one; otherwise picture files, described by
``metadata.csv`` or ``metadata.jsonl`` beside them, or by their folders.
"""

import csv
import fnmatch
import io
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gaitbench.errors import DatasetError
from gaitbench.hub.contents import README_FILE
from gaitbench.hub.files import RepositoryFiles, check_path
from gaitbench.hub.mapping import ROLES, ColumnMapping, find_columns
from gaitbench.hub.parquet import ParquetRows

__all__ = ["PICTURES", "Found", "scan"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""What picture files end in."""

_WORDS = tuple(role for role in ROLES if role != "image")
_MOST_README_BYTES = 2**22
_MOST_METADATA_BYTES = 2**30
_SPLITS = {"train", "test", "validation", "val", "dev", "data", "images"}
_SCHEMA = pa.schema([*((word, pa.string()) for word in _WORDS), ("file", pa.int32()), ("row", pa.int64())])


class Found(NamedTuple):
    """The pictures of a repository."""

    rows: pa.Table
    """Columns subject, condition, view, sequence, frame: text, null where nothing says it; ``file`` and ``row``."""
    paths: tuple[str, ...]
    """What ``file`` counts: Parquet files, or pictures."""
    image: str
    """Column of the pictures; empty where ``paths`` are the pictures."""
    is_list: bool
    """True when a row holds all pictures of a sequence."""


def scan(files: RepositoryFiles, mapping: ColumnMapping) -> Found:
    """Read everything but the pictures.

    Args:
        files: The repository.
        mapping: Which column says what.

    Raises:
        DatasetError: There are no pictures, a column is missing, or a file is broken or names a path outside.
    """
    sizes = files.sizes()
    listed = _listed(files, sizes, mapping)
    parquet = [path for path in listed if path.endswith(".parquet")]
    if parquet:
        return _scan_parquet(files, parquet, sizes, mapping)
    pictures = [path for path in listed if path.lower().endswith(PICTURES)]
    if not pictures:
        shown = ", ".join([path for path in sizes if path != README_FILE][:5]) or "nothing"
        raise DatasetError(
            f"{files.where} has no Parquet file and no picture ({'/'.join(PICTURES)}); it has {shown}. Other formats, "
            "archives and scripts are not read"
        )
    tables = [path for path in sizes if PurePosixPath(path).name in ("metadata.csv", "metadata.jsonl")]
    rows = _by_metadata(files, tables, set(sizes), mapping) if tables else _by_folders(files, pictures, mapping)
    paths = tuple(rows)
    arrays = [pa.array([row.get(word) for row in rows.values()], pa.string()) for word in _WORDS]
    table = pa.Table.from_arrays(
        [*arrays, pa.array(range(len(paths)), pa.int32()), pa.array([0] * len(paths), pa.int64())], schema=_SCHEMA
    )
    return Found(table, paths, "", is_list=False)


def _listed(files: RepositoryFiles, sizes: dict[str, int], mapping: ColumnMapping) -> list[str]:
    """The data files of the configuration; all files where the README names none."""
    configs = _configs(files, sizes)
    if not configs:
        if mapping.config is not None:
            raise DatasetError(f"{files.where} has no configurations; leave config out")
        return list(sizes)
    chosen = next((config for config in configs if config.get("config_name") == mapping.config), None)
    if chosen is None:
        names = [str(config.get("config_name", "default")) for config in configs]
        if mapping.config is not None:
            raise DatasetError(f"{files.where} has no configuration {mapping.config!r}; it has {', '.join(names)}")
        default = [config for config in configs if config.get("default") or config.get("config_name") == "default"]
        chosen = (default or configs)[0]
    patterns = list(_patterns(chosen.get("data_files"), f"{files.where}: {README_FILE}"))
    if not patterns:
        return list(sizes)
    matched = [path for path in sizes if any(_matches(path, pattern) for pattern in patterns)]
    if not matched:
        raise DatasetError(
            f"{files.where}: no file is named {', '.join(patterns)}, as {README_FILE} says; is it complete?"
        )
    return matched


def _configs(files: RepositoryFiles, sizes: dict[str, int]) -> list[dict[str, Any]]:
    import yaml  # type: ignore[import-untyped]

    if README_FILE not in sizes:
        return []
    text = files.read(README_FILE, _MOST_README_BYTES).decode("utf-8", "replace")
    header = re.match(r"---[ \t]*\r?\n(.*?)\r?\n---", text, re.DOTALL)
    if header is None:
        return []
    try:
        content = yaml.safe_load(header[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(f"{files.where}: the header of {README_FILE} is no YAML ({type(error).__name__})") from error
    configs = content.get("configs") if isinstance(content, dict) else None
    if configs is None:
        return []
    if not isinstance(configs, list) or not all(isinstance(config, dict) for config in configs):
        raise DatasetError(f"{files.where}: configs in {README_FILE} must be a list of mappings")
    return configs


def _patterns(data_files: object, where: str) -> Iterator[str]:
    """The file patterns of every split."""
    if data_files is None:
        return
    if isinstance(data_files, str):
        yield check_path(data_files, where).removeprefix("./")
    elif isinstance(data_files, list):
        for item in data_files:
            yield from _patterns(item.get("path") if isinstance(item, dict) else item, where)
    elif isinstance(data_files, dict):
        for item in data_files.values():
            yield from _patterns(item, where)
    else:
        raise DatasetError(f"{where}: data_files must be paths, got {type(data_files).__name__}")


def _matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern.replace("**/", ""))


def _scan_parquet(files: RepositoryFiles, paths: list[str], sizes: dict[str, int], mapping: ColumnMapping) -> Found:
    rows = ParquetRows(files, paths, [sizes[path] for path in paths])
    image, is_list = "", False
    tables = []
    for file in range(len(paths)):
        schema = rows.schema(file)
        roles = find_columns(mapping, schema.names, rows.where(file))
        kind = schema.field(roles["image"]).type
        this_is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if file and (roles["image"], this_is_list) != (image, is_list):
            raise DatasetError(f"{rows.where(file)} has other columns than {paths[0]}; name one configuration")
        image, is_list = roles["image"], this_is_list
        _check_image(kind.value_type if is_list else kind, f"{rows.where(file)}: column {image}")
        names = _class_names(schema)
        starts = rows.starts(file)
        for group in range(len(starts) - 1):
            length = int(starts[group + 1] - starts[group])
            columns = [
                _words(
                    rows.column(file, group, roles[word]), names.get(roles[word]), f"{rows.where(file)}: {roles[word]}"
                )
                if word in roles
                else pa.nulls(length, pa.string())
                for word in _WORDS
            ]
            columns += [
                pa.array([file] * length, pa.int32()),
                pa.array(range(starts[group], starts[group + 1]), pa.int64()),
            ]
            tables.append(pa.Table.from_arrays(columns, schema=_SCHEMA))
    if not tables:
        raise DatasetError(f"{files.where}: the Parquet files hold no row")
    return Found(pa.concat_tables(tables).combine_chunks(), tuple(paths), image, is_list)


def _check_image(kind: pa.DataType, where: str) -> None:
    is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    is_bytes = is_struct and pa.types.is_binary(kind.field("bytes").type)
    if not (is_bytes or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DatasetError(f"{where} holds {kind}, no pictures (bytes, or the struct of bytes and path); name another")


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Class words of integer columns, as `datasets` leaves them in the file."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(word) for word in feature["names"]]
            for name, feature in described.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature["names"], list)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _words(column: pa.Array, names: list[str] | None, where: str) -> pa.Array:
    """Text of a column of text, numbers or classes."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        if pa.types.is_floating(kind) and pc.all(pc.equal(column, pc.floor(column))).as_py():
            column = pc.cast(column, pa.int64())
        else:
            raise DatasetError(f"{where} holds {kind}, neither text nor whole numbers; name another column")
    if names is not None and pa.types.is_integer(kind):
        index = column.to_pylist()
        if any(i is not None and not 0 <= i < len(names) for i in index):
            raise DatasetError(f"{where} has classes outside the {len(names)} that the file names")
        return pa.array([None if i is None else names[i] for i in index], pa.string())
    return pc.cast(column, pa.string())


def _by_metadata(
    files: RepositoryFiles, tables: list[str], known: set[str], mapping: ColumnMapping
) -> dict[str, dict[str, str | None]]:
    rows: dict[str, dict[str, str | None]] = {}
    for path in tables:
        where, folder = f"{files.where}: {path}", PurePosixPath(path).parent
        text = files.read(path, _MOST_METADATA_BYTES).decode("utf-8", "replace")
        for record in _records(text, path, where):
            roles = find_columns(mapping, list(record), where, has_image=False)
            named = record.get("file_name")
            if not isinstance(named, str):
                raise DatasetError(f"{where} has no text in column file_name; it has {', '.join(record)}")
            picture = (folder / check_path(named, where)).as_posix()
            if picture not in known:
                raise DatasetError(f"{where} names {named}, which is not there; is the repository complete?")
            if not picture.lower().endswith(PICTURES):
                raise DatasetError(f"{where} names {named}, which is no picture ({'/'.join(PICTURES)})")
            if picture in rows:
                raise DatasetError(f"{where} names {named} twice")
            words = {word: record.get(column) for word, column in roles.items()}
            rows[picture] = {word: None if value in (None, "") else str(value) for word, value in words.items()}
    return rows


def _records(text: str, path: str, where: str) -> Iterator[dict[str, Any]]:
    try:
        if path.endswith(".csv"):
            for record in csv.DictReader(io.StringIO(text, newline=""), strict=True):
                if None in record or None in record.values():
                    raise DatasetError(f"{where} has a line with other columns than the first")
                yield record
            return
        for line in text.splitlines():
            if line.strip():
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise DatasetError(f"{where} must hold a JSON object per line")
                yield content
    except (csv.Error, ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is broken ({error})") from error


def _by_folders(
    files: RepositoryFiles, pictures: list[str], mapping: ColumnMapping
) -> dict[str, dict[str, str | None]]:
    pattern = None if mapping.pattern is None else _expression(mapping.pattern)
    rows: dict[str, dict[str, str | None]] = {}
    for path in pictures:
        stem = PurePosixPath(path).with_suffix("").as_posix()
        if pattern is not None:
            match = pattern.fullmatch(stem)
            if match is None:
                raise DatasetError(f"{files.where}: {path} is not named as the pattern {mapping.pattern!r} says")
            rows[path] = dict(match.groupdict())
            continue
        *folders, frame = PurePosixPath(stem).parts
        while folders and folders[0] in _SPLITS:
            folders = folders[1:]
        if not 1 <= len(folders) <= 3:
            raise DatasetError(
                f"{files.where}: {path} lies in {len(folders)} folders; one (subject), two (and condition) or three "
                "(and view) are understood. Say what they are: --option 'pattern={subject}/{view}/{frame}'"
            )
        rows[path] = {**dict(zip(("subject", "condition", "view"), folders, strict=False)), "frame": frame}
    return rows


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern such as ``{subject}/{frame}`` as a regular expression; ``*`` stands for any part of a name."""
    parts = re.split(r"(\{\w*\}|\*)", pattern)
    names = [part[1:-1] for part in parts if part.startswith("{")]
    if "subject" not in names or len(set(names)) != len(names) or not set(names) <= set(_WORDS):
        raise DatasetError(
            f"pattern {pattern!r} must name {{subject}}, and may name {', '.join(f'{{{w}}}' for w in _WORDS[1:])}, "
            "each once"
        )
    made = (
        f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else "[^/]*" if part == "*" else re.escape(part)
        for part in parts
    )
    return re.compile("".join(made))
