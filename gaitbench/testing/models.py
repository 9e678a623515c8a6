"""The contract of a model.

Axes: N batch, C channels, T frames, D embedding width, P parts.
"""

import copy
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from pydantic import BaseModel
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.explaining.asking import explain_batch
from gaitbench.explaining.interface import Explainable
from gaitbench.features.cacheable import source_specs
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import Stage
from gaitbench.testing.attributes import attribute_classes, check_attributes
from gaitbench.testing.batch_parts import only, rows, with_lengths
from gaitbench.testing.synthetic import synthetic_batch

__all__ = ["check_model", "difference", "embed"]

TOLERANCE = 1e-4
"""Largest relative difference between one sequence alone and in a batch, in float32."""
SEAL_TOLERANCE = 1e-5
"""Largest relative difference between a model before and after :meth:`GaitModel.seal`."""


def check_model(
    model: GaitModel, *, num_frames: int = 8, untrained: Sequence[str] = (), stage: Stage | None = None
) -> None:
    """Try a model against its contract.

    Checked: the input contract; the shape and finiteness of embeddings and logits; same input, same embedding in
    evaluation, without the inputs that only training reads; the same alone and in a batch; padding that changes
    nothing, where the model says ``masked``; losses that are finite scalars; a gradient at every trainable parameter;
    a state that survives safetensors; a config that rebuilds the model; the same embedding once it is sealed, and from
    kept features where it has frozen ones; what it shows of itself, where it does; the attributes that its config
    names, where it tells any; and models of several modalities with each modality alone, and with each of their
    fusions. A closed-form model is fitted instead of trained.

    Args:
        model: Small is fine. It is trained for no step, and left in evaluation mode.
        num_frames: Frames per clip.
        untrained: Glob patterns of parameters that rightly get no gradient, such as those of a later stage.
        stage: What the losses are told; None for a default one.

    Raises:
        ModelError: What is wrong, and what the contract asks for.
    """
    name = type(model).__name__
    if not isinstance(model, GaitModel):
        raise ModelError(f"{name} must derive from gaitbench.model.GaitModel.")
    inputs = _check_inputs(model, name)
    num_classes = max(2, int(getattr(model.config, "num_classes", 2)))
    batch = synthetic_batch(
        inputs, num_frames=num_frames, num_classes=num_classes, attribute_classes=attribute_classes(model)
    )
    _check_rebuild(model, name)
    if isinstance(model, ClosedFormModel):
        by_modality = False
        _check_fit(model, batch, name)
    else:
        by_modality = _check_training(model, batch, stage or Stage(), untrained, name)
    at_test = [spec.modality for spec in inputs if not spec.is_for_training]
    shown = [only(batch, [modality]) for modality in at_test] if by_modality else [only(batch, at_test)]
    shown += [only(batch, fusion) for fusion in _check_fusions(model, at_test, is_apart=by_modality, name=name)]
    for part in shown:
        _check_embedding(model, part, f"{name} on {' and '.join(part.inputs)}")
        check_attributes(model, part, f"{name} on {' and '.join(part.inputs)}")
    _check_one_space(model, shown, name)
    _check_state(model, shown[0], name)
    _check_seal(model, shown[0], name)
    _check_frozen(model, shown, name)
    if isinstance(model, Explainable):
        explain_batch(model, only(batch, at_test))


def _check_inputs(model: GaitModel, name: str) -> tuple[InputSpec, ...]:
    inputs = model.inputs
    if not isinstance(inputs, tuple) or not inputs or not all(isinstance(spec, InputSpec) for spec in inputs):
        raise ModelError(f"{name}.inputs must be a tuple of InputSpec, one per modality, got {inputs!r}.")
    modalities = [spec.modality for spec in inputs]
    if len(set(modalities)) < len(modalities):
        raise ModelError(f"{name}.inputs names a modality twice: {', '.join(modalities)}.")
    if all(spec.is_for_training for spec in inputs):
        raise ModelError(f"{name}.inputs are all for training, so that there is nothing to embed a test sequence from.")
    if model.padding not in ("masked", "refused"):
        raise ModelError(f"{name}.padding must be 'masked' or 'refused', got {model.padding!r}.")
    return inputs


