"""Checkpoints are whole or passed over, hold no pickle, and say what does not fit."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from gaitbench.checkpoint import (
    TrainingState,
    apply_weights,
    latest_checkpoint,
    load_model,
    optimizer_state,
    restore_optimizer,
    save_checkpoint,
    save_model,
    weights_of,
)
from gaitbench.errors import ModelError, OutputError, RecordError, TrainingError


def state(step: int, identity: str = "x") -> TrainingState:
    return TrainingState(identity=identity, stage=0, step=step, num_steps=step, seconds=1.0)


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        save_checkpoint(folder, state(step), {"a": torch.full((3,), float(step))})


def test_round_trip_and_only_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 2, 4, 6)
    found = latest_checkpoint(tmp_path, "x")
    assert found is not None
    assert found[0] == state(6)
    assert found[1]["a"].tolist() == [6.0] * 3
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["00-00000004.json", "00-00000004.safetensors", "00-00000006.json", "00-00000006.safetensors"]


def test_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path, "x") is None
    assert latest_checkpoint(tmp_path / "no", "x") is None


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "remove", "empty"])
def test_damage_is_noticed_and_the_one_before_used(
    tmp_path: Path, suffix: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 2, 4)
    path = tmp_path / f"00-00000004{suffix}"
    content = bytearray(path.read_bytes())
    if harm == "truncate":
        path.write_bytes(content[:-3])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "remove":
        path.unlink()
    else:
        # Keep the JSON readable: a changed digit is the nastiest damage.
        at = content.index(b'"step": 4') + 8 if suffix == ".json" else len(content) - 1
        content[at] ^= 1
        path.write_bytes(content)
    found = latest_checkpoint(tmp_path, "x")
    assert found is not None
    assert found[0].step == 2
    if not (suffix == ".json" and harm == "remove"):
        assert "passed over" in caplog.text


def test_of_another_training_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 2)
    with pytest.raises(TrainingError, match="another training"):
        latest_checkpoint(tmp_path, "y")


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_optimizer_round_trip(name: str) -> None:
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        cls = torch.optim.SGD if name == "sgd" else torch.optim.Adam
        return model, cls(model.parameters(), lr=0.1, **({"momentum": 0.9} if name == "sgd" else {}))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(1, 2, 5, 5)).square().sum().backward()
        optimizer.step()

    model, optimizer = make()
    step(model, optimizer)
    other, fresh = make()
    apply_weights(other, weights_of(model), "memory")
    restore_optimizer(fresh, *optimizer_state(optimizer))
    for parameter, entries in fresh.state.items():
        for value in entries.values():
            if isinstance(value, torch.Tensor) and value.ndim == 4:
                assert value.stride() == parameter.stride()
    step(model, optimizer)
    step(other, fresh)
    assert torch.equal(model.weight, other.weight)


def test_mismatch_lists_what_is_wrong() -> None:
    class Model(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.a = nn.Linear(2, width)
            self.b = nn.Linear(2, 2, bias=False)

    found = weights_of(Model(3))
    found["old.weight"] = found.pop("b.weight")
    with pytest.raises(ModelError, match=r"missing: b\.weight; unexpected: old\.weight; a\.bias is \[3\].*has \[4\]"):
        apply_weights(Model(4), found, "there")


def test_shared_weights_are_saved(tmp_path: Path) -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    save_model(tmp_path, model, {"run_id": "r"})
    other = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    load_model(tmp_path, other)
    assert torch.equal(other["b"].weight, model["a"].weight)
    assert json.loads((tmp_path / "model.json").read_text())["run_id"] == "r"


def test_altered_model_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, nn.Linear(2, 2), {})
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match="damaged or altered"):
        load_model(tmp_path, nn.Linear(2, 2))
    with pytest.raises(RecordError, match="cannot read"):
        load_model(tmp_path / "no", nn.Linear(2, 2))


def test_unwritable_place_is_an_output_error_and_keeps_the_old(tmp_path: Path) -> None:
    save(tmp_path / "good", 2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        save(tmp_path / "file" / "checkpoint", 2)
    assert latest_checkpoint(tmp_path / "good", "x") is not None
