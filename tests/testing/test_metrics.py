import pytest
import torch
from torch import Tensor

from gaitbench.errors import PluginError
from gaitbench.metrics import rank_k
from gaitbench.testing import check_metric


def zero_for_absent(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    return rank_k(distance, match, valid).nan_to_num(0)


def first_of_ties(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    nearest = distance.masked_fill(~valid, torch.inf).argmin(dim=1, keepdim=True)
    hit = (match & valid).gather(1, nearest).float()[:, 0]
    return hit.masked_fill(~(match & valid).any(dim=1), torch.nan)


def absolute(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    genuine = match & valid
    nearest = distance.masked_fill(~genuine, torch.inf).amin(dim=1)
    return (1 / (1 + nearest)).masked_fill(~genuine.any(dim=1), torch.nan)


def excluded_too(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    return rank_k(distance, match, torch.ones_like(valid)).masked_fill(~(match & valid).any(dim=1), torch.nan)


def in_place(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    return rank_k(distance.masked_fill_(~valid, 9), match, valid)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        pytest.param(zero_for_absent, "NaN for absent probes", id="absent"),
        pytest.param(first_of_ties, "order of the gallery", id="ties"),
        pytest.param(absolute, "scale of the distances", id="scale"),
        pytest.param(excluded_too, "excluded pair", id="excluded"),
        pytest.param(in_place, "changes its arguments", id="in-place"),
        pytest.param(lambda d, m, v: rank_k(d, m, v).mean(), "one float per probe", id="shape"),
        pytest.param(lambda d, m, v: 100 * rank_k(d, m, v), "outside its range", id="range"),
        pytest.param(lambda d, m, v: 1 - rank_k(d, m, v), "higher_is_better", id="direction"),
    ],
)
def test_a_broken_metric_is_told_what_is_wrong(metric, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_metric(metric)


def test_lower_is_better() -> None:
    check_metric(lambda d, m, v: 1 - rank_k(d, m, v), higher_is_better=False)