def _check_rebuild(model: GaitModel, name: str) -> None:
    rebuilt = _rebuild(model, name)
    ours, theirs = ({key: value.shape for key, value in m.state_dict().items()} for m in (model, rebuilt))
    if ours != theirs:
        differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
        raise ModelError(
            f"{name}: the config does not rebuild the model; these differ: {', '.join(differing[:3])}. "
            "Everything that shapes the model must be in its config."
        )
    if rebuilt.inputs != model.inputs:
        raise ModelError(f"{name}: the config does not rebuild the input contract: {rebuilt.inputs} != {model.inputs}.")


def _rebuild(model: GaitModel, name: str) -> GaitModel:
    """Build it again from its config as a record stores it, which is JSON."""
    config = model.config
    if not isinstance(config, BaseModel):
        raise ModelError(f"{name}.config must be a pydantic model, got {config!r}; call super().__init__(config).")
    try:
        stored = type(config).model_validate_json(config.model_dump_json())
    except ValueError as error:
        raise ModelError(f"{name}: its config does not survive JSON: {error}") from error
    if stored != config:
        raise ModelError(f"{name}: its config changes when it is stored as JSON: {config!r} became {stored!r}.")
    with torch.random.fork_rng(devices=[]):
        return type(model)(stored)


def _check_fit(model: ClosedFormModel, batch: GaitBatch, name: str) -> None:
    with torch.no_grad():
        features = model.eval().features(batch)
    if features.ndim != 2 or len(features) != _size(batch) or features.dtype != torch.float32:
        raise ModelError(f"{name}.features must be [N, F] float32, N = {_size(batch)}, got {_shape_of(features)}.")
    _need_finite(features, f"{name}.features")
    assert batch.labels is not None
    generator = torch.Generator().manual_seed(0)
    # Four sequences would leave a covariance of rank 3; a few noisy copies make the fit well-posed.
    spread = features.std().clamp_min(1e-3)
    noise = 0.1 * spread * torch.randn(8, *features.shape, generator=generator)
    model.fit((features + noise).flatten(0, 1), batch.labels.repeat(8))


def _check_training(model: GaitModel, batch: GaitBatch, stage: Stage, untrained: Sequence[str], name: str) -> bool:
    """Forward and backward in training mode; tells whether the model embeds each modality by itself."""
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.zero_grad(set_to_none=True)
    output = _forward(model, batch, f"{name} in training")
    losses = model.losses(output, batch, stage)
    if not isinstance(losses, Mapping) or not losses:
        raise ModelError(f"{name}.losses must give at least one named loss, got {losses!r}.")
    for key, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            raise ModelError(f"{name}.losses[{key!r}] must be a scalar tensor, got {_shape_of(loss)}.")
        _need_finite(loss, f"{name}.losses[{key!r}]")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return bool(output.by_modality)
    total = torch.stack([stage.loss_weights.get(key, 1.0) * loss.float() for key, loss in losses.items()]).sum()
    if not total.requires_grad:
        raise ModelError(f"{name}: no loss depends on a parameter; is something detached, or under no_grad?")
    total.backward()  # type: ignore[no-untyped-call]
    _check_gradients(model, (*untrained, *stage.freeze), name)
    model.zero_grad(set_to_none=True)
    model.load_state_dict(before)
    return bool(output.by_modality)


