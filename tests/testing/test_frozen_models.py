"""What the contract of a model asks of its frozen features."""

import pytest
import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.frozen import FrozenFeatures
from gaitbench.model import GaitBatch, GaitOutput
from gaitbench.testing import check_model
from tests.support.frozen_plugin import ConvFeatures, FrozenConfig, FrozenNet


def test_a_good_model_passes() -> None:
    check_model(FrozenNet(FrozenConfig(num_classes=3)))


class Bad(ConvFeatures):
    """Has something added to it."""

    def __init__(self, tower: nn.Module, config: FrozenConfig) -> None:
        super().__init__(tower, config)
        self.tower = tower


class OverFrames(Bad):
    def compute(self, frames: Tensor) -> Tensor:
        found = super().compute(frames)
        return found - found.mean(dim=0, keepdim=True)


class ByMode(Bad):
    def compute(self, frames: Tensor) -> Tensor:
        return super().compute(frames) * (2 if self.tower.training else 1)


class OtherShape(Bad):
    def compute(self, frames: Tensor) -> Tensor:
        return super().compute(frames).repeat(1, 2, 1, 1)


class Permuted(Bad):
    """As token maps of a transformer lie in memory, which is no fault."""

    def compute(self, frames: Tensor) -> Tensor:
        return super().compute(frames).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def with_features(cls: type[Bad]) -> FrozenNet:
    class Net(FrozenNet):
        @property
        def frozen_features(self) -> FrozenFeatures:
            return cls(self.tower, self.config)

    Net.__name__ = "Net"
    return Net(FrozenConfig(num_classes=3))


class LooksTwice(FrozenNet):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        shade = batch.inputs["rgb"][:, :, 0].mean(dim=(1, 2, 3)) if "rgb" in batch.inputs else torch.ones(())
        return GaitOutput(output.embedding * shade.reshape(-1, 1, 1), output.logits)


class LooksAlways(FrozenNet):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        return super().forward(GaitBatch({"rgb": batch.inputs["rgb"]}, batch.num_frames))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(with_features(OverFrames), "depend on the training mode or on the other frames", id="frames"),
        pytest.param(with_features(ByMode), "depend on the training mode", id="mode"),
        pytest.param(
            with_features(OtherShape), r"have the shape \[12, 8, 8\], the description says \[6, 8, 8\]", id="shape"
        ),
        pytest.param(LooksTwice(FrozenConfig(num_classes=3)), "nothing of the frames besides", id="looks-twice"),
        pytest.param(
            LooksAlways(FrozenConfig(num_classes=3)), "with kept features: it asks the batch for 'rgb'", id="always"
        ),
    ],
)
def test_faults_are_named(model: FrozenNet, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(model)


def test_features_may_lie_in_memory_as_they_like() -> None:
    model = with_features(Permuted)
    check_model(model)
    clips = torch.rand(2, 3, 4, 64, 64)
    assert model.frozen_features is not None
    batch = GaitBatch({"rgb": clips}, {"rgb": torch.tensor([4, 4])})
    plain = ConvFeatures(model.tower, model.config).of(batch)
    torch.testing.assert_close(model.frozen_features.of(batch), plain)
