"""The form common to public gait code, ``SUBJECT/CONDITION/VIEW/``: masks or poses in a pickle, or a PNG per frame."""

from gaitbench.streams.joints import holds_joints, pickled_joints
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout

__all__ = ["common_layouts"]


def common_layouts(
    levels: tuple[str, ...], example: str, frame_rate_hz: float, options: SilhouetteOptions, *, has_poses: bool
) -> tuple[Layout, ...]:
    """Layouts ``poses``, ``pickles`` and ``frames`` of a dataset in this form.

    Args:
        levels: A regular expression per folder level, as in :class:`gaitbench.tree.Layout`.
        example: How a sequence's folder reads, for people.
        frame_rate_hz: Frames per second.
        options: Size and edges of the masks.
        has_poses: Whether the pickle may hold joints, which is told by looking into the first one.
    """
    size, edges = options.size_px, options.edges
    poses = Layout(
        name="poses",
        title=f"pickled poses [T, 17, 3] in {example}",
        levels=levels,
        streams=(pickled_joints("*.pkl", frame_rate_hz),),
        fits=holds_joints,
    )
    pickles = Layout(
        name="pickles",
        title=f"pickled masks [T, 64, 64] in {example}",
        levels=levels,
        streams=(pickled_silhouettes("*.pkl", size, frame_rate_hz, edges=edges),),
    )
    frames = Layout(
        name="frames",
        title=f"silhouettes *.png in {example}",
        levels=levels,
        streams=(raw_silhouettes("*.png", size, frame_rate_hz, edges=edges),),
    )
    return (poses, pickles, frames) if has_poses else (pickles, frames)
