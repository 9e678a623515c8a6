"""Trained on one dataset, scored on another: one training for many test sets, told apart in records and on boards."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.cells.cell import Cell
from gaitbench.cells.launch import _next
from gaitbench.embed import embed
from gaitbench.errors import DatasetError, IncompleteDataError, ProtocolError, UnknownNameError, UsageError
from gaitbench.hookspecs import RunEvent
from gaitbench.leaderboard import add, check, from_folders
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry
from gaitbench.results import DataProvenance, read_record, read_tables, record_text, same_result
from gaitbench.runner import RunResult, ScoredOn, begins_training, load_trained, plan, run, run_cell
from gaitbench.store import open_or_prepare
from gaitbench.tasks import IdentityTask, audit

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402

CROSS = Cell(task="identity", dataset="tiny", model="tiny-mean", scored_on=ScoredOn(dataset="other"))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield
    patch.undo()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> list[RunEvent]:
    """The training steps that a run takes."""
    found: list[RunEvent] = []
    monkeypatch.setattr(registry, "notify", lambda event: found.append(event) if event.name == "step" else None)
    return found


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> RunResult:
    """A network trained on ``tiny`` and scored on ``tiny`` itself and on two others."""
    out = tmp_path_factory.mktemp("crossed")
    return run("identity", ["tiny-net"], "tiny", out=out, test_dataset=["tiny", "other", "kin"], registry=registry)


# ---------------------------------------------------------------------------------------------- records


def test_a_record_tells_training_and_test_data_apart(crossed: RunResult) -> None:
    record, folder = crossed.records[1], crossed.folders[1]
    assert folder.parent.name == "other"
    assert folder.name == f"tiny-net-quick-s0-from-tiny-{record.run_id[:12]}"
    data = record.data
    assert (data.name, data.num_train_subjects, data.num_train_sequences) == ("other", 0, 0)
    assert (data.num_test_subjects, data.num_probes, data.num_gallery) == (3, 6, 6)
    source = data.trained_on
    assert source is not None
    assert (source.name, source.version, source.protocol, source.protocol_version) == ("tiny", "1", "tiny", 1)
    assert (source.num_subjects, source.num_sequences, source.people) == (3, 12, "others")
    assert source.train == tiny_plugin.PROTOCOL.train.model_dump(mode="json")
    assert source.fingerprint == crossed.records[0].data.fingerprint != data.fingerprint
    assert record.model.config["num_classes"] == 3
    assert record.status == "complete"


def test_the_ordinary_record_does_not_know_of_it(crossed: RunResult, tmp_path: Path, registry: Registry) -> None:
    ordinary = crossed.records[0]
    assert ordinary.data.trained_on is None
    assert "trained_on" not in record_text(ordinary)
    alone = run_cell(Cell(task="identity", dataset="tiny", model="tiny-net"), tmp_path, registry=registry)
    assert same_result(alone, ordinary)


def test_every_number_follows_from_the_evidence_and_from_the_weights(crossed: RunResult, registry: Registry) -> None:
    record, folder = crossed.records[1], crossed.folders[1]
    tables = read_tables(folder, record)
    audit(read_record(folder), tables)
    # Once more without the runner: the shared weights, the test set of the other data, its own protocol.
    dataset = open_or_prepare(registry, "other", modalities=["silhouette"])
    protocol = Protocol.model_validate(record.data.protocol)
    division = protocol.divide(dataset.table, needs_train=False)
    with torch.random.fork_rng(devices=[]):
        embedded = embed(load_trained(folder), dataset, division.test, ["silhouette"])
    again = IdentityTask().evaluate({"silhouette": embedded}, protocol, division, bootstrap=0)
    for score in again.scores:
        told = next(s for s in record.scores if (s.metric, s.group) == (score.metric, score.group))
        assert told.value == pytest.approx(score.value, nan_ok=True)
        assert (told.num_probes, told.num_counted) == (score.num_probes, score.num_counted)
    assert set(tables["probes"]["subject"].to_pylist()) == {"003", "004", "005"}


def test_a_record_cannot_claim_both(crossed: RunResult) -> None:
    data = crossed.records[1].data.model_dump()
    with pytest.raises(ValueError, match="other is not what was trained on, tiny is"):
        DataProvenance.model_validate(data | {"num_train_subjects": 3})


# ---------------------------------------------------------------------------------------------- one training


def test_all_test_sets_share_one_training(crossed: RunResult) -> None:
    root = crossed.folders[0].parents[2]
    (training,) = (root / "trainings" / "tiny").iterdir()
    for folder in crossed.folders:
        assert (folder / "model.safetensors").samefile(training / "model.safetensors")
        assert len((folder / "train.jsonl").read_text().splitlines()) == 9
    assert len({record.run_id for record in crossed.records}) == 3
    assert len({json.dumps(r.training.final_losses) for r in crossed.records}) == 1


def test_an_ordinary_run_lends_its_weights(
    tmp_path: Path, registry: Registry, steps: list[RunEvent], crossed: RunResult
) -> None:
    run("identity", ["tiny-net"], "tiny", out=tmp_path, registry=registry)
    assert len(steps) == 9
    later = run("identity", ["tiny-net"], "tiny", out=tmp_path, test_dataset="other", registry=registry)
    assert len(steps) == 9
    assert same_result(later.records[0], crossed.records[1])


def test_force_trains_once(tmp_path: Path, registry: Registry, steps: list[RunEvent]) -> None:
    arguments = {"out": tmp_path, "test_dataset": ["other", "kin"], "registry": registry, "seeds": (0, 1)}
    first = run("identity", ["tiny-net"], "tiny", **arguments)
    assert len(steps) == 2 * 9
    assert run("identity", ["tiny-net"], "tiny", **arguments).num_reused == 4
    again = run("identity", ["tiny-net"], "tiny", force=True, **arguments)
    assert (len(steps), again.num_reused) == (4 * 9, 0)
    assert all(map(same_result, first.records, again.records))


def test_another_training_is_another_folder(tmp_path: Path, registry: Registry) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"seed": 1},
        {"overrides": {"num_components": 3}},
        {"options": {"seed": 5}},
        {"protocol": "tiny-listed", "partition": {k: tuple(v) for k, v in tiny_plugin.PARTITION.items()}},
    ]
    for change in changes:
        run_cell(CROSS.model_copy(update=change), tmp_path, registry=registry)
    assert len(list(tmp_path.glob("trainings/*/*/model.json"))) == len(changes)
    assert len(list(tmp_path.glob("identity/other/*/record.json"))) == len(changes)
    # Data of another test, and another way to score: neither trains again.
    for test in (ScoredOn(dataset="other", options={"seed": 3}), ScoredOn(dataset="kin")):
        run_cell(CROSS.model_copy(update={"scored_on": test}), tmp_path, registry=registry)
    assert len(list(tmp_path.glob("trainings/*/*/model.json"))) == len(changes)
    assert len(list(tmp_path.glob("identity/*/*/record.json"))) == len(changes) + 2


def test_workers_never_meet_in_one_training() -> None:
    cells = [
        Cell(task="identity", dataset="tiny", model="tiny-net", seed=seed, scored_on=ScoredOn(dataset=name))
        for seed in (0, 1)
        for name in ("other", "kin")
    ]
    assert begins_training(cells) == [True, False, True, False]
    assert _next(cells, [0, 1, 2, 3], []) == 0
    assert _next(cells, [1, 2, 3], [0]) == 2
    assert _next(cells, [1, 3], [0, 2]) is None
    assert _next(cells, [1, 3], [2]) == 1


# ---------------------------------------------------------------------------------------------- the same people


def test_the_training_data_themselves_are_an_ordinary_run(tmp_path: Path, registry: Registry) -> None:
    ordinary = run("identity", ["tiny-mean"], "tiny", out=tmp_path, registry=registry)
    data = open_or_prepare(registry, "tiny", modalities=["silhouette"]).root
    for test in (
        ScoredOn(dataset="tiny"),
        ScoredOn(dataset="tiny", data=data),
        ScoredOn(dataset="tiny", options={"seed": 0}),
    ):
        same = run("identity", ["tiny-mean"], "tiny", out=tmp_path, test_dataset=test, registry=registry)
        assert (same.num_reused, same.folders) == (1, ordinary.folders)


def test_the_same_people_may_be_divided(crossed: RunResult, tmp_path: Path, registry: Registry) -> None:
    kin = crossed.records[2].data
    assert kin.trained_on is not None
    assert (kin.name, kin.trained_on.people) == ("kin", "divided")
    # The same name with other options holds the same people too, as long as nobody says otherwise.
    cell = CROSS.model_copy(update={"scored_on": ScoredOn(dataset="tiny", options={"seed": 9})})
    found = run_cell(cell, tmp_path, registry=registry).data
    assert found.trained_on is not None
    assert (found.options["seed"], found.trained_on.options["seed"], found.trained_on.people) == (9, 0, "divided")


def test_who_was_trained_on_is_not_asked_about(tmp_path: Path, registry: Registry) -> None:
    lists = {key: tuple(words) for key, words in tiny_plugin.PARTITION.items()}
    listed = CROSS.model_copy(update={"protocol": "tiny-listed", "partition": lists})
    with pytest.raises(ProtocolError, match=r"tiny -> kin: 2 people are in training and test \(first: 003, 005\)"):
        run_cell(listed.model_copy(update={"scored_on": ScoredOn(dataset="kin")}), tmp_path, registry=registry)
    assert not list(tmp_path.glob("trainings/*/*/*.safetensors"))
    # Other people may bear the same ids.
    assert run_cell(listed, tmp_path, registry=registry).data.trained_on.people == "others"


def with_spec(registry: Registry, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    import dataclasses

    get = registry.get

    def changed(kind: str, name: str) -> object:
        found = get(kind, name)
        return dataclasses.replace(found, **changes) if (kind, name) == ("dataset", "other") else found

    monkeypatch.setattr(registry, "get", changed)


def test_people_under_other_ids_are_refused(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_spec(registry, monkeypatch, renumbers=("tiny",))
    with pytest.raises(ProtocolError, match="both show people of tiny, under different ids"):
        run_cell(CROSS, tmp_path, registry=registry)
    back = CROSS.model_copy(update={"dataset": "other", "scored_on": ScoredOn(dataset="tiny")})
    with pytest.raises(ProtocolError, match="both show people of tiny, under different ids"):
        run_cell(back, tmp_path, registry=registry)


def test_people_that_nobody_knows_are_said(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_spec(registry, monkeypatch, population="")
    lists = {key: tuple(words) for key, words in tiny_plugin.PARTITION.items()}
    cell = CROSS.model_copy(update={"protocol": "tiny-listed", "partition": lists})
    with caplog.at_level(logging.WARNING, "gaitbench"):
        record = run_cell(cell, tmp_path, registry=registry)
    assert record.data.trained_on is not None
    assert record.data.trained_on.people == "unknown"
    assert "2 subject ids are in training and test (first: 003, 005)" in caplog.text


# ---------------------------------------------------------------------------------------------- before any training


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param(
            {"task": "crossmodal", "model": "tiny-net"},
            DatasetError,
            "dataset 'other' has no lidar-depth, which model 'tiny-net' reads",
            id="modality-missing",
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="other", options={"height_px": 40})},
            DatasetError,
            r"other: silhouette .*40",
            id="test-size-does-not-fit",
        ),
        pytest.param(
            {"options": {"height_px": 40}}, DatasetError, r"tiny: silhouette .*40", id="training-size-does-not-fit"
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="other", options={"num_subjects": 5})},
            IncompleteDataError,
            "other: 1 of 3 test subjects have no sequence",
            id="test-incomplete",
        ),
        pytest.param(
            {"options": {"num_subjects": 2}},
            IncompleteDataError,
            "tiny: 1 of 3 training subjects have no sequence",
            id="training-incomplete",
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="tiny", protocol="tiny-withheld"), "dataset": "other"},
            ProtocolError,
            "tiny-withheld: the probes' labels are withheld",
            id="labels-withheld",
        ),
        pytest.param(
            {"protocol": "tiny-listed"}, IncompleteDataError, "tiny-listed needs TRAIN_SET", id="list-missing"
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="other", protocol="tiny")},
            UsageError,
            "protocol 'tiny' belongs to dataset 'tiny', not 'other'",
            id="protocol-of-another",
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="othr")}, UnknownNameError, "Did you mean 'other'", id="unknown-name"
        ),
        pytest.param(
            {"scored_on": ScoredOn(dataset="other", options={"sed": 1})}, UsageError, "'seed'", id="unknown-option"
        ),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    tmp_path: Path, registry: Registry, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_cell(CROSS.model_copy(update=changes), tmp_path, registry=registry)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("checkpoint"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"scored_on": ScoredOn(dataset="other", options={"num_subjects": 5})}, id="test"),
        pytest.param({"options": {"num_subjects": 2}}, id="training"),
    ],
)
def test_missing_subjects_make_it_partial(tmp_path: Path, registry: Registry, changes: dict[str, object]) -> None:
    record = run_cell(CROSS.model_copy(update={**changes, "allow_partial": True}), tmp_path, registry=registry)
    assert record.status == "partial"
    (section,) = from_folders(record_folder(tmp_path)).boards[0].sections
    assert (section.rows, len(section.partial_rows)) == ((), 1)


def record_folder(root: Path) -> list[Path]:
    return [path.parent for path in root.glob("*/*/*/record.json")]


def test_data_without_labels_of_their_test_can_be_trained_on(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    withheld = tiny_plugin.PROTOCOL.model_copy(
        update={"name": "tiny-withheld", "submission": tiny_plugin.WITHHELD.submission}
    )
    monkeypatch.setattr(tiny_plugin, "WITHHELD", withheld)
    arguments = {"protocol": "tiny-withheld", "out": tmp_path, "registry": registry}
    with pytest.raises(ProtocolError, match="withheld"):
        run("identity", ["tiny-mean"], "tiny", **arguments)
    found = run("identity", ["tiny-mean"], "tiny", test_dataset="other", **arguments).records[0].data.trained_on
    assert found is not None
    assert (found.protocol, found.num_subjects) == ("tiny-withheld", 3)


def test_the_own_test_set_of_the_training_data_may_be_missing(tmp_path: Path, registry: Registry) -> None:
    record = run_cell(CROSS.model_copy(update={"options": {"num_subjects": 3}}), tmp_path, registry=registry)
    assert record.status == "complete"


# ---------------------------------------------------------------------------------------------- plans


def test_a_plan_has_a_cell_per_model_seed_and_test_set(registry: Registry) -> None:
    cells = plan(
        "identity", ["tiny-net"], "tiny", seeds=(0, 1), test_dataset=["other", "kin", "other"], registry=registry
    )
    assert [(c.seed, c.scored_on.dataset) for c in cells] == [(0, "other"), (0, "kin"), (1, "other"), (1, "kin")]


def test_the_training_data_need_no_second_folder(tmp_path: Path, registry: Registry) -> None:
    data = open_or_prepare(registry, "tiny", modalities=["silhouette"], options={"seed": 4}).root
    arguments = {"data": data, "protocol": "tiny-listed", "partition": tiny_plugin.PARTITION, "registry": registry}
    cells = plan("identity", ["tiny-mean"], "tiny", test_dataset=["tiny", "other"], **arguments)
    assert cells[0].scored_on is not None
    assert (cells[0].scored_on.data, cells[0].scored_on.protocol) == (data, "tiny-listed")
    result = run("identity", ["tiny-mean"], "tiny", test_dataset=["tiny", "other"], out=tmp_path, **arguments)
    assert [record.data.trained_on is None for record in result.records] == [True, False]


def test_what_test_data_lack_is_found_before_any_is_prepared(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    data = open_or_prepare(registry, "tiny", modalities=["silhouette"], root=tmp_path / "prepared").root
    with pytest.raises(DatasetError, match=r"prepared \(tiny\) has no lidar-depth, which model 'tiny-net' reads"):
        run("crossmodal", ["tiny-net"], "tiny", options={"seed": 5}, test_data=data, out=tmp_path, registry=registry)
    assert not list((tmp_path / "cache").rglob("*"))


def test_models_that_do_not_fit_the_test_set_are_left_out(registry: Registry) -> None:
    models = {cell.model for cell in plan("crossmodal", dataset="tiny", registry=registry)}
    assert models == {"tiny-net"}
    with pytest.raises(UsageError, match=r"no installed model does task 'crossmodal' on dataset 'tiny'.* and dataset"):
        plan("crossmodal", dataset="tiny", test_dataset="other", registry=registry)


def test_lists_of_the_test_set(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "lists.json"
    file.write_text(json.dumps(tiny_plugin.PARTITION))
    result = run(
        "identity",
        ["tiny-mean"],
        "other",
        out=tmp_path / "runs",
        test_dataset="tiny",
        test_protocol="tiny-listed",
        test_partition=file,
        registry=registry,
    )
    data = result.records[0].data
    assert (data.protocol["name"], data.num_probes, data.num_gallery) == ("tiny-listed", 3, 9)
    assert data.trained_on is not None
    assert str(file) not in (result.folders[0] / "plan.json").read_text()


# ---------------------------------------------------------------------------------------------- boards


def test_rows_trained_elsewhere_stand_in_a_section_of_their_own(
    tmp_path: Path, registry: Registry, crossed: RunResult
) -> None:
    own = run("identity", ["tiny-net"], "other", out=tmp_path / "runs", registry=registry)
    far = run(
        "identity",
        ["tiny-net"],
        "other",
        out=tmp_path / "runs",
        options={"seed": 4},
        test_dataset="other",
        registry=registry,
    )
    folders = [*own.folders, *crossed.folders, *far.folders]
    boards = {board.dataset: board for board in from_folders(folders).boards}
    assert set(boards) == {"tiny", "other", "kin"}
    sections = boards["other"].sections
    assert [(s.trained_on and s.trained_on.name, len(s.rows), s.rows[0].rank_high) for s in sections] == [
        (None, 1, 1),
        ("other", 1, 1),
        ("tiny", 1, 1),
    ]
    assert all(not section.reported for section in sections)
    text = str(from_folders(folders))
    for line in ("identity on other", "identity, tiny -> other", "identity, other (seed 4) -> other (seed 0)"):
        assert f"{line}, silhouette" in text.splitlines()
    assert "Trained on tiny 1, the training part of protocol tiny version 1: 3 subjects, 12 sequences." in text
    assert "Both data show the same people; nobody is in training and test." in text

    add(folders, tmp_path / "boards")
    assert check(tmp_path / "boards") == []
    page = (tmp_path / "boards" / "identity" / "other" / "README.md").read_text()
    assert "## tiny -> other 1, silhouette" in page
    assert "never among rows that were trained on B" in page
    assert "[identity, tiny -> other](identity/other/README.md)" in (tmp_path / "boards" / "README.md").read_text()
    plain = (tmp_path / "boards" / "identity" / "tiny" / "README.md").read_text()
    assert "->" not in plain
    assert "trained_on" not in (tmp_path / "boards" / "identity" / "tiny" / "leaderboard.json").read_text()


def test_a_forged_source_of_training_is_found(tmp_path: Path, registry: Registry, crossed: RunResult) -> None:
    """The evidence says nothing of training, but a record without any training part is none."""
    folder = crossed.folders[1]
    content = json.loads((folder / "record.json").read_text())
    assert np.isfinite(content["scores"][0]["value"])
    content["data"]["num_train_subjects"] = 3
    with pytest.raises(ValueError, match="has no training part"):
        DataProvenance.model_validate(content["data"])
