import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import ResNet9, check_strips, horizontal_pyramid_pool


@pytest.mark.parametrize("size", [(16, 8), (15, 9), (9, 5)])
@pytest.mark.parametrize("strides", [(1, 2, 2, 1), (1, 1, 2, 1)])
@pytest.mark.parametrize("bins", [(1,), (2, 1), (4,), (15,)])
def test_refuses_what_the_trunk_could_not_cut(
    size: tuple[int, int], strides: tuple[int, ...], bins: tuple[int, ...]
) -> None:
    maps = ResNet9(1, channels=(2, 2, 2, 2), strides=strides)(torch.zeros(1, 1, *size))
    try:
        horizontal_pyramid_pool(maps, bins)
    except ShapeError:
        with pytest.raises(ValueError, match=f"{maps.shape[2]}x{maps.shape[3]}, which bins"):
            check_strips(size, (2, 2, 2, 2), strides, bins)
    else:
        check_strips(size, (2, 2, 2, 2), strides, bins)


def test_stages_must_be_named_alike() -> None:
    for channels, strides in (((4, 4), (1,)), ((), ())):
        with pytest.raises(ValueError, match="must name the same stages"):
            check_strips((8, 8), channels, strides, (1,))
