"""Training repeats to the bit, resumes to the bit, and stops at the first number that is not finite."""

import json
import math
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from pydantic import BaseModel
from torch import Tensor, nn

from gaitbench.errors import ModelError, NotFiniteError, TrainingError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import OptimizerConfig, Recipe, ScheduleConfig, Stage
from gaitbench.train import TrainingData, train

NUM_CLASSES = 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring at this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Config(BaseModel):
    num_classes: int = NUM_CLASSES


class Net(GaitModel):
    def __init__(self, config: Config, bad: Mapping[int, float] | None = None) -> None:
        super().__init__(config)
        self.bad = bad or {}
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(4 * 8 * 6, config.num_classes)
        self.seen: list[str] = []

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="silhouette", height_px=16, width_px=12),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        x = batch.inputs["silhouette"]
        n, _, t, _, _ = x.shape
        y = torch.relu(self.norm(self.conv(x.transpose(1, 2).flatten(0, 1)))).flatten(1).unflatten(0, (n, t))
        embedding = self.drop(y.amax(dim=1))
        return GaitOutput(embedding=embedding[..., None], logits=self.head(embedding)[..., None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        self.seen.append(stage.name)
        loss = nn.functional.cross_entropy(output.logits[..., 0], batch.labels)
        return {"softmax": loss * self.bad.get(batch.step, 1.0), "other": output.embedding.mean()}


class Batches:
    def __init__(self, seed: int, num_clips: int = 8) -> None:
        self.seed, self.num_clips = seed, num_clips

    def batch(self, step: int) -> GaitBatch:
        rng = torch.Generator().manual_seed((self.seed + step) % 2**60)
        x = torch.rand(self.num_clips, 1, 5, 16, 12, generator=rng)
        n = torch.full((self.num_clips,), 5)
        return GaitBatch({"silhouette": x}, {"silhouette": n}, torch.arange(self.num_clips) % NUM_CLASSES)


DATA = TrainingData(
    sampler=lambda _, seed: Batches(seed), sequences=lambda: iter(()), labels=torch.zeros(0, dtype=torch.int64)
)
RECIPE = Recipe(
    stages=(
        Stage(
            name="warm",
            iterations=6,
            optimizer=OptimizerConfig(name="adam", lr=0.01, grad_clip=1.0),
            schedule=ScheduleConfig(name="onecycle", warmup=2),
        ),
        Stage(name="head", iterations=5, freeze=("conv.*", "norm.*"), optimizer=OptimizerConfig(lr=0.05)),
    ),
    checkpoint_every=2,
)


def net(**kwargs: object) -> Net:
    torch.manual_seed(3)
    return Net(Config(), **kwargs)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: x.clone() for name, x in model.state_dict().items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


class Stop(Exception):
    pass


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("stop", [1, 3, 6, 7, 10])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, precision: str, stop: int) -> None:
    recipe = RECIPE.model_copy(update={"precision": precision})
    whole = net()
    expected = train(whole, DATA, recipe, seed=7, checkpoint_dir=tmp_path / "a", log_path=tmp_path / "a.jsonl")

    def watch(name: str, step: int, _: Mapping[str, float]) -> None:
        if name == "step" and step == stop:
            raise Stop

    arguments = {"seed": 7, "checkpoint_dir": tmp_path / "b", "log_path": tmp_path / "b.jsonl"}
    with pytest.raises(Stop):
        train(net(), DATA, recipe, watch=watch, **arguments)
    resumed = net()
    got = train(resumed, DATA, recipe, **arguments)
    assert_equal(weights(whole), weights(resumed))
    assert got.final_losses == expected.final_losses
    assert got.num_steps == expected.num_steps == 11
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()


def test_damaged_checkpoint_falls_back_to_the_previous_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = net()
    train(whole, DATA, RECIPE, seed=7, checkpoint_dir=tmp_path)
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-40])
    resumed = net()
    steps: list[int] = []
    train(resumed, DATA, RECIPE, seed=7, checkpoint_dir=tmp_path, watch=lambda name, n, _: steps.append(n))
    assert f"{newest} is damaged" in caplog.text
    assert steps[0] == 11  # the one before was made after step 10
    assert_equal(weights(whole), weights(resumed))


