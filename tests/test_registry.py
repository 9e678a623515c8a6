import logging
import sys
from dataclasses import replace

import pytest
from made_up import Site

from gaitbench.errors import PluginError, UnknownNameError, UsageError
from gaitbench.hookspecs import RunEvent
from gaitbench.modality import Modality
from gaitbench.registry import Registry, build_registry, nearest, resolve
from gaitbench.specs import (
    DatasetSpec,
    MetricSpec,
    ModalitySpec,
    ModelSpec,
    ProtocolSpec,
    Spec,
    TaskSpec,
)

MODEL = ModelSpec(
    name="my-model",
    title="Mine",
    target="my.model:Model",
    config="my.model:Config",
    presets="my.model:PRESETS",
    inputs=("silhouette",),
    tasks=("identity",),
    fidelity="paper",
)
METRIC = MetricSpec(name="my_metric", title="Mine", target="my.metric:metric")
MODALITY = Modality(
    name="my-modality", title="Mine", kind="raster", codec="bits", dtype="uint8", channels=1, value_range=(0, 1)
)
DATASET = DatasetSpec(
    name="my-data",
    title="Mine",
    target="my.data:Builder",
    options="my.data:Options",
    modalities=("silhouette",),
    protocols=("my-data",),
)

HEADER = """
from gaitbench.hookspecs import hookimpl
from gaitbench.specs import MetricSpec, TaskSpec
api_version = 1
"""

GOOD = f"""{HEADER}
@hookimpl
def gaitbench_register(registry):
    registry.add(MetricSpec(name="good", title="Good", target="math:pi"))
"""


def plugin(name: str) -> str:
    return GOOD.replace('name="good"', f'name="{name}"')


def test_components_by_kind_and_name() -> None:
    registry = Registry()
    registry.add(MODEL)
    registry.add(replace(MODEL, name="another"))
    registry.add(METRIC)
    assert registry.names("model") == ["another", "my-model"]
    assert registry.specs("metric") == [METRIC]
    assert registry.get("model", "my-model") is MODEL
    assert registry.get("model", "gaitbench/my-model") is MODEL


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param("gaitset", "is no spec", id="text"),
        pytest.param(Spec(name="x", title="X"), "is no spec", id="base-class"),
        pytest.param(replace(MODEL, name="My_Model"), "lower case", id="name"),
        pytest.param(replace(MODEL, name=""), "lower case", id="empty-name"),
        pytest.param(replace(MODEL, name="a--b"), "lower case", id="double-hyphen"),
        pytest.param(replace(MODEL, title=" "), "one line", id="title"),
        pytest.param(replace(MODEL, title="a\nb"), "one line", id="two-lines"),
        pytest.param(replace(MODEL, target="my.model.Model"), "package.module:attribute", id="target"),
        pytest.param(replace(MODEL, presets="my/model:PRESETS"), "presets must read", id="presets"),
        pytest.param(replace(DATASET, options=":Options"), "options must read", id="options"),
        pytest.param(replace(DATASET, preview="draw"), "preview must read", id="preview"),
        pytest.param(replace(MODEL, inputs="silhouette"), "tuple of strings", id="inputs-text"),
        pytest.param(replace(MODEL, inputs=()), "must not be empty", id="no-inputs"),
        pytest.param(replace(MODEL, tasks=("identity", "identity")), "twice", id="task-twice"),
        pytest.param(replace(MODEL, fidelity="exact"), "parity, paper, proposed", id="fidelity"),
        pytest.param(replace(MODEL, fidelity="proposed"), "open_points", id="proposed-without-points"),
        pytest.param(replace(MODEL, open_points=("width",)), "open_points", id="points-without-proposed"),
        pytest.param(ModalitySpec(name="other", title="T", modality=MODALITY), "different names", id="modality-name"),
        pytest.param(
            ModalitySpec(name="my-modality", title="T", modality=replace(MODALITY, kind="joints")),
            "stored as raw",
            id="codec-of-kind",
        ),
        pytest.param(
            ModalitySpec(name="my-modality", title="T", modality=replace(MODALITY, dtype="int64")), "dtype", id="dtype"
        ),
        pytest.param(
            ModalitySpec(name="my-modality", title="T", modality=replace(MODALITY, value_range=(1, 1))),
            "must rise",
            id="value-range",
        ),
    ],
)
def test_malformed_spec_is_refused(spec: Spec, message: str) -> None:
    registry = Registry()
    with pytest.raises(PluginError, match=message):
        registry.add(spec)
    assert not any(registry.names(kind) for kind in ("model", "dataset", "modality"))


