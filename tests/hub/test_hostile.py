"""Repositories that are broken or want to do harm: each is refused with a message, and nothing of it is executed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gaitbench.dataset import GaitDataset
from gaitbench.digest import json_digest
from gaitbench.errors import DatasetError, GaitbenchError
from gaitbench.hub.contents import Contents
from gaitbench.hub.opening import open_repository, stream_repository
from gaitbench.sequence import Frames, PointFrames


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """An export of one's own to tamper with."""
    shutil.copytree(repository, tmp_path / "copy")
    return tmp_path / "copy"


def opened(folder: Path, tmp_path: Path, **options: object) -> object:
    return open_repository(f"hf:{folder}", tmp_path / "cache", workers=1, **options)  # type: ignore[arg-type]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change gaitbench.json and give it a checksum that agrees, as somebody who knows the format would."""
    path = folder / "gaitbench.json"
    content = json.loads(path.read_text())
    del content["checksum"]
    change(content)
    path.write_text(json.dumps({**content, "checksum": json_digest(content)}))


def entry_of(folder: Path, path: str) -> dict[str, Any]:
    import hashlib

    data = (folder / path).read_bytes()
    return {"path": path, "num_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def replace_file(folder: Path, number: int, table: pa.Table) -> None:
    """Put another table in place of a data file, with a hash that agrees."""
    path = json.loads((folder / "gaitbench.json").read_text())["files"][number]["path"]
    pq.write_table(table, folder / path)
    rewrite(folder, lambda content: content["files"][number].update(entry_of(folder, path)))


def replace_index(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = "gaitbench/index.parquet"
    pq.write_table(change(pq.read_table(folder / path, use_threads=False)), folder / path)
    rewrite(folder, lambda content: content.update(index=entry_of(folder, path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["files"][0].update(path="../../etc/passwd"), "files.0.path"),
        (lambda c: c["files"][0].update(path="/etc/passwd"), "files.0.path"),
        (lambda c: c["files"][0].update(path="data/train-00000.parquet\n"), "files.0.path"),
        (lambda c: c["files"][0].update(path="https://x.org/a.parquet"), "files.0.path"),
        (lambda c: c["index"].update(path="../index.parquet"), "the index is '../index.parquet'"),
        (lambda c: c["files"].append(c["files"][0]), "listed twice"),
        (lambda c: c.update(num_sequences=99), "other numbers of rows"),
        (lambda c: c.update(streams={}), "no modalities"),
        (lambda c: c["streams"].update({"../x": c["streams"]["rgb"]}), "does not describe"),
        (lambda c: c["card"]["streams"]["rgb"].update(frame_shape=[3, 100000, 100000]), "frames of rgb have"),
        (lambda c: c["card"].update(target="os:system"), "card.target"),
        (lambda c: c.update(format_version=2), "layout version 2"),
        (lambda c: c.update(format="other"), "not written by gaitbench export"),
        (lambda c: c["card"]["streams"]["rgb"].update(frame_shape=[3, 31, 22]), "pixels, not 31 x 22"),
        (lambda c: c["card"]["streams"]["skeleton2d"].update(frame_shape=[16, 3]), "not of length 16"),
        (lambda c: c["streams"]["silhouette"].update(codec="jpeg"), "no JPEG file"),
        (lambda c: c["files"].reverse(), "names rows that no file has|is not in row|truncated or altered"),
        (lambda c: c.update(fingerprint="0" * 64), "gives the fingerprint"),
    ],
)
def test_tampered_contents_are_refused(
    copy: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    rewrite(copy, change)
    with pytest.raises(DatasetError, match=message):
        opened(copy, tmp_path)


def test_contents_without_their_checksum_are_refused(copy: Path, tmp_path: Path) -> None:
    path = copy / "gaitbench.json"
    path.write_text(path.read_text().replace("Moving squares", "Moving circles"))
    with pytest.raises(DatasetError, match="its checksum does not agree"):
        opened(copy, tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}', b"[" * 100000, b"null"])
def test_contents_that_are_no_contents_are_refused(copy: Path, tmp_path: Path, content: bytes) -> None:
    (copy / "gaitbench.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"gaitbench\.json"):
        opened(copy, tmp_path)


def column(name: str, values: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        made = values(table[name].to_pylist()) if callable(values) else values
        return table.set_column(table.schema.get_field_index(name), name, pa.array(made, table.schema.field(name).type))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["row"]), "no column row"),
        (lambda t: t.drop_columns(["view_deg"]), "no column view_deg|truncated, altered or foreign"),
        (lambda t: t.slice(1), "has 15 rows, not 16|rows, not"),
        (column("file", lambda v: [7] * len(v)), "rows that no file has"),
        (column("row", lambda v: [-1, *v[1:]]), "rows that no file has"),
        (column("row", lambda v: [10**12, *v[1:]]), "rows that no file has"),
        (column("row", lambda v: [v[1], *v[1:]]), "names a row twice"),
        (column("row", lambda v: [v[1], v[0], *v[2:]]), "is not in row"),
        (column("rgb.sha256", lambda v: [bytes(32), *v[1:]]), "hash does not agree"),
        (column("rgb.num_frames", lambda v: [3, *v[1:]]), "hash does not agree"),
        (column("rgb.num_frames", lambda v: [-3, *v[1:]]), "do not agree"),
        (column("rgb.absent", lambda v: ["gone", *v[1:]]), "do not agree"),
        (column("sequence_id", lambda v: [None, *v[1:]]), "empty cells"),
        (column("sequence_id", lambda v: [v[1], *v[1:]]), "occurs twice"),
        (column("attributes", lambda v: [[7, 7], *v[1:]]), "class 7 of size"),
        (column("attributes", lambda v: [[0], *v[1:]]), "truncated, altered or foreign"),
    ],
)
def test_tampered_index_is_refused(
    copy: Path, tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    replace_index(copy, change)
    with pytest.raises(DatasetError, match=message):
        opened(copy, tmp_path)


def test_values_out_of_range_are_refused_even_with_hashes_that_agree(copy: Path, tmp_path: Path) -> None:
    from gaitbench.hub.columns import FrameColumn

    contents = Contents.parse(json.loads((copy / "gaitbench.json").read_text()), "x")
    table = pq.read_table(copy / contents.files[0].path, use_threads=False)
    values = table["skeleton2d"].to_pylist()
    values[0][0][0][0] = float("nan")
    made = pa.array(values, table.schema.field("skeleton2d").type)
    position = table.schema.get_field_index("skeleton2d")
    replace_file(copy, 0, table.set_column(position, table.schema.field(position), made))
    frames = FrameColumn(contents.modality("skeleton2d"), contents.card.streams["skeleton2d"])
    sha256 = frames.packed(made, 0).sha256()  # type: ignore[union-attr]
    replace_index(copy, column("skeleton2d.sha256", lambda v: [sha256, *v[1:]]))
    with pytest.raises(DatasetError, match="values go from nan to nan"):
        opened(copy, tmp_path, modalities=["skeleton2d"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["rgb"]), "no column 'rgb'"),
        (
            lambda t: t.set_column(t.schema.get_field_index("rgb"), "rgb", pa.array(["x"] * len(t))),
            "column rgb is string",
        ),
        (lambda t: t.set_column(t.schema.get_field_index("rgb"), "rgb", pa.nulls(len(t), t.schema.field("rgb").type)),
         "hash does not agree"),
        (lambda t: t.slice(0, 3), "has 3 rows, row 3 is asked for"),
    ],
    ids=["missing", "text", "null", "short"],
)  # fmt: skip
def test_wrong_columns_are_refused(
    copy: Path, tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    replace_file(copy, 0, change(pq.read_table(copy / "data/train-00000.parquet", use_threads=False)))
    with pytest.raises(DatasetError, match=message):
        opened(copy, tmp_path, modalities=["rgb"])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_truncated_files_are_refused(copy: Path, tmp_path: Path, share: float) -> None:
    path = copy / "data/train-00000.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DatasetError, match="truncated or altered"):
        opened(copy, tmp_path)


@pytest.mark.parametrize("seed", range(10))
def test_altered_files_are_refused_when_streamed(copy: Path, tiny: GaitDataset, tmp_path: Path, seed: int) -> None:
    """Streaming hashes no file first: the pages' checksums, Arrow and the sequences' hashes must do."""
    path = copy / "data/train-00000.parquet"
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)
    stream = stream_repository(f"hf:{copy}", tmp_path / "cache")
    for walk, good in zip(stream, tiny, strict=True):
        for name in stream.modalities:
            try:
                found = walk.frames[name]
            except DatasetError as error:
                assert "train-00000.parquet" in str(error)  # noqa: PT017
            else:
                for part, expected in zip(parts(found), parts(good.frames[name]), strict=True):
                    np.testing.assert_array_equal(part, expected)


