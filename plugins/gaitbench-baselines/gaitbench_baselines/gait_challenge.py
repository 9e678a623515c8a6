"""Short trainings on the USF gait challenge: 731 half-cycles of ten frames, of 71 people, all in one view.

The augmentation stands in for what separates gallery and probes (camera, shoes, ground): people shifted and stretched
within the frame, and pieces of them missing. Frames are not mirrored, since the half-cycles all begin with one leg.
"""

from collections.abc import Mapping

from gaitbench.recipe import AugmentConfig, ClipConfig, Preset

__all__ = ["AUGMENT", "CLIPS", "on_gait_challenge"]

AUGMENT = AugmentConfig(shift=0.5, rescale=0.8, rescale_fraction=0.12, erase=0.3, erase_area=(0.02, 0.2))
"""Augmentation of every model trained on these data."""
CLIPS = ClipConfig(subjects_per_batch=16, sequences_per_subject=4, num_frames=6)
"""Six of the ten frames."""


def on_gait_challenge(
    quick: Preset,
    *,
    iterations: tuple[int, ...] = (400,),
    num_frames: int = 6,
    config: Mapping[str, object] | None = None,
    sizes: str = "32x22 pixels repeated to 64x44",
) -> Preset:
    """Turn a model's ``quick`` preset for walkers into one for these data; sizes, optimizer and losses stay.

    Args:
        quick: The preset.
        iterations: Steps of each of its stages.
        num_frames: Frames of a clip, consecutive where the preset's are.
        config: Fields of the model's config to change.
        sizes: What a table should say of the input.

    Returns:
        The preset; each schedule warms up over a tenth of its steps.
    """
    stages = tuple(
        stage.model_copy(
            update={
                "iterations": steps,
                "clips": CLIPS.model_copy(update={"num_frames": num_frames, "order": stage.clips.order}),
                "augment": AUGMENT,
                "schedule": stage.schedule.model_copy(update={"warmup": steps // 10}),
            }
        )
        for stage, steps in zip(quick.recipe.stages, iterations, strict=True)
    )
    return Preset(
        config={**quick.config, **(config or {})},
        recipe=quick.recipe.model_copy(update={"stages": stages}),
        note=f"{sizes}; {quick.note}",
    )
