import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_up import Cli, Site
from places import REPOSITORY

import gaitbench
from gaitbench import cli as module
from gaitbench.cli import main
from gaitbench.commands.shell import _repeat_flags, pairs, words
from gaitbench.errors import DatasetError, UsageError

HEAVY = (
    *("torch", "numpy", "pandas", "pyarrow", "datasets", "rich", "scipy", "sklearn", "lightning_fabric", "PIL"),
    "openai",
)

COMMANDS = [
    ("run",),
    ("explain",),
    ("gap",),
    ("list",),
    ("info",),
    ("prepare",),
    ("verify",),
    ("features",),
    ("annotate",),
    ("leaderboard",),
    ("leaderboard", "build"),
    ("leaderboard", "show"),
    ("leaderboard", "check"),
    ("leaderboard", "add"),
    ("plugins",),
    ("new",),
    ("new", "plugin"),
    ("doctor",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: gaitbench {' '.join(command)}" in text
    if command not in (("new",), ("leaderboard",)):
        assert "--json" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gaitbench {gaitbench.__version__}\n"


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: gaitbench" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["run", "--help"], id="run-help"),
        pytest.param(["annotate", "--help"], id="annotate-help"),
        pytest.param(["list", "models"], id="list-models"),
        pytest.param(["list"], id="list"),
        pytest.param(["plugins", "--json"], id="plugins"),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = f"""
import sys
from gaitbench.cli import main
assert main({arguments!r}) == 0
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_import_of_the_package_is_cheap() -> None:
    heavy = ("torch", "pydantic", "typer", "pluggy")
    code = f"import sys, gaitbench; sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["rum"], "No such command 'rum'", id="command"),
        pytest.param(["run", "--task"], "requires an argument", id="no-value"),
        pytest.param(["run"], "Missing option '--task'", id="no-task"),
        pytest.param(["run", "--task", "identity", "--modle", "x"], "No such option: --modle", id="option"),
        pytest.param(["run", "--task", "identity", "--seeds", "0"], "--seeds", id="seeds"),
        pytest.param(["run", "--task", "identity", "--seed", "a"], "whole numbers", id="seed"),
        pytest.param(["run", "--task", "identity", "--seed", "1", "--seeds", "2"], "not both", id="seed-and-seeds"),
        pytest.param(["run", "--task", "identity", "--option", "seed"], "key=value", id="pair"),
        pytest.param(["run", "--task", "identiy"], "Did you mean 'identity'", id="task"),
        pytest.param(["run", "--task", "identity", "--dataset", "walker"], "Did you mean 'walkers'", id="dataset"),
        pytest.param(["list", "modls"], "Did you mean 'models'", id="list"),
        pytest.param(["list", "models", "--task", "identiy"], "Did you mean 'identity'", id="list-task"),
        pytest.param(["info", "silhuette"], "Did you mean 'silhouette'", id="info"),
        pytest.param(["info", "x", "--kind", "modl"], "did you mean 'model'", id="kind"),
        pytest.param(["info", "walkers", "--preview", "sheet.jpg"], "sheet.png", id="preview"),
        pytest.param(
            ["prepare", "walkers", "--out", "x", "--modalities", "lida"], "did you mean 'lidar'", id="modality"
        ),
        pytest.param(["prepare", "walkers", "--out", "x", "--option", "spraed=1"], "did you mean 'spread'", id="key"),
        pytest.param(["new", "plugin", "My_Plugin"], "my-plugin", id="plugin-name"),
    ],
)
def test_usage_errors(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_other_errors_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert str(tmp_path) in captured.err + captured.out
    assert "Traceback" not in captured.err


class Broken:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> None:
        raise self.error


def app_that_raises(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_app", Broken(error))


def test_an_unforeseen_error_is_one_block(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app_that_raises(ZeroDivisionError("by zero"), monkeypatch)
    assert main(["list"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: by zero" in error
    assert "--debug" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("place", [0, 1])
def test_debug_shows_the_traceback(
    place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app_that_raises(DatasetError("gone"), monkeypatch)
    arguments = ["list"]
    arguments.insert(place, "--debug")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.rstrip().endswith("error: gone")


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app_that_raises(KeyboardInterrupt(), monkeypatch)
    assert main(["run", "--task", "identity"]) == 130
    error = capsys.readouterr().err
    assert "finished work is kept" in error
    assert "gaitbench run --task identity" in error


@pytest.mark.slow
def test_interrupt_of_a_real_run(tmp_path: Path) -> None:
    """The signal may arrive at any point: while importing, preparing or training."""
    command = [sys.executable, "-m", "gaitbench", "prepare", "walkers", "--out", "data", "--modalities", "silhouette"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for delay_s in (1.0, 4.0, 8.0):
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            # Its own group, because a terminal's Ctrl-C reaches the workers too.
            start_new_session=True,
        )
        time.sleep(delay_s)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        assert "Traceback" not in error
        assert "finished work is kept" in error


def test_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m gaitbench list | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("kind", ["models", "datasets", "protocols", "tasks", "metrics", "modalities", "plugins"])
def test_list_as_json(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    if kind == "metrics":
        assert {"rank_1", "mean_ap", "eer"} <= {row["name"] for row in rows}
        assert {row["distribution"] for row in rows if row["name"] == "eer"} == {"gaitbench"}


def test_list_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for word in ("models:", "walkers", "crossmodal", "rank_1", "silhouette", "plugins:"):
        assert word in text


def test_list_of_one_task(capsys: pytest.CaptureFixture[str], cli: Cli, sample_site: Path) -> None:
    done = cli("list", "models", "--task", "identity", "--json", path=sample_site)
    assert "sample-mean" in [row["name"] for row in json.loads(done.stdout)]
    done = cli("list", "models", "--task", "crossmodal", "--json", path=sample_site)
    assert "sample-mean" not in [row["name"] for row in json.loads(done.stdout)]


@pytest.mark.parametrize("name", ["silhouette", "lidar", "rank_1", "identity", "walkers", "gaitbench"])
def test_info_of_core_components(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", name]) == 0
    assert name in capsys.readouterr().out
    assert main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "a", "b", "--json"], ["--model", "a", "--model", "b", "--json"]),
        (["--model=a", "b"], ["--model=a", "--model", "b"]),
        (["--model", "a", "--model", "b"], ["--model", "a", "--model", "b"]),
        (["x", "--out", "y", "z"], ["x", "--out", "y", "z"]),
        (["--model", "a", "--", "b"], ["--model", "a", "--", "b"]),
        (["--seed", "-1"], ["--seed", "-1"]),
    ],
)
def test_options_that_take_several_values(arguments: list[str], expected: list[str]) -> None:
    assert _repeat_flags(arguments, {"--model"}) == expected


def test_words_and_pairs() -> None:
    assert words(["a,b", " c ", "a", ""]) == ["a", "b", "c"]
    assert words(None) == []
    assert pairs(["a=1", "b=x", "c=[1, 2]", "d=", "e=true", "f=x=y"], "--set") == {
        "a": 1,
        "b": "x",
        "c": [1, 2],
        "d": "",
        "e": True,
        "f": "x=y",
    }
    with pytest.raises(UsageError, match="--set a is given twice"):
        pairs(["a=1", "a=2"], "--set")
    with pytest.raises(UsageError, match=r"--set takes text in UTF-8, got 'a=\\udcff"):
        pairs(["a=\udcff.json"], "--set")


HOOK = """
from gaitbench.hookspecs import hookimpl
api_version = 1
@hookimpl
def gaitbench_cli(app):
    @app.command("{name}")
    def command():
        "Say hello."
        print("hello from a plugin")
    {extra}
"""


def test_commands_of_plugins(cli: Cli, tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.add("gait-hello", HOOK.format(name="hello", extra="pass"))
    site.add("gait-thief", HOOK.format(name="run", extra="pass"))
    site.add("gait-worse", HOOK.format(name="worse", extra="raise ValueError('no luck')"))
    help_text = cli("--help", path=site.folder)
    assert help_text.returncode == 0
    assert "Say hello." in help_text.stdout
    assert "worse" not in help_text.stdout
    assert "gait-thief 1.0 failed in its command line hook" in help_text.stderr
    assert "gait-worse 1.0 failed in its command line hook" in help_text.stderr
    assert cli("hello", path=site.folder).stdout == "hello from a plugin\n"
    assert "--task" in cli("run", "--help", path=site.folder).stdout
    listed = {row["distribution"]: row for row in json.loads(cli("plugins", "--json", path=site.folder).stdout)}
    assert "'run' exists already" in listed["gait-thief"]["error"]
    assert "no luck" in listed["gait-worse"]["error"]
