"""Cross-modal identity: who is the probe, when probe and gallery come from different sensors?"""

from itertools import permutations
from typing import ClassVar

from gaitbench.errors import UsageError
from gaitbench.tasks.base import Direction, Task

__all__ = ["CrossmodalTask"]


class CrossmodalTask(Task):
    """Every ordered pair of modalities is a direction, written probe first: ``lidar->silhouette``.

    Each modality against itself is scored too, as context: what the same embeddings do when no sensor changes.

    Source:
        Guo et al., "Camera-LiDAR Cross-modality Gait Recognition", ECCV 2024 (the task). Views and averaging are the
        protocol's.

    Example:
        >>> [str(direction) for direction in CrossmodalTask().directions(("silhouette", "lidar"))]
        ['silhouette->lidar', 'lidar->silhouette', 'silhouette->silhouette', 'lidar->lidar']
    """

    name: ClassVar[str] = "crossmodal"
    version: ClassVar[int] = 1

    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        """All ordered pairs of different modalities, then each modality against itself."""
        if len(set(inputs)) < 2:
            raise UsageError(
                f"crossmodal needs a model that embeds at least two modalities into one space, got {list(inputs)}"
            )
        return tuple(Direction(*pair) for pair in permutations(inputs, 2)) + tuple(Direction(m, m) for m in inputs)

    def label(self, direction: Direction) -> str:
        """Probe first."""
        return str(direction)
