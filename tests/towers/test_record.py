"""Which towers ran stands in the record, and where they are not the published ones, in every table."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_plugin
import torch
import tower_plugin
from scored import evaluate, record_of
from small_towers import saved
from tower_plugin import SMALL, VIT, TowerNet, TowerNetConfig

from gaitbench.board import Board
from gaitbench.board_text import board_markdown, board_text
from gaitbench.info import find
from gaitbench.leaderboard import add, check, from_records
from gaitbench.model import GaitBatch
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry
from gaitbench.results import ModelProvenance, RunRecord, read_record
from gaitbench.runner import RunResult, load_trained, run
from gaitbench.tasks import IdentityTask
from gaitbench.towers.config import TowerConfig, TowerInfo

IMAGE = f"image tower {VIT} (untrained, reduced to 12,880 parameters, frozen)"
TEXT = "text tower hashing (hashed words, nothing learned)"


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="tower", distribution="gaitbench-tower", version="0.1", target="tower_plugin")
    registry.load_plugin(info, lambda: tower_plugin)
    assert [each.error for each in registry.plugins() if each.status != "loaded"] == []
    return registry


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def done(registry: Registry, environment: None, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run("identity", ["tower-net"], "tiny", out=tmp_path_factory.mktemp("runs"), device="cpu", registry=registry)


def test_a_model_finds_its_towers() -> None:
    towers = TowerNet(TowerNetConfig()).towers
    assert [tower.says for tower in towers] == [IMAGE, TEXT]
    assert [tower.role for tower in towers] == ["image", "text"]


def test_a_run_records_its_towers(done: RunResult) -> None:
    (record,) = done.records
    assert record.model.towers == TowerNet(TowerNetConfig()).towers
    assert record.model.towers[0].sha256
    assert read_record(done.folders[0]).model.towers == record.model.towers


def test_every_table_says_so(done: RunResult, tmp_path: Path) -> None:
    add(done.folders, tmp_path)
    assert check(tmp_path) == []
    (path,) = tmp_path.glob("*/*/leaderboard.json")
    board = Board.model_validate_json(path.read_text())
    for text in (board_text(board), (path.parent / "README.md").read_text()):
        for tower in (IMAGE, TEXT):
            assert f": {tower}" in text
    assert [tower["weights"] for tower in json.loads(path.read_text())["sections"][0]["rows"][0]["towers"]] == [
        "untrained",
        "hashing",
    ]


def test_info_says_so_without_fetching_anything(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (component,) = find(registry, "tower-net", "model")
    lines = {detail.label: detail.lines for detail in component.details}
    assert lines["towers"] == (
        f"quick: {IMAGE}",
        f"quick: {TEXT}",
        f"paper: image tower {VIT} (pretrained, frozen)",
        f"paper: {TEXT}",
    )
    bare = build_registry([])
    bare.load_plugin(
        PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target=""), lambda: tiny_plugin
    )
    (other,) = find(bare, "tiny-mean", "model")
    assert "towers" not in {detail.label for detail in other.details}


def test_a_trained_model_is_rebuilt_without_the_towers_own_file(
    registry: Registry, environment: None, tmp_path: Path
) -> None:
    tower = TowerNet(TowerNetConfig(image=SMALL.model_copy(update={"seed": 9}))).tower
    state = {key.removeprefix("network.vit."): value for key, value in tower.state_dict().items()}
    path = saved(tmp_path / "w.safetensors", state)
    image = TowerConfig(architecture=VIT, weights="file", path=path, overrides=SMALL.overrides)
    done = run(
        "identity",
        ["tower-net"],
        "tiny",
        set={"image": image.model_dump(mode="json")},
        out=tmp_path / "runs",
        device="cpu",
        registry=registry,
    )
    assert done.records[0].model.towers[0].source == f"w.safetensors, sha256 {image.sha256}"
    path.unlink()
    model = load_trained(done.folders[0])
    assert isinstance(model, TowerNet)
    for key, value in tower.state_dict().items():
        assert torch.equal(model.tower.state_dict()[key], value), key
    x = torch.rand(1, 3, 2, 64, 64)
    assert model(GaitBatch({"rgb": x}, {"rgb": torch.tensor([2])})).embedding.isfinite().all()


def info(**fields: object) -> TowerInfo:
    base = {
        "role": "image",
        "architecture": "vit",
        "weights": "pretrained",
        "source": "org/vit@commit/file",
        "sha256": "ab",
        "num_parameters": 7,
        "is_frozen": True,
    }
    return TowerInfo.model_validate(base | fields)


def with_towers(*towers: TowerInfo) -> RunRecord:
    record = record_of(evaluate(IdentityTask()), IdentityTask())
    return record.model_copy(update={"model": record.model.model_copy(update={"towers": towers})})


def test_published_towers_stand_in_the_record_and_need_no_note() -> None:
    board = from_records([with_towers(info())]).boards[0]
    assert board.sections[0].rows[0].towers == (info(),)
    assert "tower" not in board_text(board)
    assert "tower" not in board_markdown(board)


def test_partial_runs_are_told_as_well() -> None:
    record = with_towers(info(weights="untrained")).model_copy(update={"status": "partial"})
    board = from_records([record]).boards[0]
    for text in (board_text(board), board_markdown(board)):
        assert "image tower vit (untrained, frozen)" in text


def test_records_without_towers_are_as_they_were() -> None:
    record = with_towers()
    dumped = record.model.model_dump(mode="json")
    assert "towers" not in dumped
    assert ModelProvenance.model_validate(dumped) == record.model
    board = json.loads(from_records([record]).boards[0].model_dump_json())
    assert "towers" not in board["sections"][0]["rows"][0]
