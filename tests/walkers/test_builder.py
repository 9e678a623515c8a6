"""The dataset: what it lists, what it yields, and that all of it is one walk."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import distance_transform_edt

from gaitbench.dataset import BuilderOptions
from gaitbench.errors import UnknownNameError, UsageError
from gaitbench.modality import CORE_MODALITIES
from gaitbench.sequence import Frames, PointFrames, SequenceInfo
from gaitbench.walkers.builder import WalkersBuilder
from gaitbench.walkers.options import CONDITIONS, WalkersOptions
from gaitbench.walkers.people import Person, draw_person
from gaitbench.walkers.protocol import WALKERS, walkers_protocol
from gaitbench.walkers.recording import record
from gaitbench.walkers.skeletons import clean_joints
from gaitbench.walkers.truth import project

SMALL = WalkersOptions(num_train_subjects=2, num_test_subjects=2, views_deg=(0, 45, 90), num_frames=4)
STREAMS = tuple(modality for modality in CORE_MODALITIES if modality.name in WalkersBuilder(SMALL).card().streams)
MODALITIES = tuple(m.name for m in STREAMS)


@pytest.fixture(scope="module")
def builder() -> WalkersBuilder:
    return WalkersBuilder(SMALL)


@pytest.fixture(scope="module")
def some(builder: WalkersBuilder) -> list[SequenceInfo]:
    """One sequence of every condition, of changing people and views."""
    everything = builder.sequences()
    return [next(s for s in everything[7 * i :] if s.condition == c) for i, c in enumerate(SMALL.conditions)]


def equal(a: Frames, b: Frames) -> bool:
    if isinstance(a, PointFrames) and isinstance(b, PointFrames):
        return np.array_equal(a.points, b.points) and np.array_equal(a.offsets, b.offsets)
    return not isinstance(a, PointFrames) and not isinstance(b, PointFrames) and np.array_equal(a, b)


def test_the_default_dataset_is_the_one_promised() -> None:
    sequences = WalkersBuilder().sequences()
    assert len(sequences) == 100 * 13 * 8
    assert len({s.sequence_id for s in sequences}) == len(sequences)
    assert sequences[0].sequence_id == "0001-nm-01-000"
    assert {s.condition for s in sequences} == set(CONDITIONS)
    info = next(s for s in sequences if s.sequence_id == "0061-nm-01-045")
    assert (info.subject_id, info.condition, info.view, info.view_deg) == ("0061", "nm-01", "045", 45.0)
    assert len(info.attributes) == 15


def test_card_describes_every_stream(builder: WalkersBuilder) -> None:
    card = builder.card()
    assert (card.name, card.version) == ("walkers", "1.0")
    assert set(card.streams) == set(MODALITIES)
    assert card.streams["lidar"].frame_rate_hz == card.streams["silhouette"].frame_rate_hz / 2
    assert WalkersOptions.model_validate(card.options) == SMALL


@pytest.mark.parametrize("modality", STREAMS, ids=lambda m: m.name)
def test_frames_fit_card_and_modality(builder: WalkersBuilder, some: list[SequenceInfo], modality) -> None:
    info = builder.card().streams[modality.name]
    frames = list(builder.frames(some[:3], modality.name))
    assert len(frames) == 3
    for item in frames:
        if isinstance(item, PointFrames):
            assert item.points.shape[1:] == info.frame_shape
            assert item.points.dtype == np.float32
            assert item.offsets[0] == 0
            assert item.offsets[-1] == len(item.points)
            assert len(item.offsets) == 1 + 2
            assert (np.diff(item.offsets) > 50).all()
            continue
        num_frames = 2 if modality.name == "lidar-depth" else 4
        assert item.shape == (num_frames, *info.frame_shape)
        assert item.dtype == modality.dtype
        assert item.min() >= modality.value_range[0]
        assert item.max() <= modality.value_range[1]
        assert np.ptp(item.astype(float)) > 0


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_sequence_is_the_same_in_any_company(
    builder: WalkersBuilder, some: list[SequenceInfo], modality: str
) -> None:
    chosen = some[::3]
    together = list(builder.frames(some, modality))[::3]
    alone = [next(WalkersBuilder(SMALL).frames([info], modality)) for info in chosen]
    assert all(equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not equal(alone[0], alone[1])


def test_chunks_of_any_size_give_the_same(
    builder: WalkersBuilder, some: list[SequenceInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(builder.frames(some, "silhouette"))
    monkeypatch.setattr("gaitbench.walkers.builder.SEQUENCES_AT_ONCE", 5)
    assert all(equal(a, b) for a, b in zip(whole, builder.frames(some, "silhouette"), strict=True))


def test_silhouettes_are_height_normalised_and_centred(builder: WalkersBuilder, some: list[SequenceInfo]) -> None:
    for frames in builder.frames(some, "silhouette"):
        masks = np.asarray(frames)[:, 0] > 0
        assert masks[:, 0].any(axis=1).all()
        assert masks[:, -1].any(axis=1).all()
        mass = masks.sum(axis=1).cumsum(axis=1)
        median = (2 * mass >= mass[:, -1:]).argmax(axis=1)
        assert np.abs(median - 32).max() <= 1
        assert (masks.mean(axis=(1, 2)) > 0.03).all()


def test_one_walk_in_every_modality(builder: WalkersBuilder, some: list[SequenceInfo]) -> None:
    def beside(masks: np.ndarray, frame: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Distance of positions to the mask, in pixels."""
        distance = np.stack([distance_transform_edt(1 - mask) for mask in masks])
        column, row = np.clip(np.floor(pixels).astype(int), 0, masks.shape[-1] - 1).T
        return distance[frame, row, column]

    for info in some:
        truth = project(SMALL, info)
        pixels, frame = truth.cloud_pixels()
        off = beside(truth.mask, frame, pixels)
        assert (off <= 1).mean() > 0.97, info.sequence_id
        assert off.max() <= 3
        if info.condition.startswith("oc"):
            continue
        joints = truth.joint_pixels()
        frames = np.repeat(np.arange(len(joints)), 17)
        off = beside(truth.mask, frames, joints.reshape(-1, 2)).reshape(-1, 17)
        # Nose, eyes and ears lie on the skin, the others within the body.
        assert off[:, 5:].max() == 0, info.sequence_id
        assert off.max() <= 2