def _check_gradients(model: GaitModel, untrained: Sequence[str], name: str) -> None:
    trainable = {
        key: parameter
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and not any(fnmatch.fnmatchcase(key, pattern) for pattern in untrained)
    }
    if lost := [key for key, parameter in trainable.items() if parameter.grad is None]:
        raise ModelError(
            f"{name}: no gradient reaches {len(lost)} of {len(trainable)} trainable parameters (first: "
            f"{', '.join(lost[:3])}). Use them, remove them, or name them in untrained=(...)."
        )
    for key, parameter in trainable.items():
        assert parameter.grad is not None
        _need_finite(parameter.grad, f"{name}: the gradient of {key}")
    if trainable and not any(parameter.grad.any() for parameter in trainable.values() if parameter.grad is not None):
        raise ModelError(f"{name}: every gradient is zero; the losses are constant.")


def _check_embedding(model: GaitModel, batch: GaitBatch, label: str) -> None:
    together = embed(model, batch, label)
    if not torch.equal(together, embed(model, batch, label)):
        raise ModelError(
            f"{label}: the same input embeds differently the second time in evaluation; is there dropout, or random "
            "sampling, that ignores eval()?"
        )
    if torch.equal(together.amax(dim=0), together.amin(dim=0)):
        raise ModelError(
            f"{label}: all {len(together)} different sequences have the same embedding; is the input used?"
        )
    for row in range(len(together)):
        alone = embed(model, rows(batch, [row]), label)
        if (error := difference(alone[0], together[row])) > TOLERANCE:
            raise ModelError(
                f"{label}: sequence {row} embeds differently alone and in a batch (relative difference "
                f"{error:.1e}); nothing may be averaged or normalised over the batch in evaluation."
            )
    if model.padding == "masked":
        longer = int(next(iter(batch.num_frames.values()))[0]) + 3
        padded = embed(model, with_lengths(batch, model.inputs, [longer] * _size(batch)), label)
        if (error := difference(padded, together)) > TOLERANCE:
            raise ModelError(
                f"{label}: padded frames change the embedding (relative difference {error:.1e}). Mask frames from "
                "num_frames on, or set padding = 'refused'."
            )


def _check_fusions(
    model: GaitModel, at_test: Sequence[str], *, is_apart: bool, name: str
) -> tuple[tuple[str, ...], ...]:
    for fusion in model.fusions:
        if not is_apart:
            raise ModelError(
                f"{name}.fusions names {' and '.join(fusion)}, but in training its output has no by_modality; a model "
                "that only embeds modalities jointly has no fusions beside them."
            )
        if len(set(fusion)) < max(2, len(fusion)) or not set(fusion) <= set(at_test):
            raise ModelError(
                f"{name}.fusions names {' and '.join(fusion) or 'nothing'}; each must be two or more different ones of "
                f"{', '.join(at_test)}."
            )
    return model.fusions


def _check_one_space(model: GaitModel, shown: Sequence[GaitBatch], name: str) -> None:
    """What is compared with each other has one width and number of parts."""
    shapes = {" and ".join(part.inputs): list(embed(model, part, name).shape[1:]) for part in shown}
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        found = "; ".join(f"{shape} of {modalities}" for modalities, shape in shapes.items())
        raise ModelError(f"{name} embeds into one space, so [D, P] must not depend on the modality; got {found}.")


def _check_state(model: GaitModel, batch: GaitBatch, name: str) -> None:
    data = save_tensors({key: value.detach().clone().contiguous() for key, value in model.state_dict().items()})
    restored = _rebuild(model, name)
    restored.load_state_dict(load_tensors(data))
    if not torch.equal(embed(restored, batch, name), embed(model, batch, name)):
        raise ModelError(
            f"{name}: a model rebuilt from config and state_dict embeds differently; keep every fitted or trained "
            "number in a parameter or a persistent buffer."
        )


def _check_seal(model: GaitModel, batch: GaitBatch, name: str) -> None:
    sealed, restored = copy.deepcopy(model), _rebuild(model, name)
    sealed.seal()
    whole, found = embed(model, batch, name), embed(sealed, batch, f"{name}, sealed")
    if (error := difference(found, whole)) > SEAL_TOLERANCE:
        raise ModelError(
            f"{name}: seal() changes the embedding (relative difference {error:.1e}); it may only drop what training "
            "alone needs."
        )
    apply_weights(restored, weights_of(sealed), f"{name}, sealed")
    if not torch.equal(embed(restored, batch, name), found):
        raise ModelError(
            f"{name}: a model rebuilt from the config and a sealed state embeds differently; take_form_of must drop "
            "what seal drops."
        )


