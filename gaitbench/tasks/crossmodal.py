"""Cross-modal identity: who is the probe, when probe and gallery come from different sensors?"""

from collections.abc import Iterator
from itertools import permutations
from typing import ClassVar

from gaitbench.errors import UsageError
from gaitbench.tasks.base import Direction, Task

__all__ = ["CrossmodalTask"]


class CrossmodalTask(Task):
    """Every ordered pair of modalities is a direction, written probe first: ``lidar->silhouette``.

    What the same embeddings do elsewhere is scored too, as context: each modality against itself, when no sensor
    changes; and each set of modalities that the model fuses, ``silhouette+lidar``, against itself and, as probe and as
    gallery, against every modality alone. Both sides of a direction are of the same test sequences under the same
    protocol, so that all directions have the same denominators.

    Source:
        Guo et al., "Camera-LiDAR Cross-modality Gait Recognition", ECCV 2024 (the task); MMGait, CVPR 2026 (single,
        cross-modal and fused retrieval by one model). Views and averaging are the protocol's. A fusion against one
        modality is ours.

    Example:
        >>> [str(direction) for direction in CrossmodalTask().directions(("silhouette", "lidar"))]
        ['silhouette->lidar', 'lidar->silhouette', 'silhouette->silhouette', 'lidar->lidar']
        >>> [str(direction) for direction in CrossmodalTask().directions(("rgb", "lidar", "rgb+lidar"))[4:]]
        ['rgb+lidar->rgb+lidar', 'rgb+lidar->rgb', 'rgb->rgb+lidar', 'rgb+lidar->lidar', 'lidar->rgb+lidar']
    """

    name: ClassVar[str] = "crossmodal"
    version: ClassVar[int] = 1
    asks_about_fusions: ClassVar[bool] = True

    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        """All ordered pairs of different modalities, each modality against itself, and what fusions are asked."""
        inputs = tuple(dict.fromkeys(inputs))
        alone = tuple(name for name in inputs if "+" not in name)
        if len(alone) < 2:
            raise UsageError(
                f"crossmodal needs a model that embeds at least two modalities into one space, got {list(inputs)}"
            )
        fused = (direction for name in inputs if "+" in name for direction in _of_fusion(name, alone))
        return (*(Direction(*pair) for pair in permutations(alone, 2)), *(Direction(m, m) for m in alone), *fused)

    def label(self, direction: Direction) -> str:
        """Probe first."""
        return str(direction)


def _of_fusion(fusion: str, alone: tuple[str, ...]) -> Iterator[Direction]:
    yield Direction(fusion, fusion)
    for modality in alone:
        yield Direction(fusion, modality)
        yield Direction(modality, fusion)
