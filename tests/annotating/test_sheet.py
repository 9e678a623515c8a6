import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_dataset import prepare_tiny

from gaitbench.annotating.pictures import to_pictures
from gaitbench.annotating.sheet import SheetConfig, Sheets, _evenly
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.modality import DEPTH, LIDAR_DEPTH, PARSING, RGB, SILHOUETTE, SKELETON_MAP


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_the_same_walk_gives_the_same_sheet(tiny: GaitDataset) -> None:
    sheets = Sheets(tiny, SheetConfig(modalities=("silhouette", "rgb")))
    one, again = sheets.picture(0), Sheets(tiny, SheetConfig(modalities=("silhouette", "rgb"))).picture(0)
    assert one.sha256 == again.sha256
    assert one.draw() == again.draw()


@pytest.mark.parametrize(
    "changes", [{"num_frames": 5}, {"num_columns": 3}, {"cell_px": 100}, {"modalities": ("rgb",)}], ids=str
)
def test_another_sheet_has_another_hash(tiny: GaitDataset, changes: dict[str, object]) -> None:
    usual, other = Sheets(tiny, SheetConfig()), Sheets(tiny, SheetConfig(**changes))
    assert usual.picture(0).sha256 != other.picture(0).sha256
    assert usual.picture(0).sha256 != usual.picture(1).sha256


def test_the_hash_follows_the_frames(tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "d", num_subjects=6, num_sequences=1, min_frames=9, max_frames=9)
    sheets = Sheets(data, SheetConfig())
    assert len({sheets.picture(row).sha256 for row in range(6)}) == 6


def test_frames_stand_where_they_should(tiny: GaitDataset) -> None:
    config = SheetConfig(num_frames=4, num_columns=2, cell_px=64)
    found = pixels(Sheets(tiny, config).draw(0))
    frames = np.asarray(tiny[0].frames["silhouette"])[:, 0]
    for i, index in enumerate(_evenly(len(frames), 4)):
        x, y = 4 + i % 2 * (64 + 4), 18 + i // 2 * (64 + 14 + 4)
        np.testing.assert_array_equal(found[y : y + 64, x : x + 64, 0], 255 * frames[index])


@pytest.mark.parametrize(
    "config",
    [
        SheetConfig(),
        SheetConfig(num_frames=48, cell_px=512),
        SheetConfig(modalities=("silhouette", "rgb", "depth"), num_frames=24, num_columns=12, most_px=512),
        SheetConfig(num_frames=1, num_columns=1),
    ],
)
def test_the_size_is_bounded(tiny: GaitDataset, config: SheetConfig) -> None:
    png = Sheets(tiny, config).draw(0)
    assert max(pixels(png).shape) <= config.most_px
    assert len(png) < 4 << 20


def test_a_sheet_that_cannot_fit(tiny: GaitDataset) -> None:
    config = SheetConfig(modalities=("silhouette", "rgb", "depth"), num_frames=48, num_columns=1, most_px=256)
    with pytest.raises(UsageError, match="does not fit into 256 pixels"):
        Sheets(tiny, config).draw(0)


def test_nothing_but_the_frames_tells_one_walk_from_another(tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "d", num_subjects=3, num_sequences=2, min_frames=9, max_frames=9)
    sheets = Sheets(data, SheetConfig(num_frames=2, cell_px=64))
    drawn = np.stack([pixels(sheets.draw(row)) for row in range(len(data))])
    assert (drawn[:, 18:82, 4:136] != drawn[0, 18:82, 4:136]).any()
    drawn[:, 18:82, 4:136] = 0  # the frames
    assert (drawn == drawn[0]).all()


def test_only_pictures_are_shown(tiny: GaitDataset) -> None:
    with pytest.raises(UsageError, match="lidar is points"):
        Sheets(tiny, SheetConfig(modalities=("lidar",)))
    with pytest.raises(DatasetError, match="has no stream parsing"):
        Sheets(tiny, SheetConfig(modalities=("parsing",)))


def test_short_walks_show_all_they_have(tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "d", num_subjects=1, num_sequences=1, min_frames=1, max_frames=1)
    assert pixels(Sheets(data, SheetConfig()).draw(0)).shape[0] > 0


@pytest.mark.parametrize("num_frames", range(1, 60))
@pytest.mark.parametrize("num_wanted", [1, 2, 5, 12])
def test_frames_are_evenly_spaced(num_frames: int, num_wanted: int) -> None:
    chosen = _evenly(num_frames, num_wanted)
    assert len(chosen) == min(num_frames, num_wanted)
    assert chosen == sorted(set(chosen))
    assert 0 <= chosen[0] <= chosen[-1] < num_frames
    if num_wanted > 1:
        assert (chosen[0], chosen[-1]) == (0, num_frames - 1)
        steps = np.diff(chosen)
        assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_kinds_of_rasters() -> None:
    soft = np.array([[[[0, 128, 255]]]], np.uint8)
    grey = to_pictures(soft, LIDAR_DEPTH)[0, 0]
    assert grey.tolist() == [[0] * 3, [128] * 3, [255] * 3]
    assert to_pictures(soft, SKELETON_MAP).shape == (1, 1, 3, 3)
    assert to_pictures((soft > 100).astype(np.uint8), SILHOUETTE)[0, 0, :, 0].tolist() == [0, 255, 255]
    depth = to_pictures(np.array([[[[0, 2000, 4000]]]], np.uint16), DEPTH)[0, 0, :, 0]
    assert depth.tolist() == [0, 255, 55]  # no return, nearest, farthest
    assert to_pictures(np.zeros((1, 1, 2, 2), np.uint16), DEPTH).max() == 0
    colours = np.arange(6, dtype=np.uint8).reshape(1, 3, 1, 2)
    assert to_pictures(colours, RGB)[0, 0].tolist() == [[0, 2, 4], [1, 3, 5]]
    parts = to_pictures(np.arange(14, dtype=np.uint8).reshape(1, 1, 1, 14), PARSING)[0, 0]
    assert parts[0].tolist() == [0, 0, 0]
    assert len(np.unique(parts, axis=0)) == 14
