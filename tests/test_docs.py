"""The documents say what works: their links lead somewhere, their code runs, their first plugin installs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY

from gaitbench.cli import main
from gaitbench.progress import quiet

PAGES = sorted(
    path
    for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("plugins/*/*.md")]
    if not any(part.startswith(".") for part in path.relative_to(REPOSITORY).parts)
)
EXECUTED = [REPOSITORY / "README.md", REPOSITORY / "docs/quickstart.md", REPOSITORY / "docs/plugin-tutorial.md"]

FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name(page)} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(found), f"{name(page)} links to {target}, which has no such title"


@pytest.mark.parametrize("page", EXECUTED, ids=name)
def test_code_runs(
    page: Path,
    tmp_path: Path,
    gaitbench_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": name(page)}
    num_run = 0
    for block in FENCE.finditer(page.read_text()):
        note = block["note"] or ""
        if note.startswith(("not run:", "file:")):
            continue
        num_run += 1
        if block["language"] == "python":
            with quiet():
                exec(compile(block["code"], name(page), "exec"), namespace)
        elif block["language"] == "console":
            for line in block["code"].splitlines():
                if line.startswith("$ gaitbench "):
                    assert main(shlex.split(line)[2:]) == 0, capsys.readouterr().err
    assert num_run, f"{name(page)} has no code that runs"


@pytest.mark.parametrize("page", EXECUTED, ids=name)
def test_commands_that_are_not_run_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in re.findall(r"^\$ gaitbench (.+)$", page.read_text(), re.MULTILINE):
        words = shlex.split(line)
        command = words[:2] if words[0] in ("leaderboard", "new") else words[:1]
        assert main([*command, "--help"]) == 0
        help_text = capsys.readouterr().out
        for flag in (word for word in words if word.startswith("--")):
            assert flag in help_text, f"{name(page)}: {line}"


def test_first_plugin_of_the_tutorial(tmp_path: Path) -> None:
    page = REPOSITORY / "docs/plugin-tutorial.md"
    for block in FENCE.finditer(page.read_text()):
        if (block["note"] or "").startswith("file: "):
            path = tmp_path / block["note"].removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["code"])
    folder, site = tmp_path / "gaitbench-mrr", tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(folder)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)])}
    for command in (
        ["gaitbench", "info", "reciprocal_rank"],
        ["pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_in_the_documents() -> None:
    text = "\n".join(path.read_text() for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
    for command in ("run", "list", "info", "prepare", "verify", "leaderboard", "plugins", "new plugin", "doctor"):
        assert f"gaitbench {command}" in text, command