def parts(frames: Frames) -> tuple[np.ndarray, ...]:
    return (frames.points, frames.offsets) if isinstance(frames, PointFrames) else (frames,)


def test_missing_files_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "data/test-00000.parquet").unlink()
    with pytest.raises(DatasetError, match=r"cannot be read.*is the repository complete"):
        opened(copy, tmp_path)
    with pytest.raises(DatasetError, match="there is no folder"):
        opened(tmp_path / "none", tmp_path)


def test_options_do_not_change_an_export(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing to map"):
        opened(repository, tmp_path, options={"columns.subject": "pid"})


def foreign(folder: Path, readme: str = "") -> Path:
    """A repository of one Parquet file of pictures."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 6)).save(file, "PNG")
    (folder / "data").mkdir(parents=True)
    pictures = pa.array([{"bytes": file.getvalue(), "path": None}])
    pq.write_table(pa.table({"image": pictures, "subject": ["a"]}), folder / "data/a.parquet")
    if readme:
        (folder / "README.md").write_text(readme)
    return folder


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("../../../etc/*.parquet", "leads out of the repository"),
        ("/etc/passwd", "leads out of the repository"),
        ("~/secrets.parquet", "leads out of the repository"),
        ("https://evil.example/a.parquet", "leads out of the repository"),
        ("zip://a.parquet::data/a.zip", "leads out of the repository"),
        ("data\\\\..\\\\a.parquet", "leads out of the repository"),
        ("nowhere/*.parquet", "no file is named"),
        ("7", "data_files must be paths"),
    ],
)
def test_data_files_stay_inside(tmp_path: Path, paths: str, message: str) -> None:
    value = paths if paths == "7" else f'"{paths}"'
    readme = f"---\nconfigs:\n- config_name: default\n  data_files: {value}\n---\n"
    folder = foreign(tmp_path / "f", readme)
    with pytest.raises(DatasetError, match=message):
        opened(folder, tmp_path)


@pytest.mark.parametrize(
    "readme",
    [
        "---\nconfigs: !!python/object/apply:os.system ['touch executed']\n---\n",
        "---\nconfigs: 3\n---\n",
        "---\nconfigs: [1, 2]\n---\n",
        "---\na: [\n---\n",
    ],
)
def test_headers_that_are_no_headers_are_refused(tmp_path: Path, readme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"README.md"):
        opened(foreign(tmp_path / "f", readme), tmp_path)
    assert not (tmp_path / "executed").exists()


def test_scripts_and_pickles_are_never_run(tmp_path: Path) -> None:
    import pickle

    class Gadget:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "executed",)

    folder = tmp_path / "walks"
    folder.mkdir()
    (folder / "walks.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    (folder / "data.pkl").write_bytes(pickle.dumps(Gadget()))
    with pytest.raises(DatasetError, match=r"no Parquet file and no picture.*scripts are not read"):
        opened(folder, tmp_path)
    table = pa.table({"image": pa.array([pickle.dumps(Gadget())]), "subject": ["a"]})
    pq.write_table(table, folder / "a.parquet")
    with pytest.raises(DatasetError, match="no PNG, JPEG, BMP, WEBP file"):
        opened(folder, tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "address", ["hf:", "hf:name", "hf:a/b/c", "hf:../x/y\0", "hf:a/b@", "hf:a/../b", "hf:a/b@../../main", "hf:a b/c"]
)
def test_addresses_that_are_none_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(GaitbenchError, match=r"is no dataset repository|there is no folder"):
        open_repository(address, tmp_path / "cache")
