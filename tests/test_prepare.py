"""Preparing gives the same bytes however often it is killed, by however many workers, and refuses bad input."""

import errno
import filecmp
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from gaitbench.atomic import write_json
from gaitbench.dataset import DatasetBuilder, DatasetCard, GaitDataset, verify
from gaitbench.errors import DatasetError, OutputError
from gaitbench.prepare import prepare
from gaitbench.sequence import Frames, SequenceInfo
from tests.support.tiny_dataset import ALL_MODALITIES, TinyBuilder, TinyOptions, prepare_tiny

prepare_module = importlib.import_module("gaitbench.prepare")


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "SEQUENCES_PER_SHARD", 5)


def start(code: str, *args: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_everything_comes_back(tmp_path: Path, small_shards: None) -> None:
    dataset = prepare_tiny(tmp_path / "d", ALL_MODALITIES, lidar_rate_hz=10.0)
    builder = TinyBuilder(TinyOptions(lidar_rate_hz=10.0))
    infos = builder.sequences()
    assert len(dataset) == len(infos) == 24
    assert dataset.modalities == tuple(sorted(ALL_MODALITIES))
    assert len(list((tmp_path / "d" / "streams" / "depth").iterdir())) == 5
    for modality in ALL_MODALITIES:
        for i, frames in enumerate(builder.frames(infos, modality)):
            assert dataset[i].info == infos[i]
            got = dataset[i].frames[modality]
            if modality == "lidar":
                np.testing.assert_array_equal(got[1], frames[1])
                np.testing.assert_allclose(got[0], frames[0], atol=2e-3)
            elif modality == "rgb":
                assert np.abs(np.asarray(got, float) - np.asarray(frames, float)).mean() < 3
            else:
                np.testing.assert_array_equal(got, frames)
    assert verify(tmp_path / "d").problems == ()


def test_number_of_workers_changes_nothing(tmp_path: Path, small_shards: None) -> None:
    prepare_tiny(tmp_path / "one", ALL_MODALITIES, workers=1)
    prepare_tiny(tmp_path / "three", ALL_MODALITIES, workers=3)
    assert files(tmp_path / "one") == files(tmp_path / "three")


def test_adding_a_modality_later_is_the_same_as_at_once(tmp_path: Path, small_shards: None) -> None:
    first = prepare_tiny(tmp_path / "a", ["silhouette"])
    fingerprint = first.fingerprint(["silhouette"])
    both = prepare_tiny(tmp_path / "a", ["parsing", "silhouette"])
    assert both.modalities == ("parsing", "silhouette")
    assert both.fingerprint(["silhouette"]) == fingerprint
    prepare_tiny(tmp_path / "b", ["silhouette", "parsing"])
    assert files(tmp_path / "a") == files(tmp_path / "b")
    # The dataset that was opened before goes on as it was.
    assert first.fingerprint(["silhouette"]) == fingerprint
    assert first.bank("silhouette").frames(0).shape == both.bank("silhouette").frames(0).shape


def test_finished_work_is_reused_without_touching_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_tiny(tmp_path / "d", ["silhouette", "parsing"])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*")}

    def refuse(*_args: object) -> Iterator[Frames]:
        raise AssertionError("read again")

    monkeypatch.setattr(TinyBuilder, "frames", refuse)
    assert prepare_tiny(tmp_path / "d", ["parsing"]).modalities == ("parsing", "silhouette")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*")} == before


KILL_AT_EVERY_SYNC = """
import os, signal, sys
from pathlib import Path
from gaitbench.dataset import GaitDataset, verify
from tests.support.tiny_dataset import prepare_tiny
sys.modules["gaitbench.prepare"].SEQUENCES_PER_SHARD = 3
root, base = Path(sys.argv[1]), int(sys.argv[2])
options = dict(num_subjects=2, height_px=8, width_px=8)
if base:
    prepare_tiny(root / "base", ["silhouette"], **options)
real = os.fsync
for point in range(1, 100):
    out = root / f"killed-{point}"
    if base:
        import shutil
        shutil.copytree(root / "base", out)
    if (pid := os.fork()) == 0:
        count = 0
        def fsync(descriptor):
            global count
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor)
        os.fsync = fsync
        prepare_tiny(out, ["silhouette", "parsing"], **options)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if base:
        assert "silhouette" in GaitDataset.open(out).modalities, point
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    prepare_tiny(out, ["silhouette", "parsing"], **options)
print(point)
"""


@pytest.mark.parametrize("base", [0, 1], ids=["new", "adding-a-modality"])
def test_killed_at_every_write_then_run_again(tmp_path: Path, base: int) -> None:
    """Each atomic write syncs before and after its rename: a kill at each sync meets every state of the folder."""
    out, err = start(KILL_AT_EVERY_SYNC, tmp_path, base).communicate(timeout=120)
    assert not err, err.decode()
    num_points = int(out)
    assert num_points > (12 if base else 18)
    whole = files(tmp_path / f"killed-{num_points}")
    for point in range(1, num_points):
        assert files(tmp_path / f"killed-{point}") == whole, f"killed at sync {point}"


PREPARE_SLOWLY = """
import sys
from pathlib import Path
from tests.support.tiny_dataset import prepare_tiny
sys.modules["gaitbench.prepare"].SEQUENCES_PER_SHARD = 2
prepare_tiny(Path(sys.argv[1]), ["silhouette", "parsing"], workers=2, delay_s=float(sys.argv[2]))
"""


def wait_for(condition: "object", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def workers_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("num_shards", [1, 4])
def test_killed_with_workers_then_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_shards: int) -> None:
    out = tmp_path / "d"
    process = start(PREPARE_SLOWLY, out, 0.05)
    wait_for(lambda: len(list(out.glob("streams/silhouette/0*.arrow"))) >= num_shards)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Orphans see their input close, and end.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    with pytest.raises(DatasetError, match=r"no dataset\.json"):
        GaitDataset.open(out)

    monkeypatch.setattr(prepare_module, "SEQUENCES_PER_SHARD", 2)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("streams/*/0*.arrow")}
    prepare_tiny(out, ["silhouette", "parsing"])
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items()), "finished shards are kept"
    prepare_tiny(tmp_path / "whole", ["silhouette", "parsing"])
    assert files(out) == files(tmp_path / "whole")


