import pytest
import tiny_plugin
from made_up import Site

from gaitbench.errors import UnknownNameError
from gaitbench.info import ComponentInfo, find
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import build_registry


def details(component: ComponentInfo) -> dict[str, str]:
    return {detail.label: "\n".join(detail.lines) for detail in component.details}


def test_dataset_shows_terms_options_and_attributes() -> None:
    (dataset,) = find(build_registry([]), "walkers", "dataset")
    shown = details(dataset)
    assert "silhouette" in shown["modalities"]
    assert "generated" in shown["access"]
    assert shown["licence"].startswith("Apache-2.0")
    assert "seed = 0" in shown["options"]
    assert len(shown["attributes"].splitlines()) == 15


def test_protocol_is_explained() -> None:
    (protocol,) = find(build_registry([]), "walkers", "protocol")
    assert "gallery" in details(protocol)["rules"].lower()


def test_modality_and_metric() -> None:
    registry = build_registry([])
    (depth,) = find(registry, "depth")
    assert details(depth)["unit"] == "mm"
    (eer,) = find(registry, "eer")
    assert details(eer)["direction"] == "lower is better"


MODEL = """
from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec
api_version = 1
@hookimpl
def gaitbench_register(registry):
    registry.add(ModelSpec(name="odd", title="Odd", target="gait_odd_model:Odd", config="gait_odd_model:Config",
        presets="gait_odd_model:PRESETS", inputs=("silhouette",), tasks=("identity",), fidelity="paper"))
"""


def test_a_model_that_cannot_be_imported_is_shown_all_the_same(site: Site) -> None:
    site.add("gait-odd", MODEL)
    (model,) = find(site.registry(), "odd")
    assert details(model)["inputs"] == "silhouette"
    assert "gait-odd 1.0" in details(model)["presets"]
    assert "gait_odd_model" in details(model)["presets"]


def test_a_model_that_cannot_be_built_is_shown_all_the_same(site: Site) -> None:
    site.add("gait-odd", MODEL)
    (site.folder / "gait_odd_model.py").write_text(
        "from gaitbench.recipe import Preset\nfrom pydantic import BaseModel\nclass Config(BaseModel): pass\n"
        "def Odd(config): raise RuntimeError('no luck')\nPRESETS = {'quick': Preset()}\n"
    )
    (model,) = find(site.registry(), "odd")
    assert "RuntimeError: no luck" in details(model)["presets"]


def test_broken_plugin_has_its_reason(site: Site) -> None:
    site.add("gait-broken", "import no_such_module_at_all\n")
    (plugin,) = find(site.registry(), "gait-broken")
    shown = details(plugin)
    assert shown["status"] == "quarantined"
    assert "no_such_module_at_all" in shown["failed (import)"]
    assert shown["next step"]


def test_unknown() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'walkers'"):
        find(build_registry([]), "wlakers")
    with pytest.raises(UnknownNameError, match="unknown task 'wlakers'"):
        find(build_registry([]), "wlakers", "task")
    with pytest.raises(UnknownNameError, match="nothing is called"):
        find(build_registry([]), "silhouette", "plugin")


def test_a_model_says_what_it_costs() -> None:
    """One convolution of 4 filters, 3x3 with stride 4, on 10 frames of 64x64, and two linear parts."""
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: tiny_plugin)
    (model,) = find(registry, "tiny-net")
    flops = 2 * (10 * 4 * 9 * 16 * 16 + 1024 * 8 + 8)
    quick = next(line for line in details(model)["presets"].splitlines() if line.startswith("quick:"))
    assert f"{flops / 1e9:.3g} GFLOPs for 10 frames" in quick


def test_parameters_that_stay_as_they_are_count_too(site: Site) -> None:
    """The published counts have them, such as GLN's biases that are always 0."""
    site.add("gait-odd", MODEL)
    (site.folder / "gait_odd_model.py").write_text(
        "from mean_net import Config, Good\nfrom torch import nn\nfrom gaitbench.recipe import Preset, Recipe, Stage\n"
        "class Odd(Good):\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        self.fixed = nn.Linear(10, 1000, bias=False).requires_grad_(False)\n"
        "PRESETS = {'quick': Preset(recipe=Recipe(stages=(Stage(),)))}\n"
    )
    (model,) = find(site.registry(), "odd")
    size = 10_000 + 16 * 11 * 6 + 6 + 6 * 3 + 3
    assert f"quick: {size:,} parameters, " in details(model)["presets"]


def test_the_nearest_name_of_all_kinds_is_suggested(site: Site) -> None:
    """Datasets come first, and one of them is always a little alike."""
    site.add("gait-odd", MODEL.replace('"odd"', '"walker-net"'))
    with pytest.raises(UnknownNameError, match=r"unknown model 'Walker-Net'\. Did you mean 'walker-net'"):
        find(site.registry(), "Walker-Net")