def test_checkpoint_of_another_seed_is_refused(tmp_path: Path) -> None:
    train(net(), DATA, RECIPE, seed=7, checkpoint_dir=tmp_path)
    with pytest.raises(TrainingError, match="another training"):
        train(net(), DATA, RECIPE, seed=8, checkpoint_dir=tmp_path)


def test_seed_decides_and_global_state_does_not() -> None:
    results = []
    for seed, noise in ((1, 0), (1, 99), (2, 0)):
        model = net()
        torch.manual_seed(noise)
        train(model, DATA, RECIPE, seed=seed)
        results.append(weights(model))
    assert_equal(results[0], results[1])
    assert not torch.equal(results[0]["head.weight"], results[2]["head.weight"])


def test_frozen_parts_stay_and_thaw_afterwards() -> None:
    model = net()
    recipe = RECIPE.model_copy(update={"stages": RECIPE.stages[1:]})
    before = weights(model)
    train(model, DATA, recipe, seed=0)
    after = weights(model)
    for name in before:
        is_frozen = name.startswith(("conv.", "norm."))
        assert torch.equal(before[name], after[name]) == is_frozen, name
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite_loss_says_where_and_keeps_the_last_good_checkpoint(tmp_path: Path, value: float) -> None:
    with pytest.raises(NotFiniteError, match=r"stage 'warm' \(1 of 2\), step 4: loss softmax is (nan|inf).*checkpoint"):
        train(net(bad={4: value}), DATA, RECIPE, seed=7, checkpoint_dir=tmp_path, log_path=tmp_path / "log.jsonl")
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["00-00000002.json", "00-00000004.json"]
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [0, 1, 2, 3]
    healed, whole = net(), net()
    train(healed, DATA, RECIPE, seed=7, checkpoint_dir=tmp_path)
    train(whole, DATA, RECIPE, seed=7)
    assert_equal(weights(healed), weights(whole))


def test_not_finite_gradient_stops_before_the_weights_are_touched(tmp_path: Path) -> None:
    class Root(Net):
        def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
            # The root is 0, its slope is infinite.
            return {"root": (output.logits * 0).square().sum().sqrt() * (1.0 if batch.step == 2 else 0.0)}

    torch.manual_seed(3)
    model = Root(Config())
    with pytest.raises(NotFiniteError, match=r"step [0-2]: the norm of the gradient is nan"):
        train(model, DATA, RECIPE, seed=7)
    assert all(bool(x.isfinite().all()) for x in weights(model).values())


def test_ctrl_c_finishes_the_step_saves_and_passes_on(tmp_path: Path) -> None:
    def watch(name: str, step: int, _: Mapping[str, float]) -> None:
        if name == "step" and step == 3:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(net(), DATA, RECIPE, seed=7, checkpoint_dir=tmp_path, watch=watch)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "00-00000003.json").exists()
    resumed, whole = net(), net()
    steps: list[int] = []
    train(resumed, DATA, RECIPE, seed=7, checkpoint_dir=tmp_path, watch=lambda _, n, __: steps.append(n))
    train(whole, DATA, RECIPE, seed=7)
    assert steps[0] == 4
    assert_equal(weights(resumed), weights(whole))


def test_works_outside_the_main_thread() -> None:
    outcome: list[int] = []
    thread = threading.Thread(target=lambda: outcome.append(train(net(), DATA, RECIPE, seed=7).num_steps))
    thread.start()
    thread.join()
    assert outcome == [11]


