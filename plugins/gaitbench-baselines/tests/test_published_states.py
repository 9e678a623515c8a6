"""Published checkpoints, listed by name and shape, become ours without leftovers, for what no parity vector covers.

The listings are facts about files that others published, written down here layer by layer.
"""

import json
from collections.abc import Callable, Mapping
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


def conv(key: str, *shape: int) -> State:
    return {f"{key}.weight": shape}


def affine(key: str, *shape: int) -> State:
    return {f"{key}.weight": shape, f"{key}.bias": shape[:1]}


def head(parts: int, before: int, after: int = 256, classes: int = CLASSES) -> State:
    return {
        "FCs.fc_bin": (parts, before, after),
        "BNNecks.fc_bin": (parts, after, classes),
        **norm("BNNecks.bn1d", parts * after),
    }


def block_2d(key: str, before: int, after: int, *, is_projected: bool) -> State:
    state = conv(f"{key}.conv1", after, before, 3, 3) | norm(f"{key}.bn1", after)
    state |= conv(f"{key}.conv2", after, after, 3, 3) | norm(f"{key}.bn2", after)
    if is_projected:
        state |= conv(f"{key}.downsample.0", after, before, 1, 1) | norm(f"{key}.downsample.1", after)
    return state


def block_p3d(key: str, before: int, after: int, *, is_projected: bool) -> State:
    state = conv(f"{key}.conv1.forward_block.0", after, before, 3, 3) | norm(f"{key}.conv1.forward_block.1", after)
    state |= conv(f"{key}.conv2.forward_block.0", after, after, 3, 3) | norm(f"{key}.conv2.forward_block.1", after)
    state |= conv(f"{key}.shortcut3d", after, after, 3, 1, 1) | norm(f"{key}.sbn", after)
    if is_projected:
        state |= conv(f"{key}.downsample.0", after, before, 1, 1, 1) | norm(f"{key}.downsample.1", after)
    return state


def stage(key: str, block: Callable[..., State], before: int, after: int, count: int) -> State:
    state = block(f"{key}.0", before, after, is_projected=before != after)
    for index in range(1, count):
        state |= block(f"{key}.{index}", after, after, is_projected=False)
    return state


def stem(key: str, channels: int) -> State:
    return conv(f"{key}.forward_block.0", 64, channels, 3, 3) | norm(f"{key}.forward_block.1", 64)


def resnet9() -> State:
    key = "Backbone.forward_block"
    state = conv(f"{key}.conv1.conv", 64, 1, 3, 3) | norm(f"{key}.bn1", 64)
    for index, (before, after) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), start=1):
        state |= stage(f"{key}.layer{index}", block_2d, before, after, 1)
    return state


def sconet() -> State:
    return resnet9() | head(16, 512, classes=3)


def deepgaitv2_2d(blocks: tuple[int, ...]) -> State:
    state = stem("layer0", 1)
    for index, (before, after) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), start=1):
        state |= stage(f"layer{index}.forward_block", block_2d, before, after, blocks[index - 1])
    return state | head(16, 512)


def skeletongait(blocks: tuple[int, ...]) -> State:
    state = stem("layer0", 2) | stage("layer1.forward_block", block_2d, 64, 64, blocks[0])
    for index, (before, after) in enumerate(((64, 128), (128, 256), (256, 512)), start=2):
        state |= stage(f"layer{index}", block_p3d, before, after, blocks[index - 1])
    return state | head(16, 512)


def parsinggait(*graphs: str) -> State:
    nodes = {"fine": 11, "coarse": 5}
    state = resnet9()
    for graph in graphs:
        state[f"gammas_{graph}"] = (nodes[graph],)
        for layer in ("gc1", "gc2"):
            key = f"gcn_{graph}.{layer}"
            state |= {f"{key}.weight": (512, 512), f"{key}.bias": (512,)} | norm(f"{key}.bn", nodes[graph] * 512)
    return state | head(16 + sum(nodes[graph] for graph in graphs), 512)


