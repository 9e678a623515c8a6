"""The environment is described, and a foreign checkout is not taken for ours."""

import re
import subprocess
from pathlib import Path

import torch

import gaitbench
from gaitbench.cells.environment import git_state, hardware, package_versions, utc_now


def test_hardware_and_versions() -> None:
    assert re.match(r"\d+ x \S", hardware(torch.device("cpu")))
    versions = package_versions("pytest", "no-such-package")
    assert versions["gaitbench"] == gaitbench.__version__
    assert versions["torch"] == torch.__version__ or torch.__version__.startswith(versions["torch"])
    assert "pytest" in versions
    assert "no-such-package" not in versions
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_git_state(tmp_path: Path) -> None:
    package = tmp_path / "repo" / "package"
    package.mkdir(parents=True)
    source = package / "__init__.py"
    source.write_text("a = 1\n")
    assert git_state(package) == ("", None)  # no checkout
    git(tmp_path / "repo", "init", "-q")
    assert git_state(package) == ("", None)  # in a checkout, but not of it
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-qm", "first")
    revision = git(tmp_path / "repo", "rev-parse", "HEAD")
    assert git_state(package) == (revision, False)
    source.write_text("a = 2\n")
    assert git_state(package) == (revision, True)
