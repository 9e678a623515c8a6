"""Pickles of arrays come out as Python's own unpickler gives them; everything else is refused."""

import contextlib
import itertools
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.reading import pickle_machine
from gaitbench.reading.unpickle import PickleLimits, read_pickle

RNG = np.random.default_rng(0)
ARRAYS: dict[str, NDArray[Any]] = {
    "silhouettes": hostile.valid_array(),
    "fortran": np.asfortranarray(RNG.integers(0, 9, (3, 4, 5)).astype(np.int16)),
    "permuted": np.arange(60, dtype=np.float32).reshape(3, 4, 5).transpose(1, 0, 2),
    "strided": np.arange(60, dtype=np.int64)[::3],
    "reversed": np.arange(60, dtype=np.uint16)[::-1],
    "big-endian": np.arange(7, dtype=">f8"),
    "big-endian-fortran": np.asfortranarray(np.arange(6, dtype=">u4").reshape(2, 3)),
    "truth": np.array([[True, False], [False, False]]),
    "half": np.linspace(-1, 1, 5, dtype=np.float16),
    "not-finite": np.array([np.nan, np.inf, -np.inf]),
    "no-frames": np.zeros((0, 64, 64), np.uint8),
    "no-axes": np.array(3.5),
    "read-only": np.frombuffer(b"abc", np.uint8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "walk.pkl"


def assert_same(got: Any, expected: Any) -> None:
    if isinstance(expected, list | tuple):
        assert isinstance(got, list)
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got, expected)
        assert got.shape == expected.shape
    else:
        assert got == expected


@pytest.mark.parametrize("protocol", hostile.PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array(path: Path, name: str, protocol: int) -> None:
    path.write_bytes(pickle.dumps(ARRAYS[name], protocol))
    array = read_pickle(path)
    assert_same(array, ARRAYS[name])
    assert isinstance(array, np.ndarray)
    assert not array.flags.writeable


@pytest.mark.parametrize("protocol", hostile.PROTOCOLS)
def test_lists_and_dicts_of_arrays(path: Path, protocol: int) -> None:
    clouds = [RNG.random((size, 3)) for size in (5, 0, 2, 900)]
    shared = hostile.valid_array()
    for whole in (
        clouds,
        tuple(clouds),
        {"points": clouds, "times": [0.5, 1.5], "name": "0001", "number": 3, "none": None, "flag": True},
        {"0001": 0, "0002": -1},
        [shared, shared, {"again": shared}],
        [np.float32(0.5), np.int64(3), np.bool_(True)],
        [[1, 2], [3, 2**40]],
        [],
        {},
    ):
        path.write_bytes(pickle.dumps(whole, protocol))
        assert_same(read_pickle(path), whole)


def test_many_arrays_use_wide_memo_indices(path: Path) -> None:
    whole = [np.full((1, 3), number) for number in range(400)]
    for protocol in hostile.PROTOCOLS:
        path.write_bytes(pickle.dumps(whole, protocol))
        used = {0: "GET", 1: "LONG_BINPUT", 2: "LONG_BINPUT", 3: "LONG_BINPUT"}.get(protocol, "MEMOIZE")
        assert used in hostile.instructions(path.read_bytes())
        assert_same(read_pickle(path), whole)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python_2_and_numpy_1(path: Path, protocol: int) -> None:
    """Written by hand as Python 2 writes them: words and contents are byte strings, truth values of types are ints."""
    array = np.arange(6, dtype="<u2").reshape(2, 3)
    content = array.tobytes()

    def word(raw: bytes) -> bytes:
        if protocol == 0:
            quoted = "".join(chr(c) if 32 <= c < 127 and c not in b"'\\" else f"\\x{c:02x}" for c in raw)
            return f"S'{quoted}'\n".encode()
        return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<I", len(raw)) + raw

    def number(value: int) -> bytes:
        return f"I{value}\n".encode() if protocol == 0 else b"J" + struct.pack("<i", value)

    body = (
        b"cnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n("
        + number(0)
        + b"tp3\n"
        + word(b"b")
        + b"tR("
        + number(1)
        + b"("
        + number(2)
        + (b"L3L\n" if protocol < 2 else b"\x8a\x01\x03")
        + b"tcnumpy\ndtype\n("
        + word(b"u2")
        + number(0)
        + number(1)
        + b"tR("
        + number(3)
        + word(b"<")
        + b"NNN"
        + number(-1)
        + number(-1)
        + number(0)
        + b"tb"
        + (b"I00\n" if protocol < 2 else b"\x89")
        + word(content)
        + b"tb"
    )
    data = hostile.pickled(b"}" + word(b"frames") + body + b"s", protocol)
    assert_same(pickle.loads(data, encoding="latin1"), {"frames": array})
    path.write_bytes(data)
    assert_same(read_pickle(path), {"frames": array})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.recursive(
        hnp.arrays(
            st.one_of(
                hnp.boolean_dtypes(),
                hnp.integer_dtypes(),
                hnp.unsigned_integer_dtypes(),
                hnp.floating_dtypes(sizes=(16, 32, 64)),
            ),
            hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
        )
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False)
        | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    ).filter(lambda whole: isinstance(whole, np.ndarray | list | dict)),
    protocol=st.sampled_from(hostile.PROTOCOLS),
)
def test_agrees_with_python(path: Path, whole: Any, protocol: int) -> None:
    path.write_bytes(pickle.dumps(whole, protocol))
    assert_same(read_pickle(path), whole)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_noise_is_refused_or_read(path: Path, data: st.DataObject) -> None:
    """Random changes of a sound pickle end in values or in our error, never in another one."""
    sound = bytearray(
        pickle.dumps([hostile.valid_array()[:1], {"a": 1.5}], data.draw(st.sampled_from(hostile.PROTOCOLS)))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(sound) - 1))
        sound[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=6))
    path.write_bytes(sound)
    with contextlib.suppress(DatasetError):
        read_pickle(path)