def multigait(channels: tuple[int, int], blocks: tuple[int, ...], fusion: str) -> State:
    state: State = {}
    for part, count in enumerate(channels, start=1):
        state |= stem(f"part{part}_layer0", count)
        state |= stage(f"part{part}_layer1.forward_block", block_2d, 64, 64, blocks[0])
    for stream in ("part1_", "part2_", ""):
        state |= stage(f"{stream}layer2", block_p3d, 64, 128, blocks[1])
        state |= stage(f"{stream}layer3", block_p3d, 128, 256, blocks[2])
    state |= conv("fusion.conv.forward_block.0", 256, 768, 1, 1) | stage("layer4", block_p3d, 256, 512, blocks[3])
    for gate in ("conv1", "conv2"):
        key = f"{fusion}.{gate}.forward_block"
        state |= conv(f"{key}.0", 4, 64, 1, 1) | norm(f"{key}.1", 4)
        state |= conv(f"{key}.3", 4, 4, 1, 1) | norm(f"{key}.4", 4) | conv(f"{key}.6", 64, 4, 1, 1)
    return state | head(16, 512)


def swingait(blocks: tuple[int, int], depths: tuple[int, int]) -> State:
    state = stem("layer0", 1) | stage("layer1.forward_block", block_2d, 64, 64, blocks[0])
    state |= stage("layer2", block_p3d, 64, 128, blocks[1])
    state |= affine("transformer.patch_embed.proj", 256, 128, 1, 2, 2) | affine("transformer.patch_embed.norm", 256)
    for layer, (depth, width, heads) in enumerate(zip(depths, (256, 512), (16, 32), strict=True)):
        for index in range(depth):
            key = f"transformer.layers.{layer}.blocks.{index}"
            state |= affine(f"{key}.norm1", width) | affine(f"{key}.norm2", width)
            state |= affine(f"{key}.attn.qkv", 3 * width, width) | affine(f"{key}.attn.proj", width, width)
            state[f"{key}.attn.relative_position_bias_table"] = (225, heads)
            state[f"{key}.attn.relative_position_index"] = (45, 45)
            state |= affine(f"{key}.mlp.fc1", 4 * width, width) | affine(f"{key}.mlp.fc2", width, 4 * width)
    state |= affine("transformer.layers.0.downsample.0", 256) | conv("transformer.layers.0.downsample.1", 512, 256)
    return state | affine("transformer.norm", 512) | head(16, 512)


def smplgait() -> State:
    state: State = {}
    sizes = ((64, 1, 5), (64, 64, 3), (128, 64, 3), (128, 128, 3), (256, 128, 3), (256, 256, 3))
    for index, (after, before, size) in zip((0, 2, 5, 7, 10, 12), sizes, strict=True):
        state |= conv(f"Backbone.forward_block.feature.{index}.conv", after, before, size, size)
    for index, (before, after) in enumerate(((85, 128), (128, 256), (256, 256)), start=1):
        state |= affine(f"fc{index}", after, before) | norm(f"bn{index}", after)
    return state | head(31, 256)


def gln_phase_2() -> State:
    state: State = {}
    for index, (before, after) in enumerate(((1, 32), (32, 64), (64, 128))):
        size = 3 if index else 5
        for branch in ("sil_stage_{}.forward_block", "set_stage_{}")[: 2 if index else 1]:
            key = branch.format(index)
            state |= conv(f"{key}.0.conv", after, before, size, size) | conv(f"{key}.2.conv", after, after, 3, 3)
        state |= conv(f"lateral_layer{index + 1}", 256, 2 * after, 1, 1)
        state |= conv(f"smooth_layer{index + 1}", 256, 256, 3, 3)
    features = 93 * 256
    state |= norm("encoder_bn", features) | conv("reduce_fc", 256, features)
    return state | norm("reduce_bn", 256) | conv("reduce_cls", CLASSES, 256) | {"Head.fc_bin": (93, 256, 256)}


def gaitgl_large(neck: str) -> State:
    state = conv("conv3d.0.conv3d", 32, 1, 3, 3, 3) | conv("conv3d.2.conv3d", 32, 32, 3, 3, 3)
    state |= conv("LTA.0.conv3d", 32, 32, 3, 1, 1)
    for name, before, after in (("GLConvA0", 32, 64), ("GLConvA1", 64, 128), ("GLConvB2", 128, 256)):
        for index, width in enumerate((before, after)):
            for branch in ("global", "local"):
                state |= conv(f"{name}.{index}.{branch}_conv3d.conv3d", after, width, 3, 3, 3)
    state |= {"HPP.p": (1,), "Head0.fc_bin": (64, 256, 256)}
    if neck == "bnneck":
        return state | {"BNNecks.fc_bin": (64, 256, CLASSES)} | norm("BNNecks.bn1d", 64 * 256)
    return state | norm("Bn", 256) | {"Head1.fc_bin": (64, 256, CLASSES)}


