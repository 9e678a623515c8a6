import json
import multiprocessing
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gaitbench.annotating.fields import AnswerField
from gaitbench.annotating.files import annotation_path, only_writer, read_annotations, write_annotations
from gaitbench.annotating.records import Annotation, AnnotationHeader, Annotations
from gaitbench.errors import DatasetError, OutputError, UsageError

FIELDS = (
    AnswerField(name="toe", title="Toe", choices=("in", "out"), unknown="unknown"),
    AnswerField(name="grade", title="Grade", choices=(0, 1, 2), unknown=-1),
    AnswerField(name="summary", title="Summary"),
)


def header(**changes: object) -> AnnotationHeader:
    usual = {
        "schema_name": "gdf",
        "schema_version": 1,
        "prompt_sha256": "0" * 64,
        "fields": FIELDS,
        "dataset": "tiny",
        "dataset_version": "1",
        "model": "m",
        "endpoint_host": "localhost:8000",
        "answer_format": "json_schema",
        "settings": {"temperature": 0.5, "stop": ["a"]},
        "written_by": "0.1.0",
    }
    return AnnotationHeader(**{**usual, **changes})


def record(name: str = "a", **changes: object) -> Annotation:
    usual = {
        "sequence_id": name,
        "status": "ok",
        "values": {"toe": "in", "grade": 2, "summary": "Short steps."},
        "sentences": ("Toes in.", "Short steps."),
        "request_sha256": "1" * 64,
        "answered_by": "m-2026",
        "answered_at": "2026-01-01T00:00:00+00:00",
        "prompt_tokens": 80,
        "completion_tokens": 20,
        "num_requests": 1,
    }
    return Annotation(**{**usual, **changes})


THREE = (
    record("a"),
    record("b", values={"toe": None, "grade": None, "summary": "Größe: 中文."}),
    Annotation(sequence_id="c", status="refused", reason="the model declines: no"),
)


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    written = Annotations(header=header(), records=THREE)
    write_annotations(path, written)
    found = read_annotations(path)
    assert found == written
    assert [each.sequence_id for each in found] == ["a", "b", "c"]
    assert found["b"].values == {"toe": None, "grade": None, "summary": "Größe: 中文."}
    assert (len(found), "c" in found, found.get("d")) == (3, True, None)


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_the_same_annotations_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in "xy":
        write_annotations(tmp_path / f"{name}{suffix}", Annotations(header=header(), records=THREE))
    assert (tmp_path / f"x{suffix}").read_bytes() == (tmp_path / f"y{suffix}").read_bytes()


