import pytest
import torch
from gaitbench_baselines.one_space import SensorConfig
from gaitbench_baselines.sensor_streams import STREAMS, num_channels, pictures_of, present, stream_specs

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import skeleton_map
from gaitbench.model import GaitBatch
from gaitbench.testing import synthetic_batch

CORE = ("silhouette", "parsing", "lidar-depth", "rgb", "depth", "skeleton-map", "skeleton2d")


@pytest.mark.parametrize("encoding", ["jet3", "gray1"])
@pytest.mark.parametrize("width_px", [44, 64])
def test_all_streams_become_pictures_of_one_size(encoding: str, width_px: int) -> None:
    config = SensorConfig(modalities=CORE, width_px=width_px, encoding=encoding)  # type: ignore[arg-type]
    batch = synthetic_batch(stream_specs(config), num_sequences=2, num_frames=3)
    for name in CORE:
        pictures, num_frames = pictures_of(batch, name, config)
        assert pictures.shape == (6, num_channels(name, config.encoding), 64, width_px)
        assert pictures.isfinite().all()
        assert num_frames.tolist() == [3, 3]


def clip(modality: str, frames: torch.Tensor) -> GaitBatch:
    return GaitBatch({modality: frames}, {modality: torch.tensor([frames.shape[2]] * len(frames))})


@pytest.mark.parametrize("shape", [(2, 1, 3, 32, 32), (2, 3, 3, 64, 64), (2, 1, 3, 64, 44)])
def test_pictures_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"silhouette must be \[N, 1, T, 64, 64\], got"):
        pictures_of(clip("silhouette", torch.zeros(shape)), "silhouette", SensorConfig())


def test_depth_is_near_at_one_and_nothing_at_zero_around_the_middle_of_each_frame() -> None:
    config = SensorConfig(modalities=("silhouette", "depth"), height_px=2, width_px=2, bins=(1,))
    frames = torch.tensor([[[0.0, 2000.0], [3000.0, 4000.0]], [[0.0, 0.0], [0.0, 5000.0]]])[None, None]
    first, second = pictures_of(clip("depth", frames), "depth", config)[0]
    torch.testing.assert_close(first[0], torch.tensor([[0, 1], [128 / 255, 1 / 255]]))
    torch.testing.assert_close(second[0], torch.tensor([[0.0, 0.0], [0.0, 128 / 255]]))
    nothing = pictures_of(clip("depth", torch.zeros(1, 1, 1, 2, 2)), "depth", config)[0]
    assert not nothing.any()


def test_how_far_the_person_is_does_not_matter_to_depth() -> None:
    config = SensorConfig(modalities=("silhouette", "depth"), height_px=8, width_px=8, bins=(1,))
    frames = 1000 * torch.rand(1, 1, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 2000
    near, far = (pictures_of(clip("depth", x), "depth", config)[0] for x in (frames, frames + 3000))
    torch.testing.assert_close(near, far, atol=1e-3, rtol=0)


def test_an_edge_that_an_augmentation_blended_changes_nothing_else() -> None:
    config = SensorConfig(modalities=("silhouette", "depth"), height_px=8, width_px=8, bins=(1,))
    frames = torch.zeros(1, 1, 1, 8, 8)
    frames[..., 2:6] = 3000 + 100 * torch.arange(4.0)
    blended = frames.clone()
    blended[..., 1] = 700
    plain, other = (pictures_of(clip("depth", x), "depth", config)[0] for x in (frames, blended))
    torch.testing.assert_close(other, plain)


@pytest.mark.parametrize(("rows", "columns"), [(128, 64), (32, 16), (64, 20), (64, 60)])
def test_colour_keeps_its_proportions(rows: int, columns: int) -> None:
    config = SensorConfig(modalities=("rgb", "silhouette"), width_px=44)
    pictures, _ = pictures_of(clip("rgb", torch.ones(1, 3, 1, rows, columns)), "rgb", config)
    assert pictures.shape == (1, 3, 64, 44)
    width = min(44, round(columns * 64 / rows))
    left = (44 - width) // 2
    assert pictures[0, 0, 30].tolist() == pytest.approx([0] * left + [1] * width + [0] * (44 - width - left))


def test_joints_are_drawn() -> None:
    config = SensorConfig(modalities=("skeleton2d", "silhouette"))
    batch = synthetic_batch(stream_specs(config), num_sequences=2, num_frames=3)
    drawn = skeleton_map(batch.inputs["skeleton2d"], height_px=64, width_px=64)
    torch.testing.assert_close(pictures_of(batch, "skeleton2d", config)[0][1], drawn[0, :, 1])
    with pytest.raises(ShapeError, match="joints must be"):
        pictures_of(clip("skeleton2d", torch.zeros(1, 3, 2, 4, 4)), "skeleton2d", config)


def test_what_is_missing_is_named() -> None:
    config = SensorConfig()
    batch = clip("rgb", torch.zeros(1, 3, 1, 64, 64))
    with pytest.raises(ModelError, match="holds rgb, not silhouette or lidar-depth"):
        present(batch, config.modalities)
    for name in ("silhouette", "skeleton2d"):
        with pytest.raises(ModelError, match=f"the batch holds rgb, but the model reads {name}"):
            pictures_of(batch, name, config)
    assert set(CORE) < set(STREAMS)