Listing = tuple[str, State, int, str, Shape]
"""Model; its listing; parameters without the neck; preset that fits; a raw input, or () where it has none."""
SILHOUETTES, TWO_MAPS = (1, 3, 64, 44), (1, 3, 2, 64, 44)
NECK_16 = 16 * 256 * CLASSES + 8192
CASES: dict[str, Listing] = {
    "sconet": ("sconet", sconet(), 7_014_592, "paper", ()),
    "deepgaitv2-2d-1111": ("deepgaitv2-2d", deepgaitv2_2d((1, 1, 1, 1)), 6_994_112 + NECK_16, "paper@casia-b", ()),
    "deepgaitv2-2d-1441": (
        "deepgaitv2-2d",
        deepgaitv2_2d((1, 4, 4, 1)),
        11_733_696 - 16 * 256 * (74 - CLASSES),
        "paper",
        (),
    ),
    "skeletongait-1111": ("skeletongait", skeletongait((1, 1, 1, 1)), 8_028_672 + NECK_16, "paper@ou-mvlp", TWO_MAPS),
    "skeletongait-1441": ("skeletongait", skeletongait((1, 4, 4, 1)), 13_196_544 + NECK_16, "paper", ()),
    "parsinggait-coarse": (
        "parsinggait",
        parsinggait("coarse"),
        8_185_029 + 21 * 256 * (CLASSES + 2),
        "paper",
        (),
    ),
    "parsinggait-fine": ("parsinggait", parsinggait("fine"), 8_983_755 + 27 * 256 * (CLASSES + 2), "paper-fine", ()),
    "parsinggait-both": (
        "parsinggait",
        parsinggait("fine", "coarse"),
        10_174_672 + 32 * 256 * (CLASSES + 2),
        "paper-both",
        SILHOUETTES,
    ),
    "multigait++-ccpg": (
        "multigait++",
        multigait((2, 3), (1, 1, 1, 1), "csquare"),
        11_093_632 + NECK_16,
        "paper",
        (),
    ),
    "multigait++-gait3d": (
        "multigait++",
        multigait((1, 1), (1, 2, 2, 1), "crossattn1"),
        16_259_776 + NECK_16,
        "paper@gait3d",
        TWO_MAPS,
    ),
    "swingait-1122": (
        "swingait",
        swingait((1, 1), (2, 2)),
        11_653_920 - 16 * 256 * (250 - CLASSES),
        "paper@ccpg",
        SILHOUETTES,
    ),
    "swingait-1442": ("swingait", swingait((1, 4), (4, 2)), 25_539_136 - 16 * 256 * (3000 - CLASSES), "paper", ()),
    "smplgait": ("smplgait", smplgait(), 27_110_976 - 31 * 256 * (3000 - CLASSES), "paper", ()),
    "gln-phase-2": ("gln", gln_phase_2(), 14_703_904 - 256 * (74 - CLASSES), "paper", (1, 2, 128, 88)),
    "gaitgl-ou-mvlp": (
        "gaitgl",
        gaitgl_large("norm"),
        95_620_449 - 64 * 256 * (5153 - CLASSES),
        "paper@grew",
        SILHOUETTES,
    ),
    "gaitgl-bnneck": (
        "gaitgl",
        gaitgl_large("bnneck"),
        95_620_449 - 64 * 256 * (5153 - CLASSES) - 512 + 2 * 64 * 256,
        "paper-bnneck",
        (),
    ),
}


