import importlib
from pathlib import Path

import pytest
from made_up import Cli, Site

from gaitbench.doctor import Check, diagnose

# gaitbench.doctor is the function; this is its module.
doctor = importlib.import_module("gaitbench.doctor")


def by_name(checks: list[Check]) -> dict[str, list[Check]]:
    return {name: [check for check in checks if check.name == name] for name in {check.name for check in checks}}


def test_a_sound_machine(gaitbench_cache: Path) -> None:
    found = by_name(diagnose())
    assert {"python", "gaitbench", "torch", "cache folder", "plugin"} <= set(found)
    assert not [check for checks in found.values() for check in checks if check.status == "failure"]


def test_a_check_that_fails_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def torch_is_broken() -> list[Check]:
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr(doctor, "_torch", torch_is_broken)
    (broken,) = [check for check in diagnose() if check.status == "failure"]
    assert "libtorch.so" in broken.detail
    assert broken.next_step


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "_is_writable", lambda folder: folder != tmp_path)
    (cache,) = by_name(diagnose())["cache folder"]
    assert cache.status == "failure"
    assert "GAITBENCH_CACHE" in cache.next_step


def test_little_disk(gaitbench_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 1 << 62)
    assert by_name(diagnose())["cache folder"][0].status == "warning"


def test_unfinished_dataset_in_the_cache(gaitbench_cache: Path) -> None:
    (gaitbench_cache / "datasets" / "walkers-1-abc").mkdir(parents=True)
    (found,) = by_name(diagnose())["cached dataset"]
    assert found.status == "warning"
    assert "walkers-1-abc" in found.detail


def test_broken_plugins_and_lost_references_are_warnings(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("gait-broken", "import no_such_module_at_all\n")
    site.add(
        "gait-lost",
        """
        from gaitbench.hookspecs import hookimpl
        from gaitbench.specs import MetricSpec
        api_version = 1
        @hookimpl
        def gaitbench_register(registry):
            registry.add(MetricSpec(name="lost", title="Lost", target="math:pi", tasks=("clairvoyance",)))
        """,
    )
    monkeypatch.setattr(doctor, "load_registry", site.registry)
    found = by_name(diagnose())
    (broken,) = [check for check in found["plugin"] if check.status == "warning"]
    assert "gait-broken 1.0 quarantined" in broken.detail
    (lost,) = found["component"]
    assert "metric lost needs task clairvoyance" in lost.detail


def test_command_line(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", env={"GAITBENCH_CACHE": "/proc/nowhere"})
    assert done.returncode == 1
    assert "FAIL  cache folder: /proc/nowhere" in done.stdout
    assert "Traceback" not in done.stderr
