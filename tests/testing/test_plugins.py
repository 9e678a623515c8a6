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
    ],
)
def test_a_broken_plugin_is_told_what_is_wrong(source: str, message: str, site: Site) -> None:
    site.add("gait-x", source)
    with pytest.raises(PluginError, match=message):
        check_plugin("gait-x", registry=site.registry())


def test_a_plugin_that_is_not_installed(site: Site) -> None:
    with pytest.raises(PluginError, match="no plugin of gait-x is installed"):
        check_plugin("gait-x", registry=site.registry())
