"""LMGait's presets: the paper's recipes by dataset, and a small one for a CPU."""

from collections.abc import Mapping

from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.frame_encoder import DINOV2_SMALL

__all__ = ["CLIP_TEXT", "LOSS_WEIGHTS", "PRESETS"]

CLIP_TEXT = TowerConfig(
    architecture="ViT-B-32",
    weights="pretrained",
    tag="openai",
    revision="a6f597a30f7b82c51704746581f9a4e41421e878",
)
"""CLIP's text tower as published, in the 605,143,284 bytes of open_clip_model.safetensors."""

LOSS_WEIGHTS = {"triplet": 1.0, "cross_entropy": 1.0, "silhouette": 1.0, "smoothness": 0.01, "diversity": 5.0}
"""Equation 18."""
_FLIP = AugmentConfig(flip=0.5)


def _recipe(num_frames: int, max_test_frames: int = 720) -> Recipe:
    """5,000 steps of the decoder by itself, then 40,000 of everything, the decoder at a tenth of the rate."""
    clips = ClipConfig(subjects_per_batch=6, sequences_per_subject=8, num_frames=num_frames, order="ordered", skip=4)
    decoder = Stage(
        name="decoder",
        iterations=5_000,
        clips=clips,
        augment=_FLIP,
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="constant"),
        loss_weights={"silhouette": 1.0},
        freeze=("[!d]*",),
    )
    whole = Stage(
        name="train",
        iterations=40_000,
        clips=clips,
        augment=_FLIP,
        optimizer=OptimizerConfig(name="sgd", lr=0.1, lr_scale={"decoder.*": 0.1}),
        schedule=ScheduleConfig(name="multistep", milestones=(15_000, 25_000, 30_000, 35_000)),
        loss_weights=LOSS_WEIGHTS,
    )
    return Recipe(
        stages=(decoder, whole), precision="bf16-mixed", max_test_frames=max_test_frames, test_frames_per_batch=256
    )


def _paper(config: Mapping[str, object], recipe: Recipe, note: str) -> Preset:
    towers = {"image": DINOV2_SMALL.model_dump(mode="json"), "text": CLIP_TEXT.model_dump(mode="json")}
    return Preset(config={**towers, **config}, recipe=recipe, note=note)


def _stretched(side: int) -> dict[str, object]:
    """Squares that the person's box fills."""
    return {
        "rgb_form": "stretched",
        "rgb_px": (side, side),
        "silhouette_form": "stretched",
        "silhouette_px": (side, side),
    }


_WALKERS: dict[str, object] = {
    "rgb_px": (128, 64),
    "ratio": "frame",
    "silhouette_px": (128, 64),
    "silhouette_form": "padded",
}
_ON_CCPG = _paper({}, _recipe(30, 250), "crops of 256x128: prepare CCPG from its frames with crop=tall")


def _quick(decoder: int, whole: int) -> Recipe:
    clips = ClipConfig(subjects_per_batch=8, sequences_per_subject=4, num_frames=6, order="ordered", skip=2)
    optimizer = OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3)
    return Recipe(
        stages=(
            Stage(
                name="decoder",
                iterations=decoder,
                clips=clips,
                augment=_FLIP,
                optimizer=optimizer,
                schedule=ScheduleConfig(name="constant", warmup=decoder // 5),
                loss_weights={"silhouette": 1.0},
                # The encoder learns along, and decoder and encoder are all that begins with d or e.
                freeze=("[!de]*",),
            ),
            Stage(
                name="train",
                iterations=whole,
                clips=clips,
                augment=_FLIP,
                optimizer=optimizer,
                schedule=ScheduleConfig(name="onecycle", warmup=whole // 10),
                loss_weights=LOSS_WEIGHTS,
            ),
        ),
        precision="bf16-mixed",
    )


_QUICK: dict[str, object] = {
    **_WALKERS,
    "image": {
        "architecture": "vit_small_patch14_dinov2",
        "overrides": {"patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 1},
    },
    "is_image_trained": True,
    "image_px": (64, 32),
    "layers": (1,),
    "text": {
        "architecture": "ViT-B-32",
        "overrides": {"width": 64, "heads": 2, "layers": 4},
    },
    "mam_rank": 16,
    "map_px": (32, 16),
    "decoder_dropout": 0.0,
    "branch_width": 16,
    "channels": (16, 32, 64, 128),
    "embedding_width": 128,
    "bins": (8, 4, 2, 1),
}
_LIKE_CLIP: dict[str, object] = {
    "architecture": "open_clip:ViT-B-16",
    "overrides": {"patch_size": 4, "width": 48, "layers": 1, "head_width": 48, "embed_dim": 48},
}

PRESETS: dict[str, Preset] = {
    "paper": _ON_CCPG,
    "paper@ccpg": _ON_CCPG,
    "paper@sustech1k": _paper(_stretched(64), _recipe(24), "crops of 64x64 brought to the box's proportions"),
    "paper@casia-b-star": _paper(_stretched(128), _recipe(24), "crops of 128x128 brought to the box's proportions"),
    "paper@walkers": _paper(_WALKERS, _recipe(24), "the recipe for CASIA-B* on crops of 128x64"),
    "quick": Preset(
        config=_QUICK,
        recipe=_quick(60, 500),
        note="in place of DINOv2 a transformer of one layer that is trained along, in place of CLIP's text tower an "
        "untrained one of 4 layers; 64x32 pixels, short training",
    ),
    "quick-clip": Preset(
        config={**_QUICK, "image": _LIKE_CLIP},
        recipe=_quick(60, 500),
        note="as quick, with a transformer of one layer that is built like CLIP's; what CLIP has learned is not there",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