def test_rasters_show_the_same_person(builder: WalkersBuilder, some: list[SequenceInfo]) -> None:
    streams = {m: list(builder.frames(some, m)) for m in ("silhouette", "depth", "parsing")}
    for i, info in enumerate(some):
        mask = np.asarray(streams["silhouette"][i])[:, 0] > 0
        assert np.array_equal(np.asarray(streams["parsing"][i])[:, 0] > 0, mask)
        if not info.condition.startswith(("nt", "df")):
            assert np.array_equal(np.asarray(streams["depth"][i])[:, 0] > 0, mask)


def test_depth_is_the_distance_that_the_lidar_measures(builder: WalkersBuilder, some: list[SequenceInfo]) -> None:
    infos = [s for s in some if not s.condition.startswith("oc")]
    for info, depth in zip(infos, builder.frames(infos, "depth"), strict=True):
        truth = project(SMALL, info)
        pixels, frame = truth.cloud_pixels()
        column, row = np.clip(np.floor(pixels).astype(int), 0, 63).T
        shown = np.asarray(depth)[frame, 0, row, column] / 1000
        measured = truth.cloud.points[:, 0]
        seen = shown > 0
        assert np.median(np.abs(shown - measured)[seen]) < 0.02


def test_conditions_differ_as_they_say(builder: WalkersBuilder) -> None:
    sequences = [s for s in builder.sequences() if s.view == "090"]

    def of(prefix: str) -> list[SequenceInfo]:
        return [s for s in sequences if s.condition.startswith(prefix)]

    def brightness(prefix: str) -> float:
        return float(np.mean([np.mean(f) for f in builder.frames(of(prefix), "rgb")]))

    def num_points(prefix: str) -> float:
        clouds = builder.frames(of(prefix), "lidar")
        return float(np.mean([len(c.points) / 2 for c in clouds if isinstance(c, PointFrames)]))

    def area(prefix: str) -> float:
        return float(np.mean([np.mean(f) for f in builder.frames(of(prefix), "silhouette")]))

    assert brightness("nt") < 0.6 * brightness("nm")
    assert num_points("df") < 0.5 * num_points("nm") < 0.5 * num_points("dn")
    assert area("cl") > 1.08 * area("nm")
    labels = np.concatenate([np.unique(f) for f in builder.frames(of("bg") + of("cl"), "parsing")])
    assert {12, 13} <= set(labels.tolist())


