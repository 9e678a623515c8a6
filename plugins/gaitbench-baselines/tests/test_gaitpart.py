from collections.abc import Iterator

import pytest
import torch
from gaitbench_baselines.gaitpart import PRESETS, PUBLISHED_KEYS, FocalConv2d, GaitPart, GaitPartConfig, MicroMotion
from torch.nn import functional

from gaitbench.layers import rename_published
from gaitbench.model import GaitBatch
from gaitbench.testing import check_model

CONFIG = GaitPartConfig(channels=((4,), (6,), (8, 8)), num_strips=(1, 4, 8))


def batch(clips: torch.Tensor, num_frames: list[int] | None = None) -> GaitBatch:
    lengths = torch.full((len(clips),), clips.shape[2]) if num_frames is None else torch.tensor(num_frames)
    return GaitBatch({"silhouette": clips}, {"silhouette": lengths})


def published_trunk_keys(channels: tuple[tuple[int, ...], ...]) -> Iterator[str]:
    """Convolution, activation, ..., pooling: the numbers that these get in a published sequence of layers."""
    position = 0
    for widths in channels:
        for _ in widths:
            yield f"Backbone.forward_block.feature.{position}.conv.weight"
            position += 2
        position += 1


@pytest.mark.parametrize(("preset", "expected"), [("paper", 1_204_000), ("paper@ou-mvlp", 4_841_248)])
def test_published_sizes(preset: str, expected: int) -> None:
    config = GaitPartConfig(**PRESETS[preset].config)
    with torch.device("meta"):
        model = GaitPart(config)
    assert sum(weight.numel() for weight in model.parameters()) == expected
    part_keys = [
        f"TFA.pooling_func.conv1d3x{kind}.{part}.{layer}.conv.weight"
        for kind in (1, 3)
        for part in range(16)
        for layer in (0, 2)
    ]
    keys = [*published_trunk_keys(config.channels), "Head.fc_bin", *part_keys]
    assert set(rename_published(keys, PUBLISHED_KEYS).values()) == set(model.state_dict())


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="small"),
        pytest.param({"in_channels": 2}, id="two-channels"),
        pytest.param({"height_px": 32, "width_px": 22, "bins": (8, 1), "num_strips": (1, 1, 4)}, id="small-input"),
        pytest.param({"embedding_width": 5, "squeeze": 2}, id="other-widths"),
    ],
)
def test_contract(fields: dict[str, object]) -> None:
    check_model(GaitPart(CONFIG.model_copy(update=fields)))


def test_a_strip_learns_nothing_of_its_neighbours() -> None:
    conv = FocalConv2d(2, 3, num_strips=4)
    x = torch.randn(1, 2, 16, 5)
    changed = x.clone()
    changed[:, :, 4:8] += 1  # the second strip
    is_other = (conv(changed) != conv(x)).any(dim=3).any(dim=1)[0]
    assert is_other.tolist() == [False] * 4 + [True] * 4 + [False] * 8


def test_micro_motion_by_hand() -> None:
    motion = MicroMotion(num_parts=1, channels=1, hidden=1)
    for scale in motion.scales:
        torch.nn.init.zeros_(scale.squeeze[0])
    x = torch.tensor([3.0, -6.0, 9.0, 0.0]).reshape(1, 1, 1, 4)
    # Without attention every weight is 1/2. Means over 3 count zeros beyond the ends: -1, 2, 1, 3; maxima 3, 9, 9, 9.
    # Over 5: means 1.2, 1.2, 1.2, 0.6; maxima 9, 9, 9, 9. Best frame: (1/2) (3 + 9) + (1/2) (0.6 + 9) = 10.8.
    torch.testing.assert_close(motion(x, torch.tensor([4])), torch.tensor([[[10.8]]]))


def test_micro_motion_agrees_with_a_loop_over_parts() -> None:
    num_parts, motion = 3, MicroMotion(num_parts=3, channels=4, hidden=2)
    x = torch.randn(2, num_parts, 4, 7)
    expected = []
    for part in range(num_parts):
        total = torch.zeros(())
        for scale, window in zip(motion.scales, (3, 5), strict=True):
            hidden = functional.leaky_relu(functional.conv1d(x[:, part], scale.squeeze[part], padding=1))
            kernel = scale.excite[part]
            attention = functional.conv1d(hidden, kernel, padding=kernel.shape[2] // 2).sigmoid()
            framed = functional.pad(x[:, part], (window // 2, window // 2)).unfold(2, window, 1)
            highest = functional.pad(x[:, part], (window // 2, window // 2), value=-torch.inf).unfold(2, window, 1)
            total = total + attention * (framed.mean(dim=3) + highest.amax(dim=3))
        expected.append(total.amax(dim=2))
    torch.testing.assert_close(motion(x, torch.tensor([7, 7])), torch.stack(expected, dim=1))


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_padding_is_ignored_even_if_it_is_nan(length: int) -> None:
    model = GaitPart(CONFIG).eval()
    clips = torch.rand(2, 1, 7, 64, 44)
    clips[0, :, length:] = torch.nan
    with torch.no_grad():
        together = model(batch(clips, [length, 7])).embedding
        alone = model(batch(clips[:1, :, :length])).embedding
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_strips": (1, 4)}, "must name the same stages"),
        ({"channels": ((4,), (), (8,))}, "must name the same stages"),
        ({"height_px": 80}, "stage 2 has 20 rows, which 8 strips do not divide"),
        ({"squeeze": 200}, "leaves none of 128 channels"),
    ],
)
def test_sizes_that_do_not_fit(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaitPartConfig(**fields)
