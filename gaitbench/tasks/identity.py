"""Identity: who is the probe, within one modality or for models that fuse several?"""

from typing import ClassVar

from gaitbench.errors import UsageError
from gaitbench.tasks.base import Direction, Task

__all__ = ["IdentityTask"]


class IdentityTask(Task):
    """Probe and gallery are embeddings of the same kind.

    Example:
        >>> IdentityTask().directions(("silhouette", "skeleton2d"))
        (Direction(probe='silhouette+skeleton2d', gallery='silhouette+skeleton2d'),)
    """

    name: ClassVar[str] = "identity"
    version: ClassVar[int] = 1

    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        """One direction; several modalities are read jointly."""
        if not inputs:
            raise UsageError("identity needs a model that reads at least one modality")
        joint = "+".join(inputs)
        return (Direction(joint, joint),)

    def label(self, direction: Direction) -> str:  # noqa: ARG002
        """Empty: there is only one direction."""
        return ""
