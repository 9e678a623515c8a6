"""What a model must not take: a batch without what it reads, losses without labels."""

from gaitbench.errors import ModelError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, InputSpec
from gaitbench.quarantine import in_one_line
from gaitbench.recipe import Stage
from gaitbench.testing.synthetic import synthetic_batch

__all__ = ["check_labels_needed", "check_modality_needed"]

_FOREIGN = (
    InputSpec(modality="rgb", height_px=16, width_px=12, channels=3),
    InputSpec(modality="silhouette", height_px=16, width_px=12),
)


def check_modality_needed(model: GaitModel, foreign: InputSpec | None = None) -> None:
    """Give a model a batch of another modality, which it must refuse by name.

    Args:
        model: Any; it is left in evaluation mode.
        foreign: What the model does not read; None for colours, or silhouettes where it reads those.

    Raises:
        ModelError: It takes the batch, fails with an error that is no ModelError, or says neither what the batch holds
            nor what it reads.
    """
    name = type(model).__name__
    needed = [spec.modality for spec in model.inputs]
    if foreign is None:
        foreign = next((spec for spec in _FOREIGN if spec.modality not in needed), _FOREIGN[0])
    if foreign.modality in needed:
        raise ModelError(f"{name} reads {foreign.modality}; name a modality that it does not read.")
    message = _refusal(model.eval(), synthetic_batch([foreign], num_frames=2), f"a batch of {foreign.modality}")
    if not any(modality in message for modality in (foreign.modality, *needed)):
        raise ModelError(
            f"{name} refuses a batch of {foreign.modality} with {message!r}; say what it holds, or what is read."
        )


def check_labels_needed(model: GaitModel, stage: Stage | None = None, *, num_frames: int = 8) -> None:
    """Ask a model for losses of a batch without labels, which it must refuse.

    Args:
        model: Any that is trained by gradient; it is left in evaluation mode.
        stage: What the losses are told; None for a default one.
        num_frames: Frames per clip.

    Raises:
        ModelError: It gives losses, fails with an error that is no ModelError, or does not speak of labels.
    """
    name = type(model).__name__
    if isinstance(model, ClosedFormModel):
        raise ModelError(f"{name} is fitted and has no losses; this check is for models trained by gradient.")
    batch = synthetic_batch(model.inputs, num_frames=num_frames)
    output = model.eval()(batch)
    batch.labels = None
    try:
        model.losses(output, batch, stage or Stage())
    except ModelError as error:
        if "label" not in str(error):
            raise ModelError(f"{name} refuses losses without labels with {str(error)!r}; say so.") from error
    except Exception as error:  # a plugin's losses may raise anything
        raise ModelError(_not_refused(name, "losses without labels", error)) from error
    else:
        raise ModelError(f"{name} gives losses for a batch without labels; see gaitbench.model.labels_of.")


def _refusal(model: GaitModel, batch: GaitBatch, what: str) -> str:
    name = type(model).__name__
    try:
        model(batch)
    except ModelError as error:
        return str(error)
    except Exception as error:  # a plugin's forward may raise anything
        raise ModelError(_not_refused(name, what, error)) from error
    raise ModelError(f"{name} takes {what}, which it does not read; is the input used?")


def _not_refused(name: str, what: str, error: Exception) -> str:
    return f"{name} fails on {what} with {in_one_line(error)}; raise a ModelError that says what is missing."
