"""SUSTech1K: a small tree in the official layout, and runs on it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gaitbench_lidar.sustech1k import Sustech1k, Sustech1kOptions

from gaitbench.cli import main
from gaitbench.clips import ClipSampler, check_inputs, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.model import InputSpec
from gaitbench.prepare import prepare
from gaitbench.recipe import ClipConfig, Stage
from gaitbench.sequence import Absent, PointFrames
from gaitbench.testing import check_dataset, load_preset

SUBJECTS = ("0000", "0001", "0002", "0003")
"""0000 and 0002 train, the others are tested."""
CONDITIONS = ("00-nm", "01-nm", "02-bg-nt")
VIEWS = ("000", "000-far", "090-near")
NATIVE = ("LiDAR-PCDs", "LiDAR-PCDs_depths", "LiDAR-PCDs_sils", "Camera-Pose", "Camera-Ratios-HW", "Camera-RGB_raw")
CONTENTS = (*NATIVE, "Camera-Sils_aligned", "Camera-Sils_raw")
JET = InputSpec(modality="lidar-depth", height_px=64, width_px=64, channels=3, colour_map="jet")
GREY = InputSpec(modality="lidar-depth", height_px=64, width_px=44)
SILHOUETTE = InputSpec(modality="silhouette", height_px=64, width_px=44)

Tree = Callable[..., dict[str, object]]


@pytest.fixture
def leaf(masks, jet_images) -> Tree:
    """The sixteen files of a sequence, by name."""

    def make(subject: int, take: int, view: str) -> dict[str, object]:
        files: dict[str, object] = {}
        # LiDAR at 10 Hz, the camera at 30 Hz from its own beginning, and the synchronised frames.
        for first, lidar, camera in ((0, 4, 11), (8, 3, 3)):
            seen, lit = masks(subject, camera, take=take), masks(subject, lidar, take=take)
            rng = np.random.default_rng([subject, take, first])
            colours = np.repeat(seen[:, None], 3, axis=1) // np.array([1, 2, 3], np.uint8)[:, None, None]
            contents = (
                [rng.normal(size=(20 + t, 3)) for t in range(lidar)],
                jet_images(lit),
                (lit > 127) * np.uint8(255),
                rng.uniform(0, 200, (camera, 17, 3)),
                np.stack([np.full(camera, 120), 40 + np.arange(camera)], axis=1),
                colours if subject % 2 else np.ascontiguousarray(colours.transpose(0, 2, 3, 1)),
                seen,
                np.roll(seen, 5, axis=2),
            )
            sync = "-sync" if first else ""
            for number, (name, content) in enumerate(zip(CONTENTS, contents, strict=True)):
                files[f"{first + number:02d}{sync}-{view}-{name}.pkl"] = content
        return files

    return make


@pytest.fixture
def source(tmp_path: Path, leaf: Tree, save) -> Path:
    root = tmp_path / "SUSTech1K-Released-pkl"
    for number, subject in enumerate(SUBJECTS):
        for take, condition in enumerate(CONDITIONS):
            for view in VIEWS:
                for name, content in leaf(number, take, view).items():
                    save(root / subject / condition / view / name, content)
    return root


def build(source: Path, **options: object) -> Sustech1k:
    return Sustech1k(Sustech1kOptions(**options), source)  # type: ignore[arg-type]


def prepared(source: Path, **options: object) -> GaitDataset:
    builder = build(source, **options)
    streams = builder.card().streams
    return prepare(Sustech1k, builder.options, source, source.parent / "out", list(streams), workers=1, progress=False)


def test_sequences_are_named_as_the_protocol_wants(source: Path) -> None:
    builder = build(source)
    infos = builder.sequences()
    assert len(infos) == 4 * 3 * 3
    assert infos[1].sequence_id == "0000-00-nm-000-far"
    assert (infos[1].subject_id, infos[1].condition, infos[1].view, infos[1].view_deg) == (
        "0000",
        "00-nm",
        "000-far",
        0,
    )
    assert (infos[1].view_deg, infos[-1].view_deg) == (0, 90)
    assert not builder.left_out()


@pytest.mark.parametrize("clock", ["native", "synchronised"])
def test_contract(source: Path, clock: str) -> None:
    check_dataset(build(source, clock=clock))


@pytest.mark.parametrize(("clock", "first", "lidar", "camera"), [("native", 0, 4, 11), ("synchronised", 8, 3, 3)])
def test_frames_are_those_of_the_files(
    source: Path, leaf: Tree, clock: str, first: int, lidar: int, camera: int
) -> None:
    builder = build(source, clock=clock)
    info = next(info for info in builder.sequences() if info.sequence_id == "0001-02-bg-nt-090-near")
    files = list(leaf(1, 2, "090-near").values())[first : first + 8]
    assert len(files) == 8

    def frames(modality: str):
        (found,) = builder.frames([info], modality)
        return found

    points = frames("lidar")
    assert isinstance(points, PointFrames)
    np.testing.assert_array_equal(points.offsets, np.cumsum([0, *(20 + t for t in range(lidar))]))
    np.testing.assert_array_equal(points.points, np.concatenate(files[0]).astype(np.float32))
    np.testing.assert_array_equal(frames("lidar-depth"), files[1])
    np.testing.assert_array_equal(frames("lidar-silhouette")[:, 0], files[2])
    np.testing.assert_array_equal(frames("skeleton2d"), files[3].astype(np.float32))
    np.testing.assert_allclose(frames("aspect-ratio")[:, 0, 0], (40 + np.arange(camera)) / 120)
    np.testing.assert_array_equal(frames("rgb"), files[5])
    np.testing.assert_array_equal(frames("silhouette")[:, 0], files[6])
    np.testing.assert_array_equal(frames("silhouette-raw")[:, 0], files[7])
    rates = {name: stream.frame_rate_hz for name, stream in builder.card().streams.items()}
    assert rates["lidar"] == rates["lidar-depth"] == 10
    assert rates["silhouette"] == rates["rgb"] == (30 if clock == "native" else 10)
    assert np.unique(frames("silhouette")).size > 2, "soft edges are kept"


def test_colours_come_out_alike_whichever_way_they_were_stored(source: Path, leaf: Tree) -> None:
    builder = build(source)
    first = next(iter(builder.sequences()))
    (frames,) = builder.frames([first], "rgb")
    stored = leaf(0, 0, "000")["05-000-Camera-RGB_raw.pkl"]
    assert stored.shape == (11, 64, 64, 3)
    np.testing.assert_array_equal(frames, stored.transpose(0, 3, 1, 2))


def test_binary_edges_and_jpeg_are_options(source: Path, leaf: Tree) -> None:
    dataset = prepared(source, edges="binary", rgb="jpeg")
    frames = dataset[0].frames
    np.testing.assert_array_equal(frames["silhouette"][:, 0], leaf(0, 0, "000")["06-000-Camera-Sils_aligned.pkl"] > 127)
    assert frames["rgb"].shape == (11, 3, 64, 64)
    assert dataset.card.streams["rgb"].codec == "jpeg"
    assert dataset.card.options == {"layout": "pickles", "clock": "native", "edges": "binary", "rgb": "jpeg"}


def test_models_get_published_colours_as_colours_or_as_distances(source: Path, leaf: Tree) -> None:
    dataset = prepared(source)
    check_inputs(dataset, [JET])
    check_inputs(dataset, [GREY])
    batches = {
        spec.channels: next(
            batch.inputs["lidar-depth"]
            for rows, batch in test_batches(dataset, [spec], max_frames=None, frames_per_batch=1, padding="masked")
            if rows.tolist() == [0]
        )
        for spec in (JET, GREY)
    }
    colours = leaf(0, 0, "000")["01-000-LiDAR-PCDs_depths.pkl"]
    np.testing.assert_allclose(batches[3][0].numpy(), colours.transpose(1, 0, 2, 3) / np.float32(255))
    distances = batches[1][0, 0].numpy()
    assert distances.shape == (4, 64, 44)
    np.testing.assert_array_equal(distances > 0, (colours > 0).any(axis=1)[..., 10:54])
    with pytest.raises(DatasetError, match="false colours, the model reads 2 channels"):
        check_inputs(dataset, [GREY.model_copy(update={"channels": 2})])


def test_the_two_clocks_are_never_mixed(source: Path, tmp_path: Path) -> None:
    clips, labels = ClipConfig(subjects_per_batch=2, sequences_per_subject=1, num_frames=2), np.zeros(36, np.int64)
    native = prepared(source)
    with pytest.raises(DatasetError, match=r"different clocks.*silhouette by that of camera.*lidar-depth by that of L"):
        ClipSampler(native, torch.from_numpy(labels), clips, [SILHOUETTE, GREY])
    both = prepare(
        Sustech1k,
        Sustech1kOptions(clock="synchronised"),
        source,
        tmp_path / "sync",
        ["silhouette", "lidar-depth"],
        workers=1,
        progress=False,
    )
    batch = ClipSampler(both, torch.from_numpy(labels), clips, [SILHOUETTE, GREY]).batch(0)
    assert batch.inputs["silhouette"].shape == batch.inputs["lidar-depth"].shape == (2, 1, 2, 64, 44)
    # Frames of one moment: the body is where the range image has returns.
    seen, lit = batch.inputs["silhouette"] > 0.5, batch.inputs["lidar-depth"] > 0
    assert float((seen == lit).float().mean()) > 0.99


def test_missing_and_broken_files_are_told_and_leave_the_others(source: Path, save) -> None:
    folder = source / "0001/00-nm/000"
    (folder / "06-000-Camera-Sils_aligned.pkl").unlink()
    save(source / "0001/00-nm/000-far/06-000-far-Camera-Sils_aligned.pkl", np.zeros((5, 32, 32), np.uint8))
    (source / "0001/01-nm/000/06-000-Camera-Sils_aligned.pkl").write_bytes(b"\x80\x04cut")
    save(source / "0001/01-nm/000-far/00-000-far-LiDAR-PCDs.pkl", [np.full((3, 3), np.nan)])
    (source / "0001/notes").mkdir()
    (source / "readme.txt").write_text("")
    builder = build(source)
    infos = {info.sequence_id: info for info in builder.sequences()}
    reasons = {}
    for sequence, modality in (
        ("0001-00-nm-000", "silhouette"),
        ("0001-00-nm-000-far", "silhouette"),
        ("0001-01-nm-000", "silhouette"),
        ("0001-01-nm-000-far", "lidar"),
    ):
        (found,) = builder.frames([infos[sequence]], modality)
        assert isinstance(found, Absent)
        assert found.is_defect
        reasons[sequence] = found.reason
    assert "has no file 06-" in reasons["0001-00-nm-000"]
    assert "[5, 32, 32]" in reasons["0001-00-nm-000-far"]
    assert "06-000-Camera-Sils_aligned.pkl" in reasons["0001-01-nm-000"]
    assert "NaN" in reasons["0001-01-nm-000-far"]
    (untouched,) = builder.frames([infos["0001-00-nm-000"]], "lidar")
    assert isinstance(untouched, PointFrames)
    told = {left.reason: left.examples for left in builder.left_out()}
    assert sorted(sum(told.values(), ())) == ["0001/notes", "readme.txt"]


@pytest.mark.parametrize("task", ["identity", "crossmodal"])
def test_prepare_and_run(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str) -> None:
    out = tmp_path / "prepared"
    clock = ["--option", "clock=synchronised"] if task == "crossmodal" else []
    assert main(["prepare", "sustech1k", "--source", str(source), "--out", str(out), "--workers", "1", *clock]) == 0
    said = capsys.readouterr().out
    assert "lidargait.github.io" in said
    assert "4 subjects, 36 sequences" in said
    runs = ["--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = ["run", "--task", task, "--dataset", "sustech1k", "--data", str(out), "--model", "nearest-raw", *runs]
    assert main(words) == 0, capsys.readouterr().err
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert record["status"] == "partial"
    assert record["data"]["modalities"] == (["silhouette"] if task == "identity" else ["silhouette", "lidar-depth"])


@pytest.mark.parametrize(
    ("name", "modalities"), [("lidargait", ("lidar-depth",)), ("two-stream", ("silhouette", "lidar-depth"))]
)
def test_networks_train_on_a_batch(source: Path, name: str, modalities: tuple[str, ...]) -> None:
    dataset = prepared(source, clock="synchronised")
    small = {"channels": (4, 4, 8, 8), "embedding_width": 8, "bins": (1,), "width_px": 64}
    model = load_preset(name, "paper", config=small, num_classes=4).model
    assert tuple(spec.modality for spec in model.inputs) == modalities
    clips = ClipConfig(subjects_per_batch=2, sequences_per_subject=2, num_frames=3)
    labels = torch.arange(len(dataset)) // 9
    batch = ClipSampler(dataset, labels, clips, model.inputs).batch(0)
    losses = model.losses(model(batch), batch, Stage())
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
