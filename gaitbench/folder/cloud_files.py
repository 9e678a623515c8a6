"""What PCD and PLY files declare, compared with what they have.

Open3D takes a file that was cut short, or whose header says more than there is, and gives whatever its memory held in
the place of the missing points. So a file is looked through before it is given to it.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gaitbench.errors import DatasetError
from gaitbench.reading.limits import reading

__all__ = ["check_cloud"]

_MOST_LINES = 1000
_MOST_LINE_BYTES = 4096
_PADDING = b"\0\r\n \t"
_AXES = ("x", "y", "z")
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}


def check_cloud(path: Path) -> int:
    """Count the points of a PCD or PLY file.

    Args:
        path: The file.

    Returns:
        The points that it declares, and has.

    Raises:
        DatasetError: The header is broken, or the points are fewer or more than it declares, or no numbers.
    """
    with reading(path), path.open("rb") as file:
        count = _check_ply(file) if file.read(3) == b"ply" else _check_pcd(file)
        if isinstance(count, str):
            raise DatasetError(f"{path} {count}; copy it again, or write it again")
        return count


def _check_pcd(file: IO[bytes]) -> int | str:
    file.seek(0)
    header: dict[str, list[str]] = {}
    for line in _header_lines(file):
        if words := line.partition("#")[0].split():
            header[words[0].upper()] = words[1:]
        if "DATA" in header:
            break
    if missing := [word for word in ("FIELDS", "SIZE", "TYPE", "WIDTH", "HEIGHT", "DATA") if not header.get(word)]:
        return f"has no {missing[0]} in its header; it is no PCD file, or was cut short"
    names = header["FIELDS"]
    sizes = _numbers(header["SIZE"])
    counts = _numbers(header.get("COUNT", ["1"] * len(names)))
    if not len(names) == len(sizes) == len(counts) == len(header["TYPE"]):
        return "has another number of sizes, types or counts than of fields in its header"
    if not set(_AXES) <= set(names) or any(header["TYPE"][names.index(axis)] != "F" for axis in _AXES):
        return "has no fields x, y and z of type F"
    if not set(sizes) <= {1, 2, 4, 8} or min(counts) < 1:
        return "has a field of another size than 1, 2, 4 or 8 bytes, or of no values"
    grid = _numbers([*header["WIDTH"], *header["HEIGHT"]])
    count = _numbers(header.get("POINTS", [str(math.prod(grid))]))
    if len(grid) != 2 or min(grid) < 0 or count != [math.prod(grid)]:
        words = [" ".join(header.get(word, ["none"]))[:20] for word in ("WIDTH", "HEIGHT", "POINTS")]
        return f"declares {words[0]} times {words[1]} points, and then {words[2]}"
    num_bytes = count[0] * sum(size * number for size, number in zip(sizes, counts, strict=True))
    form = header["DATA"][0]
    if form == "ascii":
        return _check_lines(file, [(count[0], sum(counts))]) or count[0]
    if form == "binary":
        return _check_bytes(file, num_bytes) or count[0]
    if form == "binary_compressed":
        start = file.read(8)
        packed, unpacked = struct.unpack("<2I", start) if len(start) == 8 else (0, -1)
        if unpacked != num_bytes:
            return f"declares points of {num_bytes:,} bytes and then {max(unpacked, 0):,}"
        return _check_bytes(file, packed) or count[0]
    return f"has data of the form {form[:40]!r}, not ascii, binary or binary_compressed"


@dataclass(slots=True)
class _Element:
    name: str
    num: int
    types: list[str] = field(default_factory=list)
    """Of its properties, ``list`` for one of any length."""
    names: list[str] = field(default_factory=list)


def _check_ply(file: IO[bytes]) -> int | str:
    form, elements, is_whole = "", [], False
    for line in _header_lines(file):
        words = line.split()
        if words[:1] == ["format"] and len(words) > 1:
            form = words[1]
        elif words[:1] == ["element"] and len(words) == 3:
            elements.append(_Element(words[1], _numbers(words[2:])[0]))
        elif words[:1] == ["property"] and elements and len(words) > 2:
            elements[-1].types.append(words[1])
            elements[-1].names.append(words[-1])
        elif is_whole := words == ["end_header"]:
            break
    if not is_whole:
        return "has no end_header; it was cut short"
    places = [number for number, element in enumerate(elements) if element.name == "vertex"]
    if len(places) != 1:
        return f"has {len(places)} elements called vertex where one is expected"
    until, points = elements[: places[0] + 1], elements[places[0]]
    if min(element.num for element in elements) < 0:
        return "declares a negative number of elements"
    if not all(set(element.types) <= _PLY_BYTES.keys() for element in until):
        return "has lists or unknown types in or before its points"
    if not set(_AXES) <= set(points.names):
        return "has no properties x, y and z"
    if form == "ascii":
        is_plain = [set(element.types) <= _PLY_BYTES.keys() for element in elements]
        rows = [
            (element.num, len(element.types) if plain else None)
            for element, plain in zip(elements, is_plain, strict=True)
        ]
        return _check_lines(file, rows) or points.num
    if form not in ("binary_little_endian", "binary_big_endian"):
        return f"has data of the form {form[:40]!r}, not ascii, binary_little_endian or binary_big_endian"
    num_bytes = sum(element.num * sum(_PLY_BYTES[type_] for type_ in element.types) for element in until)
    return _check_bytes(file, num_bytes, goes_on=len(elements) > len(until)) or points.num


def _header_lines(file: IO[bytes]) -> Iterable[str]:
    for _ in range(_MOST_LINES):
        line = file.readline(_MOST_LINE_BYTES)
        if not line.endswith(b"\n"):
            return
        yield line.decode("latin-1")


def _numbers(words: list[str]) -> list[int]:
    """Whole numbers; what is none counts as -1, which no header may say."""
    return [int(word) if word.isascii() and word.isdigit() and len(word) < 19 else -1 for word in words]


def _check_lines(file: IO[bytes], rows: list[tuple[int, int | None]]) -> str:
    """Compare lines of text with what is declared, ``None`` for lines of any length; empty when all is there."""
    lines = (line for line in file if line.strip())
    last = b"\n"
    for num, width in rows:
        for number in range(num):
            last = next(lines, b"")
            if not last:
                return f"has {number:,} rows where {num:,} are declared; it was cut short"
            words = last.split()
            if width is not None and (len(words) != width or not all(map(_is_number, words))):
                return f"has {last[:60]!r} where {width} numbers are declared"
    if next(lines, b""):
        return "has more rows than are declared"
    return "" if last.endswith(b"\n") else "does not end with the end of a line; it may have been cut short"


def _check_bytes(file: IO[bytes], num_bytes: int, *, goes_on: bool = False) -> str:
    """Compare what is left of a file with what is declared; empty when all is there, and padding at most behind it."""
    start = file.tell()
    left = file.seek(0, 2) - start
    if left < num_bytes:
        return f"declares points of {num_bytes:,} bytes and has {left:,}; it was cut short"
    file.seek(start + num_bytes)
    if not goes_on and file.read(_MOST_LINE_BYTES).strip(_PADDING):
        return f"declares points of {num_bytes:,} bytes and has {left:,}"
    return ""


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
