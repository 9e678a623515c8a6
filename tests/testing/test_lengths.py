import pytest
import torch
from mean_net import Config, Good
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitOutput
from gaitbench.testing import check_lengths


def test_a_good_model_passes() -> None:
    check_lengths(Good(Config()))
    check_lengths(Good(Config()), (30,))


class NeedsThree(Good):
    def forward(self, batch: GaitBatch) -> GaitOutput:
        output = super().forward(batch)
        short = (batch.num_frames["silhouette"] < 3)[:, None, None]
        return GaitOutput(output.embedding.masked_fill(short, torch.nan))


class Constant(Good):
    def mean(self, batch: GaitBatch) -> Tensor:
        mean = super().mean(batch)
        return mean if batch.inputs["silhouette"].shape[2] > 1 else mean * 0


class LooksAtPadding(Good):
    def mean(self, batch: GaitBatch) -> Tensor:
        return batch.inputs["silhouette"].mean(dim=(1, 2)).flatten(1)


class NeedsEqual(LooksAtPadding):
    padding = "refused"


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NeedsThree, "sequences of 1 frames: embedding holds NaN"),
        (Constant, "sequences of 1 frames: two different sequences have the same embedding"),
        (LooksAtPadding, "a sequence of 1 frames embeds differently alone and padded to 5"),
    ],
)
def test_a_broken_model_is_told_what_is_wrong(cls: type[Good], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_lengths(cls(Config()))


def test_only_a_model_that_masks_is_shown_padding() -> None:
    check_lengths(NeedsEqual(Config()))
