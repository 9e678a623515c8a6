import mean_net
import pytest
import torch

from gaitbench.model import GaitBatch, GaitOutput, InputSpec
from gaitbench.testing import synthetic_batch
from gaitbench.testing.batch_parts import first_frames, only, rows, shown_together, with_lengths

INPUTS = (
    InputSpec(modality="silhouette", height_px=16, width_px=12),
    InputSpec(modality="rgb", channels=3, height_px=16, width_px=12),
    InputSpec(modality="skeleton2d", channels=3),
    InputSpec(modality="lidar", channels=3, num_points=7),
)
FRAMES = 3  # as many as channels, so that axes cannot be told by their sizes


def batch() -> GaitBatch:
    return synthetic_batch(INPUTS, num_frames=FRAMES)


def test_parts_of_a_batch() -> None:
    whole = batch()
    assert only(whole, ["rgb"]).inputs.keys() == {"rgb"}
    assert torch.equal(rows(whole, [2, 0]).inputs["lidar"], whole.inputs["lidar"][[2, 0]])
    short = first_frames(whole, INPUTS, 2)
    assert {key: value.tolist() for key, value in short.num_frames.items()} == dict.fromkeys(whole.inputs, [2] * 4)
    assert short.inputs["skeleton2d"].shape == (4, 3, 2, 17)
    assert short.inputs["lidar"].shape == (4, 2, 7, 3)


@pytest.mark.parametrize("lengths", [(1, 3, 2, 3), (5, 5, 5, 5)])
def test_padding_is_rubbish_behind_the_frames(lengths: tuple[int, ...]) -> None:
    whole, padded = batch(), with_lengths(batch(), INPUTS, lengths)
    for key, axis in {"silhouette": 2, "rgb": 2, "skeleton2d": 2, "lidar": 1}.items():
        assert padded.num_frames[key].tolist() == [min(length, FRAMES) for length in lengths]
        before, after = whole.inputs[key].movedim(axis, 1), padded.inputs[key].movedim(axis, 1)
        for row, length in enumerate(padded.num_frames[key].tolist()):
            assert torch.equal(after[row, :length], before[row, :length])
            assert (after[row, length:] == 7).all()
        assert after.shape[1] == max(FRAMES, *lengths)


class Pair(mean_net.Good):
    """Embeds two modalities into one space; outside training it takes one at a time."""

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return tuple(InputSpec(modality=name, height_px=16, width_px=11) for name in ("silhouette", "parsing"))

    def forward(self, batch: GaitBatch) -> GaitOutput:
        assert self.training or len(batch.inputs) == 1
        outputs = {}
        for name, clip in batch.inputs.items():
            outputs[name] = super().forward(GaitBatch({"silhouette": clip}, {"silhouette": batch.num_frames[name]}))
        embedding = torch.cat([output.embedding for output in outputs.values()])
        return GaitOutput(embedding, by_modality=outputs if self.training else {})


def test_modalities_are_shown_apart_where_the_model_embeds_them_apart() -> None:
    pair, fused = Pair(mean_net.Config()).eval(), mean_net.Good(mean_net.Config())
    shown = shown_together(pair, synthetic_batch(pair.inputs))
    assert [list(each.inputs) for each in shown] == [["silhouette"], ["parsing"]]
    assert not pair.training
    assert [list(each.inputs) for each in shown_together(fused, synthetic_batch(fused.inputs))] == [["silhouette"]]
