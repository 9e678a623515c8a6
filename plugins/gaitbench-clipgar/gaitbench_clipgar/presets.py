"""CLIP-GAR's presets: the paper's recipes and rows, and small ones for a CPU."""

from collections.abc import Mapping

from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.towers.config import TowerConfig

__all__ = ["CLIP_IMAGE", "CLIP_TEXT", "PRESETS", "align_stage", "fusion_stage"]

_PUBLISHED: dict[str, str] = {"tag": "openai", "revision": "ec3d92cf63a5f9d591f0d611b736895966c73076"}
CLIP_TEXT = TowerConfig(architecture="RN50", weights="pretrained", **_PUBLISHED)
"""The text tower of CLIP's RN50 as published, 1,024 wide."""
CLIP_IMAGE = TowerConfig(architecture="open_clip:RN50", weights="pretrained", **_PUBLISHED)
"""Its image tower."""

_ADAM = OptimizerConfig(name="adam", lr=1e-4, weight_decay=2e-5, eps=1e-6)
_CLIPS = ClipConfig(batch_size=32, num_frames=30, order="ordered")
_ALIGNED = ("encoder.*", "theta.*", "logit_scale")


def align_stage(
    iterations: int,
    *,
    optimizer: OptimizerConfig = _ADAM,
    schedule: ScheduleConfig | None = None,
    clips: ClipConfig = _CLIPS,
    augment: AugmentConfig | None = None,
    has_fusion: bool = True,
) -> Stage:
    """The first stage: everything in front of the fusion, which stays as it is where there is one."""
    return Stage(
        name="align",
        iterations=iterations,
        clips=clips,
        augment=augment or AugmentConfig(),
        optimizer=optimizer,
        schedule=schedule or ScheduleConfig(name="constant"),
        loss_weights={"contrastive": 1.0},
        freeze=("fusion.*",) if has_fusion else (),
    )


def fusion_stage(
    iterations: int,
    *,
    optimizer: OptimizerConfig = _ADAM,
    schedule: ScheduleConfig | None = None,
    clips: ClipConfig = _CLIPS,
    augment: AugmentConfig | None = None,
) -> Stage:
    """The second stage: the fusion alone; batch norms of the encoder keep their statistics."""
    return Stage(
        name="fusion",
        iterations=iterations,
        clips=clips,
        augment=augment or AugmentConfig(),
        optimizer=optimizer,
        schedule=schedule or ScheduleConfig(name="constant"),
        loss_weights={"bce": 1.0},
        freeze=_ALIGNED,
    )


def _paper(config: Mapping[str, object], stages: tuple[Stage, ...], note: str = "") -> Preset:
    recipe = Recipe(stages=stages, precision="bf16-mixed")
    return Preset(config={"text": CLIP_TEXT.model_dump(mode="json"), **config}, recipe=recipe, note=note)


_WHOLE = (align_stage(120_000), fusion_stage(20_000))
_IMAGE: dict[str, object] = {
    "scored": "align",
    "encoder": "clip",
    "image": CLIP_IMAGE.model_dump(mode="json"),
    "width_px": 64,
}

_QUICK_SIZES: dict[str, object] = {
    "text": {"architecture": "hashing"},
    "channels": (16, 32, 64, 128),
    "num_blocks": (1, 1, 1, 1),
    "stem_stride": 2,
}
_QUICK_CLIPS = ClipConfig(batch_size=48, num_frames=6, order="ordered", skip=2)
_QUICK_AUGMENT = AugmentConfig(shift=0.3, rescale=0.3)
_QUICK_NOTE = (
    "quarter width, one block per stage, first convolution with stride 2, hashed words in place of CLIP's text tower, "
    "short training"
)


def _quick_align(iterations: int, *, has_fusion: bool = True) -> Stage:
    return align_stage(
        iterations,
        # In so few steps the temperature would hardly move at the rate of the others.
        optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3, lr_scale={"logit_scale": 20.0}),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
        clips=_QUICK_CLIPS,
        augment=_QUICK_AUGMENT,
        has_fusion=has_fusion,
    )


def _quick_fusion(iterations: int) -> Stage:
    return fusion_stage(
        iterations,
        # On walkers of another seed 0.001, 0.003 and 0.01 are alike (mA 61.6, 61.5, 61.4); 0.0003 is too slow (59.7).
        optimizer=OptimizerConfig(name="adamw", lr=3e-3, weight_decay=5e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
        clips=_QUICK_CLIPS,
        augment=_QUICK_AUGMENT,
    )


_QUICK_TOWERS: dict[str, object] = {
    "scored": "align",
    "encoder": "clip",
    "text": {"architecture": "hashing", "overrides": {"width": 256}},
    "image": {
        "architecture": "open_clip:RN50",
        "overrides": {"width": 16, "layers": (1, 1, 1, 1), "image_size": 64, "embed_dim": 256},
    },
    "image_px": (64, 64),
    "width_px": 64,
}

PRESETS: dict[str, Preset] = {
    "paper": _paper({}, _WHOLE),
    "paper@ra-gar": _paper({}, _WHOLE),
    "paper@ma-gait": _paper({"words": "ma-gait"}, _WHOLE, "the words of MA-Gait's attributes are ours"),
    "paper-align": _paper(
        {"scored": "align"},
        (align_stage(120_000, has_fusion=False),),
        "after the first stage, by likeness to sentences",
    ),
    "paper-zero-shot": _paper(_IMAGE, (), "CLIP's image encoder, nothing learned of gait"),
    "paper-fine-tuned": _paper(
        {**_IMAGE, "is_image_trained": True},
        (
            align_stage(
                20_000,
                optimizer=OptimizerConfig(name="adam", lr=5e-5, weight_decay=2e-5, eps=1e-6),
                clips=ClipConfig(batch_size=32, num_frames=8, order="ordered"),
                has_fusion=False,
            ),
        ),
        "CLIP's image encoder, fine-tuned; the length of its training is ours",
    ),
    "quick": Preset(
        config=_QUICK_SIZES,
        recipe=Recipe(stages=(_quick_align(500), _quick_fusion(200)), precision="bf16-mixed"),
        note=_QUICK_NOTE,
    ),
    "quick-align": Preset(
        config={**_QUICK_SIZES, "scored": "align"},
        recipe=Recipe(stages=(_quick_align(500, has_fusion=False),), precision="bf16-mixed"),
        note=f"after the first stage, by likeness to sentences; {_QUICK_NOTE}",
    ),
    "quick-zero-shot": Preset(
        config=_QUICK_TOWERS,
        recipe=Recipe(stages=()),
        note="in place of CLIP's towers hashed words and an untrained network: it knows nothing",
    ),
    "quick-fine-tuned": Preset(
        config={**_QUICK_TOWERS, "is_image_trained": True},
        recipe=Recipe(stages=(_quick_align(500, has_fusion=False),), precision="bf16-mixed"),
        note="in place of CLIP's image tower a small one of its kind, trained from nothing; hashed words",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