def test_the_message_has_file_and_name(path: Path) -> None:
    path.write_bytes(pickle.dumps(hostile.Trap(path.parent / "sprung")))
    with pytest.raises(
        DatasetError, match=r"walk\.pkl asks for pathlib\.Path\.touch|walk\.pkl asks for builtins\.getattr"
    ):
        read_pickle(path)
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(DatasetError, match=r"walk\.pkl asks for posix\.system, which is not loaded"):
        read_pickle(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(np.array([[None, None]] * 2), r"array of objects of shape \[2, 2\]", id="objects"),
        pytest.param(np.array(["word"]), "array of type 'U4'", id="words"),
        pytest.param({1: 2}, "holds a int where a word is needed", id="key"),
        pytest.param([b"a" * 5000], "holds bytes where an array belongs", id="bytes"),
        pytest.param("word", "holds a str, no array", id="word"),
    ],
)
def test_what_holds_something_else_is_named(path: Path, content: object, message: str) -> None:
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match=message):
        read_pickle(path)


def test_limits(path: Path) -> None:
    path.write_bytes(pickle.dumps([hostile.valid_array()] * 20))
    assert len(read_pickle(path)) == 20
    for limits, message in (
        (PickleLimits(num_bytes=100), "more than the limit of 100"),
        (PickleLimits(num_instructions=30), "more than 30 instructions"),
        (PickleLimits(num_values=20), "more than 20 values"),
        (PickleLimits(depth=0), "more than 0 deep"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_pickle(path, limits=limits)


def test_a_text_that_is_encoded_again_and_again(path: Path) -> None:
    text = b"V" + b"a" * 1000 + b"\np1\n0"
    path.write_bytes(text + b"(" + b"c_codecs\nencode\n(g1\nVlatin1\ntR" * 50 + b"l.")
    with pytest.raises(DatasetError, match=r"walk\.pkl encodes the same text again and again"):
        read_pickle(path)


@pytest.mark.parametrize(("num_arrays", "is_read"), [pytest.param(1, True, id="one"), pytest.param(50, False, id="50")])
def test_arrays_that_share_bytes_of_the_other_order(path: Path, num_arrays: int, is_read: bool) -> None:
    content = np.arange(500, dtype=">u2")
    data = b"B" + struct.pack("<I", content.nbytes) + content.tobytes() + b"q\x000"
    dtype = b"cnumpy\ndtype\n(X\x02\0\0\0u2tR(K\x03X\x01\0\0\0>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbq\x010"
    array = b"cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01M\xf4\x01\x85X\x01\0\0\0CtR"
    path.write_bytes(data + dtype + b"(" + array * num_arrays + b"l.")
    if is_read:
        assert_same(read_pickle(path), [content])
    else:
        with pytest.raises(DatasetError, match=r"walk\.pkl holds the same bytes in many arrays"):
            read_pickle(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.pkl cannot be read: No such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(DatasetError, match="no regular file"):
        read_pickle(tmp_path)
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(DatasetError, match="no regular file"):
        read_pickle(tmp_path / "pipe.pkl")


def test_every_instruction_of_python_is_decided_on() -> None:
    """An instruction of a later Python would be refused as unknown; those of today are all read or named."""
    known = set(itertools.chain.from_iterable(pickle_machine._KNOWN)) | {pickle_machine._STOP, pickle_machine._MEMOIZE}
    assert {ord(opcode.code) for opcode in pickletools.opcodes} == known


@pytest.mark.parametrize("protocol", range(6))
def test_a_row_of_objects_is_a_list(path: Path, protocol: int) -> None:
    clouds = np.empty(3, object)
    clouds[:] = [np.full((n, 3), n, np.float32) for n in (4, 0, 2)]
    path.write_bytes(pickle.dumps(clouds, protocol=protocol))
    found = read_pickle(path)
    assert isinstance(found, list)
    for ours, theirs in zip(found, clouds, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_objects_of_an_array_are_checked_like_all_others(path: Path) -> None:
    hostile = np.empty(1, object)
    hostile[0] = exit
    path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(DatasetError, match=r"asks for _sitebuiltins\.Quitter, which is not loaded"):
        read_pickle(path)
    hostile[0] = hostile
    path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(DatasetError, match="lists within lists"):
        read_pickle(path)