def _check_frozen(model: GaitModel, shown: Sequence[GaitBatch], name: str) -> None:
    if (features := model.frozen_features) is None:
        return
    source_specs(model, features)
    for batch in shown:
        if features.modality not in batch.inputs:
            continue
        clips = batch.inputs[features.modality]
        read = [batch.inputs[n].transpose(1, 2).flatten(0, 1) for n in (features.modality, *features.beside)]
        with torch.no_grad():
            model.train()
            training, alone = features.compute(*read), features.compute(*(x[:1] for x in read))
            model.eval()
            kept = features.compute(*read)
        if tuple(kept.shape[1:]) != features.shape:
            raise ModelError(
                f"{name}: frozen features {features.name!r} of a frame have the shape {list(kept.shape[1:])}, the "
                f"description says {list(features.shape)}."
            )
        if difference(training, kept) > TOLERANCE or difference(alone, kept[:1]) > TOLERANCE:
            raise ModelError(
                f"{name}: frozen features {features.name!r} depend on the training mode or on the other frames; what "
                "is kept of a frame must be its own alone."
            )
        ordered = kept.reshape(clips.shape[0], clips.shape[2], *features.shape).transpose(1, 2).float()
        carried = replace(
            batch,
            inputs={n: x for n, x in batch.inputs.items() if n != features.modality} | {features.name: ordered},
            num_frames={**batch.num_frames, features.name: batch.num_frames[features.modality]},
        )
        if difference(embed(model, carried, f"{name} with kept features"), embed(model, batch, name)) > TOLERANCE:
            raise ModelError(
                f"{name}: kept features give another embedding than the frames; read them with "
                "frozen_features.of(batch), and nothing of the frames besides."
            )


def embed(model: GaitModel, batch: GaitBatch, label: str) -> Tensor:
    """Embed in evaluation mode, checking the output; ``label`` says what is tried."""
    model.eval()
    with torch.inference_mode():
        return _forward(model, batch, label).embedding.clone()


def _forward(model: GaitModel, batch: GaitBatch, label: str) -> GaitOutput:
    try:
        output = model(batch)
    except KeyError as error:
        raise ModelError(
            f"{label}: it asks the batch for {error}, which is not there; the batch holds {', '.join(batch.inputs)}."
        ) from error
    if not isinstance(output, GaitOutput):
        raise ModelError(f"{label}: forward must return a GaitOutput, got {type(output).__name__}.")
    for part in (output, *output.by_modality.values()):
        if part.embedding.ndim != 3 or not part.embedding.is_floating_point() or 0 in part.embedding.shape:
            raise ModelError(f"{label}: embedding must be float [N, D, P], got {_shape_of(part.embedding)}.")
        _need_finite(part.embedding, f"{label}: embedding")
        if part.logits is not None:
            if part.logits.ndim != 3 or len(part.logits) != len(part.embedding):
                raise ModelError(f"{label}: logits must be [N, classes, P], got {_shape_of(part.logits)}.")
            _need_finite(part.logits, f"{label}: logits")
    # In training a model of several modalities may stack them, so only its evaluation output has a fixed N.
    if not model.training and len(output.embedding) != _size(batch):
        raise ModelError(f"{label}: {_size(batch)} sequences went in, {len(output.embedding)} embeddings came out.")
    return output


def _need_finite(x: Tensor, label: str) -> None:
    if not torch.isfinite(x).all():
        raise ModelError(f"{label} holds NaN or infinity: {int((~torch.isfinite(x)).sum())} of {x.numel()} values.")


def difference(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference over the largest absolute value of ``b``."""
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))


def _shape_of(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _size(batch: GaitBatch) -> int:
    return len(next(iter(batch.num_frames.values())))