def weights(state: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """Plausible numbers of those shapes."""
    rng, drawn = torch.Generator().manual_seed(0), {}
    for key, shape in state.items():
        if key.endswith("num_batches_tracked"):
            drawn[key] = torch.tensor(9)
        elif key.endswith("relative_position_index"):
            place = torch.cartesian_prod(torch.arange(3), torch.arange(3), torch.arange(5))
            drawn[key] = ((place[:, None] - place + torch.tensor([2, 2, 4])) * torch.tensor([45, 9, 1])).sum(dim=2)
        elif key.endswith("running_var") or key == "HPP.p":
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
    assert {names[key]: shape for key, shape in state.items()} == {
        k: tuple(v.shape) for k, v in ours.state_dict().items()
    }
    assert sum(weight.numel() for weight in ours.parameters()) == size


@pytest.mark.parametrize("case", [name for name, (*_, raw) in CASES.items() if raw])
def test_convert_and_embed(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, state, _, preset, shape = CASES[case]
    drawn = weights(state)
    torch.save({"model": drawn, "iteration": 1}, tmp_path / "c.pt")
    x = np.random.default_rng(0).random(shape, dtype=np.float32).round()
    np.savez(tmp_path / "x.npz", x=x)
    converted, embedded = str(tmp_path / "w.safetensors"), str(tmp_path / "e.npz")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", model, "--out", converted, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["preset"] == preset
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--model", model, "--out", embedded]) == 0
    found = read_embeddings(embedded).embeddings
    _, ours = load_weights(converted)
    registry = load_registry()
    names = rename_published(state, registry.load(registry.get("model", model), "published_keys"))
    own = ours.state_dict()
    assert all(torch.equal(own[names[key]], value) for key, value in drawn.items())
    with torch.no_grad():
        torch.testing.assert_close(found.reshape(1, -1), ours.embed_raw(torch.from_numpy(x)).reshape(1, -1).cpu())


@pytest.mark.parametrize(
    ("num_classes", "preset", "embedding"), [(100, "paper@ccpg", "neck"), (250, "paper@sustech1k", "head")]
)
def test_the_number_of_subjects_decides_between_presets_of_one_shape(
    num_classes: int, preset: str, embedding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CCPG's SkeletonGait compares what the neck gives, those of other datasets what goes into it."""
    state = {**skeletongait((1, 1, 1, 1)), "BNNecks.fc_bin": (16, 256, num_classes)}
    torch.save(weights(state), tmp_path / "c.pt")
    command = ["convert", "opengait", str(tmp_path / "c.pt"), "--model", "skeletongait", "--out", str(tmp_path / "w")]
    command[-1] += ".safetensors"
    assert main([*command, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["preset"], done["config"]["embedding"]) == (preset, embedding)
    assert ("paper@ccpg" in done["alternatives"]) == (preset != "paper@ccpg")


@pytest.mark.parametrize("left_out", ["counters", "tables", "zeros"])
def test_tables_of_window_places_are_the_models_own(left_out: str, tmp_path: Path) -> None:
    """Published code works them out anew; a file need not have them, or right ones."""
    drawn = weights(swingait((1, 1), (2, 2)))
    whole = weights(swingait((1, 1), (2, 2)))
    for key in [key for key, value in drawn.items() if not value.is_floating_point()]:
        if left_out == "zeros":
            drawn[key] = torch.zeros_like(drawn[key])
        elif ("num_batches" in key) == (left_out == "counters"):
            del drawn[key]
    torch.save(drawn, tmp_path / "c.pt")
    converted = str(tmp_path / "w.safetensors")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", "swingait", "--out", converted]) == 0
    _, model = load_weights(converted)
    key = "transformer.layers.0.blocks.0.attn.relative_position_index"
    assert torch.equal(model.transformer.stages[0].blocks[0].attention.position_index, whole[key])


def test_two_inputs_of_one_file(tmp_path: Path) -> None:
    torch.save(weights(smplgait()), tmp_path / "c.pt")
    converted, embedded = str(tmp_path / "w.safetensors"), str(tmp_path / "e.npz")
    assert main(["convert", "opengait", str(tmp_path / "c.pt"), "--model", "smplgait", "--out", converted]) == 0
    rng = np.random.default_rng(0)
    raster, smpl = rng.random((2, 3, 64, 44)).round(), rng.standard_normal((2, 3, 85))
    for arrays in (
        {"silhouette": raster, "smpl": smpl},
        {"smpl": smpl, "silhouette": raster},
        {"a": raster, "b": smpl},
    ):
        np.savez(tmp_path / "x.npz", **arrays)
        assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--out", embedded]) == 0
        _, ours = load_weights(converted)
        with torch.no_grad():
            wanted = ours.embed_raw(torch.from_numpy(raster).float(), torch.from_numpy(smpl).float())
        torch.testing.assert_close(read_embeddings(embedded).embeddings, wanted)
    np.savez(tmp_path / "x.npz", silhouette=raster)
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--out", embedded]) == 1
    np.savez(tmp_path / "x.npz", silhouette=raster, smpl=smpl[:1])
    assert main(["embed", str(tmp_path / "x.npz"), "--weights", converted, "--out", embedded]) == 1
