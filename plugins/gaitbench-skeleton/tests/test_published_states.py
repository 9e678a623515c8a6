"""Published checkpoints, listed by name and shape, become ours without leftovers, for what no parity vector covers.

The listings are facts about files that others published, written down here layer by layer.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.cli import main
from gaitbench.embedding_file import read_embeddings
from gaitbench.layers import rename_published
from gaitbench.registry import load_registry
from gaitbench.weights import load_weights

Shape = tuple[int, ...]
State = dict[str, Shape]
CLASSES = 7
"""Training subjects of the listed checkpoints; any number will do."""


def norm(key: str, width: int) -> State:
    per_channel = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{key}.{name}": (width,) for name in per_channel}, f"{key}.num_batches_tracked": ()}


def affine(key: str, *shape: int) -> State:
    return {f"{key}.weight": shape, f"{key}.bias": shape[:1]}


def graph_conv(key: str, before: int, after: int, joints: int) -> State:
    state: State = {f"{key}.PA": (3, joints, joints)} | norm(f"{key}.bn", after)
    for subset in range(3):
        for name, width in (("conv_a", after // 4), ("conv_b", after // 4), ("conv_d", after)):
            state |= affine(f"{key}.{name}.{subset}", width, before, 1, 1)
    return state


def gpgait_block(key: str, before: int, after: int, joints: int) -> State:
    state = graph_conv(f"{key}.asg", before, after, joints)
    if before != after:
        state |= affine(f"{key}.residual_s.0", after, before, 1, 1) | norm(f"{key}.residual_s.1", after)
    return state


def gpgaitpp_block(key: str, before: int, after: int, joints: int) -> State:
    half, third = after // 2, after // 3
    rest = after - 2 * third - 1
    state = graph_conv(f"{key}.asg", before, half, joints)
    state |= affine(f"{key}.residual.0", after - half, before, 1, 1) | norm(f"{key}.residual.1", after - half)
    state |= affine(f"{key}.tcn.conv", third + 1, after, 9, 1) | norm(f"{key}.tcn.bn", third + 1)
    state |= affine(f"{key}.residual_s.0", third, after, 1, 1) | norm(f"{key}.residual_s.1", third)
    return state | affine(f"{key}.down.conv", rest, before, 1, 1) | norm(f"{key}.down.bn", rest)


def gpgait(channels: tuple[int, ...], shared: int, *, is_plus_plus: bool) -> State:
    block = gpgaitpp_block if is_plus_plus else gpgait_block
    state: State = {}
    for stream, first, joints in (("bone", 2, 17), ("pose", 2, 17), ("angle", 1, 12)):
        sizes = list(itertools.pairwise((first, *channels)))
        state |= norm(f"{stream}.data_bn", first * joints)
        for index, (before, after) in enumerate(sizes[:shared]):
            state |= block(f"{stream}.layer_share.{index}", before, after, joints)
        for view in ("backbone", "part_2", *(("part_2_2", "part_3_1") if joints == 17 else ())):
            for index, (before, after) in enumerate(sizes[shared:]):
                state |= block(f"{stream}.{view}.{index}", before, after, joints)
    state |= {"head.fc_bin": (19, 256, 256), "BNNecks.fc_bin": (19, 256, CLASSES)}
    return state | norm("BNNecks.bn1d", 19 * 256)


def gaitmixer() -> State:
    state: State = {"spatial_pos_embed": (1, 17, 32)} | affine("spatial_joint_to_embedding", 32, 2)
    for index in range(4):
        key = f"spatial_blocks.{index}"
        state |= affine(f"{key}.norm1", 32) | affine(f"{key}.norm2", 32)
        state |= affine(f"{key}.attn.qkv", 96, 32) | affine(f"{key}.attn.proj", 32, 32)
        state |= affine(f"{key}.mlp.fc1", 64, 32) | affine(f"{key}.mlp.fc2", 32, 64)
    state |= affine("spatial_norm", 32)
    for index, (before, after) in enumerate(((32, 32), (32, 64), (64, 128), (128, 256)), start=1):
        state |= affine(f"conv{index}.conv.depthwise", before, 1, 31, 1) | norm(f"conv{index}.bn", after)
        state |= affine(f"conv{index}.conv.pointwise", after, before, 1, 1)
        if before != after:
            state |= affine(f"conv{index}.linear", after, before) | norm(f"conv{index}.bn_skip", after)
    return state | affine("head.0", 256) | affine("head.1", 128, 256)


Listing = tuple[str, State, int | None, str, Shape]
"""Model; its listing; its parameters, where they are published; preset that fits; a raw input, or () for none."""
DESCRIPTORS = (2, 5, 5, 17)
CASIA_B, GAIT3D = (64, 64, 128, 256), (64, 64, 128, 128, 256)
GREW, OU_MVLP = (64, 128, 128, 128, 256, 256), (64, 128, 128, 128, 128, 256, 256)
CASES: dict[str, Listing] = {
    "gpgait-casia-b": (
        "gpgait",
        gpgait(CASIA_B, 3, is_plus_plus=False),
        3_654_810 - 19 * 256 * (74 - CLASSES),
        "paper",
        DESCRIPTORS,
    ),
    "gpgait-gait3d": (
        "gpgait",
        gpgait(GAIT3D, 3, is_plus_plus=False),
        18_640_274 - 19 * 256 * (3000 - CLASSES),
        "paper@gait3d",
        (),
    ),
    "gpgait-grew": ("gpgait", gpgait(GREW, 3, is_plus_plus=False), None, "paper@grew", ()),
    "gpgait-ou-mvlp": ("gpgait", gpgait(OU_MVLP, 4, is_plus_plus=False), None, "paper@ou-mvlp", ()),
    "gpgait++-casia-b": (
        "gpgait++",
        gpgait(CASIA_B, 3, is_plus_plus=True),
        5_227_539 - 19 * 256 * (74 - CLASSES),
        "paper",
        DESCRIPTORS,
    ),
    "gpgait++-gait3d": ("gpgait++", gpgait(GAIT3D, 3, is_plus_plus=True), None, "paper@gait3d", ()),
    "gaitmixer": ("gaitmixer", gaitmixer(), 166_304, "paper", (2, 60, 17, 2)),
}


def weights(state: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """Plausible numbers of those shapes."""
    rng, drawn = torch.Generator().manual_seed(0), {}
    for key, shape in state.items():
        if key.endswith("num_batches_tracked"):
            drawn[key] = torch.tensor(9)
        elif key.endswith("running_var"):
            drawn[key] = 0.5 + torch.rand(shape, generator=rng)
        else:
            drawn[key] = torch.randn(shape, generator=rng) / max(1, int(np.prod(shape[1:]))) ** 0.5
    return drawn


@pytest.mark.parametrize("case", CASES)
def test_every_published_key_has_a_place_of_its_shape(case: str) -> None:
    model, state, size, preset, _ = CASES[case]
    registry = load_registry()
    spec = registry.get("model", model)
    names = rename_published(state, registry.load(spec, "published_keys"))
    fields = {k: v for k, v in registry.load(spec, "presets")[preset].config.items() if k != "num_classes"}
    config_class = registry.load(spec, "config")
    if "num_classes" in config_class.model_fields:
        fields["num_classes"] = CLASSES
    with torch.device("meta"):
        ours = registry.load(spec)(config_class(**fields))
    expected = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    assert {names[key]: shape for key, shape in state.items()} == expected
    assert size is None or sum(weight.numel() for weight in ours.parameters()) == size


@pytest.mark.parametrize("case", [name for name, (*_, raw) in CASES.items() if raw])
def test_convert_and_embed(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, state, _, preset, shape = CASES[case]
    drawn = weights(state)
    torch.save({"model": drawn, "iteration": 1}, tmp_path / "c.pt")
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    converted, embedded = str(tmp_path / "w.safetensors"), str(tmp_path / "e.npz")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", model, "--out", converted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preset"] == preset
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--model", model, "--out", embedded]) == 0
    found = read_embeddings(embedded).embeddings
    _, ours = load_weights(converted)
    registry = load_registry()
    names = rename_published(state, registry.load(registry.get("model", model), "published_keys"))
    own = ours.state_dict()
    assert all(torch.equal(own[names[key]], value) for key, value in drawn.items())
    with torch.no_grad():
        expected = ours.embed_raw(torch.from_numpy(x)).reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
