"""What a recipe says of optimization, as PyTorch objects: parameter groups, learning rate over time, frozen parts."""

import fnmatch
import math
from collections.abc import Iterable

import torch
from torch import nn

from gaitbench.errors import TrainingError
from gaitbench.recipe import OptimizerConfig, ScheduleConfig

__all__ = ["build_optimizer", "freeze", "lr_factor", "set_lr"]


def lr_factor(schedule: ScheduleConfig, step: int, iterations: int) -> float:
    """Give the share of the learning rate that a step uses; depends on its arguments alone.

    Args:
        schedule: What the recipe says.
        step: Steps already taken in this stage, from 0.
        iterations: Steps of the stage.

    Returns:
        A factor, 0 or more. A cosine reaches ``final_factor`` after the last step.

    Source:
        Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5 (cosine); Smith and Topin, "Super-Convergence", 2018
        (one cycle).

    Example:
        >>> lr_factor(ScheduleConfig(name="multistep", milestones=(10,)), 10, 20)
        0.1
        >>> lr_factor(ScheduleConfig(name="constant", warmup=4), 0, 20)
        0.25
    """
    ramp = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    match schedule.name:
        case "constant":
            return ramp
        case "multistep":
            return ramp * schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones)
        case "cosine":
            return ramp * _cosine(step / max(1, iterations), schedule.final_factor)
        case "onecycle":
            if step < schedule.warmup:
                return ramp
            progress = (step - schedule.warmup) / max(1, iterations - schedule.warmup)
            return _cosine(progress, schedule.final_factor)


def _cosine(progress: float, final_factor: float) -> float:
    return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimizer over the parameters that train, in groups of one learning-rate scale and decay each.

    Each group carries ``lr_scale``, which :func:`set_lr` reads.

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
            return torch.optim.Adam(options, lr=config.lr, betas=(config.momentum, 0.999))
        case "adamw":
            return torch.optim.AdamW(options, lr=config.lr, betas=(config.momentum, 0.999))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to ``lr`` times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


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