def test_two_processes_prepare_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = [start(PREPARE_SLOWLY, tmp_path / "d", 0.02) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    monkeypatch.setattr(prepare_module, "SEQUENCES_PER_SHARD", 2)
    prepare_tiny(tmp_path / "alone", ["silhouette", "parsing"])
    assert files(tmp_path / "d") == files(tmp_path / "alone")


def test_ctrl_c_keeps_finished_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_shards: None) -> None:
    draw = TinyBuilder._draw
    drawn = []

    def interrupt(self: TinyBuilder, info: SequenceInfo, modality: str) -> Frames:
        drawn.append(info.sequence_id)
        if len(drawn) == 13:
            raise KeyboardInterrupt
        return draw(self, info, modality)

    with monkeypatch.context() as patch:
        patch.setattr(TinyBuilder, "_draw", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare_tiny(tmp_path / "d")
    streams = tmp_path / "d" / "streams" / "silhouette"
    assert sorted(path.name for path in streams.iterdir()) == ["00000.arrow", "00001.arrow"]
    assert len(prepare_tiny(tmp_path / "d")) == 24


def test_ctrl_c_stops_workers(tmp_path: Path) -> None:
    process = start(PREPARE_SLOWLY, tmp_path / "d", 0.2)
    wait_for(lambda: list(tmp_path.glob("d/streams/silhouette/0*.arrow")))
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize("damage", ["truncate", "flip", "swap", "garbage"])
def test_damaged_leftover_shards_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_shards: None, damage: str
) -> None:
    prepare_tiny(tmp_path / "whole")
    out = tmp_path / "d"
    kept: dict[str, object] = {}
    unlink = Path.unlink

    def keep(self: Path, missing_ok: bool = False) -> None:
        if self.name == ".work.json":
            kept.update(json.loads(self.read_bytes()))
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", keep)
        prepare_tiny(out)
    # Back to the state of a run that was killed before its last step: shards, and what they were made from.
    (out / "dataset.json").unlink()
    (out / "manifest.parquet").unlink()
    shard = out / "streams" / "silhouette" / "00001.arrow"
    data = shard.read_bytes()
    write_json(out / ".work.json", kept)
    if damage == "truncate":
        shard.write_bytes(data[:-8])
    elif damage == "flip":
        shard.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "swap":
        shard.write_bytes((out / "streams" / "silhouette" / "00002.arrow").read_bytes())
    else:
        shard.write_bytes(b"not arrow")
    stamps = {path: path.stat().st_mtime_ns for path in sorted(shard.parent.iterdir())}
    prepare_tiny(out)
    assert files(out) == files(tmp_path / "whole")
    assert [path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp] == [shard]


