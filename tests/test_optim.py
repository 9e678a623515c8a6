"""Learning rates by hand, parameter groups by pattern."""

import pytest
import torch
from torch import nn

from gaitbench.errors import TrainingError
from gaitbench.optim import build_optimizer, freeze, lr_factor, set_lr
from gaitbench.recipe import OptimizerConfig, ScheduleConfig


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        pytest.param(ScheduleConfig(name="constant"), 99, 1.0, id="constant"),
        pytest.param(ScheduleConfig(name="constant", warmup=4), 1, 0.5, id="warm-up"),
        pytest.param(ScheduleConfig(name="constant", warmup=4), 3, 1.0, id="warm-up-ends"),
        pytest.param(ScheduleConfig(milestones=(10, 20)), 9, 1.0, id="before-milestone"),
        pytest.param(ScheduleConfig(milestones=(10, 20)), 10, 0.1, id="at-milestone"),
        pytest.param(ScheduleConfig(milestones=(10, 20)), 25, 0.01, id="after-both"),
        pytest.param(ScheduleConfig(name="cosine"), 0, 1.0, id="cosine-start"),
        pytest.param(ScheduleConfig(name="cosine", final_factor=0.2), 50, 0.6, id="cosine-middle"),
        pytest.param(ScheduleConfig(name="cosine", final_factor=0.2), 100, 0.2, id="cosine-end"),
        pytest.param(ScheduleConfig(name="onecycle", warmup=20), 9, 0.5, id="cycle-rises"),
        pytest.param(ScheduleConfig(name="onecycle", warmup=20), 20, 1.0, id="cycle-top"),
        pytest.param(ScheduleConfig(name="onecycle", warmup=20), 60, 0.5, id="cycle-falls"),
        pytest.param(ScheduleConfig(name="onecycle", warmup=20), 100, 0.0, id="cycle-ends"),
    ],
)
def test_lr_factor(schedule: ScheduleConfig, step: int, expected: float) -> None:
    assert lr_factor(schedule, step, 100) == pytest.approx(expected, abs=1e-12)


def model() -> nn.Module:
    return nn.ModuleDict({"back": nn.Linear(2, 2), "norm": nn.BatchNorm1d(2), "head": nn.Linear(2, 2)})


def test_groups_follow_the_first_pattern() -> None:
    config = OptimizerConfig(
        lr=0.5, weight_decay=0.1, lr_scale={"back.bias": 3.0, "back.*": 0.1}, no_decay=("*.bias", "norm.*")
    )
    net = model()
    optimizer = build_optimizer(net, config)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert found == {
        "back.weight": (pytest.approx(0.05), 0.1),
        "back.bias": (1.5, 0.0),
        "norm.weight": (0.5, 0.0),
        "norm.bias": (0.5, 0.0),
        "head.weight": (0.5, 0.1),
        "head.bias": (0.5, 0.0),
    }
    set_lr(optimizer, 0.1)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.01, 0.1, 0.3])


@pytest.mark.parametrize("field", ["lr_scale", "no_decay"])
def test_pattern_without_parameter_is_refused(field: str) -> None:
    value = {"bakc.*": 2.0} if field == "lr_scale" else ("bakc.*",)
    with pytest.raises(TrainingError, match=f"{field} pattern 'bakc.*' matches none .* start with back, head, norm"):
        build_optimizer(model(), OptimizerConfig.model_validate({field: value}))


def test_freeze_stops_parameters_and_running_statistics() -> None:
    net = model().train()
    freeze(net, ("norm.*", "back.weight"))
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["back.bias", "head.weight", "head.bias"]
    assert not net["norm"].training
    assert net["back"].training
    before = net["norm"].running_mean.clone()
    net["norm"](torch.ones(4, 2))
    assert torch.equal(before, net["norm"].running_mean)
    with pytest.raises(TrainingError, match="freeze pattern"):
        freeze(net, ("nothing.*",))
