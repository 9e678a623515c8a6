import pytest
import torch
from gaitbench_baselines.distillation import (
    balance,
    feature_distance,
    part_affinity_distance,
    sample_affinity_distance,
)
from gaitbench_baselines.unicrossgait import LOSS_WEIGHTS, PRESETS, UniCrossGait, UniCrossGaitConfig

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch
from gaitbench.optim import freeze
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning, synthetic_batch

CONFIG = UniCrossGaitConfig(
    height_px=32, width_px=16, channels=(4, 4, 6, 8), heads=2, embedding_width=8, bins=(8,), num_classes=3
)
TEACHER, STUDENTS = PRESETS["paper"].recipe.stages


def batch() -> GaitBatch:
    return synthetic_batch(UniCrossGait(CONFIG).inputs, num_frames=3)


def in_stage(stage: Stage) -> UniCrossGait:
    model = UniCrossGait(CONFIG).train()
    freeze(model, stage.freeze)
    return model


def grown(model: UniCrossGait, stage: Stage) -> set[str]:
    """Modules that get a gradient in a stage."""
    both = batch()
    torch.stack(list(model.losses(model(both), both, stage).values())).sum().backward()
    return {key.split(".")[0] for key, value in model.named_parameters() if value.grad is not None and value.grad.any()}


def test_the_first_stage_trains_the_teacher_alone() -> None:
    model, both = in_stage(TEACHER), batch()
    assert set(model.losses(model(both), both, TEACHER)) == {"teacher_triplet", "teacher_cross_entropy"}
    assert grown(model, TEACHER) == {"teacher"}


def test_the_second_stage_trains_the_students_and_the_teacher_stays_in_evaluation_mode() -> None:
    model, both = in_stage(STUDENTS), batch()
    assert model.teacher is not None
    assert not any(module.training for module in model.teacher.modules() if list(module.parameters()))
    before = {key: value.clone() for key, value in model.teacher.state_dict().items()}
    assert set(model.losses(model(both), both, STUDENTS)) == set(LOSS_WEIGHTS)
    assert grown(model, STUDENTS) == {"students", "head", "neck"}
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())


def test_a_frozen_teacher_says_the_same_again() -> None:
    model, both = in_stage(STUDENTS), batch()
    first, second = (model(both).extras["teacher"] for _ in range(2))
    assert torch.equal(first, second)


def test_distilled_terms_agree_with_their_definition() -> None:
    model, both = in_stage(STUDENTS), batch()
    both.step = 10_000
    output = model(both)
    losses = model.losses(output, both, STUDENTS)
    first, second = (output.by_modality[name] for name in CONFIG.modalities)
    shares = balance(16 * first.logits, 16 * second.logits, both.labels)
    teacher = output.extras["teacher"]
    for name, term in (
        ("features", feature_distance),
        ("samples", sample_affinity_distance),
        ("parts", part_affinity_distance),
    ):
        both_students = shares.first * term(teacher, first.embedding) + shares.second * term(teacher, second.embedding)
        torch.testing.assert_close(losses[name], 0.45 * both_students)  # 0.1 + 1.4 / 4


def test_presets_are_the_log_and_the_reference() -> None:
    log, reference = (PRESETS[name].recipe.stages[1] for name in ("paper", "reference"))
    assert (log.optimizer.lr, log.optimizer.weight_decay, log.iterations) == (3e-3, 5e-5, 50_000)
    assert (reference.optimizer.lr, reference.optimizer.weight_decay, reference.iterations) == (1e-3, 5e-4, 40_000)
    assert STUDENTS.loss_weights == {
        "cross_triplet": 0.5,
        "cross_entropy": 1.0,
        "features": 1.0,
        "samples": 0.5,
        "parts": 0.5,
    }


def test_a_finished_model_has_no_teacher_and_embeds_as_before() -> None:
    model, both = UniCrossGait(CONFIG).eval(), batch()
    whole, embedding = weights_of(model), model(both).embedding
    model.seal()
    saved = weights_of(model)
    assert not any(key.startswith("teacher.") for key in saved)
    assert torch.equal(model(both).embedding, embedding)
    fresh = UniCrossGait(CONFIG).eval()
    apply_weights(fresh, saved, "a run")
    assert fresh.teacher is None
    assert torch.equal(fresh(both).embedding, embedding)
    with pytest.raises(ModelError, match="teacher"):
        fresh.losses(fresh.train()(both), both, STUDENTS)
    apply_weights(fresh, whole, "a checkpoint")
    assert fresh.teacher is not None


def test_the_teacher_sees_both_sensors() -> None:
    model, both = UniCrossGait(CONFIG).eval(), batch()
    assert model.teacher is not None
    seen = model.teacher(both).embedding
    for name in CONFIG.modalities:
        other = GaitBatch({**both.inputs, name: both.inputs[name].flip(0)}, both.num_frames)
        assert (model.teacher(other).embedding - seen).abs().max() > 1e-4


def test_it_learns_in_both_stages() -> None:
    check_learning(in_stage(TEACHER), batch=batch(), stage=Stage(), num_steps=20, share=0.8)
    check_learning(UniCrossGait(CONFIG), batch=batch(), stage=Stage(), num_steps=20, share=0.8)


def test_three_modalities_and_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 2"):
        UniCrossGaitConfig(modalities=("silhouette", "rgb", "depth"))
    with pytest.raises(ValueError, match="heads 3 must divide"):
        UniCrossGaitConfig(heads=3)