def test_occluders_hide_a_part_of_the_person(builder: WalkersBuilder) -> None:
    infos = [s for s in builder.sequences() if s.condition == "oc-01"]
    recording = record(SMALL, infos, lambda subject_id: draw_person(SMALL, subject_id))
    joints = clean_joints(recording)
    hidden = recording.occluder.hides(joints[..., 1] / joints[..., 0], joints[..., 2] / joints[..., 0])
    assert hidden.any(axis=(1, 2)).mean() > 0.7
    assert hidden.mean() < 0.5
    for index, info in enumerate(infos):
        depth = np.asarray(next(builder.frames([info], "depth"))).astype(float) / 1000
        assert depth[depth > 0].min() > recording.occluder.x[index]


def test_attributes_belong_to_the_person(builder: WalkersBuilder) -> None:
    by_subject: dict[str, set[tuple[int, ...]]] = {}
    for info in builder.sequences():
        by_subject.setdefault(info.subject_id, set()).add(info.attributes)
    assert all(len(labels) == 1 for labels in by_subject.values())


def test_raw_pixels_do_not_give_people_away_across_views() -> None:
    options = WalkersOptions(
        num_train_subjects=1, num_test_subjects=16, conditions=("nm-01", "nm-03"), views_deg=(0, 90), num_frames=6
    )
    builder = WalkersBuilder(options)
    infos = [s for s in builder.sequences() if s.subject_id != "0001"]
    gei = np.stack([np.asarray(f, dtype=np.float64).mean(axis=0).ravel() for f in builder.frames(infos, "silhouette")])

    def rank_1(probe_view: str, gallery_view: str) -> float:
        probe = [i for i, s in enumerate(infos) if (s.condition, s.view) == ("nm-03", probe_view)]
        gallery = [i for i, s in enumerate(infos) if (s.condition, s.view) == ("nm-01", gallery_view)]
        nearest = ((gei[probe][:, None] - gei[gallery][None]) ** 2).sum(-1).argmin(axis=1)
        return float(
            np.mean([infos[gallery[n]].subject_id == infos[p].subject_id for p, n in zip(probe, nearest, strict=True)])
        )

    same = (rank_1("000", "000") + rank_1("090", "090")) / 2
    across = (rank_1("000", "090") + rank_1("090", "000")) / 2
    assert same > 0.6
    assert across < 0.45
    assert across < same - 0.3


def test_bone_lengths_do_not_give_people_away() -> None:
    options = WalkersOptions(
        num_train_subjects=1, num_test_subjects=24, conditions=("nm-01", "nm-03"), views_deg=(90,), num_frames=8
    )
    builder = WalkersBuilder(options)
    infos = [s for s in builder.sequences() if s.subject_id != "0001"]
    bones = ((5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16))

    def person(subject_id: str) -> Person:
        return draw_person(options, subject_id)

    def lengths(exact: bool) -> np.ndarray:
        rows = []
        for info, frames in zip(infos, builder.frames(infos, "skeleton3d"), strict=True):
            joints = clean_joints(record(options, [info], person))[0] if exact else np.asarray(frames)
            rows.append([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1).mean() for a, b in bones])
        return np.array(rows)

    def rank_1(features: np.ndarray) -> float:
        probe, gallery = features[1::2], features[::2]
        nearest = ((probe[:, None] - gallery[None]) ** 2).sum(-1).argmin(axis=1)
        return float((nearest == np.arange(len(probe))).mean())

    assert rank_1(lengths(exact=True)) > 0.9
    assert rank_1(lengths(exact=False)) < 0.45


