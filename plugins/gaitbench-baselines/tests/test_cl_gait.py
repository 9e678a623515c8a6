import pytest
import torch
from gaitbench_baselines.cl_gait import ClGait, ClGaitConfig
from gaitbench_baselines.paired_contrastive import paired_contrastive

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.losses import cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning, check_model, synthetic_batch

CONFIG = ClGaitConfig(height_px=32, width_px=16, channels=(4, 4, 6, 8), embedding_width=8, bins=(8,), num_classes=3)
PRETRAINED = CONFIG.model_copy(update={"projection_width": 5})


def batch(config: ClGaitConfig = CONFIG) -> GaitBatch:
    return synthetic_batch(ClGait(config).inputs, num_frames=3)


def test_shallow_layers_heads_and_necks_are_per_sensor_and_deep_layers_shared() -> None:
    model, both = ClGait(CONFIG).eval(), batch()
    model(both).by_modality["silhouette"].logits.sum().backward()  # type: ignore[union-attr]
    touched = {key for key, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert {".".join(key.split(".")[:2]) for key in touched if not key.startswith("shared.")} == {
        "entrances.silhouette",
        "heads.silhouette",
        "necks.silhouette",
    }
    assert any(key.startswith("shared.") for key in touched)
    assert len(model.shared) == 3


def test_shared_batch_norms_see_both_sensors_as_one_batch() -> None:
    model, both = ClGait(CONFIG).train(), batch()
    norm = model.shared[0][0].norm1  # type: ignore[index,union-attr]
    seen = []
    norm.register_forward_hook(lambda _module, args, _output: seen.append(len(args[0])))  # type: ignore[union-attr,operator]
    model(both)
    assert seen == [2 * 4 * 3]


def test_losses_agree_with_their_parts() -> None:
    model, both = ClGait(CONFIG).eval(), batch()
    output, labels = model(both), both.labels
    assert labels is not None
    losses = model.losses(output, both, Stage())
    assert set(losses) == {"cross_triplet", "cross_entropy"}
    first, second = (output.by_modality[name] for name in CONFIG.modalities)
    across = cross_modal_triplet(first.embedding, second.embedding, labels)
    torch.testing.assert_close(losses["cross_triplet"], across.a_to_b + across.b_to_a)
    entropy = [part_cross_entropy(one.logits, labels) for one in (first, second)]
    torch.testing.assert_close(losses["cross_entropy"], entropy[0] + entropy[1])


def test_pretraining_compares_projections_of_simultaneous_clips_and_nothing_else() -> None:
    model, both = ClGait(PRETRAINED).train(), batch(PRETRAINED)
    output = model(both)
    losses = model.losses(output, both, Stage(name="cspp"))
    projected = [output.by_modality[name].extras["cspp"] for name in PRETRAINED.modalities]
    assert projected[0].shape == (4, 5)
    assert set(losses) == {"cspp"}
    torch.testing.assert_close(losses["cspp"], paired_contrastive(*projected, temperature=0.07))
    check_learning(model, batch=both, stage=Stage(name="cspp"), num_steps=20, share=0.8)


def test_pretraining_without_a_projection_is_refused() -> None:
    model, both = ClGait(CONFIG).train(), batch()
    with pytest.raises(ModelError, match="projection_width"):
        model.losses(model(both), both, Stage(name="cspp"))


def test_a_finished_model_has_no_projections_and_takes_weights_with_and_without() -> None:
    check_model(ClGait(PRETRAINED), num_frames=3, untrained=("projections.*",))
    model = ClGait(PRETRAINED)
    whole = weights_of(model)
    model.seal()
    assert not any(key.startswith("projections.") for key in weights_of(model))
    apply_weights(model, whole, "a checkpoint")
    assert torch.equal(model.projections["silhouette"].weight, whole["projections.silhouette.weight"])  # type: ignore[arg-type]


def test_training_on_one_modality_is_refused() -> None:
    model, both = ClGait(CONFIG), batch()
    alone = GaitBatch({"silhouette": both.inputs["silhouette"]}, both.num_frames, labels=both.labels)
    with pytest.raises(ModelError, match="trains on silhouette and lidar-depth together; the batch had one of them"):
        model.losses(model(alone), both, Stage())
