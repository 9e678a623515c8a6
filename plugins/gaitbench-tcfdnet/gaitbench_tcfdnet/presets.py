"""TCFDNet's presets: the published recipe, and a small one for a CPU."""

from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.towers.config import TowerConfig

__all__ = ["CLIP_IMAGE", "CLIP_TEXT", "LOSS_WEIGHTS", "PRESETS"]

_PUBLISHED: dict[str, str] = {"tag": "openai", "revision": "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d"}
CLIP_IMAGE = TowerConfig(architecture="open_clip:ViT-B-16", weights="pretrained", **_PUBLISHED)
"""The image tower of CLIP's ViT-B/16 as published."""
CLIP_TEXT = TowerConfig(architecture="ViT-B-16", weights="pretrained", **_PUBLISHED)
"""Its text tower."""

LOSS_WEIGHTS = {"triplet": 1.0, "cross_entropy": 1.0, "alignment": 0.5, "orthogonality": 0.1, "hsic": 0.1}
"""Gammas 1, 2 and 3 of the paper: 1.0, 0.5, 0.1."""

_PAPER = Preset(
    config={"image": CLIP_IMAGE.model_dump(mode="json"), "text": CLIP_TEXT.model_dump(mode="json")},
    recipe=Recipe(
        stages=(
            Stage(
                iterations=25_000,
                clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=10),
                optimizer=OptimizerConfig(name="adam", lr=3e-4, weight_decay=5e-4),
                schedule=ScheduleConfig(name="multistep", milestones=(10_000, 20_000)),
                loss_weights=LOSS_WEIGHTS,
            ),
        ),
        precision="bf16-mixed",
    ),
)

_QUICK: dict[str, object] = {
    "width_px": 48,
    "image": {
        "architecture": "open_clip:ViT-B-16",
        "overrides": {"width": 64, "layers": 1, "head_width": 32, "embed_dim": 128},
    },
    "is_image_trained": True,
    "image_px": (64, 48),
    "text": {"architecture": "hashing", "overrides": {"width": 128}},
    "adapter_width": 128,
    "channels": (16, 32, 64, 128),
    "stem_stride": 2,
    "heads": 4,
    "sw_width": 32,
    "gate_width": 32,
    "fse_stride": 1,
    "fse_width": 16,
    "exchange_grid": (4, 3),
    "embedding_width": 128,
    "bins": (8, 4, 2, 1),
}

PRESETS: dict[str, Preset] = {
    "paper": _PAPER,
    "paper@sustech1k": _PAPER,
    "paper@freegait": _PAPER,
    "quick": Preset(
        config=_QUICK,
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=560,
                    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=4, num_frames=4),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=56),
                    loss_weights=LOSS_WEIGHTS,
                ),
            ),
            precision="bf16-mixed",
        ),
        note="in place of CLIP's image tower a transformer of one layer that is trained along, in place of its text "
        "tower hashed words; quarter width, first convolution with stride 2, 8 to 1 strips, 48 columns, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
