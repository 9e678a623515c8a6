"""Files that are broken or mean harm, made on the spot."""

import gzip
import io
import json
import pickle
import pickletools
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
GADGETS = {
    "os.system": ("touch {sprung}",),
    "posix.system": ("touch {sprung}",),
    "subprocess.Popen": (["touch", "{sprung}"],),
    "subprocess.check_output": (["touch", "{sprung}"],),
    "builtins.eval": ("open('{sprung}', 'w')",),
    "builtins.exec": ("open('{sprung}', 'w')",),
    "builtins.open": ("{sprung}", "w"),
    "builtins.getattr": ("{sprung}", "upper"),
    "builtins.__import__": ("antigravity",),
    "builtins.bytes": (10**12,),
    "__builtin__.eval": ("open('{sprung}', 'w')",),
    "importlib.import_module": ("antigravity",),
    "operator.attrgetter": ("__class__",),
    "functools.partial": (),
    "copyreg._reconstructor": (),
    "types.CodeType": (),
    "pickle.loads": (b"cos\nsystem\n(S'touch {sprung}'\ntR.",),
    "numpy.load": ("{sprung}",),
    "numpy.memmap": ("{sprung}", "uint8", "w+", 0, (9,)),
    "numpy.ndarray": ((10**12,),),
    "numpy.core.multiarray.fromfile": ("{sprung}",),
    "numpy.core.multiarray._reconstruct": ("numpy", (10**12,), b"b"),
    "numpy.testing._private.utils.runstring": ("open('{sprung}', 'w')", {}),
    "numpy._core.records.fromfile": ("{sprung}",),
    "_codecs.encode": ("6f", "hex"),
    "_codecs.decode": (b"6f", "hex"),
    "torch.load": ("{sprung}",),
    "torch.storage._load_from_bytes": (b"",),
    "runpy.run_path": ("{sprung}",),
    "ctypes.CDLL": ("{sprung}",),
    "shutil.rmtree": ("{sprung}",),
    "webbrowser.open": ("https://example.org",),
    "socket.socket": (),
    "logging.config.listen": (),
    "pdb.run": ("import os",),
    "code.interact": (),
    "asyncio.subprocess.create_subprocess_shell": ("touch {sprung}",),
    "joblib.load": ("{sprung}",),
    "pathlib.Path.touch": ("{sprung}",),
}


def valid_array() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return (rng.random((8, 16, 11)) > 0.5).astype(np.uint8) * np.uint8(255)


def text(word: str | bytes) -> bytes:
    raw = word if isinstance(word, bytes) else word.encode()
    return (b"B" if isinstance(word, bytes) else b"X") + struct.pack("<I", len(raw)) + raw


def value(thing: object, sprung: Path) -> bytes:
    """A value as pickle instructions, names of traps filled in."""
    if isinstance(thing, str):
        return text(thing.replace("{sprung}", str(sprung)))
    if isinstance(thing, bytes):
        return text(thing.replace(b"{sprung}", str(sprung).encode()))
    if isinstance(thing, tuple):
        return b"(" + b"".join(value(item, sprung) for item in thing) + b"t"
    if isinstance(thing, list):
        return b"(" + b"".join(value(item, sprung) for item in thing) + b"l"
    return pickle.dumps(thing, 2)[2:-1]


def call(name: str, arguments: tuple[object, ...], sprung: Path, protocol: int) -> bytes:
    """The instructions that call a function."""
    module, _, function = name.rpartition(".")
    named = f"c{module}\n{function}\n".encode()
    found = text(module) + text(function) + b"\x93" if protocol >= 4 else named
    return found + value(arguments, sprung) + b"R"


def pickled(body: bytes, protocol: int = 2) -> bytes:
    return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + body + b"."


