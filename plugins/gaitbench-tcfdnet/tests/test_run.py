"""A whole run: trained on pairs, each modality embedded alone, scored both ways, read again, explained."""

from pathlib import Path
from typing import Any

import pytest
from gaitbench_tcfdnet.model import TcfdNet

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
    "height_px": 64,
    "width_px": 48,
    "image_px": (64, 48),
    "image": {
        "architecture": "open_clip:ViT-B-16",
        "overrides": {"width": 16, "layers": 1, "head_width": 8, "embed_dim": 8},
    },
    "text": {"architecture": "hashing", "overrides": {"width": 8}},
    "is_image_trained": False,
    "adapter_width": 8,
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
            models=["tcfdnet"],
            out=tmp_path / "runs",
            set=overrides,
            options=WALKERS,
        )

    result = run()
    (folder,) = [path.parent for path in (tmp_path / "runs" / "crossmodal").rglob("record.json")]
    record = read_record(folder)
    assert [tower.role for tower in record.model.towers] == ["image", "text"]
    assert all(tower.is_stand_in for tower in record.model.towers)
    assert record.data.modalities == ("silhouette", "lidar-depth")
    assert set(record.training.final_losses) == {"triplet", "cross_entropy", "alignment", "orthogonality", "hsic"}
    assert len(record.model.config["dictionary"]["sentences"]["silhouette"]) == 64  # type: ignore[index,call-overload]
    assert result.records == run().records
    assert "bank.vectors" in load_tensors(folder / "model.safetensors")
    gaitbench.explain(folder, tmp_path / "looks", num=1, num_frames=2)
    told = (tmp_path / "looks" / "findings.json").read_text()
    assert "retrieved, lidar-depth" in told
    assert "called modality-specific, share, silhouette" in told
    with monkeypatch.context() as patch:
        patch.setattr(SentenceBank, "_build", lambda _: pytest.fail("the text tower was built"))
        loaded = load_trained(folder)
        assert isinstance(loaded, TcfdNet)
        assert loaded.bank is not None
        assert loaded.bank().any()
