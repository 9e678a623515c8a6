"""The tree explains the design: every component is documented, every public name is too, imports point one way."""

import ast
import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest
from places import REPOSITORY

import gaitbench
from gaitbench.catalogue import PACKAGES
from gaitbench.cells.people import population
from gaitbench.explaining import Explainable
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import KINDS, Registry, build_registry
from gaitbench.specs import DatasetSpec, ModelSpec, Spec

FORBIDDEN_NAMES = {"utils.py", "common.py", "helpers.py", "misc.py"}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(gaitbench.__path__, "gaitbench.")
    if not module.name.endswith("__main__")
)


def repository_registry() -> Registry:
    """Core and the plugins of this repository, installed or not."""
    registry = build_registry([])
    for project in sorted(REPOSITORY.glob("plugins/*/pyproject.toml")):
        described = tomllib.loads(project.read_text())["project"]
        for name, target in described.get("entry-points", {}).get("gaitbench", {}).items():
            info = PluginInfo(name=name, distribution=described["name"], version=described["version"], target=target)
            registry.load_plugin(info, lambda target=target: importlib.import_module(target))
    return registry


REGISTRY = repository_registry()
SPECS = [spec for kind in KINDS for spec in REGISTRY.specs(kind)]
COMPONENT = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.name}")


def test_no_plugin_of_the_repository_is_broken() -> None:
    assert [plugin.error for plugin in REGISTRY.plugins() if plugin.error] == []


@COMPONENT
def test_component_is_documented(spec: Spec) -> None:
    pages = [*REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("plugins/*/README.md")]
    assert any(f"`{spec.name}`" in page.read_text() for page in pages), f"no page mentions `{spec.name}`"


@COMPONENT
def test_component_has_a_title_and_a_source(spec: Spec) -> None:
    assert spec.title
    if spec.kind != "modality":
        assert spec.source, f"{spec.kind} {spec.name} says nowhere where it comes from"


@COMPONENT
def test_targets_can_be_imported(spec: Spec) -> None:
    for field in ("target", "options", "config", "presets", "preview"):
        if getattr(spec, field, ""):
            REGISTRY.load(spec, field)


@pytest.mark.parametrize("spec", [s for s in SPECS if isinstance(s, DatasetSpec)], ids=lambda spec: spec.name)
def test_datasets_say_whose_walks_they_hold(spec: DatasetSpec) -> None:
    options = REGISTRY.load(spec, "options")().model_dump(mode="json")
    assert population(spec, options) or spec.name in ("folder", "lidar-folder")
    names = {population(each, {"seed": 0}) for each in SPECS if isinstance(each, DatasetSpec)}
    assert set(spec.renumbers) <= names


@pytest.mark.parametrize("spec", [s for s in SPECS if isinstance(s, ModelSpec)], ids=lambda spec: spec.name)
def test_models_explain_as_their_specs_say(spec: ModelSpec) -> None:
    assert issubclass(REGISTRY.load(spec), Explainable) == spec.explains


def test_catalogue_agrees_with_the_plugins() -> None:
    provided = {
        (spec.kind, spec.name): REGISTRY.owner(spec.kind, spec.name).distribution
        for spec in SPECS
        if REGISTRY.owner(spec.kind, spec.name).distribution != "gaitbench"
    }
    assert provided == PACKAGES


def test_every_plugin_has_its_files() -> None:
    for project in REPOSITORY.glob("plugins/*/pyproject.toml"):
        assert (project.parent / "README.md").is_file(), project.parent
        assert list(project.parent.glob("tests/test_conformance.py")), f"{project.parent} has no contract test"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{public} has no docstring"


def test_no_file_is_named_for_nothing() -> None:
    sources = [*REPOSITORY.glob("gaitbench/**/*.py"), *REPOSITORY.glob("plugins/**/*.py")]
    assert {path.name for path in sources} & FORBIDDEN_NAMES == set()


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_core_imports_no_plugin_and_no_plugin_another() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("plugins/*/gaitbench_*/plugin.py")}
    assert packages
    for path in REPOSITORY.glob("gaitbench/**/*.py"):
        assert not imports_of(path) & packages, path
    for package in packages:
        for path in REPOSITORY.glob(f"plugins/*/{package}/**/*.py"):
            assert not imports_of(path) & (packages - {package}), path


def test_version_is_stated_once() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == gaitbench.__version__
    assert f"## {gaitbench.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()
