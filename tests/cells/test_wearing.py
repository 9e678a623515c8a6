"""A model that tells people apart, asked for attributes: it wears the head and trains without flips."""

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gaitbench.cells.cell import Cell, resolve_cell
from gaitbench.cells.wearing import OPEN_POINTS, PAPER, head_overrides, preset_for_head
from gaitbench.embed_source import open_model
from gaitbench.errors import DatasetError, PluginError, ProtocolError, UsageError
from gaitbench.hookspecs import hookimpl
from gaitbench.leaderboard import add, check, from_folders, show
from gaitbench.protocol import Protocol
from gaitbench.quarantine import PluginInfo
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, Stage
from gaitbench.registry import Registry, build_registry
from gaitbench.results import RunRecord, same_result
from gaitbench.runner import RunResult, ScoredOn, load_trained, plan, run, run_cell
from gaitbench.specs import MetricSpec, ModelSpec, ProtocolSpec
from gaitbench.testing import synthetic_batch
from gaitbench.with_attributes import WithAttributes

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402
from tiny_dataset import TinyBuilder  # noqa: E402

NET = Cell(task="attribute", dataset="tiny", model="tiny-net", device="cpu")


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def result(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    out = tmp_path_factory.mktemp("runs")
    return run("attribute", ["tiny-net"], "tiny", seeds=(0, 1), out=out, device="cpu", registry=registry)


@pytest.fixture(scope="module")
def record(result: RunResult) -> RunRecord:
    assert result.is_complete
    return result.records[0]


def test_a_record_of_what_was_told(record: RunRecord) -> None:
    assert record.task == "attribute"
    assert record.model.fidelity == "proposed"
    assert record.model.open_points == OPEN_POINTS
    assert record.model.decides == "threshold"
    assert record.model.plugin == "gaitbench-tiny"
    assert "with the attribute head: flat batches, nothing mirrored" in record.model.note
    assert set(record.evidence) == {"answers", "sequences", "classes"}
    by_place = {(score.metric, score.group): score for score in record.scores}
    whole = by_place["ma_onehot5", "all"]
    # Twelve test sequences; the speed of the first sequence of each of three people is not known.
    assert (whole.num_probes, whole.num_counted, whole.num_excluded) == (12, 12, 3)
    assert by_place["ma_binary4", "all"].num_labels == 4
    of_attributes = {group for _, group in by_place if "=" in group and "/class=" not in group}
    assert of_attributes == {"all/attribute=size", "all/attribute=speed"}


def test_the_same_cell_gives_the_same_record(record: RunRecord, registry: Registry, tmp_path: Path) -> None:
    again = run_cell(Cell.model_validate(NET), tmp_path, registry=registry)
    assert same_result(again, record)


def test_running_again_reuses_it(result: RunResult, registry: Registry) -> None:
    out = result.folders[0].parents[2]
    again = run("attribute", ["tiny-net"], "tiny", seeds=(0, 1), out=out, device="cpu", registry=registry)
    assert again.num_reused == 2


def test_the_trained_model_is_read_back(result: RunResult) -> None:
    model = load_trained(result.folders[0])
    assert isinstance(model, WithAttributes)
    assert [a.name for a in model.config.attributes] == ["size", "speed"]
    output = model(synthetic_batch(model.inputs, num_sequences=2, num_frames=9))
    assert {name: x.shape[1] for name, x in output.attributes.items()} == {"size": 2, "speed": 3}


def test_on_a_board(result: RunResult, tmp_path: Path) -> None:
    add(result.folders, tmp_path)
    assert check(tmp_path) == []
    (board,) = show(tmp_path, "attribute").boards
    (section,) = board.sections
    assert section.labels is not None
    assert section.labels.encodings == ("onehot5", "binary4")
    (row,) = section.rows
    assert row.seeds == (0, 1)
    assert row.decides == "threshold"
    cell = row.cells[section.headline]
    assert section.headline == "ma_onehot5|all|"
    assert (cell.chance, cell.majority) == (0.5, 0.5)
    assert cell.ci_low is not None
    text = (tmp_path / "attribute" / "tiny" / "README.md").read_text()
    for word in ("mA onehot5 (ranks)", "*majority*", "mA of classes by attribute", "2 attributes (size, speed)"):
        assert word in text, word
    assert "decides" in str(from_folders(result.folders))


def test_options_of_the_head(registry: Registry, tmp_path: Path) -> None:
    changed = NET.model_copy(update={"overrides": {"head.loss": "softmax", "width": "5"}})
    resolved = resolve_cell(changed, registry)
    assert resolved.decides == "argmax"
    assert resolved.config.loss == "softmax"  # type: ignore[attr-defined]
    assert resolved.config.config["width"] == 5  # type: ignore[attr-defined]
    assert run_cell(changed, tmp_path, registry=registry).model.decides == "argmax"
    for key, value, message in (
        ("head.loss", "hinge", "model 'tiny-net': head.loss: .* got 'hinge'"),
        ("head.los", "bce", "Did you mean 'loss'"),
    ):
        with pytest.raises(UsageError, match=message):
            resolve_cell(NET.model_copy(update={"overrides": {key: value}}), registry)
    identity = NET.model_copy(update={"task": "identity", "overrides": {"head.loss": "softmax"}})
    with pytest.raises(UsageError, match="there is no field 'head'"):
        resolve_cell(identity, registry)


def test_stages_keep_what_is_the_models_own(registry: Registry) -> None:
    first, second = resolve_cell(NET, registry).recipe.stages
    own = tiny_plugin.RECIPE.stages
    assert second.freeze == ("backbone.conv.*",)
    assert first.clips == own[0].clips.model_copy(update={"batch_size": 6})
    assert (first.optimizer, first.schedule) == (own[0].optimizer, own[0].schedule)


def test_patterns_of_dropped_modules_go_with_them() -> None:
    class Deep(tiny_plugin.TinyModel):
        beyond_features = ("head",)

    stage = Stage(
        augment=AugmentConfig(flip=0.5, shift=0.3),
        clips=ClipConfig(batch_size=7),
        optimizer=OptimizerConfig(lr_scale={"head.*": 10.0, "conv.*": 2.0}, no_decay=("*.bias",)),
        freeze=("head.*",),
        loss_weights={"triplet": 1.0},
    )
    preset = Preset(recipe=Recipe(stages=(stage, Stage(kind="closed-form")), precision="bf16-mixed"), note="own")
    spec = ModelSpec(
        name="m", title="M", target="x:M", config="x:C", presets="x:P", inputs=("silhouette",), tasks=("identity",),
        fidelity="paper",
    )  # fmt: skip
    found = preset_for_head(spec, Deep, tiny_plugin.TinyConfig, preset, "quick")
    (kept,) = found.recipe.stages
    assert kept.augment == AugmentConfig(flip=0.0, shift=0.3)
    assert kept.clips.batch_size == 7
    assert kept.optimizer.lr_scale == {"backbone.conv.*": 2.0}
    assert kept.optimizer.no_decay == ("backbone.*.bias",)
    assert (kept.freeze, kept.loss_weights) == ((), {})
    assert found.recipe.precision == "bf16-mixed"
    assert found.note == "own; with the attribute head: flat batches, nothing mirrored"
    paper = preset_for_head(spec, Deep, tiny_plugin.TinyConfig, preset, "paper-wide")
    assert paper.recipe.stages == (PAPER,)
    assert PAPER.augment == AugmentConfig()


def test_a_preset_for_the_task_is_taken_as_it_is(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Preset(recipe=Recipe(stages=(Stage(iterations=3),)), note="own")
    monkeypatch.setitem(tiny_plugin.PRESETS, "quick@attribute@tiny", own)
    resolved = resolve_cell(NET, registry)
    assert resolved.recipe == own.recipe
    assert resolved.preset.note == "own"


def test_who_needs_its_own_losses_cannot_wear_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.load(registry.get("model", "tiny-net")), "needs_own_losses", True)
    with pytest.raises(UsageError, match="parts of model 'tiny-net' learn from losses of its own"):
        resolve_cell(NET, registry)


def test_what_cannot_wear_it(registry: Registry) -> None:
    with pytest.raises(UsageError, match="'tiny-mean' is fitted in closed form"):
        resolve_cell(NET.model_copy(update={"model": "tiny-mean"}), registry)
    with pytest.raises(UsageError, match="no installed model does task 'attribute'"):
        plan("attribute", None, "tiny", registry=registry)
    assert head_overrides({"head.loss": "bce", "header": 1}) == ({"loss": "bce"}, {"header": 1})


def test_people_are_not_identified_under_a_protocol_for_attributes(registry: Registry) -> None:
    told = tiny_plugin.PROTOCOL.model_copy(update={"name": "told", "tasks": ("attribute",)})
    tiny_plugin.TOLD = told  # type: ignore[attr-defined]
    if "told" not in registry.names("protocol"):
        registry.add(ProtocolSpec(name="told", title="Told", target="tiny_plugin:TOLD", dataset="tiny"))
    asked = NET.model_copy(update={"protocol": "told"})
    assert resolve_cell(asked, registry).scored_on.protocol == told
    with pytest.raises(ProtocolError, match="protocol 'told' is for the task attribute, not for 'identity'"):
        resolve_cell(asked.model_copy(update={"task": "identity"}), registry)


def test_protocols_know_their_tasks() -> None:
    free = tiny_plugin.PROTOCOL
    free.check_task("anything")
    assert "tasks" not in free.model_dump()
    assert Protocol.model_validate(free.model_dump(mode="json")) == free


def test_data_without_attributes(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, sequences = TinyBuilder.card, TinyBuilder.sequences
    blank = {"attributes": ()}
    monkeypatch.setattr(TinyBuilder, "card", lambda self: card(self).model_copy(update=blank))
    monkeypatch.setattr(TinyBuilder, "sequences", lambda self: [replace(i, **blank) for i in sequences(self)])
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match="declare no attributes"):
        run_cell(NET, tmp_path / "runs", registry=registry)
    assert not (tmp_path / "runs" / "trainings").exists()


def test_its_run_is_known_by_the_models_name(result: RunResult, registry: Registry) -> None:
    name, model = open_model(None, result.folders[0], registry)
    assert name == "tiny-net"
    assert isinstance(model, WithAttributes)
    assert model.model_inside is model.backbone


def test_metrics_of_distances_are_refused_before_training(tmp_path: Path) -> None:
    module = types.ModuleType("half")
    module.api_version = 1  # type: ignore[attr-defined]
    half = MetricSpec(name="half", title="Half", target="gaitbench.metrics.rank_k:rank_k", tasks=("attribute",))
    module.gaitbench_register = hookimpl(lambda registry: registry.add(half))  # type: ignore[attr-defined]
    registry = build_registry([])
    for name, plugin in (("tiny", tiny_plugin), ("half", module)):
        info = PluginInfo(name=name, distribution=f"gaitbench-{name}", version="0.1", target=name)
        registry.load_plugin(info, lambda plugin=plugin: plugin)
    with pytest.raises(PluginError, match="half: further metrics are computed from distances"):
        run_cell(NET, tmp_path, registry=registry)
    assert not (tmp_path / "trainings").exists()


def test_trained_on_one_dataset_and_told_of_another(registry: Registry, tmp_path: Path) -> None:
    record = run_cell(NET.model_copy(update={"scored_on": ScoredOn(dataset="other")}), tmp_path, registry=registry)
    assert record.data.trained_on is not None
    assert (record.data.name, record.data.trained_on.name) == ("other", "tiny")
    # The majority is that of the training data.
    assert all(score.majority is not None for score in record.scores)
