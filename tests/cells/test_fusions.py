"""One run of a model that fuses: single, cross-modal and fused directions of the same weights and test sequences."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gaitbench.checkpoint import load_tensors
from gaitbench.embed import embed
from gaitbench.errors import DatasetError, PluginError
from gaitbench.explaining.finished_run import find_run
from gaitbench.explaining.shared_space import shared_space
from gaitbench.hookspecs import RunEvent
from gaitbench.registry import Registry
from gaitbench.runner import RunResult, load_trained, run
from gaitbench.store import open_or_prepare
from gaitbench.tasks import read_audited

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402

BOTH = "silhouette+lidar-depth"
FUSES = {"fuses": '[["silhouette", "lidar-depth"]]'}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> RunResult:
    out = tmp_path_factory.mktemp("fused")
    return run("crossmodal", ["tiny-net"], "tiny", out=out, set=FUSES, registry=registry)


def test_one_record_has_all_three_kinds_of_directions(fused: RunResult) -> None:
    record, _ = read_audited(fused.folders[0])
    assert list(dict.fromkeys(score.direction for score in record.scores)) == [
        "silhouette->lidar-depth",
        "lidar-depth->silhouette",
        "silhouette->silhouette",
        "lidar-depth->lidar-depth",
        f"{BOTH}->{BOTH}",
        f"{BOTH}->silhouette",
        f"silhouette->{BOTH}",
        f"{BOTH}->lidar-depth",
        f"lidar-depth->{BOTH}",
    ]
    assert record.data.modalities == ("silhouette", "lidar-depth")
    asked = [score for score in record.scores if (score.metric, score.group) == ("rank_1", "BG")]
    assert len({(score.num_probes, score.num_counted, score.num_excluded) for score in asked}) == 1


def test_what_is_compared_is_what_the_trained_model_says_of_each(fused: RunResult, registry: Registry) -> None:
    folder = fused.folders[0]
    stored = load_tensors(folder / "embeddings.safetensors")
    assert set(stored) == {"silhouette", "lidar-depth", BOTH}
    dataset = open_or_prepare(registry, "tiny", modalities=["silhouette", "lidar-depth"])
    division = tiny_plugin.PROTOCOL.divide(dataset.table)
    model = load_trained(folder)
    for key, found in stored.items():
        torch.testing.assert_close(embed(model, dataset, division.test, key.split("+")).embeddings, found)


def test_without_fusions_the_task_asks_as_ever(fused: RunResult, tmp_path: Path, registry: Registry) -> None:
    """And another configuration of the same weights scores the same where it is asked the same."""
    plain = run("crossmodal", ["tiny-net"], "tiny", out=tmp_path, registry=registry).records[0]
    assert not any("+" in score.direction for score in plain.scores)
    assert fused.records[0].scores[: len(plain.scores)] == plain.scores


def test_the_gap_is_between_modalities_alone(fused: RunResult, registry: Registry) -> None:
    space = shared_space(find_run(fused.folders[0], registry))
    assert tuple(space.embeddings) == ("silhouette", "lidar-depth")


@pytest.mark.parametrize("sets", ['[["silhouette", "rgb"]]', '[["silhouette"]]', '[["silhouette", "silhouette"]]'])
def test_a_fusion_of_what_the_model_does_not_read_is_refused(sets: str, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(PluginError, match="a fusion must be of two or more different ones of lidar-depth, silhouette"):
        run("crossmodal", ["tiny-net"], "tiny", out=tmp_path, set={"fuses": sets}, registry=registry)


def test_streams_that_cannot_be_read_together_stop_the_run_before_training(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[RunEvent] = []
    monkeypatch.setattr(registry, "notify", lambda event: steps.append(event) if event.name == "cell_started" else None)
    with pytest.raises(DatasetError, match="different clocks cannot be read together"):
        run(
            "crossmodal",
            ["tiny-net"],
            "tiny",
            out=tmp_path,
            set=FUSES,
            options={"lidar_clock": "LiDAR"},
            registry=registry,
        )
    assert not steps