def test_parquet_is_for_everybody(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.parquet", Annotations(header=header(), records=THREE))
    rows = pq.read_table(tmp_path / "a.parquet", use_threads=False).to_pylist()
    assert rows[0]["values"] == {"toe": "in", "grade": 2, "summary": "Short steps."}
    assert rows[2]["status"] == "refused"
    assert rows[2]["values"] is None


def test_rounds_of_texts_differ_in_their_fields(tmp_path: Path) -> None:
    records = (record("t/1", values={"x": "One."}), record("t/2", values={"y": "Two.", "z": "Three."}))
    written = Annotations(header=header(schema_name="gmtd", fields=()), records=records)
    write_annotations(tmp_path / "a.parquet", written)
    assert read_annotations(tmp_path / "a.parquet") == written


@pytest.mark.parametrize("values", [["x"] * 3, [1] * 3, [["x"]] * 3], ids=["words", "numbers", "lists"])
def test_values_that_are_no_fields_are_refused(tmp_path: Path, values: list[object]) -> None:
    path = tmp_path / "a.parquet"
    write_annotations(path, Annotations(header=header(), records=THREE))
    table = pq.read_table(path, use_threads=False)
    place = table.schema.get_field_index("values")
    pq.write_table(table.set_column(place, "values", pa.array(values)), path)
    with pytest.raises(DatasetError, match=r"a\.parquet holds no annotations of gaitbench, or was altered: values are"):
        read_annotations(path)


def altered(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "a.json"
    write_annotations(path, Annotations(header=header(), records=THREE))
    content = json.loads(path.read_text())
    content["records"][0].update(changes)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"values": {"toe": "up", "grade": 1, "summary": "s"}}, id="outside"),
        pytest.param({"values": {"toe": "in", "grade": True, "summary": "s"}}, id="truth-value"),
        pytest.param({"values": {"toe": "in"}}, id="missing"),
        pytest.param({"values": {}}, id="none"),
        pytest.param({"status": "refused"}, id="refused-with-values"),
        pytest.param({"status": "fine"}, id="status"),
        pytest.param({"sequence_id": "b"}, id="twice"),
        pytest.param({"sentences": ["\x1b[31mred"]}, id="escape"),
        pytest.param({"answered_by": "<b>m</b>"}, id="markup"),
        pytest.param({"extra": 1}, id="further"),
        pytest.param({"prompt_tokens": -1}, id="negative"),
    ],
)
def test_an_altered_file_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="holds no annotations of gaitbench, or was altered") as caught:
        read_annotations(altered(tmp_path, **changes))
    assert str(caught.value).isprintable()


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read as a Parquet file"):
        read_annotations(tmp_path / "missing.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="cannot be read as a Parquet file"):
        read_annotations(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"sequence_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match="not one of gaitbench annotate"):
        read_annotations(tmp_path / "other.parquet")
    table = pa.table({"sequence_id": ["a"]}, metadata={b"gaitbench": b"{}"})
    pq.write_table(table, tmp_path / "header.parquet")
    with pytest.raises(DatasetError, match="its header is not one"):
        read_annotations(tmp_path / "header.parquet")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(DatasetError, match="holds no annotations"):
        read_annotations(tmp_path / "other.json")
    with pytest.raises(DatasetError, match=r"kept in \.parquet or \.json files"):
        read_annotations(tmp_path / "a.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(DatasetError, match="is no regular file"):
            read_annotations(tmp_path / f"{name}{suffix}")
    with pytest.raises(DatasetError, match="null byte"):
        read_annotations(tmp_path / f"a\0b{suffix}")


@pytest.mark.parametrize("changes", [{"model": "\ud800"}, {"settings": {"stop": ["\udcff"]}}])
def test_a_header_is_text(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "a.json"
    write_annotations(path, Annotations(header=header(), records=THREE))
    content = json.loads(path.read_text())
    content["header"].update(changes)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=f"{next(iter(changes))} is no text in UTF-8") as caught:
        read_annotations(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("num_bytes", [1, 100, 1000])
def test_a_cut_file_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "a.parquet"
    write_annotations(path, Annotations(header=header(), records=THREE))
    path.write_bytes(path.read_bytes()[:-num_bytes])
    with pytest.raises(DatasetError, match=r"a\.parquet"):
        read_annotations(path)


def test_where_annotations_go(tmp_path: Path) -> None:
    def place(out: Path | None, forbidden: list[Path] | None = None) -> Path:
        return annotation_path(out, "tiny-gdf-m", forbidden=forbidden or [])

    assert place(None) == Path("annotations/tiny-gdf-m.parquet")
    assert place(tmp_path / "folder") == tmp_path / "folder" / "tiny-gdf-m.parquet"
    assert place(tmp_path / "a.json") == tmp_path / "a.json"
    (tmp_path / "v1.2").mkdir()
    assert place(tmp_path / "v1.2") == tmp_path / "v1.2" / "tiny-gdf-m.parquet"
    with pytest.raises(UsageError, match=r"a\.csv"):
        place(tmp_path / "a.csv")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset.json").write_text("{}")
    for out in (tmp_path / "d", tmp_path / "d" / "a.parquet", tmp_path / "d" / "x" / "a.parquet"):
        with pytest.raises(OutputError, match="would lie inside the dataset"):
            place(out)
    with pytest.raises(OutputError, match="would lie inside the dataset"):
        place(tmp_path / "official" / "a.parquet", [tmp_path / "official"])


def _holds(path: Path, root: Path, held: object, over: object) -> None:
    with only_writer(path, root):
        held.set()
        over.wait(30)


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, over = context.Event(), context.Event()
    other = context.Process(target=_holds, args=(tmp_path / "a.parquet", tmp_path / "locks", held, over))
    other.start()
    try:
        assert held.wait(60)
        with (
            pytest.raises(OutputError, match="another process is writing"),
            only_writer(tmp_path / "a.parquet", tmp_path / "locks"),
        ):
            pass
        with only_writer(tmp_path / "b.parquet", tmp_path / "locks"):
            pass
    finally:
        over.set()
        other.join(30)
    with only_writer(tmp_path / "a.parquet", tmp_path / "locks"):
        pass
