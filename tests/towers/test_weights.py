import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import resample_abs_pos_embed
from torch import nn

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.weights import HubFile, drawn, published_weights, resample_positions, square_grid, tower_digest


def test_drawn_weights_depend_on_the_seed_alone_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = drawn(lambda: nn.Linear(3, 4), 7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = drawn(lambda: nn.Linear(3, 4), 7), drawn(lambda: nn.Linear(3, 4), 8)
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


def test_an_error_while_building_gives_the_generator_back() -> None:
    def fail() -> nn.Module:
        torch.rand(3)
        raise ModelError("no")

    before = torch.get_rng_state()
    with pytest.raises(ModelError):
        drawn(fail, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_the_global_generator_draws() -> None:
    torch.manual_seed(3)
    expected = nn.Linear(3, 4)
    torch.manual_seed(3)
    assert torch.equal(drawn(lambda: nn.Linear(3, 4), None).weight, expected.weight)


@pytest.mark.parametrize(("old", "new"), [((5, 5), (8, 3)), ((7, 7), (4, 2)), ((4, 2), (3, 6))])
@pytest.mark.parametrize("num_prefix", [0, 1, 5])
def test_positions_are_resampled_as_timm_does(old: tuple[int, int], new: tuple[int, int], num_prefix: int) -> None:
    table = torch.randn(num_prefix + old[0] * old[1], 6, generator=torch.Generator().manual_seed(0))
    expected = resample_abs_pos_embed(table[None], list(new), list(old), num_prefix)[0]
    got = resample_positions(table, old, new, num_prefix=num_prefix)
    torch.testing.assert_close(got, expected)
    assert torch.equal(got[:num_prefix], table[:num_prefix])


def test_a_flat_table_stays_flat_and_the_same_grid_is_left_alone() -> None:
    table = torch.full((17, 3), 2.5)
    torch.testing.assert_close(resample_positions(table, (4, 4), (9, 2), num_prefix=1), torch.full((19, 3), 2.5))
    assert resample_positions(table, (4, 4), (4, 4), num_prefix=1) is table


def test_grids_of_published_tables_are_square() -> None:
    assert square_grid(1369, "x") == (37, 37)
    for wrong in (12, 0):
        with pytest.raises(ModelError, match=f"in x has {wrong} tokens"):
            square_grid(wrong, "x")


def test_the_hash_follows_values_names_and_settings_but_not_precision() -> None:
    config = TowerConfig(architecture="vit")
    weights = {"a": torch.tensor([1.0, 0.5]), "b": torch.zeros(2, 1)}
    digest = tower_digest(config, weights)
    assert digest == tower_digest(config, dict(reversed(weights.items())))
    assert digest == tower_digest(config, {key: value.half() for key, value in weights.items()})
    others = [
        tower_digest(config, weights | {"a": torch.tensor([1.0, 0.25])}),
        tower_digest(config, {"c": weights["a"], "b": weights["b"]}),
        tower_digest(config, weights | {"b": torch.zeros(1, 2)}),
        tower_digest(TowerConfig(architecture="vit", overrides={"num_heads": 2}), weights),
        tower_digest(TowerConfig(architecture="vit2"), weights),
    ]
    assert len({digest, *others}) == 6
    assert digest == tower_digest(TowerConfig(architecture="vit", seed=3), weights)


def no_hub() -> HubFile:
    raise AssertionError("nobody asks the hub for a file")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(2)}, path)
    config = TowerConfig(architecture="vit", weights="file", path=path)
    published = published_weights(config, no_hub)
    assert published is not None
    assert published.source == f"w.pt, sha256 {config.sha256}"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"w\.pt is not the file that was configured for vit: its sha256 is"):
        published_weights(config, no_hub)
    path.unlink()
    with pytest.raises(ModelError, match=r"w\.pt: No such file.*put the file with sha256"):
        published_weights(config, no_hub)
    with weights_left_out():
        assert published_weights(config, no_hub) is None


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled",)


def test_what_is_no_state_dict_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        "pickle.pt": ({"a": torch.ones(1), "b": Trap()}, "more than tensors"),
        "number.pt": ({"a": torch.ones(1), "epoch": 3}, "no tensors .first: epoch"),
        "list.pt": ([torch.ones(1)], "holds a list"),
    }
    for name, (content, match) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ModelError, match=f"weights of vit cannot be read: .*{match}"):
            published_weights(TowerConfig(architecture="vit", weights="file", path=tmp_path / name), no_hub)
    assert "unpickled" not in capsys.readouterr().out
    for name in ("broken.safetensors", "broken.bin"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(ModelError, match=f"weights of vit cannot be read: .*{name}"):
            published_weights(TowerConfig(architecture="vit", weights="file", path=tmp_path / name), no_hub)


def test_numbers_are_taken_where_they_are_known(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(2), "vocab_size": 49408}, path)
    config = TowerConfig(architecture="vit", weights="file", path=path)
    published = published_weights(config, no_hub, {"vocab_size"})
    assert published is not None
    assert int(published.tensors["vocab_size"]) == 49408
    with pytest.raises(ModelError, match="vocab_size"):
        published_weights(config, no_hub)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_torchscript_archive_is_named_and_the_way_out_told(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(ModelError, match=r"torch\.jit\.load\(FILE, map_location='cpu'\)\.state_dict"):
        published_weights(TowerConfig(architecture="ViT-B-32", weights="file", path=path), no_hub)


def test_importing_the_configuration_or_asking_for_help_imports_no_network() -> None:
    code = (
        "import sys, gaitbench.towers.config, gaitbench.towers.left_out, gaitbench.info;"
        "heavy = {'torch', 'timm', 'open_clip', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
