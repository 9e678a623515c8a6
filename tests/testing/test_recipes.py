import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from mean_net import Config, Good
from torch import Tensor, nn

from gaitbench.checkpoint import save_tensors
from gaitbench.errors import ModelError, NotFiniteError, TrainingError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitOutput
from gaitbench.recipe import ClipConfig, OptimizerConfig, Recipe, ScheduleConfig, Stage, StartWeights
from gaitbench.testing import check_recipe


class Phases(Good):
    """The loss ``extra`` is there in the second stage only."""

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        losses = dict(super().losses(output, batch, stage))
        return losses | {"extra": output.embedding.square().mean()} if stage.name == "second" else losses


class Fails(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class FailsInTesting(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        return output if self.training else GaitOutput(output.embedding / 0)


class NotFinite(Good):
    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"ce": super().losses(output, batch, stage)["ce"] / 0}


class Quarrelsome(Good):
    """Its own layer does without autocast."""

    def forward(self, batch: GaitBatch) -> GaitOutput:
        embedding = self.layer(self.mean(batch))
        with torch.autocast("cpu", enabled=False):
            return GaitOutput(embedding[:, :, None], self.head(embedding)[:, :, None])


class Fitted(ClosedFormModel):
    inputs = Good.inputs
    mean = Good.mean

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("centre", torch.zeros(16 * 11))

    def features(self, batch: GaitBatch) -> Tensor:
        return self.mean(batch)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        assert len(features) == len(labels) == 16
        self.centre = features.mean(0)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        return GaitOutput(embedding=(self.features(batch) - self.centre)[:, :, None])


class FitsNan(Fitted):
    def fit(self, features: Tensor, labels: Tensor) -> None:
        self.centre = features.mean(0) / 0


FIT = Stage(name="fit", kind="closed-form")


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(Recipe(), id="default"),
        pytest.param(Recipe(stages=()), id="nothing-to-train"),
        pytest.param(Recipe(precision="bf16-mixed"), id="bf16"),
        pytest.param(Recipe(precision="16-mixed"), id="float16-on-a-cpu"),
        pytest.param(Recipe(stages=(Stage(name="first"), Stage(name="second"))), id="two-stages"),
        pytest.param(Recipe(stages=(Stage(loss_weights={"extra": 0.0}),)), id="weight-0-of-a-loss-left-out"),
        pytest.param(Recipe(stages=(Stage(name="second", loss_weights={"extra": 2.0}),)), id="weight"),
        pytest.param(Recipe(stages=(Stage(freeze=("head.*",)), Stage(freeze=("layer.*",)))), id="freeze-in-turn"),
        pytest.param(Recipe(stages=(Stage(clips=ClipConfig(num_frames=4, max_frames=9)),)), id="lengths-of-their-own"),
        pytest.param(Recipe(stages=(Stage(clips=ClipConfig(batch_size=64)),)), id="flat-batches"),
        pytest.param(
            Recipe(stages=(Stage(iterations=20, schedule=ScheduleConfig(milestones=(10,), warmup=20)),)), id="schedule"
        ),
        pytest.param(
            Recipe(
                stages=(Stage(optimizer=OptimizerConfig(name="adamw", lr_scale={"head.*": 2}, no_decay=("*bias",))),)
            ),
            id="groups",
        ),
    ],
)
def test_a_recipe_that_fits(recipe: Recipe) -> None:
    check_recipe(Phases(Config()), recipe)


def test_the_model_and_the_generator_stay_as_they_are() -> None:
    model = Good(Config())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    check_recipe(model, Recipe(stages=(Stage(freeze=("head.*",)),)))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_closed_form_stages_are_fitted() -> None:
    model = Fitted(Config())
    check_recipe(model, Recipe(stages=(FIT,)))
    assert not model.centre.any()


