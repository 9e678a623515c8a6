"""A third party's plugin, built, installed and used; and what happens when it is broken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import Cli
from places import REPOSITORY, SAMPLE


def test_its_own_tests_pass_where_it_is_installed(sample_site: Path, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "tests", tmp_path / "tests")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(sample_site), str(REPOSITORY)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("models", "sample-mean"),
        ("datasets", "sample-blobs"),
        ("metrics", "sample_reciprocal"),
        ("modalities", "sample-outline"),
        ("protocols", "sample-blobs"),
    ],
)
def test_list_and_info(kind: str, name: str, cli: Cli, sample_site: Path) -> None:
    listed = cli("list", kind, path=sample_site)
    assert name in listed.stdout
    assert "gaitbench-sample" in listed.stdout
    shown = cli("info", f"gaitbench-sample/{name}", path=sample_site)
    assert shown.returncode == 0, shown.stderr
    assert "gaitbench-sample 1.2.3" in shown.stdout


def test_info_of_the_model_counts_parameters(cli: Cli, sample_site: Path) -> None:
    shown = cli("info", "sample-mean", path=sample_site).stdout
    assert "131,170 parameters" in shown  # 64 * 64 * 32 + 32, and 32 * 2 + 2
    assert "proposed" in shown
    assert "everything: it is an example" in shown


def test_run_prepare_and_verify(cli: Cli, sample_site: Path, tmp_path: Path) -> None:
    command = ("run", "--task", "identity", "--dataset", "sample-blobs", "--model", "sample-mean")
    first = cli(*command, path=sample_site)
    assert first.returncode == 0, first.stderr
    assert "sample-mean" in first.stdout
    again = cli(*command, "--json", path=sample_site)
    result = json.loads(again.stdout)
    assert result["num_reused"] == 1
    (record,) = result["records"]
    assert (record["model"]["plugin"], record["model"]["plugin_version"]) == ("gaitbench-sample", "1.2.3")
    assert "sample_reciprocal" in {score["metric"] for score in record["scores"]}

    out = tmp_path / "prepared"
    prepared = cli(
        "prepare", "sample-blobs", "--out", out, "--modalities", "sample-outline", "--json", path=sample_site
    )
    assert json.loads(prepared.stdout)["sequences"] == 32
    sound = cli("verify", out, path=sample_site)
    assert (sound.returncode, "sound" in sound.stdout) == (0, True)
    (shard,) = (path for path in (out / "streams").rglob("*.arrow"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    altered = cli("verify", out, path=sample_site)
    assert altered.returncode == 1
    assert shard.name in altered.stdout + altered.stderr


BREAK = {
    "import": ("from gaitbench.hookspecs import hookimpl", "import no_such_module_at_all", "no_such_module_at_all"),
    "register": ('    """Add one component of each kind."""', '    raise RuntimeError("out of luck")', "out of luck"),
    "half": (
        '        MetricSpec(\n            name="sample_',
        '        MetricSpec(\n            name="SAMPLE_',
        "lower case",
    ),
    "version": ("api_version = 1", "api_version = 2", "written for plugin API 2"),
    "misspelt": ("def gaitbench_register", "def gaitbench_regster", "gaitbench_regster"),
    "collision": ('name="sample_reciprocal"', 'name="rank_1"', "already provided by gaitbench"),
}


@pytest.mark.parametrize("case", BREAK)
def test_broken_variants(case: str, cli: Cli, sample_site: Path, tmp_path: Path) -> None:
    old, new, message = BREAK[case]
    broken = shutil.copytree(sample_site, tmp_path / "site")
    source = broken / "gaitbench_sample" / "plugin.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))

    for command in (("--help",), ("list", "models"), ("list", "metrics", "--json"), ("plugins",)):
        done = cli(*command, path=broken)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert "gaitbench-sample" in cli("list", "models", path=broken).stderr
    listed = {row["distribution"]: row for row in json.loads(cli("plugins", "--json", path=broken).stdout)}
    assert listed["gaitbench-sample"]["status"] == "quarantined"
    assert message in listed["gaitbench-sample"]["error"]
    assert {row["status"] for name, row in listed.items() if name != "gaitbench-sample"} == {"loaded"}

    asked = cli("info", "sample-mean", path=broken)
    assert asked.returncode == 2
    assert "gaitbench-sample 1.2.3" in asked.stderr
    assert message in asked.stderr
    asked = cli("run", "--task", "identity", "--model", "sample-mean", path=broken)
    assert asked.returncode == 2
    assert "gaitbench-sample 1.2.3" in asked.stderr
    assert message in asked.stderr


def test_doctor_with_a_broken_plugin(cli: Cli, sample_site: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(sample_site, tmp_path / "site")
    (broken / "gaitbench_sample" / "plugin.py").write_text("raise SystemExit('bye')\n")
    done = cli("doctor", path=broken)
    assert done.returncode == 0
    assert "gaitbench-sample 1.2.3 quarantined, failed (import): SystemExit: bye" in done.stdout
