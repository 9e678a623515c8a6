"""The description of frozen features, and how a model reads them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.frozen import FrozenFeatures
from gaitbench.model import GaitBatch


class Means(FrozenFeatures):
    """Mean colour of the upper and of the lower half."""

    def compute(self, frames: Tensor) -> Tensor:
        return frames.unflatten(2, (2, -1)).mean(dim=(3, 4))[..., None]


def means(**changes: Any) -> Means:
    arguments = {"modality": "rgb", "name": "rgb:means", "shape": (3, 2, 1), "key": {"kind": "means"}}
    return Means(**{**arguments, **changes})


def test_features_are_computed_or_taken() -> None:
    clips = torch.rand(2, 3, 5, 4, 6, requires_grad=True)
    lengths = torch.tensor([5, 4])
    features = means()
    computed = features.of(GaitBatch({"rgb": clips}, {"rgb": lengths}))
    assert computed.shape == (2, 3, 5, 2, 1)
    assert not computed.requires_grad
    torch.testing.assert_close(computed[1, 2, 3, 0, 0], clips[1, 2, 3, :2].mean().detach())
    carried = GaitBatch({"rgb:means": computed}, {"rgb": lengths, "rgb:means": lengths})
    assert features.of(carried) is computed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"name": "rgb"}, "need a name of their own", id="name"),
        pytest.param({"shape": (3, 2)}, r"shape \[C, h, w\] of one frame, got \[3, 2\]", id="shape"),
        pytest.param({"shape": (3, 0, 1)}, "of one frame", id="empty"),
        pytest.param({"dtype": "bfloat16"}, "kept as float32 or float16, not as 'bfloat16'", id="dtype"),
        pytest.param({"key": {"weights": torch.zeros(1)}}, "key of frozen features 'rgb:means' is no JSON", id="key"),
        pytest.param({"key": {"scale": float("nan")}}, "is no JSON", id="nan"),
    ],
)
def test_descriptions_that_contradict_themselves_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        means(**changes)
