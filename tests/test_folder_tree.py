"""Datasets in folders: which layout, which sequences, which files, and everything that is not there said."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.prepare import prepare
from gaitbench.report import report
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.specs import DatasetSpec
from gaitbench.testing import check_dataset
from gaitbench.tree import Layout, StreamFiles, TreeBuilder, TreeOptions

INFO = StreamInfo(frame_shape=(1, 2, 4), frame_rate_hz=25)


def read_text(paths: Sequence[Path]) -> Frames | Absent:
    """As many frames as there are letters in the files."""
    content = "".join(path.read_text() for path in paths)
    if content == "nobody":
        return Absent(f"{paths[0]} shows nobody", is_defect=False)
    if content == "broken":
        raise DatasetError(f"{paths[0]} is broken")
    return np.ones((len(content), 1, 2, 4), np.uint8)


def stream(pattern: str, modality: str = "silhouette", **changed: object) -> StreamFiles:
    return StreamFiles(modality=modality, info=INFO, pattern=pattern, read=read_text, **changed)  # type: ignore[arg-type]


LEVELS = (r"(?P<subject>\d{3})", r"(?P<condition>[a-z]+-\d\d)", r"(?P<view>\d{3})")
ONE = Layout(name="one", title="SUBJECT/CONDITION/VIEW/x.txt", levels=LEVELS, streams=(stream("?.txt"),))
MANY = Layout(
    name="many", title="a file per frame", levels=LEVELS, streams=(stream("*.frame", is_single=False, may_lack=True),)
)
TURNED = Layout(
    name="turned",
    title="vVIEW/SUBJECT/x.txt beside p/SUBJECT/p.txt",
    levels=(r"v(?P<view>\d{3})", r"(?P<subject>\d{3})"),
    also=(("extra", r"(?P<subject>\d{3})"),),
    condition="nm",
    view="all",
    streams=(stream("x.txt"), stream("p.txt", "parsing", folder=lambda info: f"p/{info.subject_id}")),
    folder=lambda info: f"extra/{info.subject_id}" if info.view == "all" else f"v{info.view}/{info.subject_id}",
    refine=lambda infos: infos[::-1],
)


class Builder(TreeBuilder):
    spec = DatasetSpec(
        name="made-up",
        title="Made up",
        target="nowhere:X",
        options="nowhere:Y",
        modalities=("silhouette", "parsing"),
        protocols=(),
        access="Write to nobody",
    )
    notes = "Rate unknown."
    views_are_angles = True

    def layouts(self) -> Sequence[Layout]:
        return ONE, MANY, TURNED


def build(source: Path | None, **options: object) -> Builder:
    return Builder(TreeOptions(**options), source)  # type: ignore[arg-type]


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def only(builder: Builder, sequence: str, modality: str = "silhouette") -> Frames | Absent:
    (info,) = [info for info in builder.sequences() if info.sequence_id == sequence]
    (frames,) = builder.frames([info], modality)
    return frames


def test_folders_become_sequences_in_sorted_order(tmp_path: Path) -> None:
    files = {"002/nm-01/000/x.txt": "ab", "001/nm-02/090/x.txt": "abc", "001/nm-01/090/x.txt": "a"}
    builder = build(write(tmp_path, files))
    assert builder.sequences() == [
        SequenceInfo(sequence_id="001-nm-01-090", subject_id="001", condition="nm-01", view="090", view_deg=90.0),
        SequenceInfo(sequence_id="001-nm-02-090", subject_id="001", condition="nm-02", view="090", view_deg=90.0),
        SequenceInfo(sequence_id="002-nm-01-000", subject_id="002", condition="nm-01", view="000", view_deg=0.0),
    ]
    assert [len(frames) for frames in builder.frames(builder.sequences(), "silhouette")] == [1, 3, 2]
    assert builder.left_out() == []
    card = builder.card()
    assert card.options == {"layout": "one"}
    assert card.description == "Read from SUBJECT/CONDITION/VIEW/x.txt. Rate unknown."
    assert list(card.streams) == ["silhouette"]
    check_dataset(builder)


def test_the_layout_is_told_by_its_files(tmp_path: Path) -> None:
    builder = build(write(tmp_path, {"001/nm-01/090/2.frame": "b", "001/nm-01/090/1.frame": "a"}))
    assert builder.layout is MANY
    assert len(only(builder, "001-nm-01-090")) == 2


def test_the_option_decides_where_both_are(tmp_path: Path) -> None:
    source = write(tmp_path, {"001/nm-01/090/x.txt": "ab", "001/nm-01/090/1.frame": "abc"})
    assert build(source).layout is ONE
    assert len(only(build(source, layout="many"), "001-nm-01-090")) == 3


def test_a_look_into_the_files_tells_layouts_with_the_same_names_apart(tmp_path: Path) -> None:
    asked: list[Path] = []

    def fits(folder: Path) -> bool:
        asked.append(folder)
        return (folder / "note").exists()

    marked = Layout(name="marked", title="with a note", levels=LEVELS, streams=(stream("?.txt"),), fits=fits)

    class Marked(Builder):
        def layouts(self) -> Sequence[Layout]:
            return marked, ONE

    source = write(tmp_path, {"001/nm-01/000/nothing": "", "001/nm-01/090/x.txt": "ab", "002/nm-01/090/x.txt": "ab"})
    assert Marked(TreeOptions(), source).layout is ONE
    assert asked == [tmp_path / "001/nm-01/090"]
    assert Marked(TreeOptions(layout="marked"), source).layout is marked
    write(tmp_path, {"001/nm-01/090/note": ""})
    assert Marked(TreeOptions(), source).layout is marked


def test_parts_that_lie_differently_and_streams_in_trees_of_their_own(tmp_path: Path) -> None:
    files = {"v090/001/x.txt": "ab", "v000/001/x.txt": "a", "extra/002/x.txt": "abc", "p/001/p.txt": "abcd"}
    builder = build(write(tmp_path, files))
    assert [info.sequence_id for info in builder.sequences()] == ["001-nm-090", "001-nm-000", "002-nm-all"]
    assert len(only(builder, "002-nm-all")) == 3
    assert len(only(builder, "001-nm-090", "parsing")) == 4
    assert only(builder, "002-nm-all", "parsing") == Absent(f"{tmp_path / 'p' / '002'} is missing")
    expected = r"a folder at level 1 that is not named as v(?P<view>\d{3}) or extra"
    assert [(item.reason, item.examples) for item in builder.left_out()] == [(expected, ("p",))]
    check_dataset(build(write(tmp_path, {"p/002/p.txt": "a"})))


def test_what_is_no_sequence_is_counted_and_told(tmp_path: Path) -> None:
    files = {"001/nm-01/090/x.txt": "a", "readme.md": "", "001/notes.txt": "", "001/xx/090/x.txt": "a"}
    files |= {f"extra-{number}/x": "" for number in range(7)} | {".hidden/x": "", "001/nm-01/b\ny/x": ""}
    builder = build(write(tmp_path, files))
    (tmp_path / "009").mkdir()
    assert len(builder.sequences()) == 1
    told = {item.reason: (item.num, item.examples) for item in builder.left_out()}
    assert told == {
        "a file at level 1, where folders are expected": (1, ("readme.md",)),
        "a file at level 2, where folders are expected": (1, ("001/notes.txt",)),
        r"a folder at level 1 that is not named as (?P<subject>\d{3})": (
            7,
            tuple(f"extra-{number}" for number in range(5)),
        ),
        r"a folder at level 2 that is not named as (?P<condition>[a-z]+-\d\d)": (1, ("001/xx",)),
        "a folder without the folders of level 2": (1, ("009",)),
        "a name with unprintable characters": (1, ("001/nm-01/b\ny",)),
    }
    builder.sequences()
    assert sum(item.num for item in builder.left_out()) == 12, "listing again counts again, not twice"


def test_names_in_other_alphabets_match_no_digit_pattern(tmp_path: Path) -> None:
    builder = build(write(tmp_path, {"001/nm-01/090/x.txt": "a", "\u0660\u0660\u0661/nm-01/090/x.txt": "a"}))
    assert [info.subject_id for info in builder.sequences()] == ["001"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        pytest.param({"x.txt": "broken"}, "x.txt is broken", id="reader-refuses"),
        pytest.param({"y": ""}, "has no file ?.txt", id="no-file"),
        pytest.param({"x.txt": "a", "y.txt": "a"}, "has 2 files ?.txt where one is expected: x.txt, y.txt", id="two"),
    ],
)
def test_a_broken_sequence_says_so_and_the_others_are_read(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    here = {f"001/nm-01/090/{name}": content for name, content in files.items()}
    source = write(tmp_path / "s", {**here, "002/nm-01/090/x.txt": "abc"})
    broken, sound = build(source).frames(build(source).sequences(), "silhouette")
    assert isinstance(broken, Absent)
    assert broken.is_defect
    assert reason in broken.reason
    assert str(source / "001" / "nm-01" / "090") in broken.reason
    assert len(sound) == 3
    with pytest.raises(DatasetError, match="cannot be read"):
        prepare(Builder, TreeOptions(), source, tmp_path / "d", ["silhouette"], workers=1, progress=False)
    made = prepare(
        Builder, TreeOptions(), source, tmp_path / "d", ["silhouette"], workers=1, progress=False, skip_broken=True
    )
    assert report(made).streams[0].num_defects == 1


def test_an_unreadable_file_is_one_broken_sequence(tmp_path: Path) -> None:
    source = write(tmp_path, {"002/nm-01/090/x.txt": "abc"})
    (tmp_path / "001/nm-01/090/x.txt").mkdir(parents=True)  # a folder where a file belongs
    frames = only(build(source), "001-nm-01-090")
    assert isinstance(frames, Absent)
    assert "cannot be read: Is a directory" in frames.reason


def test_an_unlistable_folder_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, {"001/nm-01/090/x.txt": "abc", "002/nm-01/090/x.txt": "abc"})
    scandir = os.scandir

    def refusing(path: Path) -> "os._ScandirIterator[str]":
        if path.name == "002":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    with pytest.raises(DatasetError, match=r"002 cannot be listed \(Permission denied\).*make it readable"):
        build(source).sequences()


def test_a_link_in_a_circle_is_told_and_nothing_else_is_lost(tmp_path: Path) -> None:
    source = write(tmp_path, {"001/nm-01/090/x.txt": "abc"})
    (tmp_path / "002").symlink_to("002")
    builder = build(source)
    assert [info.sequence_id for info in builder.sequences()] == ["001-nm-01-090"]
    assert [each.examples for each in builder.left_out()] == [("002",)]


def test_a_stream_that_only_late_folders_have_is_told(tmp_path: Path) -> None:
    files = {f"{number:03d}/nm-01/090/x.txt": "abc" for number in range(60)}
    beside = {f"p/{number:03d}/p.txt": "abc" for number in (55, 58)}
    turned = {f"v090/{name[:3]}/x.txt": content for name, content in files.items()}
    builder = build(write(tmp_path, {**turned, **beside}), layout="turned")
    assert set(builder.card().streams) == {"silhouette"}
    builder.sequences()
    told = {each.reason: each for each in builder.left_out()}
    late = next(told[reason] for reason in told if "no parsing" in reason)
    assert (late.num, late.examples) == (2, ("p/058/p.txt", "p/055/p.txt"))


def test_what_the_recording_lacks_is_no_defect(tmp_path: Path) -> None:
    builder = build(write(tmp_path, {"001/nm-01/090/x.txt": "nobody"}))
    assert only(builder, "001-nm-01-090") == Absent(f"{tmp_path / '001/nm-01/090/x.txt'} shows nobody", is_defect=False)
    (tmp_path / "001/nm-01/090/x.txt").unlink()
    write(tmp_path, {"001/nm-01/090/1.frame": "a", "001/nm-01/180/notes": ""})
    frames = only(build(tmp_path), "001-nm-01-180")
    assert isinstance(frames, Absent)
    assert not frames.is_defect, "releases with empty folders are complete"


def test_links_are_followed(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"x.txt": "abc"})
    (tmp_path / "s/001/nm-01").mkdir(parents=True)
    (tmp_path / "s/001/nm-01/090").symlink_to(elsewhere)
    assert len(only(build(tmp_path / "s"), "001-nm-01-090")) == 3


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        pytest.param({"a/b/x.txt": ""}, {}, r"as none of\n  one: SUBJECT/.*\n.*\n.*\nIt holds a\. Give", id="other"),
        pytest.param({}, {}, "It holds nothing", id="empty"),
        pytest.param({"001/nm-01/090/x.txt": ""}, {"layout": "few"}, "no layout 'few'; there are auto, one", id="name"),
        pytest.param({"001/nm-01/090/x.txt": ""}, {"layout": "many"}, r"as none of\n  many: a file per", id="forced"),
    ],
)
def test_a_source_of_another_kind_is_refused(
    tmp_path: Path, files: dict[str, str], options: dict[str, str], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        build(write(tmp_path, files), **options).card()


def test_without_a_source_the_message_says_how_to_get_it() -> None:
    with pytest.raises(DatasetError, match=r"name their folder\. Write to nobody"):
        build(None).card()


def test_a_stream_that_is_not_there_is_refused(tmp_path: Path) -> None:
    builder = build(write(tmp_path, {"001/nm-01/090/x.txt": "a"}))
    with pytest.raises(DatasetError, match="has no parsing, only silhouette"):
        list(builder.frames(builder.sequences(), "parsing"))


def test_telling_a_layout_looks_into_few_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (tmp_path / f"{number:03d}/nm-01/090").mkdir(parents=True)
    write(tmp_path, {"000/nm-01/090/1.frame": "a"})
    looked: list[str] = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looked.append(str(path)) or real(path))
    build(tmp_path).card()
    assert len(looked) < 150
