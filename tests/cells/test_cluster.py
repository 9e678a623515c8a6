"""What torchrun and Slurm say of their processes, and that a run they start is a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY

from gaitbench.cells.cluster import Cluster, find_cluster
from gaitbench.errors import UsageError
from gaitbench.results import read_record

SUPPORT = Path(__file__).parents[1] / "support"

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "30001",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
}


def test_torchrun() -> None:
    assert find_cluster(TORCHRUN) == Cluster("torchrun", 1, 4, 1, 2, "first", 29501)


def test_slurm() -> None:
    found = find_cluster(SLURM)
    assert found == Cluster("Slurm", 0, 2, 1, 2, "gpu03", 20001)
    assert found.is_leader


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nobody"),
        pytest.param({"NODE_RANK": "1", "MASTER_ADDR": "first", "MASTER_PORT": "1"}, id="by-hand"),
        pytest.param({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, id="batch-script-without-srun"),
        pytest.param(SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, id="one-task"),
    ],
)
def test_nobody_started_several_processes(environment: dict[str, str]) -> None:
    assert find_cluster(environment) is None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (TORCHRUN | {"LOCAL_RANK": "x"}, "torchrun should set LOCAL_RANK to a number, it is 'x'"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_NODEID"}, "SLURM_NODEID to a number, it is 'not set'"),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "3"}, "3 tasks on 2 machines"),
    ],
)
def test_starters_that_say_too_little(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_cluster(environment)


def test_sizes() -> None:
    many = Cluster("torchrun", 0, 4, 0, 2, "first", 1)
    assert many.sizes(1, 1) == many.sizes(4, 2) == (4, 2)
    assert many._replace(num_local=1).sizes(8, 1) == (8, 2)
    with pytest.raises(UsageError, match="started 4 processes on this machine, and --devices says 3"):
        many.sizes(3, 1)
    with pytest.raises(UsageError, match="started 2 machines, and --nodes says 3"):
        many.sizes(1, 3)


def test_machines_find_each_other_for_as_long_as_a_run_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("NODE_RANK", raising=False)
    with Cluster("torchrun", 0, 4, 1, 2, "first", 29501).joined():
        assert [os.environ[name] for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")] == ["1", "first", "29501"]
    assert os.environ["MASTER_PORT"] == "29500"
    assert "NODE_RANK" not in os.environ
    with Cluster("torchrun", 0, 4, 0, 1, "first", 29501).joined():
        assert "MASTER_PORT" not in os.environ
    assert os.environ["MASTER_PORT"] == "29500"


def start(out: Path, site: Path, *launcher: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    info = site / "gaitbench_tiny-0.1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gaitbench-tiny\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[gaitbench]\ntiny = tiny_plugin\n")
    command = ["-m", "gaitbench", "run", "--task", "identity", "--dataset", "tiny", "--model", "tiny-net"]
    command += ["--set", "plain=true", "--device", "cpu", "--out", str(out)]
    return subprocess.run(
        [sys.executable, *launcher, *command],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, SUPPORT, site))),
            "GAITBENCH_CACHE": str(site / "cache"),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_torchrun_gives_the_record_of_one_device(tmp_path: Path) -> None:
    alone = start(tmp_path / "alone", tmp_path / "site")
    assert alone.returncode == 0, alone.stderr
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable]
    many = start(tmp_path / "many", tmp_path / "site", *launcher)
    assert many.returncode == 0, many.stderr
    assert many.stdout.count("tiny-net") == alone.stdout.count("tiny-net") > 0
    (one,), (other,) = (list((tmp_path / name).glob("*/*/*/record.json")) for name in ("alone", "many"))
    assert read_record(other.parent).run_id == read_record(one.parent).run_id
    assert len((other.parent / "train.jsonl").read_text().splitlines()) == 9


def test_a_task_of_slurm_that_does_not_lead_steps_aside(tmp_path: Path) -> None:
    done = start(tmp_path / "out", tmp_path / "site", **SLURM | {"SLURM_LOCALID": "1"})
    assert (done.returncode, done.stdout) == (0, "")
    assert not (tmp_path / "out").exists()


def test_the_leader_of_a_machine_works_in_a_job_of_many_tasks(tmp_path: Path) -> None:
    """A batch script without srun: Fabric would count the job's tasks and refuse."""
    done = start(tmp_path / "out", tmp_path / "site", SLURM_JOB_ID="1", SLURM_NTASKS="4", SLURM_PROCID="0")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*/*/*/record.json"))) == 1
