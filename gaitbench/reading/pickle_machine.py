"""A machine that runs pickles and can make nothing but numbers, words, lists, dicts and numpy arrays.

A pickle is a program for a stack machine, and Python's own machine calls whatever the program names. This one knows
the fifty instructions that arrays, lists and dicts of them are written with, and five names of numpy, each of which
stands for one fixed action here: no name is looked up, imported or called. It runs on the file's bytes in place, so an
array is a view of them, and a size or an index in the program takes no memory before it is compared with the file.

The instructions are documented in Python's module ``pickletools``, what numpy writes in ``numpy.ndarray.__reduce__``.
"""

import codecs
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PickleError", "PickledArray", "run"]

_MAX_AXES = 32
_OBJECTS = "O"
_MAX_INT_BYTES = 16
_MAX_TEXT_IN_MESSAGE = 80


class PickleError(Exception):
    """Why a pickle is not run to its end: a sentence that goes on after the file's name."""


@dataclass(frozen=True, slots=True, eq=False)
class _Name:
    """A name that a pickle may use; it stands for an action of ours and leads to no code."""

    text: str


_RECONSTRUCT = _Name("numpy.core.multiarray._reconstruct")
_FROM_BUFFER = _Name("numpy.core.numeric._frombuffer")
_SCALAR = _Name("numpy.core.multiarray.scalar")
_NDARRAY = _Name("numpy.ndarray")
_DTYPE = _Name("numpy.dtype")
_ENCODE = _Name("_codecs.encode")
_BYTES = _Name("builtins.bytes")

_NAMES: dict[tuple[object, object], _Name] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _ENCODE,
    # Python 3 writes the content of an array without elements so, in the protocols of Python 2.
    ("__builtin__", "bytes"): _BYTES,
    ("builtins", "bytes"): _BYTES,
}
_DTYPES = {
    order + code: np.dtype(order + code)
    for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    for order in "<>"
}


class PickledArray:
    """An array of the pickle.

    Its ``value`` is None until the pickle has said what is in it, and a list for an array of objects. It has the byte
    order of the file.
    """

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("value",)

    def __init__(self, value: NDArray[np.generic] | list[Any] | None = None) -> None:
        self.value = value


@dataclass(slots=True, eq=False)
class _DType:
    code: str
    order: str = "<"


class _Machine:
    """Stack, marks and memo, as the pickle's instructions need them. Values carry no behaviour."""

    __slots__ = ("data", "marked", "memo", "size", "stack", "uncopied", "view")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.view = memoryview(data)
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.uncopied = self.size

    def encode(self, text: str) -> memoryview:
        """The bytes that a text stands for, the only copies that are made: no more of them than the file has."""
        self.uncopied -= len(text)
        if self.uncopied < 0:
            raise PickleError("encodes the same text again and again; it is made to exhaust the reader")
        return memoryview(text.encode("latin-1"))

    def end(self, position: int, length: int) -> int:
        """Where ``length`` bytes from ``position`` end; the file must have them."""
        if length < 0 or length > self.size - position:
            raise PickleError(f"declares {length:,} bytes where {self.size - position:,} are left; it was cut short")
        return position + length

    def line(self, position: int) -> tuple[bytes, int]:
        """The text up to the next line end, and the place after it."""
        end = self.data.find(b"\n", position)
        if end < 0:
            raise PickleError("ends in the middle of a line; it was cut short")
        return self.data[position:end], end + 1

    def pop_mark(self) -> list[Any]:
        """The values since the last mark."""
        values = self.stack
        self.stack = self.marked.pop()
        return values


Instruction = Callable[[_Machine, int], int]
"""Changes the machine, given the place after the instruction's own byte; returns the place of the next one."""