def test_clothes_change_from_take_to_take() -> None:
    options = WalkersOptions(num_train_subjects=1, num_test_subjects=1, views_deg=(0, 180), num_frames=1)
    builder = WalkersBuilder(options)
    takes = [s for s in builder.sequences() if s.condition in ("nm-01", "nm-02", "nm-03", "nm-04")][:8]
    torsos = [np.asarray(f)[0, :, 40:60, 28:36].mean(axis=(1, 2)) for f in builder.frames(takes, "rgb")]
    by_take = np.array(torsos).reshape(4, 2, 3).mean(axis=1)
    assert np.ptp(by_take, axis=0).max() > 30


def test_sizes_are_options() -> None:
    options = WalkersOptions(
        num_train_subjects=1,
        num_test_subjects=1,
        num_frames=3,
        silhouette_px=48,
        lidar_depth_px=32,
        rgb_height_px=96,
        rgb_width_px=40,
        lidar_step_deg=0.8,
    )
    builder = WalkersBuilder(options)
    info = builder.sequences()[:1]
    shapes = {m: np.asarray(next(builder.frames(info, m))).shape for m in ("silhouette", "lidar-depth", "rgb")}
    assert shapes == {"silhouette": (3, 1, 48, 48), "lidar-depth": (2, 1, 32, 32), "rgb": (3, 3, 96, 40)}
    cloud = next(builder.frames(info, "lidar"))
    assert isinstance(cloud, PointFrames)
    assert len(cloud.points) / 2 < 200


def test_frames_of_nothing_are_nothing(builder: WalkersBuilder) -> None:
    assert list(builder.frames([], "silhouette")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"views_deg": (0, 0)}, "different angles", id="view-twice"),
        pytest.param({"views_deg": (360,)}, "0..359", id="view-360"),
        pytest.param({"conditions": ("xx-01",)}, "unknown conditions", id="condition"),
        pytest.param({"conditions": ()}, "one or more", id="no-condition"),
        pytest.param({"range_m": (8.0, 5.0)}, "smallest <= largest", id="range"),
        pytest.param({"num_train_subjects": 9000, "num_test_subjects": 1000}, "9999", id="too-many"),
        pytest.param({"num_frames": 0}, "greater than 0", id="no-frames"),
        pytest.param({"camera_rate_hz": float("inf")}, "finite number", id="endless-rate"),
        pytest.param({"spread": float("inf")}, "finite number", id="endless-spread"),
        pytest.param({"far_range_m": (12.0, float("nan"))}, "finite number", id="no-range"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WalkersOptions.model_validate(options)


def test_other_options_and_names_are_refused(builder: WalkersBuilder) -> None:
    with pytest.raises(UsageError, match="WalkersOptions"):
        WalkersBuilder(BuilderOptions())
    with pytest.raises(UnknownNameError, match="known: silhouette"):
        next(builder.frames(builder.sequences()[:1], "thermal"))


def test_protocol_of_the_default() -> None:
    assert WALKERS.name == WALKERS.dataset == "walkers"
    assert WALKERS.train.subjects == ("0001..0060",)
    assert WALKERS.test_subjects == ("0061..0100",)
    assert WALKERS.gallery.conditions == ("nm-0[12]",)
    assert list(WALKERS.probes) == ["NM", "BG", "CL", "NT", "OC", "DN", "DF"]
    assert (WALKERS.exclude, WALKERS.averaging, WALKERS.headline) == (("identical_view",), "view_pairs", "NM")


def test_protocol_follows_the_options(builder: WalkersBuilder) -> None:
    protocol = builder.fit_protocol(WALKERS)
    assert protocol.train.subjects == ("0001..0002",)
    assert protocol.test_subjects == ("0003..0004",)
    assert (protocol.num_train_subjects, protocol.num_test_subjects) == (2, 2)
    only = walkers_protocol(WalkersOptions(conditions=("nm-01", "nm-02", "bg-01")))
    assert list(only.probes) == ["BG"]
    assert only.headline == "mean"
