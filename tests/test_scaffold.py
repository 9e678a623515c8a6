import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from places import REPOSITORY

from gaitbench.errors import OutputError, UsageError
from gaitbench.scaffold import KINDS, write_plugin


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_installs_and_passes_its_own_tests(kind: str, tmp_path: Path) -> None:
    folder = write_plugin("my-thing", kind=kind, parent=tmp_path)
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(folder)], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_files_of_a_new_plugin(tmp_path: Path) -> None:
    folder = write_plugin("gaitbench-my-thing", parent=tmp_path / "new")
    assert folder == tmp_path / "new" / "gaitbench-my-thing"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "gaitbench-my-thing"
    assert project["entry-points"]["gaitbench"] == {"my-thing": "gaitbench_my_thing.plugin"}
    for path in folder.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
        assert "${" not in path.read_text()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["gaitbench-my-thing"]


@pytest.mark.parametrize(
    ("name", "proposal"), [("My_Thing", "my-thing"), ("2fast", "my-method|fast"), ("a--b", "a-b"), ("", "my-method")]
)
def test_a_name_that_cannot_be_used(name: str, proposal: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"cannot name a plugin.*such as '({proposal})'"):
        write_plugin(name, parent=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'model'"):
        write_plugin("thing", kind="modle", parent=tmp_path)


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    taken = tmp_path / "gaitbench-thing"
    taken.mkdir()
    (taken / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="exists already"):
        write_plugin("thing", parent=tmp_path)
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]


def test_a_parent_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_plugin("thing", parent=blocked)
