"""SG-CrossGait's presets: the full method, the run that the authors logged, and a small one for a CPU."""

from gaitbench.recipe import (
    AugmentConfig,
    ClipConfig,
    OptimizerConfig,
    Precision,
    Preset,
    Recipe,
    ScheduleConfig,
    Stage,
)
from gaitbench.towers.config import TowerConfig

__all__ = ["CLIP_IMAGE", "CLIP_TEXT", "LOGGED_WEIGHTS", "LOSS_WEIGHTS", "PRESETS"]

_PUBLISHED: dict[str, str] = {"tag": "openai", "revision": "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d"}
CLIP_IMAGE = TowerConfig(architecture="open_clip:ViT-B-16", weights="pretrained", **_PUBLISHED)
"""The image tower of CLIP's ViT-B/16 as published."""
CLIP_TEXT = TowerConfig(architecture="ViT-B-16", weights="pretrained", **_PUBLISHED)
"""Its text tower."""

_BOTH = ("2d", "3d")
LOGGED_WEIGHTS: dict[str, float] = {
    "triplet_2d_to_3d": 1.0,
    "triplet_3d_to_2d": 1.0,
    **{f"cross_entropy_{sensor}": 1.0 for sensor in _BOTH},
    "kl": 1.0,
    **{f"modality_{sensor}": 1.0 for sensor in _BOTH},
    "orthogonality": 0.0,
    **{f"guided_{sensor}": 0.0 for sensor in _BOTH},
    **{f"contrastive_{sensor}": 0.5 for sensor in _BOTH},
    "text_triplet": 0.5,
    "text_cross_entropy": 0.5,
    **{f"clip_{sensor}": 0.0 for sensor in _BOTH},
    **{f"attributes_{sensor}": 0.0 for sensor in _BOTH},
}
"""The losses that the authors' log has; their weights are ours."""

LOSS_WEIGHTS: dict[str, float] = {
    **LOGGED_WEIGHTS,
    **{f"guided_{sensor}": 0.5 for sensor in _BOTH},
    **{f"clip_{sensor}": 0.5 for sensor in _BOTH},
    **{f"attributes_{sensor}": 0.1 for sensor in _BOTH},
}
"""Those of the full method: with guidance, CLIP's head and attributes."""

_TOWERS: dict[str, object] = {
    "image": CLIP_IMAGE.model_dump(mode="json"),
    "text": CLIP_TEXT.model_dump(mode="json"),
}


def _recipe(loss_weights: dict[str, float], precision: Precision) -> Recipe:
    """The training that the authors logged."""
    stage = Stage(
        iterations=40_000,
        clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=10),
        optimizer=OptimizerConfig(name="adam", lr=3e-4, weight_decay=5e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(15_000, 30_000)),
        loss_weights=loss_weights,
    )
    return Recipe(stages=(stage,), precision=precision, checkpoint_every=5000, max_test_frames=720)


_FULL = Preset(config=_TOWERS, recipe=_recipe(LOSS_WEIGHTS, "bf16-mixed"))
_LOGGED = Preset(
    config={**_TOWERS, "has_mt": False, "guidance": "none", "tau": 1.0, "is_tau_learned": False},
    recipe=_recipe(LOGGED_WEIGHTS, "16-mixed"),
    note="the losses of the authors' log: no attributes, no guidance, no temperature",
)

PRESETS: dict[str, Preset] = {
    "paper": _FULL,
    "paper@sustech1k": _FULL,
    "paper@freegait": _FULL,
    "paper-logged": _LOGGED,
    "paper-logged@sustech1k": _LOGGED,
    "paper-logged@freegait": _LOGGED,
    "quick": Preset(
        config={
            "width_px": 48,
            "source": "attributes",
            "image": {
                "architecture": "open_clip:ViT-B-16",
                "overrides": {"width": 64, "layers": 1, "head_width": 32, "embed_dim": 128},
            },
            "is_image_trained": True,
            "image_px": (64, 48),
            "text": {"architecture": "hashing", "overrides": {"width": 128}},
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "heads": 4,
            "ffn_factor": 2,
            # One for both sensors crossed them worse on walkers, in the seed of the README.
            "fusion_sharing": "own",
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=480,
                    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=4, num_frames=4),
                    augment=AugmentConfig(shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=48),
                    loss_weights=LOSS_WEIGHTS,
                ),
            ),
            precision="bf16-mixed",
        ),
        note="texts and attributes of training sequences are the dataset's true labels, in place of an LLM's; in place "
        "of CLIP's image tower a transformer of one layer that is trained along, in place of its text tower hashed "
        "words; a fusion for each sensor, quarter width, first convolutions with stride 2, 8 to 1 strips, 48 columns, "
        "short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
