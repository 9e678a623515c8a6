"""Whole runs against a local endpoint, with every fault that endpoints and models have."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chat_server import Asked, ChatServer, Reply, completion, error, fill
from tiny_dataset import prepare_tiny

from gaitbench.annotating import read_annotations, sentences_by_sequence, text_dictionary
from gaitbench.annotating.result import Annotated
from gaitbench.dataset import GaitDataset, verify
from gaitbench.errors import EndpointError, OutputError, UsageError

Run = Callable[..., Annotated]


def test_every_sequence_is_asked_once(run: Run, chat: ChatServer, tiny: GaitDataset, tmp_path: Path) -> None:
    done = run()
    assert done.is_complete
    assert (done.num_ok, done.num_left, done.problems, done.stopped) == (6, 0, (), "")
    assert done.spent == (6, 600)
    assert len(chat.asked) == 6
    assert len({asked.pictures[0] for asked in chat.asked}) == 6
    found = read_annotations(tmp_path / "out.parquet")
    assert [each.sequence_id for each in found] == tiny.table.sequence_id.tolist()
    assert all(each.is_ok and each.answered_by == "fake-1" and each.num_requests == 1 for each in found)
    header = found.header
    assert (header.dataset, header.model, header.schema_name) == ("tiny", "m-1", "gdf")
    assert header.endpoint_host == chat.address.removeprefix("http://")
    assert sentences_by_sequence(found)[found.records[0].sequence_id][0].startswith("A person walking")


def test_nothing_of_a_walk_but_its_frames_is_sent(run: Run, chat: ChatServer, tiny: GaitDataset) -> None:
    run("attributes")
    sent = json.dumps([asked.body for asked in chat.asked])
    table = tiny.table
    for word in (*table.sequence_id.tolist(), *table.condition.tolist(), str(tiny.root), "subject"):
        assert word not in sent


def test_attributes_ask_for_the_cards_classes(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    run("attributes")
    assert chat.asked[0].schema["properties"]["speed"]["enum"] == ["slow", "middle", "fast", "unknown"]
    values = read_annotations(tmp_path / "out.parquet").records[0].values
    assert values == {"size": "small", "speed": "slow", "summary": "a person walks with short steps, summary"}


def test_labels_and_files_of_the_dataset_stay(run: Run, tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "own", ("silhouette",), num_subjects=2, num_sequences=2)
    before = {path: path.read_bytes() for path in data.root.rglob("*") if path.is_file()}
    run("attributes", str(data.root))
    assert {path: path.read_bytes() for path in data.root.rglob("*") if path.is_file()} == before
    assert np.array_equal(GaitDataset.open(data.root).table.attributes, data.table.attributes)
    assert verify(data.root).is_sound
    with pytest.raises(OutputError, match="would lie inside the dataset"):
        run("attributes", str(data.root), out=data.root / "annotations.parquet")


def test_a_second_run_asks_nothing(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    run()
    before = (tmp_path / "out.parquet").read_bytes()
    again = run()
    assert len(chat.asked) == 6
    assert (again.num_ok, again.num_from_file, again.num_from_cache, again.spent) == (6, 6, 0, (0, 0))
    (tmp_path / "out.parquet").unlink()
    cached = run()
    assert len(chat.asked) == 6
    assert (cached.num_ok, cached.num_from_file, cached.num_from_cache) == (6, 0, 6)
    assert (tmp_path / "out.parquet").read_bytes() == before


def test_the_file_alone_is_enough(run: Run, chat: ChatServer, gaitbench_cache: Path) -> None:
    import shutil

    run()
    shutil.rmtree(gaitbench_cache / "annotations")
    assert run().num_from_file == 6
    assert len(chat.asked) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "m-2"},
        {"settings": {"temperature": 0}},
        {"frames": 3},
        {"modalities": ("rgb",)},
        {"answer_format": "json_object"},
        {"schema": "attributes"},
    ],
    ids=str,
)
def test_another_question_is_asked_anew(run: Run, chat: ChatServer, tmp_path: Path, changes: dict[str, object]) -> None:
    run(max_requests=1)
    chat.otherwise = lambda asked: fill(chat.asked[0].schema if "response_format" in chat.asked[0].body else {})
    if "schema" in changes:
        chat.otherwise = None
    with pytest.raises(OutputError, match="holds annotations with another"):
        run(**changes)
    assert run(**changes, out=tmp_path / "other.parquet").num_from_cache == 0


def test_other_frames_under_the_same_ids_are_asked_anew(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    sizes = {"num_subjects": 2, "num_sequences": 1}
    for number, length in enumerate((8, 9), 1):
        data = prepare_tiny(tmp_path / str(length), **sizes, min_frames=length, max_frames=length)
        assert run(dataset=str(data.root)).is_complete
        assert len(chat.asked) == 2 * number
    assert len(read_annotations(tmp_path / "out.parquet")) == 2


def test_splits_and_views_go_into_one_file(run: Run, chat: ChatServer, tiny: GaitDataset, tmp_path: Path) -> None:
    assert run(views=("000",)).num_asked_for == 3
    assert len(read_annotations(tmp_path / "out.parquet")) == 3
    assert run(views=("0[89]*",)).num_asked_for == 3
    found = read_annotations(tmp_path / "out.parquet")
    assert [each.sequence_id for each in found] == tiny.table.sequence_id.tolist()
    assert len(chat.asked) == 6
    with pytest.raises(UsageError, match="no view '180'; it has 000, 090"):
        run(views=("180",))
    with pytest.raises(UsageError, match="no protocol that divides it"):
        run(split="test")


def test_splits_are_those_of_the_protocol(run: Run, tiny_walkers: GaitDataset, chat: ChatServer) -> None:
    num = {split: run(dataset=str(tiny_walkers.root), split=split).num_asked_for for split in ("train", "test", "all")}
    assert num == {"train": 24, "test": 18, "all": 42}
    assert len(chat.asked) == 42


@pytest.mark.parametrize("concurrency", [1, 3])
def test_requests_go_side_by_side(run: Run, chat: ChatServer, concurrency: int) -> None:
    barrier = threading.Barrier(concurrency)

    def together(asked: Asked) -> dict:
        barrier.wait(20)
        return fill(asked.schema)

    chat.otherwise = together
    assert run(concurrency=concurrency).is_complete
    assert chat.most_at_once == concurrency


def bad_then_good(bad: object) -> Callable[[Asked], object]:
    return lambda asked: fill(asked.schema) if "could not be used" in asked.text else bad


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        pytest.param("I will not.", "the answer is no JSON", id="words"),
        pytest.param("", "the answer is empty", id="empty"),
        pytest.param('{"viewpoint": 0}', "is missing", id="missing"),
        pytest.param(completion(None, refusal="I must decline"), "the model declines: I must decline", id="refusal"),
        pytest.param(completion("{", finish_reason="content_filter"), "a content filter", id="filter"),
        pytest.param(completion('{"view', finish_reason="length"), "cut off", id="truncated"),
        pytest.param(completion(None, finish_reason="length"), "cut off", id="all-thinking"),
        pytest.param(Reply(b"<html>"), "no chat completion", id="html"),
        pytest.param(completion("x" * 70_000), "70,000 characters", id="huge"),
    ],
)
def test_one_more_try_with_the_reason(run: Run, chat: ChatServer, tmp_path: Path, bad: object, complaint: str) -> None:
    chat.otherwise = bad_then_good(bad)
    done = run(concurrency=1, views=("000",))
    assert done.is_complete
    assert len(chat.asked) == 6
    assert complaint in chat.asked[1].text
    assert chat.asked[1].body["max_completion_tokens"] == 2 * chat.asked[0].body["max_completion_tokens"]
    record = read_annotations(tmp_path / "out.parquet").records[0]
    assert (record.status, record.num_requests) == ("ok", 2)
    assert run(views=("000",)).num_from_file == 3
    assert len(chat.asked) == 6


@pytest.mark.parametrize(
    ("bad", "status", "reason"),
    [
        pytest.param("no", "invalid", "the answer is no JSON", id="words"),
        pytest.param({"viewpoint": 9}, "invalid", "viewpoint must be one of 0", id="outside"),
        pytest.param(completion(None, refusal="No.\x1b[2J"), "refused", "the model declines: No.", id="refusal"),
        pytest.param(completion("{", finish_reason="length"), "truncated", "cut off", id="truncated"),
        pytest.param(error(400, "picture too large"), "rejected", "status 400: picture too large", id="rejected"),
        pytest.param(error(400, "no", code="content_filter"), "refused", "a content filter holds the", id="filtered"),
        pytest.param(error(500, "oops"), "unreachable", "status 500: oops (3 tries)", id="server-error"),
        pytest.param(Reply(drops=True), "unreachable", "(3 tries)", id="dropped"),
    ],
)
def test_what_stays_bad_is_reported_and_asked_again_later(
    run: Run, chat: ChatServer, tiny: GaitDataset, tmp_path: Path, bad: object, status: str, reason: str
) -> None:
    first = tiny.table.sequence_id[0]
    shown: list[str] = []

    def answer(asked: Asked) -> object:
        shown.append(asked.pictures[0])
        return bad if asked.pictures[0] == shown[0] else fill(asked.schema)

    chat.otherwise = answer
    done = run(concurrency=1)
    assert not done.is_complete
    assert (done.num_ok, done.num_left) == (5, 0)
    (problem,) = done.problems
    assert (problem.sequence_id, problem.status) == (first, status)
    assert reason in problem.reason
    assert f"1 {status}:" in str(done)
    assert reason in str(done)
    assert str(done).replace("\n", "").isprintable()
    record = read_annotations(tmp_path / "out.parquet")[first]
    assert (record.status, record.values, record.sentences) == (status, {}, ())
    chat.otherwise = None
    num_before = len(chat.asked)
    assert run().is_complete
    assert len(chat.asked) == num_before + 1


def test_busy_servers_are_waited_for(run: Run, chat: ChatServer, waits: list[float]) -> None:
    chat.script.extend([error(429, headers={"Retry-After": "7"}), error(503), error(502)])
    done = run(concurrency=1, views=("000",), backoff=None)
    assert done.is_complete
    assert 7 <= waits[0] <= 8
    assert 1 <= waits[1] <= 2
    assert 2 <= waits[2] <= 4
    assert done.spent.num_requests == 3 + 3


def test_retries_stop_at_the_limit_of_requests(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    chat.otherwise = error(500)
    done = run(concurrency=1, max_requests=2)
    assert (done.num_left, done.problems, done.path) == (6, (), None)
    assert len(chat.asked) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(401, "bad key"), "it refuses the key (401); check the environment variable that holds it: bad key"),
        (error(404, "no such model"), "no such model or address"),
        (error(429, "pay", code="insufficient_quota"), "the quota is used up"),
        (error(429, headers={"Retry-After": "86400"}), "it asks to wait 86400 s"),
    ],
)
def test_an_endpoint_that_refuses_ends_the_run(
    run: Run, chat: ChatServer, tmp_path: Path, answer: Reply, words: str
) -> None:
    chat.script.extend([fill_any, fill_any])
    chat.otherwise = answer
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1") as caught:
        run(concurrency=1)
    assert words in str(caught.value)
    assert "2 of 6 are annotated in" in str(caught.value)
    assert len(chat.asked) == 3
    assert [each.status for each in read_annotations(tmp_path / "out.parquet")] == ["ok", "ok"]
    chat.otherwise = None
    assert run().is_complete
    assert len(chat.asked) == 3 + 4


def fill_any(asked: Asked) -> dict:
    return fill(asked.schema)


def test_questions_that_are_never_answered_do_not_keep_others_from_it(
    run: Run, chat: ChatServer, tiny: GaitDataset, tmp_path: Path
) -> None:
    shown: list[str] = []

    def answer(asked: Asked) -> object:
        if len(shown) < 3:
            shown.extend(asked.pictures)
        return error(400, "too dark") if asked.pictures[0] in shown else fill(asked.schema)

    chat.otherwise = answer
    for num_ok in (0, 3, 3):
        with pytest.raises(EndpointError, match="too dark"):
            run(concurrency=1)
        ids = [record.sequence_id for record in read_annotations(tmp_path / "out.parquet") if record.is_ok]
        assert ids == tiny.table.sequence_id[3:][:num_ok].tolist()
    assert len(chat.asked) == 3 + 6 + 3


def test_a_filter_is_no_silence(run: Run, chat: ChatServer) -> None:
    chat.otherwise = error(400, "held back", code="content_filter")
    done = run(concurrency=1)
    assert [problem.status for problem in done.problems] == ["refused"] * 6
    assert len(chat.asked) == 6


def test_an_endpoint_that_never_answers_ends_the_run(run: Run, tmp_path: Path, waits: list[float]) -> None:
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9: ConnectError.*3 tries"):
        run(base_url="http://127.0.0.1:9/v1", concurrency=1)
    assert len(waits) == 3 * 2


def test_a_page_in_place_of_an_endpoint_ends_the_run(run: Run, chat: ChatServer) -> None:
    chat.otherwise = Reply(b"<html>It works</html>")
    with pytest.raises(EndpointError, match="no chat completion"):
        run(concurrency=1)
    assert len(chat.asked) == 6


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("limit", [{"max_requests": 2}, {"max_tokens": 250}], ids=str)
def test_budgets_stop_cleanly(
    run: Run, chat: ChatServer, tmp_path: Path, limit: dict[str, int], concurrency: int
) -> None:
    done = run(concurrency=concurrency, **limit)
    assert not done.is_complete
    assert (done.num_ok, done.num_left, done.spent) == (2, 4, (2, 200))
    assert "is reached; the same command goes on" in done.stopped
    assert "4 left" in str(done)
    assert len(read_annotations(tmp_path / "out.parquet")) == 2
    assert run(concurrency=concurrency, **limit).num_ok == 4
    last = run(concurrency=concurrency, **limit)
    assert last.is_complete
    assert last.stopped == ""
    assert len(chat.asked) == 6


def test_past_the_limit_the_cache_still_counts(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    run(views=("090",))
    (tmp_path / "out.parquet").unlink()
    done = run(max_requests=1, concurrency=1)
    assert (done.num_from_cache, done.num_ok, done.num_left) == (3, 4, 2)


def test_a_server_that_does_not_count_is_estimated(run: Run, chat: ChatServer) -> None:
    chat.otherwise = lambda asked: completion(json.dumps(fill(asked.schema)), usage=None)
    done = run(max_tokens=6000, concurrency=1)
    assert 0 < done.num_ok < 6
    assert 3000 < done.spent.num_tokens <= 6000


def test_answers_on_their_way_are_kept_when_it_is_interrupted(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    """Ctrl-C while four requests are on their way, of which one has come."""

    class Interrupts:
        def __init__(self) -> None:
            self.num = 0

        def __call__(self, asked: Asked) -> object:
            self.num += 1
            if self.num == 2:
                import _thread

                _thread.interrupt_main()
            return fill(asked.schema)

    chat.otherwise = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        run(concurrency=1)
    kept = read_annotations(tmp_path / "out.parquet")
    assert 1 <= len(kept) <= 3
    num_asked = len(chat.asked)
    assert len(kept) == num_asked
    chat.otherwise = None
    assert run().is_complete
    assert len(chat.asked) == 6


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
    run: Run, chat: ChatServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        run(out=tmp_path / "file" / "a.parquet")
    assert chat.asked == []


def test_a_cache_that_cannot_be_written_loses_nothing(
    run: Run, chat: ChatServer, tmp_path: Path, gaitbench_cache: Path
) -> None:
    (gaitbench_cache / "annotations").mkdir(parents=True)
    (gaitbench_cache / "annotations" / "answers").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*answers"):
        run(concurrency=1)
    assert len(read_annotations(tmp_path / "out.parquet")) == len(chat.asked) == 1
    (gaitbench_cache / "annotations" / "answers").unlink()
    assert run().num_from_file == 1


def test_options_of_what_is_prepared_already(run: Run) -> None:
    with pytest.raises(UsageError, match="is prepared already; leave --option and --data out"):
        run(options={"seed": 1})


def test_sequences_without_frames_are_told(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    from gaitbench.prepare import prepare
    from tests.test_absent import GappyBuilder, GappyOptions

    options = GappyOptions(num_subjects=2, num_sequences=2, gaps={"silhouette": [1]})
    data = prepare(GappyBuilder, options, None, tmp_path / "gappy", ("silhouette", "rgb"), workers=1, progress=False)
    done = run(dataset=str(data.root))
    assert len(chat.asked) == 3
    (problem,) = done.problems
    assert (problem.status, problem.reason) == ("no-frames", "it has no frames in silhouette")
    assert done.num_left == 0


def test_a_foreign_file_is_not_overwritten(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    for name, content in (("out.parquet", b"my data"), ("out.json", b'{"mine": 1}')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OutputError, match="is not overwritten"):
            run(out=tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    assert chat.asked == []


def test_dictionaries_are_conversations(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    done = run("gmtd", "walkers", rounds=3)
    assert done.is_complete
    assert (done.num_asked_for, len(chat.asked)) == (2 * 4, 2 * 4)
    assert all(asked.pictures == [] for asked in chat.asked)
    talks = sorted((asked.body["messages"] for asked in chat.asked), key=len)
    assert [len(talk) for talk in talks] == [2, 2, 4, 4, 6, 6, 8, 8]
    assert [turn["role"] for turn in talks[-1]] == ["system", "user"] + ["assistant", "user"] * 3
    found = text_dictionary(read_annotations(tmp_path / "out.parquet"))
    assert list(found.sentences) == ["silhouette", "lidar-depth"]
    assert len(found.of("silhouette")) == 8 * 3


def test_dictionaries_go_on_where_they_ended(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    while not (
        done := run("gmtd", "walkers", rounds=2, max_requests=1, modalities=("rgb",), views=("left",))
    ).is_complete:
        assert done.stopped
    assert len(chat.asked) == 3
    assert list(text_dictionary(read_annotations(tmp_path / "out.parquet")).sentences["rgb"][0]) == [
        "a person walks with short steps, left"
    ]
    with pytest.raises(OutputError, match="another prompt sha256"):
        run("gmtd", "walkers", rounds=3, modalities=("rgb",), views=("left",))


def test_a_round_that_fails_leaves_the_later_ones(run: Run, chat: ChatServer) -> None:
    chat.otherwise = lambda asked: "no" if "Round 2" in asked.text else fill(asked.schema)
    done = run("prompts", "walkers", rounds=4)
    assert (done.num_ok, done.num_left, [each.status for each in done.problems]) == (1, 2, ["invalid"])


def test_what_comes_from_the_model_is_data(run: Run, chat: ChatServer, tmp_path: Path) -> None:
    evil = "\x1b[2J<script>x</script> walks [bold]slowly[/]\u202e\x07"
    chat.otherwise = lambda asked: completion(
        json.dumps({**fill(asked.schema), "summary": evil}), model="m\x1b[31m<b>", system_fingerprint="x" * 1000
    )
    run()
    record = read_annotations(tmp_path / "out.parquet").records[0]
    assert record.values["summary"] == "x walks slowly"
    assert record.answered_by == "m"


@pytest.mark.parametrize(
    ("schema", "changes", "message"),
    [
        ("gdf", {"rounds": 2}, "--rounds belongs to the schemas gmtd and prompts"),
        ("gmtd", {"dataset": "walkers", "split": "train"}, "--split belongs to schemas that look at sequences"),
        (
            "gmtd",
            {"dataset": "walkers", "options": {"foo": 1}},
            "--option belongs to schemas that look at sequences; .*given: foo",
        ),
        ("prompts", {"dataset": "walkers", "views": ("left",)}, "do not belong to the schema prompts"),
        ("gmtd", {"dataset": "walkers", "views": ("lef",)}, "no direction 'lef'. Did you mean 'left'"),
        ("gmtd", {"dataset": "walkers", "modalities": ("lida",)}, "no modality 'lida'; did you mean 'lidar'"),
        ("gmtd", {"dataset": "walker"}, "walkers"),
        ("gdf", {"modalities": ("lidar",)}, "lidar is points"),
        ("gdf", {"concurrency": 0}, "--concurrency is 1 to 64"),
        ("gdff", {}, "no schema 'gdff'; did you mean 'gdf'"),
        ("gdf", {"split": "tets"}, "no split 'tets'; did you mean 'test'"),
        ("gdf", {"frames": 0}, "--frames: "),
        ("gdf", {"max_requests": 0}, "limit of requests must be 1 or more"),
    ],
)
def test_what_cannot_be_asked(
    run: Run, chat: ChatServer, schema: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(schema, **changes)
    assert chat.asked == []