def run(data: bytes, max_instructions: int) -> Any:
    """Run a pickle.

    Args:
        data: The whole file.
        max_instructions: Where to give up.

    Returns:
        What the pickle leaves: numbers, words, None, :class:`PickledArray`, and lists, tuples and dicts of them.

    Raises:
        PickleError: It asks for anything else, is damaged, or is too long.
    """
    machine = _Machine(data)
    position = 0
    table, memo = _TABLE, machine.memo
    try:
        for _ in repeat(None, max_instructions):
            code = data[position]
            if code == _MEMOIZE:  # a quarter of all instructions, so without a call
                memo[len(memo)] = machine.stack[-1]
                position += 1
            elif code == _STOP:
                break
            else:
                position = table[code](machine, position + 1)
        else:
            raise PickleError(f"has more than {max_instructions:,} instructions; it is no pickle of arrays")
        result = machine.stack.pop()
    except IndexError:
        if position >= len(data):
            raise PickleError("ends before its pickle does; it was cut short") from None
        raise PickleError(f"is damaged at byte {position:,}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise PickleError(f"is damaged at byte {position:,} ({type(error).__name__}: {error})") from None
    if machine.stack or machine.marked:
        raise PickleError("is damaged: its pickle ends in the middle of an object")
    if rest := len(data) - position - 1:
        raise PickleError(f"has {rest:,} bytes after the end of its pickle; a file holds one pickle")
    return result


def _build_array(data: object, dtype: object, shape: object, order: str) -> PickledArray:
    if not isinstance(dtype, _DType) or not isinstance(shape, tuple):
        raise PickleError("describes an array without a type or a shape; it is damaged")
    if dtype.code == _OBJECTS:
        return _build_list(data, shape)
    if not isinstance(data, bytes | memoryview):
        raise PickleError(f"holds an array whose content is a {type(data).__name__}, not bytes; it is damaged")
    if len(shape) > _MAX_AXES or not set(map(type, shape)) <= {int} or min(shape, default=0) < 0:
        raise PickleError(f"holds an array of shape {_short(list(shape))}; it is damaged")
    type_ = _DTYPES[dtype.order + dtype.code]
    if math.prod(shape) * type_.itemsize != len(data):
        raise PickleError(
            f"declares an array of shape {_short(list(shape))} and type {type_}, which does not take the "
            f"{len(data):,} bytes that it has; it is damaged"
        )
    if not len(data):
        return PickledArray(np.zeros(shape, type_.newbyteorder("=")))
    flat = np.frombuffer(data, type_)
    if dtype.code == "b1" and int(flat.view(np.uint8).max()) > 1:
        raise PickleError("holds truth values other than 0 and 1; it is damaged")
    return PickledArray(flat.reshape(shape, order="F" if order == "F" else "C"))


def _build_list(data: object, shape: tuple[object, ...]) -> PickledArray:
    """An array of objects, as frames of different sizes are often saved: the list of what it holds."""
    if shape not in ((), (len(data) if isinstance(data, list) else -1,)) or not isinstance(data, list):
        raise PickleError(
            f"holds an array of objects of shape {_short(list(shape))}; only a row of arrays is read. Save the data "
            "as a list of arrays"
        )
    if shape == () and len(data) != 1:
        raise PickleError("holds an array of one object with another number of them; it is damaged")
    return PickledArray(data)


def _array_from_buffer(data: object, dtype: object, shape: object, order: object, axes: object = None) -> PickledArray:
    if order in ("C", "F"):
        return _build_array(data, dtype, shape, str(order))
    if order != "K" or not isinstance(axes, tuple):
        raise PickleError(f"lays out an array in the order {_short(order)}; it is damaged")
    built = _build_array(data, dtype, shape, "C")
    if not isinstance(built.value, np.ndarray):
        raise PickleError("lays out an array of objects in an order of its own; it is damaged")
    return PickledArray(built.value.transpose(axes))


def _new_dtype(code: object, *_: object) -> _DType:
    code = _word(code)
    if code in ("O", "O4", "O8"):
        return _DType(_OBJECTS)
    if "<" + code not in _DTYPES:
        raise PickleError(
            f"holds an array of type {_short(code)}, which is not read; save numbers and truth values, and "
            "frames of different sizes as a list of arrays"
        )
    return _DType(code)


def _set_dtype(dtype: _DType, state: tuple[Any, ...]) -> None:
    """Take the byte order; the rest belongs to types of several fields, which are not read."""
    order = _word(state[1])
    if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
        raise PickleError("holds an array with named fields or a type of its own, which is not read")
    dtype.order = ">" if order == ">" else "<"


def _set_array(array: PickledArray, state: tuple[Any, ...]) -> None:
    shape, dtype, is_fortran, data = state[-4:]
    array.value = _build_array(data, dtype, shape, "F" if is_fortran else "C").value


def _word(value: object) -> str:
    """A string, also where Python 2 wrote it as bytes."""
    if isinstance(value, memoryview):
        return str(value, "latin-1")
    if not isinstance(value, str):
        raise PickleError(f"holds a {type(value).__name__} where a word is needed; it is damaged")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT_IN_MESSAGE else text[:_MAX_TEXT_IN_MESSAGE] + "..."


def _find(module: object, name: object) -> _Name:
    found = _NAMES.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if found is None:
        words = ".".join(part if isinstance(part, str) else type(part).__name__ for part in (module, name))
        raise PickleError(
            f"asks for {words[:_MAX_TEXT_IN_MESSAGE]}, which is not loaded: a pickle runs what it names. Only numpy "
            "arrays, and lists and dicts of them, are read; save the data as such, or as .npy"
        )
    return found


# Instructions. Those that others also carry are named for what they do here.


def _call(m: _Machine, at: int) -> int:
    arguments, function = m.stack.pop(), m.stack.pop()
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise PickleError(f"calls a {type(function).__name__}; it is damaged or hostile")
    if function is _RECONSTRUCT and arguments[0] is _NDARRAY:
        made: object = PickledArray()
    elif function is _DTYPE:
        made = _new_dtype(*arguments)
    elif function is _FROM_BUFFER:
        made = _array_from_buffer(*arguments)
    elif function is _SCALAR:
        dtype, data = arguments
        built = _build_array(data, dtype, (), "C").value
        if not isinstance(built, np.ndarray):
            raise PickleError("holds a number that is an object; it is damaged")
        made = built.item()
    elif function is _ENCODE and arguments[1:] == ("latin1",):
        made = m.encode(arguments[0])
    elif function is _BYTES and arguments == ():
        made = memoryview(b"")
    else:
        raise PickleError(f"calls {function.text} in a way that numpy does not; it is damaged or hostile")
    m.stack.append(made)
    return at


def _build(m: _Machine, at: int) -> int:
    state, target = m.stack.pop(), m.stack[-1]
    if isinstance(state, tuple) and isinstance(target, PickledArray):
        _set_array(target, state)
    elif isinstance(state, tuple) and isinstance(target, _DType):
        _set_dtype(target, state)
    else:
        raise PickleError(f"sets the state of a {type(target).__name__}; it is damaged or hostile")
    return at


def _global(m: _Machine, at: int) -> int:
    module, at = m.line(at)
    name, at = m.line(at)
    m.stack.append(_find(module.decode(), name.decode()))
    return at


def _stack_global(m: _Machine, at: int) -> int:
    name, module = m.stack.pop(), m.stack.pop()
    m.stack.append(_find(module, name))
    return at


def _protocol(m: _Machine, at: int) -> int:
    if m.data[at] > 5:
        raise PickleError(f"is of pickle protocol {m.data[at]}; only 0 to 5 are known")
    return at + 1


def _frame(m: _Machine, at: int) -> int:
    m.end(at + 8, int.from_bytes(m.data[at : at + 8], "little"))
    return at + 8


def _sized(width: int, *, is_text: bool = False) -> Instruction:
    """Bytes or text after their length, a little-endian number of ``width`` bytes."""

    def push(m: _Machine, at: int) -> int:
        start = at + width
        length = m.data[at] if width == 1 else int.from_bytes(m.data[at:start], "little")
        end = start + length
        if end > m.size:
            m.end(start, length)
        m.stack.append(m.data[start:end].decode() if is_text else m.view[start:end])
        return end

    return push


def _packed(format_: str) -> Instruction:
    unpack_from, size = struct.Struct(format_).unpack_from, struct.calcsize(format_)

    def push(m: _Machine, at: int) -> int:
        m.stack.append(unpack_from(m.data, at)[0])
        return at + size

    return push


def _byte(m: _Machine, at: int) -> int:
    m.stack.append(m.data[at])
    return at + 1


def _long(m: _Machine, at: int) -> int:
    if m.data[at] > _MAX_INT_BYTES:
        raise PickleError(f"holds a number of {m.data[at]} bytes; it is no pickle of arrays")
    end = m.end(at + 1, m.data[at])
    m.stack.append(int.from_bytes(m.data[at + 1 : end], "little", signed=True))
    return end


def _int_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    words: dict[bytes, int] = {b"00": False, b"01": True}
    m.stack.append(words[text] if text in words else int(text.removesuffix(b"L")))
    return at


def _float_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    m.stack.append(float(text))
    return at


def _text_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    m.stack.append(str(text, "raw-unicode-escape"))
    return at


def _quoted_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    if len(text) < 2 or text[:1] not in (b"'", b'"') or text[:1] != text[-1:]:
        raise PickleError("holds a string without quotes; it is damaged")
    decoded: Any = codecs.escape_decode(text[1:-1])[0]
    m.stack.append(memoryview(decoded))
    return at


def _constant(value: object) -> Instruction:
    def push(m: _Machine, at: int) -> int:
        m.stack.append(value)
        return at

    return push


def _new(make: Callable[[], object]) -> Instruction:
    def push(m: _Machine, at: int) -> int:
        m.stack.append(make())
        return at

    return push


def _mark(m: _Machine, at: int) -> int:
    m.marked.append(m.stack)
    m.stack = []
    return at


def _pop(m: _Machine, at: int) -> int:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()
    return at


def _pop_mark(m: _Machine, at: int) -> int:
    m.pop_mark()
    return at


def _tuple(m: _Machine, at: int) -> int:
    values = tuple(m.pop_mark())
    m.stack.append(values)
    return at


def _short_tuple(length: int) -> Instruction:
    def push(m: _Machine, at: int) -> int:
        stack = m.stack
        if len(stack) < length:
            raise IndexError
        stack[-length:] = [tuple(stack[-length:])]
        return at

    return push


def _list(m: _Machine, at: int) -> int:
    values = m.pop_mark()
    m.stack.append(values)
    return at


def _append(m: _Machine, at: int) -> int:
    value, target = m.stack.pop(), m.stack[-1]
    _check_is(target, list)
    target.append(value)
    return at


def _appends(m: _Machine, at: int) -> int:
    values, target = m.pop_mark(), m.stack[-1]
    _check_is(target, list)
    target.extend(values)
    return at


def _dict(m: _Machine, at: int) -> int:
    values = m.pop_mark()
    m.stack.append({})
    _set_items(m.stack[-1], values)
    return at


def _set_item(m: _Machine, at: int) -> int:
    value, key = m.stack.pop(), m.stack.pop()
    _set_items(m.stack[-1], [key, value])
    return at


def _set_marked_items(m: _Machine, at: int) -> int:
    values = m.pop_mark()
    _set_items(m.stack[-1], values)
    return at


def _set_items(target: Any, values: list[Any]) -> None:
    _check_is(target, dict)
    for key, value in zip(values[::2], values[1::2], strict=True):
        # Only words: the hash of deeply nested tuples would overflow the stack.
        target[_word(key)] = value


def _check_is(target: object, type_: type) -> None:
    if type(target) is not type_:
        raise PickleError(f"fills a {type(target).__name__} as if it were a {type_.__name__}; it is damaged or hostile")


def _put(m: _Machine, at: int) -> int:
    m.memo[m.data[at]] = m.stack[-1]
    return at + 1


def _long_put(m: _Machine, at: int) -> int:
    m.end(at, 4)
    m.memo[int.from_bytes(m.data[at : at + 4], "little")] = m.stack[-1]
    return at + 4


def _put_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    m.memo[int(text)] = m.stack[-1]
    return at


def _get(m: _Machine, at: int) -> int:
    m.stack.append(m.memo[m.data[at]])
    return at + 1


def _long_get(m: _Machine, at: int) -> int:
    m.end(at, 4)
    m.stack.append(m.memo[int.from_bytes(m.data[at : at + 4], "little")])
    return at + 4


def _get_line(m: _Machine, at: int) -> int:
    text, at = m.line(at)
    m.stack.append(m.memo[int(text)])
    return at


def _refused(name: str) -> Instruction:
    def refuse(_: _Machine, at: int) -> int:
        raise PickleError(f"uses the pickle instruction {name} at byte {at - 1:,}, which arrays never need; not loaded")

    return refuse


def _unknown(_: _Machine, at: int) -> int:
    raise PickleError(f"is damaged, or no pickle: byte {at - 1:,} is no instruction")


def _instance(m: _Machine, at: int) -> int:
    """``INST`` brings its name along: the message should hold it."""
    module, at = m.line(at)
    name, at = m.line(at)
    _find(module.decode(), name.decode())
    return _refused("INST")(m, at)


_STOP = ord(".")
_MEMOIZE = 0x94
_KNOWN: dict[bytes, Instruction] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _call,
    b"b": _build,
    # Numbers and constants.
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"K": _byte,
    b"M": _packed("<H"),
    b"J": _packed("<i"),
    b"G": _packed(">d"),
    b"\x8a": _long,
    b"I": _int_line,
    b"L": _int_line,
    b"F": _float_line,
    # Bytes and text.
    b"C": _sized(1),
    b"U": _sized(1),
    b"B": _sized(4),
    b"T": _sized(4),
    b"\x8e": _sized(8),
    b"\x96": _sized(8),
    b"\x8c": _sized(1, is_text=True),
    b"X": _sized(4, is_text=True),
    b"\x8d": _sized(8, is_text=True),
    b"V": _text_line,
    b"S": _quoted_line,
    # Containers.
    b"(": _mark,
    b"0": _pop,
    b"1": _pop_mark,
    b")": _constant(()),
    b"t": _tuple,
    b"\x85": _short_tuple(1),
    b"\x86": _short_tuple(2),
    b"\x87": _short_tuple(3),
    b"]": _new(list),
    b"l": _list,
    b"a": _append,
    b"e": _appends,
    b"}": _new(dict),
    b"d": _dict,
    b"s": _set_item,
    b"u": _set_marked_items,
    # Memo; the instruction that counts by itself is in `run`.
    b"q": _put,
    b"r": _long_put,
    b"p": _put_line,
    b"h": _get,
    b"j": _long_get,
    b"g": _get_line,
    # Instructions that make objects, or ask the reader for some.
    b"i": _instance,
    b"o": _refused("OBJ"),
    b"\x81": _refused("NEWOBJ"),
    b"\x92": _refused("NEWOBJ_EX"),
    b"\x82": _refused("EXT1"),
    b"\x83": _refused("EXT2"),
    b"\x84": _refused("EXT4"),
    b"P": _refused("PERSID"),
    b"Q": _refused("BINPERSID"),
    b"\x97": _refused("NEXT_BUFFER"),
    b"\x98": _refused("READONLY_BUFFER"),
    b"\x8f": _refused("EMPTY_SET"),
    b"\x90": _refused("ADDITEMS"),
    b"\x91": _refused("FROZENSET"),
    b"\x8b": _refused("LONG4"),
    b"2": _refused("DUP"),
}
_TABLE: list[Instruction] = [_KNOWN.get(bytes([code]), _unknown) for code in range(256)]
