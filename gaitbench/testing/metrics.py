"""The contract of a metric: a number per probe from distances.

Axes: Q probes, G gallery.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gaitbench.errors import PluginError

__all__ = ["check_metric"]

Metric = Callable[[Tensor, Tensor, Tensor], Tensor]


def check_metric(
    metric: Metric, *, higher_is_better: bool = True, value_range: tuple[float, float] = (0.0, 1.0)
) -> None:
    """Try a metric against its contract.

    Checked: one float per probe; NaN exactly for absent probes; values in range; the order of the gallery and pairs
    that the protocol excludes change nothing, also when distances tie; scaling all distances changes nothing; the
    inputs are left alone; and a perfect ranking is at least as good as the worst one.

    Args:
        metric: ``(distance [Q, G], match [Q, G], valid [Q, G]) -> [Q]``.
        higher_is_better: The direction of "good".
        value_range: Smallest and largest value a probe can get.

    Raises:
        PluginError: What is wrong, and what the contract asks for.
    """
    name = getattr(metric, "__name__", repr(metric))
    for seed in range(5):
        distance, match, valid = _example(seed)
        kept = [x.clone() for x in (distance, match, valid)]
        value = metric(distance, match, valid)
        if not all(torch.equal(x, y) for x, y in zip(kept, (distance, match, valid), strict=True)):
            raise PluginError(f"metric {name} changes its arguments; work on copies.")
        _check_values(name, value, match & valid, value_range)

        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(distance.shape[1], generator=rng)
        _need_same(
            name, value, metric(distance[:, order], match[:, order], valid[:, order]), "the order of the gallery"
        )
        _need_same(name, value, metric(distance * 3, match, valid), "the scale of the distances")
        elsewhere = torch.where(valid, distance, torch.rand(distance.shape, generator=rng) - 1)
        _need_same(name, value, metric(elsewhere, match, valid), "the distance of an excluded pair")

        perfect, worst = (metric(x, match, valid).nanmean() for x in ((~match).float(), match.float()))
        if (perfect < worst) if higher_is_better else (perfect > worst):
            raise PluginError(
                f"metric {name} gives {float(perfect):.3f} for a perfect ranking and {float(worst):.3f} for the worst; "
                f"is higher_is_better={higher_is_better} right?"
            )


def _example(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Few distinct distances, so that many tie; the first probe is absent, the second has all pairs."""
    rng = torch.Generator().manual_seed(seed)
    probe, gallery = torch.arange(8) % 4, torch.arange(12) % 4
    match = probe[:, None] == gallery[None, :]
    valid = torch.rand(8, 12, generator=rng) < 0.8
    valid[0] &= ~match[0]
    valid[1] = True
    return torch.randint(0, 5, (8, 12), generator=rng).float(), match, valid


def _check_values(name: str, value: Tensor, genuine: Tensor, value_range: tuple[float, float]) -> None:
    if not isinstance(value, Tensor) or value.shape != (len(genuine),) or not value.is_floating_point():
        found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise PluginError(f"metric {name} must give one float per probe, [{len(genuine)}], got {found}.")
    is_absent = ~genuine.any(dim=1)
    if not torch.equal(value.isnan(), is_absent):
        raise PluginError(
            f"metric {name} must give NaN for absent probes and only for them; absent are probes "
            f"{is_absent.nonzero().flatten().tolist()}, NaN are {value.isnan().nonzero().flatten().tolist()}."
        )
    counted = value[~is_absent]
    if (counted < value_range[0]).any() or (counted > value_range[1]).any():
        raise PluginError(
            f"metric {name} gives {float(counted.min()):g} to {float(counted.max()):g}, outside its range "
            f"{value_range[0]:g} to {value_range[1]:g}."
        )


def _need_same(name: str, value: Tensor, other: Tensor, what: str) -> None:
    if not torch.allclose(value, other, equal_nan=True):
        raise PluginError(f"metric {name} depends on {what}: {value.tolist()} became {other.tolist()}.")
