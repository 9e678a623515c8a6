"""Which folders are walks, and what is told of the others."""

import errno
import os
from pathlib import Path

import pytest

from gaitbench.errors import DatasetError
from gaitbench.folder.scan import Tally, Walk, scan

LEVELS = ("subject", "condition", "view")


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    return root


def found(
    root: Path, levels: tuple[str, ...] = LEVELS, **more: object
) -> tuple[list[Walk], dict[str, tuple[str, ...]]]:
    tally = Tally()
    arguments = {"modalities": (), "suffixes": (".mp4", ".npy"), **more}
    walks = list(scan(root, levels, tally=tally, **arguments))
    return walks, {item.reason: item.examples for item in tally.left_out()}


def test_folders_and_files_are_walks(tmp_path: Path) -> None:
    walks, told = found(make(tmp_path, "b/nm/090/", "a/nm/000.mp4", "a/nm/cam.1.NPY", "a/nm/045/1.png"))
    assert walks == [
        Walk("a/nm/000", "a", "nm", "000"),
        Walk("a/nm/045", "a", "nm", "045"),
        Walk("a/nm/cam.1", "a", "nm", "cam.1"),
        Walk("b/nm/090", "b", "nm", "090"),
    ]
    assert told == {}


@pytest.mark.parametrize(
    ("levels", "path", "walk"),
    [
        (("subject",), "a/", Walk("a", "a", "walk", "any")),
        (("subject", "view"), "a/090/", Walk("a/090", "a", "walk", "090")),
        (("condition", "subject"), "nm/a/", Walk("nm/a", "a", "nm", "any")),
        (("subject", "condition", "condition"), "a/nm/01/", Walk("a/nm/01", "a", "nm-01", "any")),
    ],
)
def test_levels(tmp_path: Path, levels: tuple[str, ...], path: str, walk: Walk) -> None:
    assert found(make(tmp_path, path), levels) == ([walk], {})


def test_a_tree_per_modality_is_one_walk(tmp_path: Path) -> None:
    root = make(tmp_path, "rgb/a/090/", "silhouette/a/090/", "silhouette/a/180/", "flow/a/090/", "rgb/readme.txt")
    walks, told = found(root, ("modality", "subject", "view"), modalities=("rgb", "silhouette"))
    assert [walk.place for walk in walks] == ["a/090", "a/180"]
    assert told == {
        "a name at the level of the modality that is none of those that are read": ("flow",),
        "a file at level 2 (subject), where folders are expected": ("rgb/readme.txt",),
    }


def test_names_that_differ_in_case_or_accents_only(tmp_path: Path) -> None:
    root = make(tmp_path, "S1/nm/090/", "s1/nm/090/", "Jos\u00e9/nm/090/", "Jose\u0301/nm/090/")
    walks, told = found(root)
    assert [(walk.subject, walk.twin) for walk in walks] == [
        ("Jose\u0301", ""),
        ("Jos\u00e9", "Jose\u0301"),
        ("S1", ""),
        ("s1", "S1"),
    ]
    assert told == {}


def test_everything_below_such_a_name_is_in_doubt(tmp_path: Path) -> None:
    walks, _ = found(make(tmp_path, "a/NM/000/", "a/nm/000/", "a/nm/090/", "b/nm/000/", "b/nm/Cam.mp4", "b/nm/cam.npy"))
    assert {walk.place: walk.twin for walk in walks} == {
        "a/NM/000": "",
        "a/nm/000": "a/NM",
        "a/nm/090": "a/NM",
        "b/nm/000": "",
        "b/nm/Cam": "",
        "b/nm/cam": "b/nm/Cam",
    }


def test_a_folder_that_cannot_be_listed_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, "a/nm/090/", "b/nm/090/")
    scandir = os.scandir

    def refusing(path: Path) -> "os._ScandirIterator[str]":
        if path.name == "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    with pytest.raises(DatasetError, match=r"b cannot be listed \(Permission denied\).*make it readable"):
        found(root)


def test_a_link_in_a_circle_is_told_and_nothing_else_is_lost(tmp_path: Path) -> None:
    root = make(tmp_path, "a/nm/090/")
    (root / "b").symlink_to("b")
    walks, told = found(root)
    assert [walk.place for walk in walks] == ["a/nm/090"]
    assert told == {"a file at level 1 (subject), where folders are expected": ("b",)}


def test_hostile_names_and_strangers_are_told(tmp_path: Path) -> None:
    root = make(tmp_path, "a/nm/090/", "a/nm/line\nbreak/", "a/empty/", "a/nm/notes.txt", "labels.csv", ".hidden/x/y/")
    (root / "a/nm" / os.fsdecode(b"\xff\xfe")).mkdir()
    (root / "a/nm/090.mp4").touch()
    (root / "a/loop").symlink_to(root)
    (root / "a/broken").symlink_to(root / "nowhere")
    long = "x" * 255
    make(root, f"{long}/[a-z]*/ 1..5 /")
    walks, told = found(root, ignored=("labels.csv",))
    assert [walk.place for walk in walks] == ["a/nm/090", f"{long}/[a-z]*/ 1..5 "]
    assert told["a link to a folder that it is in"] == ("a/loop",)
    assert told["a name with characters that cannot be printed"] == ("a/nm/line\nbreak", "a/nm/\\udcff\\udcfe")
    assert told["a file beside a folder of the same name"] == ("a/nm/090.mp4",)
    assert told["a file at level 3 (view), where folders are expected"] == ("a/nm/notes.txt",)
    assert told["a file at level 2 (condition), where folders are expected"] == ("a/broken",)
    assert told["a folder without anything that could be a view"] == ("a/empty",)
