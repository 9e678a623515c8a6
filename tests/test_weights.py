"""Published checkpoints become files of weights that rebuild their model; whatever does not fit is listed."""

import pickle
import re
from pathlib import Path

import pytest
import tiny_plugin
import torch
from safetensors.torch import save_file
from torch import Tensor

from gaitbench.errors import GaitbenchError, ModelError, RecordError, UnknownNameError, UsageError
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry
from gaitbench.weights import convert_opengait, load_weights


@pytest.fixture
def registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: tiny_plugin)
    return registry


def published(width: int = 12, num_classes: int = 7) -> dict[str, Tensor]:
    """State of a network as its authors would have saved it."""
    torch.manual_seed(1)
    model = tiny_plugin.TinyModel(tiny_plugin.TinyConfig(width=width, num_classes=num_classes))
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1)
    names = {key: key.replace("head.", "Head.fc.") for key in model.state_dict()}
    names |= {key: f"Backbone.{key}" for key in names if not key.startswith("head.")}
    return {names[key]: value for key, value in model.state_dict().items()}


def test_a_checkpoint_rebuilds_its_model(tmp_path: Path, registry: Registry) -> None:
    """The preset and the number of training subjects are read off the shapes."""
    state = published()
    torch.save({"model": state, "optimizer": {"lr": 0.1}, "iteration": 60000}, tmp_path / "c.pt")
    done = convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    assert (done.preset, done.config["width"], done.config["num_classes"]) == ("paper@wide", 12, 7)
    assert done.num_tensors == len(state)
    name, model = load_weights(tmp_path / "w.safetensors", registry)
    assert name == "tiny-net"
    assert not model.training
    assert torch.equal(model.head.weight, state["Head.fc.weight"])
    assert torch.equal(model.norm.running_var, state["Backbone.norm.running_var"])


@pytest.mark.parametrize("wrap", ["state", "state_dict", "nested", "module", "compiled", "safetensors"])
def test_all_usual_wrappings_are_read(tmp_path: Path, registry: Registry, wrap: str) -> None:
    state, path = published(), tmp_path / "c.pt"
    if wrap == "safetensors":
        path = tmp_path / "c.safetensors"
        save_file(state, path)
    else:
        content = {"state": state, "state_dict": {"state_dict": state}}
        content["nested"] = {"model": {"state_dict": state}}
        content["compiled"] = {f"module._orig_mod.{key}": value for key, value in state.items()}
        content["module"] = {"model": {f"module.{key}": value for key, value in state.items()}}
        torch.save(content[wrap], path)
    done = convert_opengait(path, "tiny-net", tmp_path / "w.safetensors", registry=registry)
    assert done.num_tensors == len(state)


def test_the_configuration_can_be_given(tmp_path: Path, registry: Registry) -> None:
    torch.save(published(width=5), tmp_path / "c.pt")
    done = convert_opengait(
        tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", config={"width": 5}, registry=registry
    )
    assert (done.preset, done.config["num_classes"]) == ("", 7)
    with pytest.raises(ModelError, match=r"fits no configuration of tiny-net.*embed.weight is \[5, 1024\]"):
        convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "x.safetensors", registry=registry)
    assert not (tmp_path / "x.safetensors").exists()


def test_unknown_and_missing_keys_are_all_listed(tmp_path: Path, registry: Registry) -> None:
    state = published()
    torch.save(state | {"Extra.one": torch.zeros(1), "Extra.two": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(ModelError, match=r"2 published keys have no place.*Extra.one, Extra.two"):
        convert_opengait(tmp_path / "more.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    fewer = {key: value for key, value in state.items() if "conv" not in key}
    torch.save(fewer, tmp_path / "fewer.pt")
    with pytest.raises(ModelError, match=r"2 keys are missing: Backbone.conv.bias, Backbone.conv.weight"):
        convert_opengait(tmp_path / "fewer.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    torch.save(fewer | {"Extra.one": torch.zeros(1)}, tmp_path / "both.pt")
    with pytest.raises(ModelError, match=r"no place in this model: Extra.one; 2 keys are missing: Backbone.conv.bias"):
        convert_opengait(tmp_path / "both.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)


def test_counters_may_be_missing(tmp_path: Path, registry: Registry) -> None:
    state = published()
    torch.save({key: value for key, value in state.items() if "num_batches_tracked" not in key}, tmp_path / "c.pt")
    convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    _, model = load_weights(tmp_path / "w.safetensors", registry)
    assert torch.equal(model.head.weight, state["Head.fc.weight"])
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(12, 1024, dtype=torch.int64), "Backbone.embed.weight holds torch.int64 and should hold fractions"),
        (torch.full((12, 1024), torch.nan), "Backbone.embed.weight holds NaN"),
        (torch.ones(12, 1024, dtype=torch.complex64), "Backbone.embed.weight holds torch.complex64"),
    ],
)
def test_what_is_no_weight_is_refused(value: Tensor, message: str, tmp_path: Path, registry: Registry) -> None:
    torch.save(published() | {"Backbone.embed.weight": value}, tmp_path / "c.pt")
    with pytest.raises(ModelError, match=message):
        convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    assert not (tmp_path / "w.safetensors").exists()


def test_half_precision_becomes_single(tmp_path: Path, registry: Registry) -> None:
    state = {key: value.half() for key, value in published().items()}
    torch.save(state, tmp_path / "c.pt")
    convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    _, model = load_weights(tmp_path / "w.safetensors", registry)
    assert torch.equal(model.head.weight, state["Head.fc.weight"].float())


def test_nothing_but_tensors_is_ever_loaded(tmp_path: Path, registry: Registry) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"model": published(), "trap": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("trap", "plain"):
        with pytest.raises(RecordError, match=f"{name}.pt"):
            convert_opengait(tmp_path / f"{name}.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, registry: Registry, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(str(tmp_path / "c.pt"))):
        convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)
    for value in ([1, 2], {}, {"model": {"a": 1.0}}):
        torch.save(value, tmp_path / "v.pt")
        with pytest.raises(RecordError, match=r"no state dict|no model checkpoint"):
            convert_opengait(tmp_path / "v.pt", "tiny-net", tmp_path / "w.safetensors", registry=registry)


def test_names_that_mean_nothing(tmp_path: Path, registry: Registry) -> None:
    torch.save(published(), tmp_path / "c.pt")
    for model, error in (("tiny-nett", UnknownNameError), ("tiny-mean", UsageError)):
        with pytest.raises(error):
            convert_opengait(tmp_path / "c.pt", model, tmp_path / "w.safetensors", registry=registry)
    with pytest.raises(UsageError, match=r"w\.safetensors"):
        convert_opengait(tmp_path / "c.pt", "tiny-net", tmp_path / "w.pt", registry=registry)


def test_files_of_weights_that_are_none(tmp_path: Path, registry: Registry) -> None:
    save_file(published(), tmp_path / "bare.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    for name in ("bare", "cut", "missing"):
        with pytest.raises(GaitbenchError, match=f"{name}.safetensors is no file of weights"):
            load_weights(tmp_path / f"{name}.safetensors", registry)
