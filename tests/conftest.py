"""What tests of the whole package share: made-up distributions, and the command line in a process of its own."""

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up import Cli, Site
from places import REPOSITORY, SAMPLE

from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry

# The sample plugin is a project of its own: it is tested where it is installed.
collect_ignore = ["sample_plugin"]

pytest_plugins = ["gaitbench.pytest_plugin"]


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, also where a script in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What core brings and the plugin of ``tests/support/tiny_plugin.py``."""
    import tiny_plugin

    made = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    made.load_plugin(info, lambda: tiny_plugin)
    return made


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Made-up distributions on this process's path, forgotten afterwards."""
    folder = tmp_path / "site"
    made = Site(folder)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run ``gaitbench ARGUMENTS`` in a process of its own, with an empty cache, in an empty folder."""

    def run(
        *arguments: str | Path, path: Path | None = None, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        places = [str(place) for place in (path, REPOSITORY) if place is not None]
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-m", "gaitbench", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=work,
            timeout=300,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(places),
                "GAITBENCH_CACHE": str(tmp_path / "cache"),
                **(env or {}),
            },
        )

    return run


@pytest.fixture(scope="session")
def sample_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample plugin, built as a wheel and installed by pip into a folder that is put on the path."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("sample") / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(SAMPLE)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = wheels.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    assert (folder / "gaitbench_sample" / "plugin.py").is_file()
    assert not sysconfig.get_path("purelib").startswith(str(folder))
    return folder