def test_metric_may_have_underscores_and_a_model_may_not() -> None:
    registry = Registry()
    registry.add(METRIC)
    with pytest.raises(PluginError, match="my_model"):
        registry.add(replace(MODEL, name="my_model"))


def test_name_taken() -> None:
    registry = Registry()
    registry.add(MODEL)
    with pytest.raises(PluginError, match="'my-model' of gaitbench is already provided by gaitbench"):
        registry.add(replace(MODEL, title="Another"))
    assert registry.get("model", "my-model").title == "Mine"


def test_unknown_name_has_the_nearest() -> None:
    registry = Registry()
    registry.add(MODEL)
    with pytest.raises(UnknownNameError, match=r"unknown model 'mymodel'. Did you mean 'my-model'\?"):
        registry.get("model", "mymodel")
    with pytest.raises(UnknownNameError, match="Known: my-model"):
        registry.get("model", "zzz")


def test_unknown_name_has_the_package_to_install() -> None:
    with pytest.raises(UnknownNameError, match="pip install gaitbench-baselines"):
        Registry().get("model", "gaitbase")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'gaitbase'.*pip install gaitbench-baselines"):
        Registry().get("model", "gaitbse")


def test_name_of_another_kind() -> None:
    registry = Registry()
    registry.add(DATASET)
    with pytest.raises(UnknownNameError, match="There is a dataset of that name"):
        registry.get("model", "my-data")


def test_unknown_kind() -> None:
    with pytest.raises(UsageError, match="did you mean 'model'"):
        Registry().get("models", "gaitset")


def test_plugin_registers(site: Site) -> None:
    site.add("gait-good", GOOD, version="2.5")
    registry = site.registry()
    owner = registry.owner("metric", "good")
    assert (owner.distribution, owner.version, owner.api_version, owner.status) == ("gait-good", "2.5", 1, "loaded")
    assert registry.get("metric", "Gait_Good/good") is registry.get("metric", "good")
    assert registry.owner("metric", "gait-good/good") == owner
    assert registry.owner("modality", "silhouette").distribution == "gaitbench"


