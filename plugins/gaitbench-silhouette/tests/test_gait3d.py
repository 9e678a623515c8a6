"""Gait3D and Gait3D-Parsing: listed probes need exact names; four streams, merged or in trees of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.gait3d import Gait3D, Gait3DParsing

from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_all
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.testing import check_dataset

SEQUENCES = [
    f"{subject}/camid{camera}_videoid2/seq{number}"
    for subject in ("0000", "0001", "0002", "0003")
    for camera, number in ((0, 0), (9, 0), (9, 1))
]


def build(source: Path, cls: type[Gait3D] = Gait3D, **options: object) -> Gait3D:
    return cls(SilhouetteOptions(**options), source)


def parts(masks: np.ndarray, seed: int = 0) -> np.ndarray:
    """Maps of eleven parts where the masks are."""
    ids = np.random.default_rng(seed).integers(1, 12, masks.shape)
    return np.where(masks > 127, ids, 0).astype(np.uint8)


@pytest.fixture
def merged(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> Path:
    root = tmp_path / "Gait3D-merged-pkl"
    for take, folder in enumerate(SEQUENCES):
        leaf = root / folder
        masks = aligned(take // 3, take)
        write_pickle(leaf / f"sils-{leaf.name}.pkl", masks)
        write_pickle(leaf / f"pars-{leaf.name}.pkl", parts(masks))
        write_pickle(leaf / f"smpls-{leaf.name}.pkl", np.random.default_rng(take).normal(size=(len(masks), 85)))
    return root


@pytest.fixture
def official(tmp_path: Path, raw: Callable, write_images: Callable) -> Path:
    root = tmp_path / "Gait3D"
    for take, folder in enumerate(SEQUENCES[:4]):
        masks = raw(take // 3, take)
        write_images(root / "2D_Silhouettes" / folder, masks)
        write_images(root / "2D_Parsings" / folder, parts(masks))
        poses = root / "2D_Poses" / folder
        poses.mkdir(parents=True)
        for number in range(len(masks)):
            (poses / f"{number:04d}.txt").write_text(",".join(map(str, range(number, number + 53))))
        bodies = root / "3D_SMPLs" / folder
        bodies.mkdir(parents=True)
        for number in range(len(masks)):
            np.savez(bodies / f"{number:04d}.npz", results=people(number))
    return root


def people(number: int) -> list[dict[str, np.ndarray]]:
    """Two people of a frame as the release has them: the first one counts."""
    values = np.arange(85.0) + number
    return [{"cam": v[:3], "poses": v[3:75], "betas": v[75:], "j3d": np.zeros((54, 3))} for v in (values, -values)]


def test_merged_pickles(merged: Path, aligned: Callable) -> None:
    builder = build(merged)
    assert builder.layout.name == "merged"
    assert set(builder.card().streams) == {"silhouette", "parsing", "smpl"}
    infos = builder.sequences()
    assert infos[1].sequence_id == "0000-camid9_videoid2-seq0", "the protocol's list names probes so"
    (masks,), (maps,), (bodies,) = (
        builder.frames(infos[1:2], modality) for modality in ("silhouette", "parsing", "smpl")
    )
    np.testing.assert_array_equal(masks[:, 0], aligned(0, 1))
    np.testing.assert_array_equal(maps[:, 0], parts(aligned(0, 1)))
    expected = np.random.default_rng(1).normal(size=(len(masks), 85)).astype(np.float32)
    np.testing.assert_array_equal(bodies, expected[:, None])
    check_dataset(builder)


def test_official_trees_side_by_side(official: Path, raw: Callable) -> None:
    builder = build(official)
    assert builder.layout.name == "official"
    assert set(builder.card().streams) == {"silhouette", "parsing", "skeleton2d", "smpl"}
    masks, maps, joints, bodies = (
        next(iter(builder.frames(builder.sequences()[2:3], modality)))
        for modality in ("silhouette", "parsing", "skeleton2d", "smpl")
    )
    np.testing.assert_array_equal(masks[:, 0], align_all(raw(0, 2)).frames)
    whole = parts(raw(0, 2))
    expected = align_all([(image > 0) * np.uint8(255) for image in whole], images=whole, interpolation="nearest").frames
    np.testing.assert_array_equal(maps[:, 0], expected)
    assert set(np.unique(maps)) <= set(range(12)), "scaling mixes no ids"
    np.testing.assert_array_equal(joints[3].ravel(), np.arange(5, 56))
    np.testing.assert_array_equal(bodies[2, 0], np.arange(85) + 2)
    assert builder.left_out() == [], "what is read is not left out"
    check_dataset(builder)


def test_a_stream_that_one_sequence_lacks(official: Path) -> None:
    leaf = official / "2D_Parsings" / SEQUENCES[0]
    for path in leaf.iterdir():
        path.unlink()
    leaf.rmdir()
    builder = build(official)
    found, other = builder.frames(builder.sequences()[:2], "parsing")
    assert found == Absent(f"{leaf} is missing")
    assert not isinstance(other, Absent)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([exit], "asks for _sitebuiltins"),
        ([], "has no person under the key results"),
        ([{"cam": np.zeros(3), "poses": np.zeros(72)}], "betas has 0 values where 10 are expected"),
    ],
)
def test_bodies_that_are_none(official: Path, results: list[object], message: str) -> None:
    path = official / "3D_SMPLs" / SEQUENCES[0] / "0000.npz"
    np.savez(path, results=np.array(results, object))
    builder = build(official)
    found, other = builder.frames(builder.sequences()[:2], "smpl")
    assert isinstance(found, Absent)
    assert message in found.reason
    assert str(path) in found.reason
    assert not isinstance(other, Absent)


@pytest.mark.parametrize(
    ("cls", "tree", "modality"),
    [(Gait3D, "2D_Silhouettes", "silhouette"), (Gait3DParsing, "2D_Parsings", "parsing")],
)
def test_one_of_the_trees_alone(official: Path, cls: type[Gait3D], tree: str, modality: str) -> None:
    alone, beside = build(official / tree, cls), build(official, cls)
    assert alone.layout.name == "frames"
    assert repr(alone.sequences()) == repr(beside.sequences())
    pairs = zip(alone.frames(alone.sequences(), modality), beside.frames(beside.sequences(), modality), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_pickles_of_one_stream(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> None:
    write_pickle(tmp_path / "s/0000/camid0_videoid2/seq0/seq0.pkl", aligned(1))
    write_pickle(tmp_path / "p/0000/camid0_videoid2/seq0/seq0.pkl", parts(aligned(1)))
    write_pickle(tmp_path / "j/0000/camid0_videoid2/seq0/seq0.pkl", np.ones((4, 17, 3)))
    assert list(build(tmp_path / "s").card().streams) == ["silhouette"]
    assert list(build(tmp_path / "j").card().streams) == ["skeleton2d"]
    maps = build(tmp_path / "p", Gait3DParsing)
    assert list(maps.card().streams) == ["parsing"]
    (got,) = maps.frames(maps.sequences(), "parsing")
    np.testing.assert_array_equal(got[:, 0], parts(aligned(1)))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("smpls", np.zeros((3, 82)), "its skeletons are [T, 1, 85] or [T, 85]"),
        ("pars", np.full((3, 64, 64), 0.5), "not ids of body parts"),
        ("pars", np.full((3, 64, 64), -1), "not ids of body parts"),
    ],
)
def test_wrong_content_is_a_broken_sequence(
    merged: Path, write_pickle: Callable, name: str, content: np.ndarray, reason: str
) -> None:
    write_pickle(merged / SEQUENCES[0] / f"{name}-seq0.pkl", content)
    builder = build(merged)
    (found,) = builder.frames(builder.sequences()[:1], {"smpls": "smpl", "pars": "parsing"}[name])
    assert isinstance(found, Absent)
    assert found.is_defect
    assert reason in found.reason


@pytest.mark.parametrize(("dataset", "model"), [("gait3d", "nearest-raw"), ("gait3d-parsing", "smplgait")])
def test_from_the_files_to_a_table(
    merged: Path, tmp_path: Path, through_the_command_line: Callable, dataset: str, model: str
) -> None:
    lists = {
        "TRAIN_SET": ["0000", "0001"],
        "TEST_SET": ["0002", "0003"],
        "PROBE_SET": ["0002-camid0_videoid2-seq0", "0003-camid9_videoid2-seq1"],
    }
    (tmp_path / "Gait3D.json").write_text(json.dumps(lists))
    few = {"iterations": 1, "clips.subjects_per_batch": 2, "clips.sequences_per_subject": 2, "clips.num_frames": 4}
    options = [word for key, value in few.items() for word in ("--set", f"recipe.stages.0.{key}={value}")]
    options += ["--set", "modality=parsing"]
    said = through_the_command_line(
        dataset,
        merged,
        "--allow-partial",
        "--partition",
        str(tmp_path / "Gait3D.json"),
        *(options if model == "smplgait" else []),
        models=(model,),
    )
    (record,) = said["records"]
    assert record["data"]["num_probes"] == 2
    assert record["data"]["num_gallery"] == 4, "all other sequences of the tested subjects"
    assert record["data"]["num_train_sequences"] == 6
