"""The contract of a plugin."""

import subprocess
import sys

from gaitbench_silhouette import plugin
from gaitbench_silhouette.usf_gait17 import CITATION, PROTOCOL

from gaitbench.specs import API_VERSION, DatasetSpec, ProtocolSpec


class Recorder:
    def __init__(self) -> None:
        self.specs: list[object] = []

    def add(self, spec: object) -> None:
        self.specs.append(spec)


def test_registers_the_dataset_and_its_protocol() -> None:
    recorder = Recorder()
    plugin.gaitbench_register(recorder)
    dataset, protocol = recorder.specs
    assert plugin.api_version == API_VERSION
    assert isinstance(dataset, DatasetSpec)
    assert isinstance(protocol, ProtocolSpec)
    assert dataset.citation == CITATION
    assert dataset.protocols == (protocol.name,) == (PROTOCOL.name,)


def test_listing_imports_nothing_heavy() -> None:
    code = "import sys, gaitbench_silhouette.plugin; print(sorted({'scipy', 'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
