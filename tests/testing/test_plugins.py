import textwrap

import pytest
from made_up import Site

from gaitbench.errors import PluginError
from gaitbench.testing import check_plugin

HEADER = """
import torch
from gaitbench.hookspecs import hookimpl
from gaitbench.specs import MetricSpec, ProtocolSpec, DatasetSpec
api_version = 1
def constant(distance, match, valid):
    return torch.zeros(len(distance))
@hookimpl
def gaitbench_register(registry):
"""
MODEL = """
from pydantic import BaseModel, field_serializer
from gaitbench.hookspecs import hookimpl
from gaitbench.recipe import Preset
from gaitbench.specs import ModelSpec
api_version = 1
WRONG = {"quick": Preset(config={"width": "wide"})}
FIELDS = dict(
    name="bad", title="Bad", target="mean_net:Good", inputs=("silhouette",), tasks=("identity",), fidelity="paper"
)
class Changing(BaseModel):
    width: int = 6
    num_classes: int = 3
    @field_serializer("width")
    def rounded(self, width: int) -> int:
        return width // 4
@hookimpl
def gaitbench_register(registry):
"""
LIGHT = """
from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec
api_version = 1
@hookimpl
def gaitbench_register(registry):
    registry.add(
        ModelSpec(
            name="mean-net", title="Mean", target="mean_net:Good", config="mean_net:Config",
            presets="mean_net:PRESETS", inputs=("silhouette",), tasks=("identity",), fidelity="paper",
        )
    )
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("raise ImportError('gone')", "failed.*gone", id="import"),
        pytest.param(f"{HEADER}    pass", "registers nothing", id="nothing"),
        pytest.param(
            f"{HEADER}    registry.add(MetricSpec(name='bad', title='Bad', target='gait_x:constant'))",
            "NaN for absent probes",
            id="metric",
        ),
        pytest.param(
            f"{HEADER}    registry.add(MetricSpec(name='bad', title='Bad', target='gait_x:api_version'))",
            "is no function",
            id="not-callable",
        ),
        pytest.param(
            f"{HEADER}    registry.add(ProtocolSpec(name='bad', title='Bad', target='gait_x:constant', "
            "dataset='walkers'))",
            "must be a Protocol",
            id="protocol",
        ),
        pytest.param(
            f"{HEADER}    registry.add(DatasetSpec(name='bad', title='Bad', target='gait_x:constant', "
            "options='gait_x:constant', modalities=('silhouette',), protocols=()))",
            "must be a class of DatasetBuilder",
            id="dataset",
        ),
        pytest.param(
            f"{MODEL}    registry.add(ModelSpec(config='mean_net:Config', presets='gait_x:WRONG', **FIELDS))",
            "preset 'quick': its config is not valid",
            id="preset",
        ),
        pytest.param(
            f"{MODEL}    registry.add(ModelSpec(config='gait_x:Changing', presets='mean_net:PRESETS', **FIELDS))",
            "preset 'quick': its config changes when it is stored",
            id="json",
        ),
        pytest.param(
            f"{HEADER}    registry.add(MetricSpec(name='good', title='Good', target='gaitbench.metrics:rank_k'))",
            "importing gait_x imports .*torch.*every listing waits",
            id="heavy",
        ),
    ],
)
def test_a_broken_plugin_is_told_what_is_wrong(source: str, message: str, site: Site) -> None:
    site.add("gait-x", source)
    with pytest.raises(PluginError, match=message):
        check_plugin("gait-x", registry=site.registry())


def test_a_good_plugin_passes(site: Site) -> None:
    site.add("gait-x", LIGHT)
    assert check_plugin("gait-x", registry=site.registry()).components == (("model", "mean-net"),)


def test_a_model_that_cannot_be_built_without_memory(site: Site) -> None:
    needs_numbers = """
        import mean_net
        class Counting(mean_net.Good):
            def __init__(self, config):
                super().__init__(config)
                self.largest = float(self.layer.weight.max())
    """
    (site.folder / "counting.py").write_text(textwrap.dedent(needs_numbers))
    site.add("gait-x", LIGHT.replace("mean_net:Good", "counting:Counting"))
    check_plugin("gait-x", registry=site.registry())


def test_a_plugin_that_is_not_installed(site: Site) -> None:
    with pytest.raises(PluginError, match="no plugin of gait-x is installed"):
        check_plugin("gait-x", registry=site.registry())
