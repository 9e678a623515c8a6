"""One's own folders as a dataset: modalities, sizes, what is left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gaitbench.errors import DatasetError, UsageError
from gaitbench.sequence import Absent
from gaitbench.testing import check_dataset

from .conftest import camera, save_array, save_png

COLOURS = np.random.default_rng(0).integers(0, 255, (6, 12, 10, 3), np.uint8)
LAYOUTS = {
    "found": ("{leaf}/silhouette", "{leaf}/rgb", {}),
    "asked": ("{leaf}/silhouette", "{leaf}/rgb", {"modality": "rgb,silhouette"}),
    "patterns": ("{leaf}", "{leaf}/photos", {"patterns": {"silhouette": "sil*.png", "rgb": "photos/*.png"}}),
    "folder-name": ("{leaf}", "{leaf}/photos", {"patterns": {"silhouette": "SIL*", "rgb": "photos"}}),
    "tree-each": ("silhouette/{leaf}", "rgb/{leaf}", {"levels": "modality/subject/condition/view"}),
    "below-subject": ("a/silhouette/nm/090", "a/rgb/nm/090", {"levels": "subject/modality/condition/view"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_modalities_of_a_walk(source: Path, build: Callable, name: str) -> None:
    masks, photos, options = LAYOUTS[name]
    save_png(source / masks.format(leaf="a/nm/090"), camera(1), "sil{}.png")
    save_png(source / photos.format(leaf="a/nm/090"), COLOURS, "{}.png")
    builder = build(source, **options)
    assert list(builder.card().streams) == ["silhouette", "rgb"]
    (info,) = builder.sequences()
    assert (info.sequence_id, info.subject_id, info.condition, info.view) == ("a/nm/090", "a", "nm", "090")
    (photo,) = builder.frames([info], "rgb")
    np.testing.assert_array_equal(photo, COLOURS.transpose(0, 3, 1, 2))
    assert builder.left_out() == []
    check_dataset(builder)


@pytest.mark.parametrize("levels", ["subject/condition/view", "subject/modality/condition/view", "subject/modality"])
@pytest.mark.parametrize("missing", ["silhouette", "rgb"])
def test_the_first_walk_may_lack_a_modality(source: Path, build: Callable, levels: str, missing: str) -> None:
    for subject in ("a", "b"):
        for modality, frames in (("silhouette", camera(1)), ("rgb", COLOURS)):
            words = {"subject": subject, "condition": "nm", "view": "090", "modality": modality}
            folder = source.joinpath(*(words[level] for level in levels.split("/")))
            folder = folder if "modality" in levels else folder / modality
            if (subject, modality) != ("a", missing):
                save_png(folder, frames)
    builder = build(source, levels=levels)
    assert list(builder.card().streams) == ["silhouette", "rgb"]
    first, second = builder.frames(builder.sequences(), missing)
    assert isinstance(first, Absent)
    assert not first.is_defect
    assert len(second) == 6
    check_dataset(builder)


def test_an_empty_first_walk_hides_no_modality(source: Path, build: Callable) -> None:
    (source / "a/nm/090").mkdir(parents=True)
    save_png(source / "b/nm/090/rgb", COLOURS)
    assert list(build(source).card().streams) == ["rgb"]
    assert list(build(source, modality="rgb").card().streams) == ["rgb"]


def test_frames_right_in_their_walks_stay_when_one_has_a_folder(source: Path, build: Callable) -> None:
    save_png(source / "a/nm/090", camera(1))
    save_png(source / "b/nm/090", camera(1))
    save_png(source / "b/nm/090/rgb", COLOURS)
    builder = build(source)
    assert list(builder.card().streams) == ["silhouette"]
    assert len(builder.sequences()) == 2
    assert [item.examples for item in builder.left_out()] == [("b/nm/090/rgb",)]


@pytest.mark.parametrize("levels", ["subject/condition/view", "subject/condition/view/modality"])
def test_a_folder_without_files_is_no_modality(source: Path, build: Callable, levels: str) -> None:
    save_png(source / "a/nm/090/silhouette", camera(1))
    (source / "a/nm/090/depth").mkdir()
    assert list(build(source, levels=levels).card().streams) == ["silhouette"]


def test_files_as_walks_in_two_modalities(source: Path, build: Callable) -> None:
    save_array(source / "a/nm/090.npy", camera(1))
    save_array(source / "a/nm/180.npy", camera(1))
    (source / "a/nm/090.csv").write_text(",".join(["1.5"] * 51))
    builder = build(source, patterns={"silhouette": "*.npy", "skeleton2d": "*.csv"})
    infos = builder.sequences()
    assert [info.sequence_id for info in infos] == ["a/nm/090", "a/nm/180"]
    first, second = builder.frames(infos, "skeleton2d")
    assert first.shape == (1, 17, 3)
    reason = f"{source / 'a/nm/180'} has no file of skeleton2d (*.csv)"
    assert second == Absent(reason, is_defect=False), "nobody says that every walk has all"
    check_dataset(builder)


def test_everything_else_is_told(source: Path, build: Callable) -> None:
    save_png(source / "a/nm/090", camera(1))
    (source / "a/nm/090/notes.txt").touch()
    save_png(source / "a/nm/090/raw", camera(1))
    (source / "a/nm/180").mkdir()
    (source / "a/nm/270").mkdir()
    (source / "a/nm/270/film.wmv").touch()
    (source / "a/nm/090/.DS_Store").touch()
    builder = build(source)
    assert [info.sequence_id for info in builder.sequences()] == ["a/nm/090"]
    assert {item.reason: item.examples for item in builder.left_out()} == {
        "beside frames, and of no modality": ("a/nm/090/notes.txt", "a/nm/090/raw"),
        "a folder without files of silhouette": ("a/nm/270",),
        "an empty folder": ("a/nm/180",),
    }


def test_views_as_angles(source: Path, build: Callable) -> None:
    for view in ("090", "45.5deg", "-30"):
        save_png(source / "a" / view, camera(1))
    builder = build(source, levels="subject/view", views_are_angles=True)
    assert sorted(info.view_deg for info in builder.sequences()) == [-30, 45.5, 90]
    save_png(source / "a/front", camera(1))
    with pytest.raises(DatasetError, match=r"1 views are no angles in degrees \(first: front\)"):
        build(source, levels="subject/view", views_are_angles=True).sequences()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n cut", b"no picture at all"])
def test_a_broken_file_breaks_its_walk_alone(source: Path, build: Callable, content: bytes) -> None:
    save_png(source / "a/nm/090", camera(1))
    save_png(source / "b/nm/090", camera(1))
    (source / "a/nm/090/3.png").write_bytes(content)
    for options in ({}, {"align": False}):
        builder = build(source, **options)
        broken, whole = builder.frames(builder.sequences(), "silhouette")
        assert isinstance(broken, Absent)
        assert broken.is_defect
        assert str(source / "a/nm/090/3.png") in broken.reason
        assert len(whole) == 6


def test_the_first_walk_may_be_broken(source: Path, build: Callable) -> None:
    """The size of frames is then that of the next one."""
    save_array(source / "a/nm/090/a.npy", camera(1))
    (source / "a/nm/000.npy").write_bytes(b"\x93NUMPY")
    builder = build(source, align=False)
    assert builder.card().streams["silhouette"].frame_shape == (1, 96, 128)
    broken, _ = builder.frames(builder.sequences(), "silhouette")
    assert "a/nm/000.npy" in broken.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"has no walk in folders of subject/condition/view: a file at level 2"),
        ({"levels": "subject", "modality": "lidar"}, "no walk has files of lidar"),
        ({"levels": "subject", "patterns": {"silhouette": "mask*"}}, "no walk has files of silhouette"),
        ({"levels": "subject", "attributes": "labels.csv"}, r"labels\.csv cannot be read"),
    ],
)
def test_a_source_that_is_something_else(source: Path, build: Callable, options: dict, message: str) -> None:
    save_png(source / "a", camera(1))
    with pytest.raises(DatasetError, match=message):
        build(source, **options).card()


def test_a_width_alone_is_no_size(source: Path, build: Callable) -> None:
    save_png(source / "a/nm/090", COLOURS)
    with pytest.raises(UsageError, match="rgb has width_px=44 and no height_px"):
        build(source, modality="rgb", width_px=44).card()
