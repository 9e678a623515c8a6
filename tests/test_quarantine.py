from pathlib import Path

import pytest

from gaitbench.errors import PluginError
from gaitbench.quarantine import PluginInfo, describe, in_one_line, normalised, quarantine
from gaitbench.specs import TaskSpec

INFO = PluginInfo(name="x", distribution="gait-x", version="2.0", target="gait_x_claims")


def test_claims_are_read_without_running_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "api_version: int = 7\nraise RuntimeError\n"
        'ModelSpec(\n    name="a",\n)\nspecs.DatasetSpec(title="T", name=\'b\')\n'
    )
    (tmp_path / "gait_x_claims.py").write_text(source + "def broken(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    info = quarantine(INFO, "import", SyntaxError("invalid"))
    assert info.components == (("model", "a"), ("dataset", "b"))
    assert info.api_version == 7
    assert "written for plugin API 7" in info.error
    assert "pip install -U gaitbench" in info.hint


def test_a_source_that_cannot_be_found() -> None:
    info = quarantine(INFO, "import", ModuleNotFoundError("No module named 'torchvision'", name="torchvision"))
    assert (info.status, info.components) == ("quarantined", ())
    assert "Install what provides the module 'torchvision'" in info.hint


def test_what_was_registered_before_the_failure_counts_as_claimed() -> None:
    info = quarantine(INFO, "register", RuntimeError("x"), [TaskSpec(name="t", title="T", target="m:t")])
    assert info.components == (("task", "t"),)


def test_errors_in_one_line() -> None:
    assert in_one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert in_one_line(ValueError()) == "ValueError"
    assert in_one_line(PluginError("a")) == "a"


def test_names() -> None:
    assert normalised("Gait__Bench.X") == "gait-bench-x"
    assert describe(INFO) == "gait-x 2.0"
