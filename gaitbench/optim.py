"""What a recipe says of optimization, as PyTorch objects: parameter groups, rates over time, frozen parts."""

import fnmatch
import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from gaitbench.errors import TrainingError
from gaitbench.recipe import OptimizerConfig, ScheduleConfig

__all__ = ["build_optimizer", "freeze", "lr_factor", "momentum_at", "set_rates"]


def lr_factor(schedule: ScheduleConfig, step: int, iterations: int) -> float:
    """Give the share of the learning rate that a step uses; depends on its arguments alone.

    Args:
        schedule: What the recipe says.
        step: Steps already taken in this stage, from 0.
        iterations: Steps of the stage.

    Returns:
        A factor, 0 or more. A cosine reaches ``final_factor`` after the last step, ``cosine-cycle`` its end with it.

    Source:
        Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5 (cosine); Smith and Topin, "Super-Convergence", 2018
        (one cycle). ``cosine-cycle`` gives the numbers of ``torch.optim.lr_scheduler.OneCycleLR``.

    Example:
        >>> lr_factor(ScheduleConfig(name="multistep", milestones=(10,)), 10, 20)
        0.1
        >>> lr_factor(ScheduleConfig(name="constant", warmup=4), 0, 20)
        0.25
    """
    step -= step % schedule.update_every
    ramp = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    match schedule.name:
        case "constant":
            return ramp
        case "multistep":
            return ramp * schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones)
        case "cosine":
            return ramp * _cosine(step / (schedule.cosine_steps or max(1, iterations)), schedule.final_factor)
        case "onecycle":
            if step < schedule.warmup:
                return ramp
            progress = (step - schedule.warmup) / max(1, iterations - schedule.warmup)
            return _cosine(progress, schedule.final_factor)
        case "cosine-cycle":
            first = 1 / schedule.start_divisor
            last = first / schedule.final_divisor
            levels = (first, 1.0, first, last) if schedule.has_three_phases else (first, 1.0, last)
            return _between(levels, schedule, step, iterations)


def momentum_at(schedule: ScheduleConfig, step: int, iterations: int) -> float | None:
    """Give the momentum that a step uses, where the schedule cycles it: high where the learning rate is low.

    Args:
        schedule: What the recipe says.
        step: Steps already taken in this stage, from 0.
        iterations: Steps of the stage.

    Returns:
        The momentum, or None where the schedule leaves it alone.

    Example:
        >>> cycle = ScheduleConfig(name="cosine-cycle", rise=0.5, momentum_range=(0.85, 0.95))
        >>> [round(momentum_at(cycle, step, 10), 4) for step in (0, 4, 9)]
        [0.95, 0.85, 0.95]
    """
    if schedule.momentum_range is None:
        return None
    low, high = schedule.momentum_range
    levels = (high, low, high, high) if schedule.has_three_phases else (high, low, high)
    return _between(levels, schedule, step - step % schedule.update_every, iterations)


def _between(levels: Sequence[float], schedule: ScheduleConfig, step: int, iterations: int) -> float:
    """Go along a cosine from each level to the next; the phases meet where PyTorch's do."""
    ends = [schedule.rise * iterations - 1, iterations - 1.0]
    if schedule.has_three_phases:
        ends.insert(1, 2 * ends[0])
    start = 0.0
    for end, before, after in zip(ends, levels, levels[1:], strict=True):
        if step <= end or end == ends[-1]:
            # Where a stage is too short for a phase, the phase is over before it began.
            progress = (step - start) / (end - start) if end > start else 1.0
            return after + (before - after) * _cosine(progress, 0.0)
        start = end
    raise AssertionError("the last phase ends with the stage")


def _cosine(progress: float, final_factor: float) -> float:
    return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimizer over the parameters that train, in groups of one learning-rate scale and decay each.

    Each group carries ``lr_scale``, which :func:`set_rates` reads.

    Raises:
        TrainingError: Nothing trains, or a pattern matches no parameter.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> config = OptimizerConfig(lr=0.1, lr_scale={"bias": 2.0}, no_decay=("bias",))
        >>> [(g["lr"], g["weight_decay"]) for g in build_optimizer(model, config).param_groups]
        [(0.1, 0.0005), (0.2, 0.0)]
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in config.lr_scale:
        _check_pattern("lr_scale", pattern, names)
    for pattern in config.no_decay:
        _check_pattern("no_decay", pattern, names)

    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((s for p, s in config.lr_scale.items() if fnmatch.fnmatchcase(name, p)), 1.0)
            has_decay = not any(fnmatch.fnmatchcase(name, p) for p in config.no_decay)
            groups.setdefault((scale, has_decay), []).append(parameter)
    if not groups:
        raise TrainingError("no parameter trains in this stage; check the stage's `freeze` patterns")
    options = [
        {
            "params": parameters,
            "lr": config.lr * scale,
            "lr_scale": scale,
            "weight_decay": config.weight_decay if has_decay else 0.0,
        }
        for (scale, has_decay), parameters in groups.items()
    ]
    match config.name:
        case "sgd":
            return torch.optim.SGD(options, lr=config.lr, momentum=config.momentum)
        case "adam":
            return torch.optim.Adam(options, lr=config.lr, betas=(config.momentum, 0.999), eps=config.eps)
        case "adamw":
            return torch.optim.AdamW(options, lr=config.lr, betas=(config.momentum, 0.999), eps=config.eps)


def set_rates(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, schedule: ScheduleConfig, step: int, iterations: int
) -> float:
    """Set what the schedule says of a step: each group's learning rate, times its scale, and momentum if it is cycled.

    Args:
        optimizer: From :func:`build_optimizer`.
        config: What it was built from.
        schedule: What the recipe says.
        step: Steps already taken in this stage, from 0.
        iterations: Steps of the stage.

    Returns:
        The learning rate of parameters without a scale.
    """
    lr = config.lr * lr_factor(schedule, step, iterations)
    momentum = momentum_at(schedule, step, iterations)
    for group in optimizer.param_groups:
        group["lr"] = max(lr * group["lr_scale"], schedule.min_lr)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif momentum is not None:
            group["momentum"] = momentum
    return max(lr, schedule.min_lr)


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Stop the parameters that match from training.

    A module all of whose parameters are frozen is put into evaluation mode, so that the running statistics of its
    batch norms stay as well. Calling ``model.train()`` undoes that second part.

    Raises:
        TrainingError: A pattern matches no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        _check_pattern("freeze", pattern, names)
        for name, parameter in model.named_parameters():
            if fnmatch.fnmatchcase(name, pattern):
                parameter.requires_grad_(False)
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def _check_pattern(field: str, pattern: str, names: list[str]) -> None:
    if not fnmatch.filter(names, pattern):
        tops = sorted({name.split(".")[0] for name in names})
        raise TrainingError(
            f"{field} pattern {pattern!r} matches none of the model's {len(names)} parameters; "
            f"their names start with {', '.join(tops[:12])}. Patterns are globs over whole names."
        )