def test_shards_of_other_options_are_not_taken_over(tmp_path: Path, small_shards: None) -> None:
    process = start(PREPARE_SLOWLY.replace("delay_s", "seed=1, delay_s"), tmp_path / "d", 0.05)
    wait_for(lambda: list(tmp_path.glob("d/streams/silhouette/0*.arrow")))
    process.kill()
    process.communicate()
    prepare_tiny(tmp_path / "d", ["silhouette", "parsing"])
    prepare_tiny(tmp_path / "alone", ["silhouette", "parsing"])
    assert files(tmp_path / "d") == files(tmp_path / "alone")


def test_folder_of_another_dataset(tmp_path: Path) -> None:
    prepare_tiny(tmp_path / "d", seed=1)
    before = files(tmp_path / "d")
    with pytest.raises(OutputError, match=r"holds another dataset \(options .*'seed': 1.*choose another folder"):
        prepare_tiny(tmp_path / "d", seed=2)
    assert files(tmp_path / "d") == before


def test_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds something else \(thesis\.tex\)"):
        prepare_tiny(tmp_path)
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("a file")
    with pytest.raises(OutputError, match=r"/d: a file stands where a folder is needed"):
        prepare_tiny(tmp_path / "d")
    with pytest.raises(OutputError, match=r"a file stands where a folder is needed"):
        prepare_tiny(tmp_path / "d" / "deeper")


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the file system is read-only")]
)
def test_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_shards: None, number: int, message: str
) -> None:
    calls = []
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 8:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match=rf"cannot write {tmp_path}/d/.*{message}"):
            prepare_tiny(tmp_path / "d")
    assert not list((tmp_path / "d").rglob("*.tmp"))
    prepare_tiny(tmp_path / "d")
    prepare_tiny(tmp_path / "whole")
    assert files(tmp_path / "d") == files(tmp_path / "whole")


def test_unknown_modality_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="tiny has no modality silhouete; did you mean silhouette"):
        prepare_tiny(tmp_path / "d", ["silhouete"])
    with pytest.raises(DatasetError, match="name at least one modality"):
        prepare_tiny(tmp_path / "d", [])
    assert not (tmp_path / "d").exists()


class OddBuilder(TinyBuilder):
    """Breaks its contract in the way that its seed says."""

    def sequences(self) -> Sequence[SequenceInfo]:
        infos = list(super().sequences())
        odd = infos[1]
        changed = {
            1: {"sequence_id": infos[0].sequence_id},
            2: {"attributes": (0,)},
            3: {"attributes": (0, 3)},
            4: {"subject_id": ""},
            5: {"num_frames": -1},
        }.get(self.options.seed)
        if self.options.seed == 6:
            return []
        if changed is not None:
            fields = {name: getattr(odd, name) for name in SequenceInfo.__dataclass_fields__}
            infos[1] = SequenceInfo(**{**fields, **changed})
        return infos

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        frames = list(super().frames(sequences, modality))
        if self.options.seed == 7:
            return iter(frames[:-1])
        if self.options.seed == 8:
            return iter([*frames, frames[0]])
        if self.options.seed == 9:
            frames[1] = frames[1][:0]  # type: ignore[index]
        if self.options.seed == 10:
            raise FileNotFoundError(2, "No such file or directory", "/data/0001.pkl")
        return iter(frames)


