"""Learning rates by hand, parameter groups by pattern."""

import numpy as np
import pytest
import torch
from torch import nn

from gaitbench.errors import TrainingError
from gaitbench.optim import build_optimizer, freeze, lr_factor, momentum_at, set_rates
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
        pytest.param(ScheduleConfig(name="cosine", cosine_steps=50), 25, 0.5, id="shorter-cosine-middle"),
        pytest.param(ScheduleConfig(name="cosine", cosine_steps=50), 50, 0.0, id="shorter-cosine-end"),
        pytest.param(ScheduleConfig(name="cosine", cosine_steps=50), 99, 0.0, id="shorter-cosine-stays"),
        pytest.param(ScheduleConfig(name="cosine", update_every=30), 29, 1.0, id="not-updated-yet"),
        pytest.param(ScheduleConfig(name="cosine", update_every=50), 77, 0.5, id="updated-by-50"),
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
    schedule = ScheduleConfig(milestones=(5,), gamma=0.2)
    assert set_rates(optimizer, config, schedule, 5, 9) == pytest.approx(0.1)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.01, 0.1, 0.3])
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}


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


def published_rates(total: int, optimizer: torch.optim.Optimizer, **options: object) -> list[tuple[float, float]]:
    """Learning rate and momentum that PyTorch's scheduler gives to each step."""
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, total_steps=total, **options)  # type: ignore[arg-type]
    rates = []
    for _ in range(total):
        (group,) = optimizer.param_groups
        rates.append((group["lr"], group["betas"][0] if "betas" in group else group["momentum"]))
        optimizer.step()
        if len(rates) < total:
            scheduler.step()
    return rates


@pytest.mark.parametrize("total", [20, 97, 400])
@pytest.mark.parametrize(
    ("rise", "three_phase", "div_factor", "final_div_factor"),
    [(0.3, False, 25.0, 1e4), (0.475, True, 100.0, 1000.0), (0.5, True, 100.0, 1e4), (0.1, True, 10.0, 7.0)],
    ids=["gaitgraph", "gaittr", "gpgait", "short-rise"],
)
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_cosine_cycle_is_that_of_pytorch(
    name: str, rise: float, three_phase: bool, div_factor: float, final_div_factor: float, total: int
) -> None:
    schedule = ScheduleConfig(
        name="cosine-cycle",
        rise=rise,
        has_three_phases=three_phase,
        start_divisor=div_factor,
        final_divisor=final_div_factor,
        momentum_range=(0.8, 0.97),
    )
    config = OptimizerConfig.model_validate({"name": name, "lr": 0.01, "weight_decay": 0.0})
    ours, theirs = (build_optimizer(nn.Linear(1, 1), config) for _ in range(2))
    expected = published_rates(
        total,
        theirs,
        max_lr=0.01,
        pct_start=rise,
        three_phase=three_phase,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        base_momentum=0.8,
        max_momentum=0.97,
    )
    for step, (lr, momentum) in enumerate(expected):
        assert set_rates(ours, config, schedule, step, total) == pytest.approx(lr, rel=1e-9)
        (group,) = ours.param_groups
        assert group["lr"] == pytest.approx(lr, rel=1e-9)
        assert (group["betas"][0] if name == "adam" else group["momentum"]) == pytest.approx(momentum, rel=1e-9)
        assert name == "sgd" or group["betas"][1] == 0.999


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("total", [1, 2, 3, 5])
def test_cosine_cycle_of_a_few_steps_stays_within_its_bounds(total: int, three_phase: bool) -> None:
    schedule = ScheduleConfig(name="cosine-cycle", has_three_phases=three_phase, momentum_range=(0.85, 0.95))
    for step in range(total):
        momentum = momentum_at(schedule, step, total)
        assert 0 < lr_factor(schedule, step, total) <= 1
        assert momentum is not None
        assert 0.85 <= momentum <= 0.95


def test_the_smallest_rate_holds_for_every_scale_and_the_cosine_falls_by_steps() -> None:
    """SwinGait's published schedule, at a hundredth of its length."""
    config = OptimizerConfig(name="adamw", lr=3e-4, lr_scale={"back.*": 0.1})
    schedule = ScheduleConfig(name="cosine", cosine_steps=600, update_every=10, min_lr=1e-6)
    optimizer = build_optimizer(model(), config)
    rates: dict[float, list[float]] = {}
    for step in range(800):
        set_rates(optimizer, config, schedule, step, 800)
        for group in optimizer.param_groups:
            rates.setdefault(group["lr_scale"], []).append(group["lr"])
    for scale, found in rates.items():
        expected = [max(3e-4 * scale * (1 + np.cos(np.pi * min(1, step // 10 / 60))) / 2, 1e-6) for step in range(800)]
        assert found == pytest.approx(expected)
        assert found[0] > found[500] > found[600] == 1e-6


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"use 0\.5 or less"):
        ScheduleConfig(name="cosine-cycle", rise=0.6, has_three_phases=True)
    with pytest.raises(ValueError, match="belongs to the schedule 'cosine-cycle', not to 'onecycle'"):
        ScheduleConfig(name="onecycle", momentum_range=(0.85, 0.95))
    with pytest.raises(ValueError, match="must rise and stay below 1"):
        ScheduleConfig(name="cosine-cycle", momentum_range=(0.95, 0.85))


def test_eps_reaches_adam() -> None:
    for name in ("adam", "adamw"):
        optimizer = build_optimizer(model(), OptimizerConfig(name=name, eps=1e-6))
        assert {group["eps"] for group in optimizer.param_groups} == {1e-6}
    assert build_optimizer(model(), OptimizerConfig(name="adam")).param_groups[0]["eps"] == 1e-8