BROKEN = {
    "import": ("import no_such_module_at_all\n", "import", "no_such_module_at_all"),
    "exit": ("import sys\nsys.exit(3)\n", "import", "SystemExit: 3"),
    "syntax": ("def broken(:\n", "import", "SyntaxError"),
    "no-version": (GOOD.replace("api_version = 1", ""), "api version", "states no api_version"),
    "version": (GOOD.replace("api_version = 1", "api_version = 99"), "api version", "written for plugin API 99"),
    "version-true": (GOOD.replace("api_version = 1", "api_version = True"), "api version", "written for plugin API"),
    "version-and-import": (
        "api_version = 7\nfrom gaitbench.specs import NoSuchSpec\n",
        "import",
        "written for plugin API 7",
    ),
    "misspelt": (GOOD.replace("gaitbench_register", "gaitbench_registre"), "hooks", "gaitbench_registre"),
    "wrong-argument": (GOOD.replace("(registry)", "(regitsry)"), "hooks", "regitsry"),
    "undecorated": (GOOD.replace("@hookimpl", ""), "hooks", "not decorated"),
    "no-hook": (HEADER, "hooks", "implements no hook"),
    "raises": (GOOD + '    raise RuntimeError("out of luck")\n', "register", "out of luck"),
    "bad-spec": (GOOD.replace('"math:pi"', '"math.pi"'), "register", "package.module:attribute"),
    "twice": (
        GOOD + '    registry.add(MetricSpec(name="good", title="G", target="math:e"))\n',
        "register",
        "registers metric 'good' twice",
    ),
    "collision": (GOOD.replace('name="good"', 'name="rank_1"'), "register", "already provided by gaitbench"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_is_quarantined_and_breaks_nobody(case: str, site: Site) -> None:
    source, stage, message = BROKEN[case]
    site.add("gait-broken", source)
    site.add("gait-fine", plugin("fine"))
    site.add("aaa-fine", plugin("first"))
    registry = site.registry()
    assert {"fine", "first", "rank_1"} <= set(registry.names("metric"))
    assert "good" not in registry.names("metric")
    (broken,) = [info for info in registry.plugins() if info.status == "quarantined"]
    assert (broken.distribution, broken.version, broken.stage) == ("gait-broken", "1.0", stage)
    assert message in broken.error
    assert "\n" not in broken.error
    assert broken.hint


@pytest.mark.parametrize("case", [case for case in BROKEN if "good" in BROKEN[case][0]])
def test_asking_for_a_name_of_a_broken_plugin_says_so(case: str, site: Site) -> None:
    site.add("gait-broken", BROKEN[case][0])
    with pytest.raises(UnknownNameError, match=r"gait-broken 1.0 should provide it but failed"):
        site.registry().get("metric", "good")


def test_asking_a_broken_distribution_says_so(site: Site) -> None:
    site.add("gait-broken", "import no_such_module_at_all\n")
    with pytest.raises(UnknownNameError, match=r"gait-broken 1.0 should provide it.*no_such_module_at_all"):
        site.registry().get("model", "gait-broken/anything")


def test_asking_for_an_unknown_name_mentions_broken_plugins(site: Site) -> None:
    site.add("gait-broken", "import no_such_module_at_all\n")
    with pytest.raises(UnknownNameError, match=r"failed to load and may provide it: gait-broken 1.0"):
        site.registry().get("model", "anything")


def test_half_registered_plugin_leaves_nothing(site: Site) -> None:
    site.add("gait-broken", GOOD + '    registry.add(MetricSpec(name="BAD", title="G", target="math:e"))\n')
    registry = site.registry()
    assert "good" not in registry.names("metric")
    with pytest.raises(UnknownNameError):
        registry.get("metric", "gait-broken/good")


def test_collision_names_both_and_both_can_be_asked_for(site: Site) -> None:
    site.add("gait-a", plugin("same"))
    site.add("gait-b", plugin("same").replace("math:pi", "math:e"))
    registry = site.registry()
    (second,) = [info for info in registry.plugins() if info.status == "quarantined"]
    assert second.distribution == "gait-b"
    assert "gait-a" in second.error
    assert "gait-b" in second.error
    assert registry.owner("metric", "same").distribution == "gait-a"
    assert registry.get("metric", "gait-a/same") is registry.get("metric", "same")
    other = registry.get("metric", "gait-b/same")
    assert isinstance(other, MetricSpec)
    assert other.target == "math:e"
    assert registry.owner("metric", "gait-b/same").distribution == "gait-b"


def test_order_of_discovery_does_not_matter(site: Site) -> None:
    for name in ("gait-c", "gait-a", "gait-b"):
        site.add(name, plugin("same"))
    points = site.entry_points()
    owners = {
        build_registry(order).owner("metric", "same").distribution
        for order in (points, points[::-1], points[1:] + points[:1])
    }
    assert owners == {"gait-a"}


def test_same_distribution_seen_twice_counts_once(site: Site) -> None:
    site.add("gait-good", GOOD)
    registry = build_registry([*site.entry_points(), *site.entry_points()])
    assert [info.distribution for info in registry.plugins()] == ["gaitbench", "gait-good"]
    assert all(info.status == "loaded" for info in registry.plugins())


def test_two_distributions_of_one_module_are_one_plugin(site: Site) -> None:
    site.add("gait-good", GOOD)
    site.add("gait-renamed", None, entry_point="gait_good")
    registry = site.registry()
    assert all(info.status == "loaded" for info in registry.plugins())
    assert "good" in registry.names("metric")


def test_unreadable_entry_points_of_a_stranger(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from gaitbench import registry as module

    site.add("gait-good", GOOD)
    site.add("aaa-stranger", None, entry_points="[gaitbench]\nthis is no entry point\n")
    monkeypatch.setattr(sys, "path", [str(site.folder)])
    assert [point.name for point in module._entry_points()] == ["gait_good"]


def test_missing_attribute_of_the_entry_point(site: Site) -> None:
    site.add("gait-good", GOOD, entry_point="gait_good:Plugin")
    (broken,) = [info for info in site.registry().plugins() if info.status == "quarantined"]
    assert broken.stage == "import"
    assert "Plugin" in broken.error


def test_prints_of_a_plugin_do_not_reach_stdout(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.add("gait-good", f'print("hello")\n{GOOD}')
    site.registry()
    assert capsys.readouterr().out == ""


def test_events_reach_plugins_and_a_failing_one_is_muted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    hook = "\n@hookimpl\ndef gaitbench_run_event(event):\n    seen.append(event.name)\n"
    watcher = site.add("gait-watch", f"{HEADER}seen = []\n{hook}")
    failing = site.add("gait-fail", f"{HEADER}seen = []\n{hook}    raise RuntimeError('no disk')\n")
    registry = site.registry()
    with caplog.at_level(logging.WARNING, logger="gaitbench"):
        registry.notify(RunEvent(name="run_started"))
        registry.notify(RunEvent(name="run_finished"))
    assert sys.modules[watcher].seen == ["run_started", "run_finished"]
    assert sys.modules[failing].seen == ["run_started"]
    assert len(caplog.records) == 1
    assert "gait-fail 1.0 failed in its run event hook" in caplog.text
    (info,) = [info for info in registry.plugins() if info.distribution == "gait-fail"]
    assert (info.status, info.stage) == ("loaded", "run event")
    assert "no disk" in info.error


def test_leaderboard_columns(site: Site) -> None:
    source = f"""{HEADER}
from gaitbench.hookspecs import LeaderboardColumn
@hookimpl
def gaitbench_leaderboard_columns():
    return [LeaderboardColumn(title="energy", value=lambda record: "1 J")]
"""
    site.add("gait-energy", source)
    assert [column.title for column in site.registry().leaderboard_columns()] == ["energy"]


def test_load_names_component_and_package(site: Site) -> None:
    site.add("gait-good", GOOD.replace("math:pi", "no_such_module_at_all:metric"))
    registry = site.registry()
    with pytest.raises(PluginError, match=r"target of metric 'good' of gait-good 1.0.*no_such_module_at_all"):
        registry.load(registry.get("metric", "good"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("math", "not a target", id="no-attribute"),
        pytest.param("no_such_module_at_all:x", "ModuleNotFoundError", id="no-module"),
        pytest.param("math:pie", "did you mean 'pi'", id="misspelt"),
    ],
)
def test_resolve_errors(target: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        resolve(target)


def test_resolve_follows_dots() -> None:
    assert resolve("gaitbench.specs:ModelSpec.kind") == "model"


def test_nearest() -> None:
    assert nearest("SILHOUETE", ["silhouette", "rgb"]) == "silhouette"
    assert nearest("zzz", ["silhouette"]) is None


def test_every_kind_can_be_added() -> None:
    registry = Registry()
    for spec in (
        MODEL,
        METRIC,
        DATASET,
        ModalitySpec(name="my-modality", title="T", modality=MODALITY),
        ProtocolSpec(name="my-data", title="T", target="my.data:PROTOCOL", dataset="my-data"),
        TaskSpec(name="my-task", title="T", target="my.task:Task"),
    ):
        registry.add(spec)
        assert registry.get(spec.kind, spec.name) is spec