class OddShapeBuilder(TinyBuilder):
    def card(self) -> DatasetCard:
        card = super().card()
        stream = card.streams["silhouette"].model_copy(update={"frame_shape": (64, 64)})
        return card.model_copy(update={"streams": {"silhouette": stream}})


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (1, "sequence id 000-nm-01-000-0 occurs twice"),
        (2, "has 1 attributes, the card's schema 2"),
        (3, "class 3 of speed, which has 3 classes"),
        (4, "lacks an id"),
        (5, "has -1 frames"),
        (6, "lists no sequence; check the source"),
        (7, "no silhouette for sequence"),
        (8, "more silhouette than the 5 sequences asked for"),
        (9, "sequence 00.-.*, silhouette: no frames"),
        (10, r"OddBuilder failed while reading silhouette of sequences 00.-.*-\d to .*0001\.pkl"),
    ],
)
def test_builder_that_breaks_its_contract(
    tmp_path: Path, small_shards: None, workers: int, seed: int, message: str
) -> None:
    if workers == 2 and seed < 7:
        pytest.skip("found before any worker starts")
    with pytest.raises(DatasetError, match=message):
        prepare(
            OddBuilder, TinyOptions(seed=seed), None, tmp_path / "d", ["silhouette"], workers=workers, progress=False
        )
    with pytest.raises(DatasetError, match="not a prepared dataset"):
        GaitDataset.open(tmp_path / "d")


def test_card_whose_shape_does_not_fit_the_modality(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"silhouette frames of shape \[64, 64\], but raster need 3 axes"):
        prepare(OddShapeBuilder, TinyOptions(), None, tmp_path / "d", ["silhouette"], progress=False)


class DyingBuilder(TinyBuilder):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().frames(sequences, modality)


def test_worker_that_is_killed(tmp_path: Path, small_shards: None) -> None:
    with pytest.raises(
        DatasetError, match=r"worker process ended with code -9 .*out of memory.*finished shards are kept"
    ):
        prepare(DyingBuilder, TinyOptions(), None, tmp_path / "d", ["silhouette"], workers=2, progress=False)


class ChattyBuilder(TinyBuilder):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        print("reading", len(sequences))
        return super().frames(sequences, modality)


def test_builder_that_prints_and_one_that_cannot_be_imported(tmp_path: Path, small_shards: None) -> None:
    class LocalBuilder(TinyBuilder):
        pass

    prepare_tiny(tmp_path / "a")
    for name, builder in (("b", ChattyBuilder), ("c", LocalBuilder), ("d", f"{__name__}:ChattyBuilder")):
        prepare(builder, TinyOptions(), None, tmp_path / name, ["silhouette"], workers=2, progress=False)
        assert files(tmp_path / name) == files(tmp_path / "a")


def test_script_without_main_guard(tmp_path: Path) -> None:
    """Workers must not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(PREPARE_SLOWLY + "\nprint('once')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    command = [sys.executable, str(script), str(tmp_path / "d"), "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "once\n"


def test_sequences_of_the_source_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_tiny(tmp_path / "d")
    sequences = TinyBuilder.sequences
    monkeypatch.setattr(TinyBuilder, "sequences", lambda self: sequences(self)[:-1])
    with pytest.raises(DatasetError, match="was prepared from other sequences"):
        prepare_tiny(tmp_path / "d", ["parsing"])


def test_frame_counts_that_only_reading_tells(tmp_path: Path) -> None:
    told = prepare_tiny(tmp_path / "a")
    found = prepare_tiny(tmp_path / "b", hide_frames=True)
    np.testing.assert_array_equal(found.table.num_frames, told.table.num_frames)
    assert (found.table.num_frames > 0).all()


def test_large_frames_make_smaller_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "SHARD_BYTES", 2**20)
    dataset = prepare_tiny(tmp_path / "d", ["depth", "silhouette"])
    sizes = {path.parent.name: [] for path in (tmp_path / "d").glob("streams/*/*")}
    for path in (tmp_path / "d").glob("streams/*/*"):
        sizes[path.parent.name].append(path.stat().st_size)
    assert len(sizes["silhouette"]) == 1
    assert len(sizes["depth"]) > 2
    assert max(sizes["depth"]) < 2**21
    assert len(dataset.bank("depth")) == 24


def test_workers_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        prepare_tiny(tmp_path / "d", workers=0)


def test_fixture_compares_folders(tmp_path: Path) -> None:
    """The comparison that the tests above rest on sees a single byte."""
    prepare_tiny(tmp_path / "a")
    prepare_tiny(tmp_path / "b", seed=1)
    assert not filecmp.cmp(tmp_path / "a" / "dataset.json", tmp_path / "b" / "dataset.json", shallow=False)
    assert files(tmp_path / "a") != files(tmp_path / "b")


assert issubclass(TinyBuilder, DatasetBuilder)
