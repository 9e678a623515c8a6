"""Weights of another training as the start of this one."""

import logging

from torch import nn

from gaitbench.checkpoint import load_tensors
from gaitbench.errors import TrainingError
from gaitbench.model import GaitModel
from gaitbench.recipe import StartWeights

__all__ = ["start_weights"]

_log = logging.getLogger("gaitbench")


def start_weights(model: nn.Module, start: StartWeights) -> int:
    """Replace the weights and buffers of a model that a file has under the same name; the others stay as they are.

    Args:
        model: Freshly built. Of one that wears another head, the file may hold the weights of the model inside alone.
        start: The file and its hash.

    Returns:
        How many tensors were replaced.

    Raises:
        RecordError: The file cannot be read, or is not the one that was hashed.
        TrainingError: The file and the model share no name, or a shared name has another shape.
    """
    theirs, ours = load_tensors(start.path, start.sha256 or None), model.state_dict()
    shared = [name for name in ours if name in theirs]
    if not shared and isinstance(model, GaitModel) and model.model_inside is not None:
        return start_weights(model.model_inside, start)
    name = type(model).__name__
    if not shared:
        raise TrainingError(
            f"none of the {len(theirs)} tensors in {start.path} has a name that {name} knows; its names start with "
            f"{', '.join(sorted({key.split('.')[0] for key in ours})[:12])}. Convert a published checkpoint first, "
            "with gaitbench convert"
        )
    if wrong := [key for key in shared if theirs[key].shape != ours[key].shape]:
        found = "; ".join(f"{key} is {list(theirs[key].shape)}, not {list(ours[key].shape)}" for key in wrong[:5])
        raise TrainingError(
            f"{start.path} does not fit {name} in {len(wrong)} of {len(shared)} tensors of the same name: {found}. "
            "Take weights of the same sizes and number of training subjects"
        )
    model.load_state_dict({key: theirs[key] for key in shared}, strict=False)
    _log.info(
        "%s starts from %s: %d of its %d tensors are taken, %d in the file have no place",
        name,
        start.path,
        len(shared),
        len(ours),
        len(theirs) - len(shared),
    )
    return len(shared)
