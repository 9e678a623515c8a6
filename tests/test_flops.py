"""Operations and parameters, counted by hand."""

import pytest
import torch
from torch import Tensor, nn

from gaitbench.flops import count_flops, count_parameters
from gaitbench.model import GaitBatch


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: GaitBatch) -> Tensor:
        return self.inner(batch.inputs["x"])


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        pytest.param(nn.Linear(3, 5), (7, 3), 2 * 7 * 3 * 5, id="linear"),
        pytest.param(nn.Conv2d(2, 4, 3, padding=1), (1, 2, 6, 5), 2 * 4 * 2 * 9 * 30, id="convolution"),
        pytest.param(nn.Conv2d(4, 4, 3, groups=2), (1, 4, 5, 5), 2 * 4 * 2 * 9 * 9, id="grouped"),
        pytest.param(nn.ReLU(), (4, 4), 0, id="elementwise-is-free"),
    ],
)
@pytest.mark.parametrize("is_mixed", [False, True])
def test_flops_by_hand(layer: nn.Module, shape: tuple[int, ...], expected: int, is_mixed: bool) -> None:
    batch = GaitBatch({"x": torch.rand(shape)}, {})
    with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
        assert count_flops(Wrapped(layer), batch) == expected


def test_a_module_may_be_handed_a_view_of_a_parameter() -> None:
    class Query(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.linear = nn.Parameter(torch.randn(2, 3)), nn.Linear(3, 5)

        def forward(self, batch: GaitBatch) -> Tensor:
            return self.linear(self.query.expand(len(batch.inputs["x"]), -1, -1))

    model = Query()
    model.linear.bias.requires_grad_(False)
    assert count_flops(model, GaitBatch({"x": torch.rand(4, 1)}, {})) == 2 * 4 * 2 * 3 * 5
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == ["query", "linear.weight"]


def test_shared_parameters_count_once_and_buffers_do_not() -> None:
    first = nn.Linear(3, 3, bias=False)
    assert count_parameters(nn.Sequential(first, first, nn.BatchNorm1d(3))) == 9 + 6