def test_loss_weights_are_applied_and_checked() -> None:
    heavy = Stage(iterations=1, loss_weights={"softmax": 0.0}, optimizer=OptimizerConfig(weight_decay=0))
    model = net()
    before = weights(model)
    train(model, DATA, Recipe(stages=(heavy,)), seed=0)
    assert torch.equal(before["head.weight"], model.state_dict()["head.weight"])
    assert not torch.equal(before["conv.weight"], model.state_dict()["conv.weight"])
    wrong = Stage(iterations=1, loss_weights={"sofmax": 2.0})
    with pytest.raises(TrainingError, match="unknown losses: sofmax; Net has other, softmax"):
        train(net(), DATA, Recipe(stages=(wrong,)), seed=0)
    without = Stage(iterations=1, loss_weights={"not-computed-in-this-stage": 0.0})
    assert train(net(), DATA, Recipe(stages=(without,)), seed=0).num_steps == 1


def test_loss_that_is_no_scalar_is_refused() -> None:
    class Vector(Net):
        def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
            return {"each": output.embedding.mean(dim=(1, 2))}

    with pytest.raises(ModelError, match=r"loss 'each' must be a scalar tensor, got \[8\]"):
        train(Vector(Config()), DATA, RECIPE, seed=0)


def test_everything_frozen_is_refused() -> None:
    stage = Stage(iterations=1, freeze=("*",))
    with pytest.raises(TrainingError, match="no parameter trains"):
        train(net(), DATA, Recipe(stages=(stage,)), seed=0)


def test_losses_are_computed_in_float32_under_mixed_precision() -> None:
    kinds: list[torch.dtype] = []

    class Spy(Net):
        def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
            kinds.extend([output.embedding.dtype, (output.logits[..., 0] @ output.logits[..., 0].T).dtype])
            return super().losses(output, batch, stage)

    train(Spy(Config()), DATA, RECIPE.model_copy(update={"precision": "bf16-mixed"}), seed=0)
    assert set(kinds) == {torch.float32}


class Mean(ClosedFormModel):
    def __init__(self, config: BaseModel) -> None:
        super().__init__(config)
        self.register_buffer("centre", torch.zeros(2))

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="silhouette"),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        return GaitOutput(embedding=self.features(batch)[..., None])

    def features(self, batch: GaitBatch) -> Tensor:
        return batch.inputs["silhouette"]

    def fit(self, features: Tensor, labels: Tensor) -> None:
        self.centre.copy_((features * labels[:, None]).sum(dim=0))


def test_closed_form_stage_sees_all_features_in_order_of_the_labels(tmp_path: Path) -> None:
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    calls = 0

    def sequences() -> Iterator[tuple[Tensor, GaitBatch]]:
        nonlocal calls
        calls += 1
        for rows in (torch.tensor([2, 0]), torch.tensor([1])):
            yield rows, GaitBatch({"silhouette": features[rows]}, {})

    labels = torch.tensor([0, 1, 2])
    data = TrainingData(sampler=lambda _, seed: Batches(seed), sequences=sequences, labels=labels)
    recipe = Recipe(stages=(Stage(kind="closed-form"),))
    for _ in range(2):
        model = Mean(Config())
        assert train(model, data, recipe, seed=0, checkpoint_dir=tmp_path).num_steps == 0
        assert model.centre.tolist() == [3 + 10, 4 + 12]
    assert calls == 1  # the second time the checkpoint had it
    features[1, 0] = math.nan
    with pytest.raises(NotFiniteError, match="features"):
        train(Mean(Config()), data, recipe, seed=0)


def test_closed_form_stage_needs_a_closed_form_model() -> None:
    with pytest.raises(TrainingError, match="Net is no ClosedFormModel"):
        train(net(), DATA, Recipe(stages=(Stage(kind="closed-form"),)), seed=0)


def test_fabric_of_the_caller_is_used() -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    model = net()
    train(model, DATA, RECIPE, seed=0, fabric=fabric)
    assert model.head.weight.dtype == torch.float32
