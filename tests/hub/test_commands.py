"""The whole way through the package's own functions and commands: names, folders, runs, Python's iteration."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import gaitbench
from gaitbench.cli import main
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.hub.contents import Contents
from gaitbench.hub.known import may_pass_on, protocol_of
from gaitbench.hub.splits import split_rows
from gaitbench.hub.stream import StreamedDataset
from gaitbench.protocol import Selection
from gaitbench.registry import load_registry
from gaitbench.sequence import PointFrames
from gaitbench.walkers.builder import WalkersBuilder, WalkersOptions
from tests.hub.conftest import TINY_PROTOCOL
from tests.support.hub_server import FakeHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""As in test_push.py."""

SMALL = {
    "num_train_subjects": 3,
    "num_test_subjects": 2,
    "conditions": ["nm-01", "nm-02", "nm-03", "nm-04"],
    "views_deg": [0, 90],
    "num_frames": 6,
}


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    root = tmp_path_factory.mktemp("walkers") / "prepared"
    return gaitbench.prepare("walkers", out=root, modalities=["silhouette", "skeleton2d"], workers=1, options=SMALL)


@pytest.fixture(scope="module")
def exported(walkers: GaitDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gaitbench.export(walkers, tmp_path_factory.mktemp("walkers") / "out").export.folder


def test_walkers_are_divided_by_their_protocol(walkers: GaitDataset, exported: Path) -> None:
    contents = Contents.parse(json.loads((exported / "gaitbench.json").read_text()), "x")
    assert contents.splits == {"train": 24, "test": 16}
    assert contents.card.redistribution is True
    back = gaitbench.load(f"hf:{exported}", modalities=["skeleton2d"])
    assert back.card == walkers.card
    assert back.fingerprint(["skeleton2d"]) == walkers.fingerprint(["skeleton2d"])


def test_a_run_reads_a_repository(exported: Path, walkers: GaitDataset, tmp_path: Path) -> None:
    result = gaitbench.run("identity", ["gei"], f"hf:{exported}", out=tmp_path / "runs")
    (record,) = result.records
    assert record.data.name == "walkers"
    assert record.data.fingerprint == walkers.fingerprint(["silhouette"])
    assert record.data.repository == ""


def test_a_record_names_repository_and_commit(exported: Path, hub: FakeHub, tmp_path: Path) -> None:
    files = {path.relative_to(exported).as_posix(): path.read_bytes() for path in exported.rglob("*") if path.is_file()}
    commit = hub.add("gait/walkers", files)
    result = gaitbench.run("identity", ["gei"], "hf:gait/walkers", out=tmp_path / "runs")
    assert result.records[0].data.repository == f"gait/walkers@{commit}"
    assert f"gait/walkers@{commit}" in (result.folders[0] / "record.json").read_text()


def test_a_run_needs_a_registered_dataset_and_its_streams(repository: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds the dataset 'tiny', which no installed package describes"):
        gaitbench.run("identity", ["gei"], f"hf:{repository}", out=tmp_path)
    with pytest.raises(DatasetError, match="has no lidar"):
        gaitbench.run("identity", ["lidargait"], f"hf:{exported}", out=tmp_path)
    with pytest.raises(UsageError, match="leave the folder x out"):
        gaitbench.run("identity", ["gei"], f"hf:{exported}", data="x", out=tmp_path)


def test_streaming_yields_the_same_sequences(tiny: GaitDataset, repository: Path) -> None:
    stream = gaitbench.load(f"hf:{repository}", streaming=True)
    assert isinstance(stream, StreamedDataset)
    assert stream.table.sequence_id.tolist() == tiny.table.sequence_id.tolist()
    assert stream.card == tiny.card
    chosen = stream.take(stream.table.view == "090")
    assert len(chosen) == 8
    for walk in chosen:
        good = tiny[tiny.table.sequence_id.tolist().index(walk.info.sequence_id)]
        assert walk.info == good.info
        assert list(walk.frames) == list(good.frames)
        for name in walk.frames:
            found, expected = walk.frames[name], good.frames[name]
            if isinstance(found, PointFrames):
                assert isinstance(expected, PointFrames)
                np.testing.assert_array_equal(found.points, expected.points)
                np.testing.assert_array_equal(found.offsets, expected.offsets)
            else:
                np.testing.assert_array_equal(found, expected)
    with pytest.raises(IndexError, match="sequence 16 of 16"):
        stream[16]
    with pytest.raises(KeyError):
        stream[0].frames["radar"]
    with pytest.raises(UsageError, match="streaming reads dataset repositories"):
        gaitbench.load("walkers", streaming=True)


def test_to_hf_has_the_features_of_an_export(tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    import datasets

    opened = datasets.load_dataset(str(repository), split="train", cache_dir=str(tmp_path))
    whole = tiny.to_hf()
    assert whole.features == opened.features
    assert whole["sequence_id"][:] == tiny.table.sequence_id.tolist()
    row = tiny.take([5]).to_hf(["silhouette"])
    assert row.column_names[-2:] == ["attributes", "silhouette"]
    pixels = np.stack([np.asarray(picture) for picture in row[0]["silhouette"]])
    np.testing.assert_array_equal(pixels, tiny[5].frames["silhouette"][:, 0] == 1)
    assert tiny.to_hf().cache_files == whole.cache_files


def test_splits_need_a_protocol_that_divides(tiny: GaitDataset) -> None:
    table = tiny.table
    assert split_rows(table, None).undivided == "the dataset has no protocol"
    found = split_rows(table, TINY_PROTOCOL.model_copy(update={"test_subjects": ("002",)}))
    assert {name: len(rows) for name, rows in found.rows.items()} == {"train": 8, "test": 4, "other": 4}
    shared = TINY_PROTOCOL.model_copy(update={"train": Selection(), "is_closed_set": True})
    found = split_rows(table, shared)
    assert (list(found.rows), len(found.rows["train"])) == (["train"], 16)
    assert "share sequences" in found.undivided
    elsewhere = TINY_PROTOCOL.model_copy(update={"test_subjects": ("900..950",)})
    assert list(split_rows(table, elsewhere).rows) == ["train"]


def test_what_forbids_comes_first(walkers: GaitDataset) -> None:
    registry = load_registry()
    assert may_pass_on(registry, walkers.card) is True
    assert may_pass_on(registry, walkers.card.model_copy(update={"redistribution": False})) is False
    unknown = walkers.card.model_copy(update={"name": "casia-x", "redistribution": None})
    assert may_pass_on(registry, unknown) is None
    assert protocol_of(registry, unknown, walkers.table) is None


def test_walkers_say_that_they_may_be_passed_on() -> None:
    assert WalkersBuilder(WalkersOptions()).card().redistribution is True


def test_export_command(walkers: GaitDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    assert main(["export", str(walkers.root), "--to", "hf", "--out", str(out), "--modalities", "silhouette"]) == 0
    assert "24 train, 16 test sequences in 2 files" in capsys.readouterr().out
    assert main(["export", str(walkers.root), "--out", str(out), "--modalities", "silhouette", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["export"]["splits"] == {"train": 24, "test": 16}
    assert found["pushed"] is None

    assert main(["prepare", f"hf:{out}", "--out", str(back), "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == found["export"]["fingerprint"]


def test_push_command(walkers: GaitDataset, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(walkers.root), "--out", str(tmp_path / "out"), "--modalities", "skeleton2d"]
    assert main([*words, "--push", "gait/walkers"]) == 0
    shown = capsys.readouterr().out
    commit = hub.repositories["gait/walkers"].commits[-1][0]
    assert f"{hub.address}/datasets/gait/walkers (private), commit {commit}" in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["walkers", "--public"], 2, "belong to --push"),
        (["wolkers"], 2, "[Dd]id you mean 'walkers'"),
        (["walkers", "--to", "zip"], 2, "'hf'"),
        (["walkers", "--push", "walkers"], 2, "is pushed to ORG/NAME"),
        (["walkers", "--modalities", "silhouete"], 2, "did you mean 'silhouette'"),
        (["usf-gait17", "--push", "a/b"], 2, "usf-gait17 is not pushed: its terms do not"),
    ],
)
def test_export_command_errors(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *words, "--out", str(tmp_path / "out")]) == code
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys; sys.argv = ['gaitbench', 'export', '--help']\n"
        "from gaitbench.cli import main\n"
        "code = main()\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'pandas', 'datasets', 'huggingface_hub', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--i-have-the-right" in done.stdout
