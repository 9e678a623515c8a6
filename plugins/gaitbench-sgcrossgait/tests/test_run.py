"""A whole run: described, trained on pairs, each modality embedded alone, scored both ways, read again, explained."""

from pathlib import Path
from typing import Any

import pytest
from gaitbench_sgcrossgait.model import LOSSES, SgCrossGait

import gaitbench
from gaitbench.checkpoint import load_tensors
from gaitbench.results import read_record
from gaitbench.runner import load_trained
from gaitbench.towers.sentence_bank import SentenceBank

WALKERS = {
    "num_train_subjects": 2,
    "num_test_subjects": 2,
    "conditions": ("nm-01", "nm-02", "nm-03", "nm-04"),
    "views_deg": (0, 90),
    "num_frames": 4,
}
SMALLER = {
    "image": {
        "architecture": "open_clip:ViT-B-16",
        "overrides": {"width": 16, "layers": 1, "head_width": 8, "embed_dim": 8},
    },
    "text": {"architecture": "hashing", "overrides": {"width": 8}},
    "is_image_trained": False,
    "channels": (4, 4, 8, 8),
    "heads": 2,
    "embedding_width": 8,
}


@pytest.mark.slow
def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides: dict[str, Any] = {f"config.{key}": value for key, value in SMALLER.items()}
    stage = "recipe.stages.0"
    clips = {"subjects_per_batch": 2, "sequences_per_subject": 2, "num_frames": 2}
    overrides |= {f"{stage}.iterations": 2, f"{stage}.schedule.warmup": 1}
    overrides |= {f"{stage}.clips.{key}": value for key, value in clips.items()}

    def run() -> Any:
        return gaitbench.run(
            task="crossmodal",
            dataset="walkers",
            models=["sgcrossgait"],
            out=tmp_path / "runs",
            set=overrides,
            options=WALKERS,
        )

    result = run()
    (folder,) = [path.parent for path in (tmp_path / "runs" / "crossmodal").rglob("record.json")]
    record = read_record(folder)
    assert [tower.role for tower in record.model.towers] == ["image", "text"]
    assert set(record.training.final_losses) == set(LOSSES)
    sentences = record.model.config["sentences"]
    assert isinstance(sentences, list)
    # Two training subjects from two views; nobody else is told of.
    assert len(sentences) == 4
    assert result.records == run().records
    assert load_tensors(folder / "model.safetensors")["bank.vectors"].any()
    gaitbench.explain(folder, tmp_path / "looks", num=1, num_frames=2)
    told = (tmp_path / "looks" / "findings.json").read_text()
    assert "looks at, lidar-depth" in told
    assert "shared against specific, silhouette" in told
    with monkeypatch.context() as patch:
        patch.setattr(SentenceBank, "_build", lambda _: pytest.fail("the text tower was built"))
        assert isinstance(load_trained(folder), SgCrossGait)
