"""Hashes depend on content, not on order or place."""

import os
import sys
from pathlib import Path

import pytest

from gaitbench import digest
from gaitbench.digest import canonical_json, file_digest, json_digest, source_digest
from gaitbench.errors import PluginError


def test_canonical_json_is_one_text_per_value() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "ä"]}) == canonical_json({"a": (1.5, "ä"), "b": 1})
    assert canonical_json(1) != canonical_json("1")
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
    assert len(json_digest({})) == 64


def test_file_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="it is no regular file"):
            file_digest(tmp_path / name)
    for name in ("a\0b", "\ud800"):
        with pytest.raises(OSError, match="this is no name of a file"):
            file_digest(tmp_path / name)
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a", max_bytes=3)
    with pytest.raises(OSError, match="it has 3 bytes, more than the limit of 2"):
        file_digest(tmp_path / "a", max_bytes=2)


def test_source_digest_follows_every_file_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "digested_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    (package / "inner" / "a.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def fresh() -> str:
        digest._one_source_digest.cache_clear()
        return source_digest(["digested_package"])

    first = fresh()
    (package / "notes.txt").write_text("not source")
    assert fresh() == first
    (package / "inner" / "a.py").write_text("a = 2\n")
    assert fresh() != first
    assert "digested_package" not in sys.modules


def test_missing_module_is_a_plugin_error() -> None:
    with pytest.raises(PluginError, match="no_such_module"):
        source_digest(["no_such_module"])
