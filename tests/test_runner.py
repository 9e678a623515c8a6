"""From a name to a record: repeatable, resumable after SIGKILL anywhere, audited, and clear about what is wrong."""

import importlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gaitbench.cells.cell import Cell
from gaitbench.cells.open_cell import RESULT_MODULES
from gaitbench.cells.run_folder import RunFolder, check_output
from gaitbench.errors import (
    DatasetError,
    IncompleteDataError,
    ModelError,
    NotFiniteError,
    OutputError,
    RecordError,
    UnknownNameError,
    UsageError,
)
from gaitbench.hookspecs import RunEvent
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry
from gaitbench.results import RunRecord, read_record, read_tables, same_result
from gaitbench.runner import RunResult, load_trained, plan, run, run_cell
from gaitbench.tasks import audit

SUPPORT = Path(__file__).parent / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402

NET = Cell(task="identity", dataset="tiny", model="tiny-net")


def tiny_registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: tiny_plugin)
    assert [each.error for each in registry.plugins() if each.status != "loaded"] == []
    return registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return tiny_registry()


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of our own, one thread, and the plugin installed for the processes that a run starts."""
    site = tmp_path_factory.mktemp("site")
    info = site / "gaitbench_tiny-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gaitbench-tiny\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[gaitbench]\ntiny = tiny_plugin\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    patch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT.parent.parent), str(SUPPORT), str(site)]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> RunResult:
    return run("identity", ["tiny-net"], "tiny", out=tmp_path_factory.mktemp("finished"), registry=registry)


@pytest.fixture
def copied(finished: RunResult, tmp_path: Path) -> Path:
    """The finished run in a folder that a test may spoil; gives the root of the runs."""
    folder = finished.folders[0]
    root = folder.parents[2]
    shutil.copytree(root, tmp_path / "runs")
    return tmp_path / "runs"


def folder_in(root: Path) -> Path:
    (folder,) = (path.parent for path in root.glob("*/*/*/plan.json"))
    return folder


def training_in(root: Path) -> Path:
    (folder,) = (path.parent for path in root.glob("trainings/*/*/training.json"))
    return folder


class Watch:
    """A plugin that keeps the events of a run."""

    api_version = 1

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def names(self) -> list[str]:
        return [event.name for event in self.events]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> Watch:
    watch = Watch()
    notify = registry.notify

    def both(event: RunEvent) -> None:
        watch.events.append(event)
        notify(event)

    monkeypatch.setattr(registry, "notify", both)
    return watch


# ---------------------------------------------------------------------------------------------- one run


def test_record_is_complete_and_audited(finished: RunResult) -> None:
    (record,), (folder,) = finished.records, finished.folders
    assert finished.is_complete
    assert folder.parts[-4:-1] == (folder.parents[2].name, "identity", "tiny")
    assert folder.name == f"tiny-net-quick-s0-{record.run_id[:12]}"
    assert read_record(folder) == record
    audit(record, read_tables(folder, record))
    assert record.status == "complete"
    assert (record.data.num_train_subjects, record.data.num_train_sequences) == (3, 12)
    assert (record.data.num_test_subjects, record.data.num_probes, record.data.num_gallery) == (3, 6, 6)
    assert record.data.modalities == ("silhouette",)
    assert record.data.protocol["name"] == "tiny"
    assert (record.model.plugin, record.model.plugin_version) == ("gaitbench-tiny", "0.1")
    assert record.model.config["num_classes"] == 3
    assert record.model.num_parameters == 4 * 9 + 4 + 8 + 4 * 256 * 8 + 8 + 8 * 3 + 3
    assert record.model.flops_per_sequence is not None
    assert record.model.flops_per_sequence % (2 * 4 * 9 * 256) > 0
    assert record.training.num_steps == 9
    assert set(record.training.final_losses) == {"softmax", "size"}
    assert {score.metric for score in record.scores} >= {"rank_1", "mean_ap"}
    assert record.environment.train_seconds > 0
    assert record.environment.packages["torch"]
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "plan.json",
        "model.safetensors",
        "model.json",
        "embeddings.safetensors",
        "record.json",
        "probes.parquet",
        "verification.parquet",
        "train.jsonl",
    }
    assert not [name for name in names if name.endswith(".tmp")]
    assert len((folder / "train.jsonl").read_text().splitlines()) == 9
    training = training_in(folder.parents[2])
    assert training.parts[-3:-1] == ("trainings", "tiny")
    assert {path.name for path in training.iterdir()} == {
        *(".lock", "training.json", "checkpoint", "train.jsonl", "model.safetensors", "model.json"),
    }
    assert (training / "model.safetensors").samefile(folder / "model.safetensors")


def test_same_seed_elsewhere_gives_the_same_record(finished: RunResult, tmp_path: Path, registry: Registry) -> None:
    again = run_cell(NET, tmp_path, registry=registry)
    assert same_result(again, finished.records[0])
    other = run_cell(NET.model_copy(update={"seed": 1}), tmp_path, registry=registry)
    assert other.run_id != again.run_id
    assert other.training.final_losses != again.training.final_losses


def test_finished_runs_are_reused(copied: Path, registry: Registry, watched: Watch, finished: RunResult) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder_in(copied).rglob("*") if path.name != ".lock"}
    result = run("identity", ["tiny-net"], "tiny", out=copied, registry=registry)
    assert result.num_reused == 1
    assert result.records == finished.records
    assert watched.names() == ["run_started", "cell_reused", "run_finished"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_force_runs_again(copied: Path, registry: Registry, watched: Watch, finished: RunResult) -> None:
    result = run("identity", ["tiny-net"], "tiny", out=copied, registry=registry, force=True)
    assert result.num_reused == 0
    assert watched.names().count("step") == 9
    assert same_result(result.records[0], finished.records[0])


def test_events_tell_the_story(tmp_path: Path, registry: Registry, watched: Watch) -> None:
    record = run_cell(NET, tmp_path, registry=registry)
    assert watched.names()[0] == "cell_started"
    assert watched.names()[-1] == "cell_finished"
    steps = [event for event in watched.events if event.name == "step"]
    assert [event.step for event in steps] == list(range(1, 10))
    assert set(steps[0].values) == {"loss", "lr", "softmax", "size"}
    assert {event.run_id for event in watched.events} == {record.run_id}


def test_trained_model_is_rebuilt(finished: RunResult, registry: Registry) -> None:
    model = load_trained(finished.folders[0])
    assert isinstance(model, tiny_plugin.TinyModel)
    assert not model.training
    assert model.config.num_classes == 3
    clips = torch.rand(2, 1, 4, 64, 64)
    from gaitbench.model import GaitBatch

    embedding = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([4, 4])})).embedding
    assert embedding.shape == (2, 8, 1)


def test_no_trained_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no trained model"):
        load_trained(tmp_path)


def test_crossmodal_embeds_each_modality(tmp_path: Path, registry: Registry) -> None:
    result = run("crossmodal", dataset="tiny", out=tmp_path, registry=registry)
    (record,) = result.records
    assert record.data.modalities == ("silhouette", "lidar-depth")
    directions = {score.direction for score in record.scores}
    assert {"silhouette->lidar-depth", "lidar-depth->silhouette"} <= directions


def test_what_changes_the_result_changes_the_folder(tmp_path: Path, registry: Registry) -> None:
    base = Cell(task="identity", dataset="tiny", model="tiny-mean")
    changes: list[dict[str, object]] = [
        {},
        {"seed": 1},
        {"overrides": {"num_components": 3}},
        {"overrides": {"recipe.max_test_frames": 5}},
        {"precision": "bf16-mixed"},
        {"options": {"seed": 5}},
    ]
    ids = {run_cell(base.model_copy(update=change), tmp_path, registry=registry).run_id for change in changes}
    assert len(ids) == len(changes)
    assert len(list(tmp_path.glob("*/*/*/record.json"))) == len(changes)


def test_every_result_module_exists_and_none_is_a_front_end() -> None:
    for name in RESULT_MODULES:
        importlib.import_module(name)
    assert not {"gaitbench.cli", "gaitbench.progress", "gaitbench.runner"} & set(RESULT_MODULES)


# ---------------------------------------------------------------------------------------------- spoilt folders


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("record.json", "truncate"),
        ("record.json", "forge"),
        ("probes.parquet", "remove"),
        ("probes.parquet", "truncate"),
    ],
)
def test_damaged_results_are_scored_again_without_training(
    copied: Path, registry: Registry, watched: Watch, finished: RunResult, name: str, harm: str
) -> None:
    path = folder_in(copied) / name
    if harm == "remove":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[:-50])
    else:
        text = path.read_text()
        score = next(s for s in finished.records[0].scores if s.metric == "mean_ap")
        forged = text.replace(f'"value": {score.value}', '"value": 0.123')
        assert forged != text
        path.write_text(forged)
    result = run("identity", ["tiny-net"], "tiny", out=copied, registry=registry)
    assert result.num_reused == 0
    assert "step" not in watched.names()
    assert same_result(result.records[0], finished.records[0])


@pytest.mark.parametrize("name", ["embeddings.safetensors", "embeddings.json", "model.safetensors", "model.json"])
@pytest.mark.parametrize("place", ["run", "training", "both"])
def test_damaged_intermediate_files_are_made_again(
    copied: Path, registry: Registry, finished: RunResult, name: str, place: str
) -> None:
    folder = folder_in(copied)
    (folder / "record.json").unlink()
    if name.startswith("model"):
        (folder / "embeddings.json").unlink()
    places = {"run": [folder], "training": [training_in(copied)], "both": [folder, training_in(copied)]}[place]
    for path in (each / name for each in places if (each / name).exists()):
        path.write_bytes(path.read_bytes()[:-9])
    result = run("identity", ["tiny-net"], "tiny", out=copied, registry=registry)
    assert same_result(result.records[0], finished.records[0])
    load_trained(folder)


def test_run_folder_gives_the_weights_back_when_the_training_is_gone(
    copied: Path, registry: Registry, watched: Watch, finished: RunResult
) -> None:
    shutil.rmtree(copied / "trainings")
    for name in ("record.json", "embeddings.json"):
        (folder_in(copied) / name).unlink()
    result = run("identity", ["tiny-net"], "tiny", out=copied, registry=registry)
    assert "step" not in watched.names()
    assert same_result(result.records[0], finished.records[0])
    assert (training_in(copied) / "model.safetensors").exists()


# ---------------------------------------------------------------------------------------------- kills


def drive(root: Path, points: list[str], model: str = "tiny-net") -> dict[str, dict[str, object]]:
    command = [sys.executable, str(SUPPORT / "kill_driver.py"), str(root), model, *points]
    # The hash covers the source, so an edit while this runs would make a second run out of the first one's rest.
    source = root / "source"
    shutil.copytree(
        SUPPORT.parent.parent / "gaitbench", source / "gaitbench", ignore=shutil.ignore_patterns("__pycache__")
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(SUPPORT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads((root / "outcomes.json").read_text())
    assert isinstance(outcomes, dict)
    return outcomes


def check_kills(root: Path, points: list[str], model: str = "tiny-net") -> None:
    outcomes = drive(root, ["KILL=never", *points], model)
    expected: tuple[RunRecord, str] | None = None
    for point, outcome in outcomes.items():
        folder = folder_in(Path(str(outcome["folder"])) / "runs")
        found = read_record(folder), (folder / "train.jsonl").read_text()
        assert outcome["again"] == 0, point
        if expected is None:
            assert outcome["first"] == 0
            expected = found
            continue
        assert outcome["first"] == (130 if point.startswith("INTERRUPT") else -signal.SIGKILL), point
        assert same_result(found[0], expected[0]), point
        assert found[1] == expected[1], point
        assert not [*folder.glob(".*.tmp"), *training_in(Path(str(outcome["folder"])) / "runs").rglob(".*.tmp")]


def test_killed_runs_end_like_others(tmp_path: Path) -> None:
    points = ["rename@0", "rename@0.2", "step:1", "step:5", "checkpoint:2", "renamed@0.7", "rename@0.9", "rename@1"]
    check_kills(tmp_path, [f"KILL={point}" for point in points] + ["INTERRUPT=step:3"])


@pytest.mark.slow
def test_killed_at_every_rename(tmp_path: Path) -> None:
    drive(tmp_path / "count", ["KILL=never"])
    total = json.loads((tmp_path / "count" / "0" / "counts.json").read_text())["rename"]
    assert total > 20
    # Just behind one rename is much like just before the next.
    before, behind = range(1, total + 1), range(1, total + 1, 3)
    check_kills(tmp_path / "all", [f"KILL=rename:{n}" for n in before] + [f"KILL=renamed:{n}" for n in behind])


@pytest.mark.slow
def test_killed_closed_form_runs_end_like_others(tmp_path: Path) -> None:
    check_kills(tmp_path, [f"KILL=rename@{n / 12}" for n in range(13)], model="tiny-mean")


# ---------------------------------------------------------------------------------------------- faults


def test_nan_in_training_keeps_the_last_good_checkpoint(tmp_path: Path, registry: Registry, watched: Watch) -> None:
    cell = NET.model_copy(update={"overrides": {"nan_at": 2}})
    with pytest.raises(NotFiniteError, match=r"stage 'second' \(2 of 2\), step 2: loss softmax is nan"):
        run_cell(cell, tmp_path, registry=registry)
    folder = folder_in(tmp_path)
    assert (training_in(tmp_path) / "checkpoint" / "01-00000002.json").exists()
    assert not (folder / "record.json").exists()
    assert watched.names()[-1] == "cell_failed"
    # Again: it goes on from the checkpoint, straight into the same wall.
    watched.events.clear()
    with pytest.raises(NotFiniteError, match="step 2"):
        run_cell(cell, tmp_path, registry=registry)
    assert "step" not in watched.names()


def test_constant_embeddings_are_no_result(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(ModelError, match="embeddings are identical"):
        run_cell(NET.model_copy(update={"overrides": {"constant": True}}), tmp_path, registry=registry)


def test_a_failing_cell_costs_only_itself(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, features: object, labels: object) -> None:
        raise RuntimeError("a bug in the plugin")

    monkeypatch.setattr(tiny_plugin.TinyMean, "fit", broken)
    result = run("identity", dataset="tiny", out=tmp_path, registry=registry)
    assert [record.model.name for record in result.records] == ["tiny-net"]
    (failure,) = result.failures
    assert not result.is_complete
    assert failure.cell.model == "tiny-mean"
    assert failure.error == "RuntimeError"
    assert "a bug in the plugin" in str(failure)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"task": "identiy"}, UnknownNameError, "identity"),
        ({"dataset": "tinny"}, UnknownNameError, "tiny"),
        ({"models": ["tiny-nett"]}, UnknownNameError, "tiny-net"),
        ({"models": ["tiny-net"], "preset": "quik"}, UnknownNameError, "quick"),
        ({"preset": "quik"}, UnknownNameError, "quick"),
        ({"protocol": "tyni"}, UnknownNameError, "tiny"),
        ({"protocol": "walkers"}, UsageError, "belongs to dataset 'walkers'"),
        (
            {"task": "crossmodal", "models": ["tiny-mean"]},
            UsageError,
            "does not do task 'crossmodal'; it does identity",
        ),
        ({"precision": "bf16"}, UsageError, "bf16-mixed"),
        ({"precision": "16-mixed"}, UsageError, "needs a CUDA device"),
        ({"device": "cdua"}, UsageError, "did you mean 'cuda'"),
        ({"seeds": []}, UsageError, "at least one"),
        ({"seeds": [-1]}, UsageError, "0 or more"),
        ({"jobs": 0}, UsageError, "jobs"),
        ({"devices": 0}, UsageError, "devices"),
        ({"models": []}, UsageError, "empty"),
        ({"options": {"num_subject": 3}}, UsageError, "num_subjects"),
        ({"set": {"widht": 3}, "models": ["tiny-net"]}, UsageError, "width"),
        (
            {"task": "crossmodal", "models": ["tiny-net"], "set": {"modalities": ["silhouette"]}},
            UsageError,
            "at least two modalities",
        ),
        ({"models": ["tiny-net"], "set": {"modalities": ["rgb"]}}, DatasetError, "has no rgb"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_made(
    tmp_path: Path, registry: Registry, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    everything = {"task": "identity", "dataset": "tiny", "device": "cpu", **arguments}
    with pytest.raises(error, match=message):
        run(**everything, out=tmp_path / "runs", registry=registry)
    assert not list(tmp_path.rglob("plan.json"))


def test_incomplete_data_stops_or_is_marked(tmp_path: Path, registry: Registry) -> None:
    cell = NET.model_copy(update={"model": "tiny-mean", "options": {"num_subjects": 5}})
    with pytest.raises(IncompleteDataError, match="3"):
        run_cell(cell, tmp_path, registry=registry)
    assert not list(tmp_path.rglob("plan.json"))
    record = run_cell(cell.model_copy(update={"allow_partial": True}), tmp_path, registry=registry)
    assert record.status == "partial"


def test_size_that_does_not_fit_is_refused_before_training(tmp_path: Path, registry: Registry, watched: Watch) -> None:
    cell = NET.model_copy(update={"options": {"height_px": 30}})
    with pytest.raises(DatasetError, match="silhouette"):
        run_cell(cell, tmp_path, registry=registry)
    assert watched.events == []


def test_prepared_data_is_taken_as_it_is(tmp_path: Path, registry: Registry) -> None:
    from tiny_dataset import prepare_tiny

    prepared = prepare_tiny(tmp_path / "data", num_sequences=5)
    result = run("identity", data=tmp_path / "data", out=tmp_path / "runs", registry=registry)
    assert [record.model.name for record in result.records] == ["tiny-mean", "tiny-net"]
    assert result.records[0].data.fingerprint == prepared.fingerprint(("silhouette",))
    assert result.records[0].data.num_train_sequences == 15


# ---------------------------------------------------------------------------------------------- output folders


def test_output_in_the_way_stops_before_training(tmp_path: Path, registry: Registry, watched: Watch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        run("identity", ["tiny-net"], "tiny", out=tmp_path / "file" / "runs", registry=registry)
    assert watched.events == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_read_only_output_stops_before_training(tmp_path: Path, registry: Registry) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="no permission"):
        run("identity", ["tiny-net"], "tiny", out=tmp_path / "runs", registry=registry)


def test_full_disk_stops_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1 << 20))
    with pytest.raises(OutputError, match="has 1 MiB free, the run needs about 16 MiB"):
        check_output(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [3000, 20_000, 50_000])
def test_full_disk_in_the_middle_loses_nothing(
    tmp_path: Path, registry: Registry, finished: RunResult, limit: int
) -> None:
    """A limit on the size of files fails writes of the checkpoint, the model or the record, like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run_cell(NET.model_copy(update={"model": "tiny-mean"}), tmp_path / "other", registry=registry)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OutputError):
            run_cell(NET, tmp_path / "runs", registry=registry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((tmp_path / "runs").rglob("*.tmp"))
    assert same_result(run_cell(NET, tmp_path / "runs", registry=registry), finished.records[0])


def test_second_process_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder(tmp_path / "run")
    order: list[str] = []

    def second() -> None:
        with folder.lock():
            order.append("second")

    with folder.lock():
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 20
        while "is at work here" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert f"process {os.getpid()} is at work here" in caplog.text


# ---------------------------------------------------------------------------------------------- other processes


def test_jobs_run_cells_side_by_side(tmp_path: Path, registry: Registry) -> None:
    arguments = {"dataset": "tiny", "seeds": (0, 1), "registry": registry, "models": ["tiny-mean"]}
    alone = run("identity", out=tmp_path / "a", **arguments)
    beside = run("identity", out=tmp_path / "b", jobs=2, **arguments)
    assert beside.failures == []
    assert [b.run_id for b in beside.records] == [a.run_id for a in alone.records]
    assert all(same_result(a, b) for a, b in zip(alone.records, beside.records, strict=True))
    assert run("identity", out=tmp_path / "b", jobs=2, **arguments).num_reused == 2


@pytest.mark.slow
def test_worker_that_dies_costs_its_own_cell(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KILL", "step:3")  # the closed-form model takes no step
    result = run("identity", dataset="tiny", out=tmp_path, jobs=2, registry=registry)
    assert [record.model.name for record in result.records] == ["tiny-mean"]
    assert "killed by signal 9" in result.failures[0].message


@pytest.mark.slow
def test_two_devices_agree_with_one(tmp_path: Path, registry: Registry) -> None:
    """Batch norm is not synchronised on the CPU, so the model is without."""
    plain = NET.model_copy(update={"overrides": {"plain": True}})
    one = run_cell(plain, tmp_path / "one", registry=registry)
    two = run_cell(plain.model_copy(update={"devices": 2, "device": "cpu"}), tmp_path / "two", registry=registry)
    assert two.run_id == one.run_id
    logs = [
        [json.loads(line) for line in (folder_in(tmp_path / name) / "train.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(logs[0]) == len(logs[1]) == 9
    for a, b in zip(*logs, strict=True):
        assert b["losses"] == pytest.approx(a["losses"], rel=1e-4)
        assert b["norm"] == pytest.approx(a["norm"], rel=1e-3)


@pytest.mark.slow
def test_nan_on_two_devices_is_the_same_error(tmp_path: Path, registry: Registry) -> None:
    cell = NET.model_copy(update={"overrides": {"plain": True, "nan_at": 2}, "devices": 2, "device": "cpu"})
    with pytest.raises(NotFiniteError, match=r"stage 'second' \(2 of 2\), step 2: loss softmax is nan"):
        run_cell(cell, tmp_path, registry=registry)
    assert (training_in(tmp_path) / "checkpoint" / "01-00000002.json").exists()


@pytest.mark.slow
def test_two_nodes_make_one_record(tmp_path: Path, registry: Registry) -> None:
    code = (
        "import sys; from pathlib import Path; from gaitbench.runner import run; "
        "r = run('identity', ['tiny-net'], 'tiny', out=Path(sys.argv[1]), set={'plain': True}, device='cpu', nodes=2); "
        "print(r.records[0].run_id)"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "runs")]
    nodes = [
        subprocess.Popen(command, env={**shared, "NODE_RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    printed = [node.communicate(timeout=300)[0].split()[-1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    one = run_cell(NET.model_copy(update={"overrides": {"plain": True}}), tmp_path / "one", registry=registry)
    assert printed == [one.run_id] * 2


def test_several_nodes_need_a_meeting_place(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="MASTER_ADDR"):
        run("identity", ["tiny-net"], "tiny", out=tmp_path, nodes=2, registry=registry)


def test_plan_lists_models_that_fit(registry: Registry) -> None:
    cells = plan("identity", dataset="tiny", seeds=(3, 4), registry=registry)
    assert [(cell.model, cell.seed) for cell in cells] == [
        ("tiny-mean", 3),
        ("tiny-mean", 4),
        ("tiny-net", 3),
        ("tiny-net", 4),
    ]
    assert [cell.model for cell in plan("crossmodal", dataset="tiny", registry=registry)] == ["tiny-net"]