@pytest.mark.parametrize(
    ("cls", "stage", "error", "message"),
    [
        pytest.param(Good, Stage(loss_weights={"triplet": 1.0}), TrainingError, "unknown losses: triplet", id="loss"),
        pytest.param(Phases, Stage(loss_weights={"extra": 0.1}), TrainingError, "unknown losses: extra", id="phase"),
        pytest.param(
            Good, Stage(loss_weights={"ce": 0.0}), TrainingError, r"every loss has weight 0 \(ce\)", id="zero"
        ),
        pytest.param(Good, Stage(freeze=("stem.*",)), TrainingError, "freeze pattern 'stem", id="freeze"),
        pytest.param(Good, Stage(freeze=("*",)), TrainingError, "no parameter trains", id="all-frozen"),
        pytest.param(
            Good, Stage(optimizer=OptimizerConfig(lr_scale={"neck.*": 0.1})), TrainingError, "lr_scale", id="lr-scale"
        ),
        pytest.param(
            Good, Stage(optimizer=OptimizerConfig(no_decay=("*.norm",))), TrainingError, "no_decay", id="no-decay"
        ),
        pytest.param(
            Good,
            Stage(iterations=100, schedule=ScheduleConfig(milestones=(50, 200))),
            TrainingError,
            "milestone 200 is never reached in 100",
            id="milestone",
        ),
        pytest.param(
            Good,
            Stage(iterations=10, schedule=ScheduleConfig(warmup=11)),
            TrainingError,
            "warm-up takes 11 of 10",
            id="warmup",
        ),
        pytest.param(
            Good,
            Stage(optimizer=OptimizerConfig(name="sgd", lr=1e38, weight_decay=1e5)),
            NotFiniteError,
            "after one step",
            id="rate",
        ),
        pytest.param(NotFinite, Stage(), NotFiniteError, "loss ce is", id="not-finite"),
        pytest.param(Good, FIT, TrainingError, "is no ClosedFormModel", id="not-closed-form"),
        pytest.param(Fitted, Stage(), TrainingError, "no parameter trains", id="closed-form-by-gradient"),
        pytest.param(FitsNan, FIT, NotFiniteError, "fitting gave NaN", id="fit"),
        pytest.param(Fails, Stage(), ModelError, "RuntimeError: mat1 and mat2", id="forward"),
        pytest.param(FailsInTesting, Stage(), ModelError, "trained, on silhouette.*NaN or infinity", id="embedding"),
    ],
)
def test_a_recipe_that_does_not_fit(cls: type[Good], stage: Stage, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        check_recipe(cls(Config()), Recipe(stages=(stage,)))
    assert type(raised.value) is error
    assert cls.__name__ in str(raised.value)


def test_the_stage_is_named() -> None:
    stages = (Stage(name="warm"), Stage(name="rest", freeze=("stem.*",)))
    with pytest.raises(TrainingError, match=r"stage 'rest' \(2 of 2\): freeze pattern"):
        check_recipe(Good(Config()), Recipe(stages=stages))


def test_the_precision_of_the_recipe_is_used() -> None:
    check_recipe(Quarrelsome(Config()), Recipe())
    with pytest.raises(ModelError, match="same dtype"):
        check_recipe(Quarrelsome(Config()), Recipe(precision="bf16-mixed"))


def test_clips_of_several_lengths_need_masks() -> None:
    class Refusing(Good):
        padding = "refused"

    with pytest.raises(TrainingError, match="clips of equal length only"):
        check_recipe(Refusing(Config()), Recipe(stages=(Stage(clips=ClipConfig(num_frames=4, max_frames=6)),)))


def test_training_starts_once_from_other_weights(tmp_path: Path) -> None:
    class Watched(Good):
        firsts: ClassVar[list[float]] = []

        def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
            self.firsts.append(float(self.head.bias.detach()[0]))
            return super().losses(output, batch, stage)

    start = {key: torch.full_like(value, 0.5) for key, value in Good(Config()).state_dict().items()}
    save_tensors(tmp_path / "start.safetensors", start, {})
    start_from = StartWeights(path=tmp_path / "start.safetensors")
    check_recipe(Watched(Config()), Recipe(stages=(Stage(), Stage()), start_from=start_from))
    first, second = Watched.firsts
    assert first == 0.5
    assert second != 0.5


def test_no_model_at_all() -> None:
    with pytest.raises(ModelError, match="must derive from"):
        check_recipe(nn.Linear(1, 1), Recipe())  # type: ignore[arg-type]


def test_clips_do_not_wait_for_what_training_imports() -> None:
    code = "import sys, gaitbench.testing; print('lightning_fabric' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
