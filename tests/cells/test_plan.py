"""Lists that are handed in: checked before anything is made, used by training and test, kept in the record."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up import Cli

from gaitbench.cells.plan import plan
from gaitbench.errors import DatasetError, GaitbenchError, IncompleteDataError, ProtocolError, UsageError
from gaitbench.partition import list_digest
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry
from gaitbench.results import RunRecord, same_result
from gaitbench.runner import load_trained, run, run_cell

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402

PARTITION = tiny_plugin.PARTITION


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield
    patch.undo()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "somewhere" / "tiny.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**PARTITION, "note": "made up"}))
    return path


def listed(out: Path, registry: Registry, partition: object, **changes: object) -> RunRecord:
    arguments = {"protocol": "tiny-listed", "partition": partition, "out": out, "registry": registry, **changes}
    return run("identity", ["tiny-mean"], "tiny", **arguments).records[0]


def test_training_and_test_use_the_lists(file: Path, tmp_path: Path, registry: Registry) -> None:
    result = run(
        "identity",
        ["tiny-mean"],
        "tiny",
        protocol="tiny-listed",
        partition=file,
        out=tmp_path / "runs",
        registry=registry,
    )
    (record,), (folder,) = result.records, result.folders
    assert (record.status, record.data.num_train_subjects, record.data.num_train_sequences) == ("complete", 3, 12)
    assert (record.data.num_test_subjects, record.data.num_probes, record.data.num_gallery) == (3, 3, 9)
    assert json.loads((folder / "model.json").read_text())["subjects"] == sorted(PARTITION["TRAIN_SET"])
    protocol = Protocol.model_validate(record.data.protocol)
    assert protocol.test_subjects == tuple(PARTITION["TEST_SET"])
    assert {role: (found.num, found.sha256) for role, found in protocol.given.items()} == {
        role: (3, list_digest(PARTITION[key]))
        for role, key in (("train", "TRAIN_SET"), ("test", "TEST_SET"), ("probes", "PROBE_SET"))
    }
    for name in ("plan.json", "record.json"):
        text = (folder / name).read_text()
        assert str(file) not in text, name
        assert list_digest(PARTITION["PROBE_SET"]) in text, name
    assert not load_trained(folder).training


def test_the_same_lists_are_the_same_run_wherever_they_come_from(
    file: Path, tmp_path: Path, registry: Registry
) -> None:
    from_file = listed(tmp_path / "a", registry, file)
    turned = {key.lower(): words[::-1] for key, words in PARTITION.items()}
    assert same_result(from_file, listed(tmp_path / "b", registry, turned))
    again = run(
        "identity",
        ["tiny-mean"],
        "tiny",
        protocol="tiny-listed",
        partition=str(file),
        out=tmp_path / "a",
        registry=registry,
    )
    assert again.num_reused == 1


def test_other_lists_are_another_run_and_partial(tmp_path: Path, registry: Registry) -> None:
    official = listed(tmp_path, registry, PARTITION)
    edited = {**PARTITION, "PROBE_SET": PARTITION["PROBE_SET"][:2]}
    with pytest.raises(ProtocolError, match=r"PROBE_SET \(2 entries.* is not the published list \(3 entries"):
        listed(tmp_path, registry, edited)
    record = listed(tmp_path, registry, edited, allow_partial=True)
    assert (record.status, record.data.num_probes) == ("partial", 2)
    assert record.run_id != official.run_id


def test_lists_replace_the_rule_of_a_protocol_that_has_one(tmp_path: Path, registry: Registry) -> None:
    other = {"TRAIN_SET": ["000", "001", "004"], "TEST_SET": ["002", "003", "005"]}
    with pytest.raises(ProtocolError, match=r"TRAIN_SET .* is not the published division"):
        listed(tmp_path, registry, other, protocol="tiny")
    record = listed(tmp_path, registry, other, protocol="tiny", allow_partial=True)
    assert record.status == "partial"
    ruled = listed(tmp_path, registry, None, protocol="tiny")
    agreeing = {"TRAIN_SET": ["002", "001", "000"], "TEST_SET": ["003", "004", "005"]}
    assert listed(tmp_path, registry, agreeing, protocol="tiny").run_id == ruled.run_id != record.run_id


@pytest.mark.parametrize(
    ("partition", "error", "message"),
    [
        (None, ProtocolError, r"tiny-listed needs TRAIN_SET and TEST_SET and PROBE_SET .* --partition FILE"),
        ({"TEST_SET": ["000"]}, ProtocolError, "needs PROBE_SET, and the partition has only TEST_SET"),
        ({"PROBE_SET": PARTITION["PROBE_SET"]}, IncompleteDataError, "needs TRAIN_SET and TEST_SET"),
        ({**PARTITION, "TRAIN_SET": ["000", "001"]}, DatasetError, r"1 subjects are in TRAIN_SET and in TEST_SET"),
        (
            {**PARTITION, "TEST_SET": ["*"]},
            DatasetError,
            r"name subjects one by one, got the pattern '\*'",
        ),
        (
            {**PARTITION, "PROBE_SET": ["001-nm-01-000"]},
            DatasetError,
            "1 of 1 sequences in PROBE_SET are of no",
        ),
        ({"train": ["000"]}, DatasetError, "has none of TRAIN_SET"),
        ("none.json", DatasetError, r"none\.json cannot be read as a partition file"),
    ],
)
def test_lists_that_cannot_be_used_stop_before_anything_is_made(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    partition: object,
    error: type[GaitbenchError],
    message: str,
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(error, match=message):
        listed(tmp_path / "runs", registry, partition)
    assert not (tmp_path / "cache").exists()
    assert not list(tmp_path.rglob("plan.json"))


def test_withheld_labels_stop_before_anything_is_made(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(ProtocolError, match="the probes' labels are withheld"):
        listed(tmp_path, registry, None, protocol="tiny-withheld")
    assert list(tmp_path.iterdir()) == []


def test_listed_sequences_that_are_not_there_stop_a_run(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(IncompleteDataError, match=r"1 of 3 listed sequences are missing \(first: 000-bg-01-090"):
        listed(tmp_path, registry, PARTITION, options={"num_sequences": 1})
    with pytest.raises(IncompleteDataError, match=r"2 of 3 test subjects have no sequence \(first: 002, 004\)"):
        listed(tmp_path, registry, PARTITION, options={"num_subjects": 2})


def test_a_cell_carries_its_lists_to_other_processes(file: Path, tmp_path: Path, registry: Registry) -> None:
    (cell,) = plan("identity", ["tiny-mean"], "tiny", protocol="tiny-listed", partition=file, registry=registry)
    file.unlink()
    copy = type(cell).model_validate_json(cell.model_dump_json())
    assert copy == cell
    assert run_cell(copy, tmp_path, registry=registry).data.num_probes == 3


@pytest.mark.parametrize("mode", ["ram", "device"])
def test_cached_frames_give_the_same_run(tmp_path: Path, registry: Registry, mode: str) -> None:
    arguments = {"dataset": "tiny", "models": ["tiny-net"], "registry": registry}
    (plain,) = run("identity", out=tmp_path / "plain", **arguments).records
    (cached,) = run("identity", out=tmp_path / mode, cache=mode, **arguments).records
    assert same_result(plain, cached)


def test_unknown_cache(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="unknown cache 'rma'; did you mean 'ram'"):
        run("identity", ["tiny-net"], "tiny", cache="rma", out=tmp_path, registry=registry)


def test_command_line(cli: Cli, file: Path, tmp_path: Path) -> None:
    site = tmp_path / "site" / "gaitbench_tiny-0.1.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: gaitbench-tiny\nVersion: 0.1\n")
    (site / "entry_points.txt").write_text("[gaitbench]\ntiny = tiny_plugin\n")
    path = Path(os.pathsep.join([str(site.parent), str(SUPPORT)]))
    command = ["run", "--task", "identity", "--dataset", "tiny", "--model", "tiny-mean", "--protocol", "tiny-listed"]
    without = cli(*command, path=path)
    assert without.returncode != 0
    assert "--partition FILE" in without.stderr
    done = cli(*command, "--partition", file, "--cache", "ram", "--json", path=path)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["records"]
    assert record["data"]["protocol"]["given"]["probes"]["num"] == 3