def pickles(sprung: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles of which none may be read."""
    for name, arguments in GADGETS.items():
        for protocol in PROTOCOLS:
            yield f"{name}-{protocol}", pickled(call(name, arguments, sprung, protocol), protocol)
    system = call("os.system", ("touch {sprung}",), sprung, 2)
    arguments = value(("touch {sprung}",), sprung)
    array = pickle.dumps(valid_array(), 2)[2:-1]
    dtype = b"cnumpy\ndtype\n" + value(("O8", False, True), sprung) + b"R"
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    u1 = b"cnumpy\ndtype\n" + value(("u1", False, True), sprung) + b"R"
    yield "in-a-list", pickled(b"](" + array + system + b"e")
    yield "in-a-dict", pickled(b"}(X\x01\x00\x00\x00a" + system + b"u")
    yield "popped", pickled(system + b"0" + array)
    yield "in-the-memo", pickled(system + b"q\x630" + array)
    yield "inst", pickled(b"(" + text("touch " + str(sprung)) + b"ios\nsystem\n")
    yield "obj", pickled(b"(cos\nsystem\n" + text("touch") + b"o")
    yield "obj-of-numpy", pickled(b"(cnumpy\nndarray\nK\x01\x85o")
    yield "newobj", pickled(b"cnumpy\nndarray\n" + value((3,), sprung) + b"\x81")
    yield "newobj-ex", pickled(b"cnumpy\nndarray\n" + value((3,), sprung) + b"}\x92", 4)
    yield "call-of-a-word", pickled(text("os.system") + arguments + b"R")
    yield "call-of-an-array", pickled(array + arguments + b"R")
    yield "dotted-name", pickled(text("numpy") + text("ndarray.__class__") + b"\x93", 4)
    yield "dotted-module", pickled(text("numpy.core.multiarray") + text("_reconstruct.__globals__") + b"\x93", 4)
    yield "name-that-is-a-number", pickled(b"K\x01K\x02\x93", 4)
    yield "state-of-a-name", pickled(b"cnumpy.core.multiarray\n_reconstruct\n}" + text("__code__") + b"K\x01sb")
    yield "state-of-a-list", pickled(b"]}" + text("a") + b"K\x01sb")
    yield "state-of-two-parts", pickled(b"cnumpy\nndarray\nN}" + text("__doc__") + b"K\x01s\x86b")
    yield "objects", pickle.dumps(np.array([[1, "a"], [2, None]], dtype=object))
    yield "objects-with-a-trap", pickled(reconstruct + b"(K\x01K\x01\x85" + dtype + b"\x89](" + system + b"etb")
    yield "structured", pickle.dumps(np.zeros(2, dtype=[("a", "u1"), ("b", "f4")]))
    yield "words", pickle.dumps(np.array(["a", "b"]))
    yield "complex", pickle.dumps(np.zeros(2, np.complex64))
    yield "dates", pickle.dumps(np.zeros(2, "datetime64[s]"))
    yield "persistent-id", pickled(b"P1\n", 0)
    yield "binary-persistent-id", pickled(b"K\x01Q")
    yield "extension", pickled(b"\x82\x01")
    yield "out-of-band", pickled(b"\x97", 5)
    yield "read-only-buffer", pickled(array + b"\x98", 5)
    yield "set", pickle.dumps({1, 2})
    yield "frozen-set", pickle.dumps(frozenset([1]))
    yield "memo-bomb-shares-a-list", pickled(b"]q\x00" + b"(" + b"h\x00" * 100 + b"e" + b"h\x00a" * 100)
    yield "laughs", pickled(laughs())
    yield "nested-lists", pickled(b"]" * 100_000 + b"a" * 99_999)
    yield "nested-tuples", pickled(b")" + b"\x85" * 100_000)
    yield "nested-key", pickled(b"})" + b"\x85" * 300_000 + b"K\x01s")
    yield "list-in-itself", pickled(b"]q\x00h\x00a")
    yield "bytes-beyond-the-file", pickled(b"\x8e" + struct.pack("<Q", 2**40) + b"abc", 4)
    yield "bytes-of-all-there-is", pickled(b"\x8e" + struct.pack("<Q", 2**64 - 1) + b"abc", 4)
    yield "bytearray-beyond-the-file", pickled(b"\x96" + struct.pack("<Q", 2**40), 5)
    yield "text-beyond-the-file", pickled(b"\x8d" + struct.pack("<Q", 2**40), 4)
    yield "frame-beyond-the-file", pickled(b"\x95" + struct.pack("<Q", 2**50) + array, 4)
    yield "long-number", pickled(b"\x8b" + struct.pack("<i", 2**30) + b"\x01")
    yield "long-digits", pickled(b"L" + b"9" * 100_000 + b"L\n", 0)
    yield "negative-put", pickled(b"]p-1\n0g-2\n", 0)
    for name, shape, data in (
        ("huge-shape", (2**40, 2**20), b"abc"),
        ("shape-too-large", (4,), b"abc"),
        ("shape-too-small", (2,), b"abc"),
        ("negative-shape", (-1, -3), b"abc"),
        ("shape-of-floats", (3.0,), b"abc"),
        ("shape-of-a-word", "3", b"abc"),
        ("many-axes", (1,) * 60 + (3,), b"abc"),
        ("content-of-a-word", (3,), "abc"),
    ):
        state = b"(K\x01" + value(shape, sprung) + u1 + b"\x89" + value(data, sprung) + b"tb"
        yield name, pickled(reconstruct + state)
    yield "array-without-content", pickled(reconstruct)
    yield "bare-name", pickled(b"cnumpy\nndarray\n")
    yield "bare-type", pickled(u1)
    yield "bare-number", pickled(b"K\x01")
    yield "bare-word", pickled(text("abc"))
    yield "nothing", b""
    yield "only-an-end", b"."
    yield "noise", bytes(np.random.default_rng(1).integers(0, 256, 4000, np.uint8))
    yield "text", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "two-pickles", pickle.dumps(valid_array()) * 2
    yield "npz", npz(valid_array())
    yield "gzip", gzip.compress(pickle.dumps(valid_array()))
    yield "protocol-9", b"\x80\x09" + pickle.dumps(valid_array())[2:]


def laughs() -> bytes:
    """Lists of lists that are eight deep and have 10^16 values when written out."""
    body = b"]q\x00(" + b"K\x01" * 100 + b"e"
    for level in range(1, 8):
        body += b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 100 + b"e"
    return body


def npz(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, silhouettes=array, ratios=np.linspace(0, 1, 7))
    return buffer.getvalue()


def npy(array: NDArray[np.generic], *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def npy_header(header: str, content: bytes = b"") -> bytes:
    raw = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + content


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.sprung,))


def npys(sprung: Path) -> Iterator[tuple[str, bytes]]:
    """``.npy`` files of which none may be read."""
    trap = np.empty(1, object)
    trap[0] = Trap(sprung)
    yield "trap", npy(trap, allow_pickle=True)
    yield "structured", npy(np.zeros(2, dtype=[("a", "u1")]))
    yield "words", npy(np.array(["a"]))
    yield "void", npy(np.zeros(2, "V3"))
    yield "huge", npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,)}", b"abc")
    yield "overflow", npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 4)}", b"abc")
    yield "negative", npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -1)}", b"abc")
    yield "code", npy_header(f"__import__('os').system('touch {sprung}')")
    yield "code-in-the-type", npy_header("{'descr': open('x', 'w'), 'fortran_order': False, 'shape': (3,)}", b"abc")
    yield "nested-header", npy_header("(" * 9000)
    yield "nested-minus", npy_header("{'descr': " + "-" * 8000 + "1}")
    yield "subarray", npy_header("{'descr': ('|u1', (3,)), 'fortran_order': False, 'shape': (1,)}", b"abc")
    yield "version-3", b"\x93NUMPY\x03\x00" + npy(valid_array())[8:]
    yield "version-9", b"\x93NUMPY\x09\x00" + npy(valid_array())[8:]
    yield "long", npy(valid_array()) + b"more"
    yield "truth", npy(np.array([True, False]))[:-2] + b"\x02\x07"
    yield "empty", b""
    yield "noise", b"\x93NUMPY" + bytes(range(200))
    yield "pickle", pickle.dumps(Trap(sprung))


def zip_of(members: dict[str, bytes] | list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def npzs(sprung: Path) -> Iterator[tuple[str, bytes]]:
    """``.npz`` files of which none may be read."""
    trap = np.empty(1, object)
    trap[0] = Trap(sprung)
    yield "trap", zip_of({"a.npy": npy(trap, allow_pickle=True)})
    yield "pickle-inside", zip_of({"data.pkl": pickle.dumps(Trap(sprung))})
    yield "twice", zip_of([("a.npy", npy(valid_array())), ("a.npy", npy(valid_array()))])
    yield (
        "huge-inside",
        zip_of({"a.npy": npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,)}", b"abc")}),
    )
    yield "no-zip", b"PK\x03\x04" + b"x" * 100
    yield "empty", b""
    sound = npz(valid_array())
    at = sound.index(b"PK\x01\x02")
    yield "password", sound[: at + 8] + b"\x01\x00" + sound[at + 10 :]
    yield "bomb", bomb("a.npy")


def bomb(name: str) -> bytes:
    """100 MB of zeros, which deflate packs a thousandfold."""
    content = npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (104857600,)}", bytes(100 * 2**20))
    return zip_of({name: content})


BAD_NAMES = {
    "parent": "../sprung",
    "parent-inside": "a/../../sprung",
    "absolute": "/tmp/gaitbench-sprung",
    "drive": "C:/sprung",
    "drive-with-backslash": "C:\\sprung",
    "backslash": "a\\..\\..\\sprung",
    "nul": "a\0b",
    "newline": "a\nb",
    "long": "a" * 300,
    "long-in-letters-of-others": "\u6b65" * 100,
    "very-long": "/".join(["abcdefghij"] * 200),
    "archive-within": "part.7z",
}
MEETING_NAMES = {
    "twice": ["a/1.png", "a/1.png"],
    "case": ["a/1.png", "a/1.PNG"],
    "folder-case": ["Walk/1.png", "walk/2.png"],
    "accents": ["caf\u00e9.png", "cafe\u0301.png"],
    "file-and-folder": ["a", "a/1.png"],
    "folder-and-file": ["a/1.png", "A"],
}


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_names(names: list[str]) -> bytes:
    return tar_of([(tarfile.TarInfo(name), b"content") for name in names])


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def archives() -> Iterator[tuple[str, bytes]]:
    """Archives of which none may be unpacked."""
    for title, name in BAD_NAMES.items():
        yield f"{title}.tar", tar_names(["a/1.png", name])
        yield f"{title}.zip", zip_of({"a/1.png": b"content", name: b"content"})
    for title, names in MEETING_NAMES.items():
        yield f"{title}.tar", tar_names(names)
        yield f"{title}.zip", zip_of([(name, b"content") for name in names])
    for title, kind in (
        ("symlink", tarfile.SYMTYPE),
        ("hardlink", tarfile.LNKTYPE),
        ("fifo", tarfile.FIFOTYPE),
        ("device", tarfile.CHRTYPE),
        ("block", tarfile.BLKTYPE),
    ):
        members = [(special("a", kind, "/etc"), b""), (tarfile.TarInfo("a/passwd"), b"content")]
        yield f"{title}.tar", tar_of(members)
    link = zipfile.ZipInfo("a")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc")
    yield "symlink.zip", buffer.getvalue()
    pax = tarfile.TarInfo("a")
    pax.pax_headers = {"path": "../sprung"}
    yield "pax-path.tar", tar_of([(pax, b"content")])
    pax = tarfile.TarInfo("a")
    pax.pax_headers = {"path": "a\0b"}
    yield "pax-nul.tar", tar_of([(pax, b"content")])
    header = bytearray(tarfile.TarInfo("ok").tobuf(tarfile.USTAR_FORMAT))
    header[2:9] = b"\0../../"
    header[148:156] = b"%06o\0 " % sum([*header[:148], *(b" " * 8), *header[156:]])
    yield "name-after-nul.tar", bytes(header) + bytes(1024)
    endless = special("a", tarfile.XHDTYPE)
    endless.size = 8 * 2**20
    yield "endless-header.tar.gz", gzip.compress(endless.tobuf(tarfile.USTAR_FORMAT) + bytes(12 * 2**20))
    sparse = special("a", tarfile.GNUTYPE_SPARSE)
    yield "sparse.tar", sparse.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    sound = tar_names([f"a/{number}.png" for number in range(4)])
    yield "damaged-header.tar", sound[:1024] + b"x" * 512 + sound[1536:]
    yield "header-missing.tar", sound[:2048]
    yield "more-after-the-end.tar", sound + tar_names(["b/1.png"])
    yield "noise.tar", bytes(np.random.default_rng(2).integers(0, 256, 4000, np.uint8))
    yield "noise.tar.gz", gzip.compress(b"noise" * 1000)
    yield "empty.tar", tar_of([])
    yield "empty.zip", zip_of({})
    yield "seven.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100)
    yield "seven.rar", b"Rar!\x1a\x07" + bytes(100)
    locked = zip_of({"a/1.png": b"content"})
    at = locked.index(b"PK\x01\x02")
    yield "password.zip", locked[: at + 8] + b"\x01\x00" + locked[at + 10 :]
    yield "unknown-method.zip", locked[: at + 10] + b"\x09\x00" + locked[at + 12 :]
    two = zip_of({"a.png": b"content", "b.png": b"content"}, zipfile.ZIP_STORED)
    yield "wrong-checksum.zip", two.replace(b"content", b"c0ntent", 1)


def texts() -> Iterator[tuple[str, bytes]]:
    """JSON files of which none may be read."""
    yield "nested", b"[" * 100_000
    yield "nested-soundly", b"[" * 200 + b"]" * 200
    yield "nan", b'{"people": [NaN]}'
    yield "infinity", b"[1e999, -Infinity]"
    yield "twice", b'{"a": 1, "a": 2}'
    yield "digits", b"[" + b"9" * 10_000 + b"]"
    yield "binary", bytes(range(256))
    yield "cut", b'{"people": [{"pose'
    yield "empty", b""


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut short at every 64th byte, and one bit flipped at every 64th."""
    for at in range(0, len(data), 64):
        yield f"cut-{at}", data[:at]
    for at in range(0, len(data), 64):
        yield f"bit-{at}", data[:at] + bytes([data[at] ^ (1 << (at // 64) % 8)]) + data[at + 1 :]


def poses() -> bytes:
    return json.dumps({"people": [{"pose_keypoints_2d": [1.5] * 54}]}).encode()


def instructions(data: bytes) -> list[str]:
    return [opcode.name for opcode, _, _ in pickletools.genops(data)]
