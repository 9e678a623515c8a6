"""Weights by name and commit, from a hub on this machine; no test reaches another one."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from hub_server import FakeHub, run_hub
from huggingface_hub import constants
from safetensors.torch import save

from gaitbench.errors import ModelError
from gaitbench.towers.clip import clip_hub_file
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.text import ClipTextTower
from gaitbench.towers.timm_vit import timm_hub_file
from gaitbench.towers.weights import HubFile, fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DINO = "vit_tiny_patch16_224.augreg_in21k"
"""The smallest vision transformer that timm has weights for."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with run_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served
        huggingface_hub.close_session()


def test_the_packages_say_where_the_weights_are() -> None:
    dinov2 = "vit_small_patch14_dinov2.lvd142m"
    assert timm_hub_file(dinov2) == HubFile(f"timm/{dinov2}", ("model.safetensors", "pytorch_model.bin"))
    openai = TowerConfig(architecture="ViT-B-32", weights="pretrained", tag="openai", revision=COMMIT)
    assert clip_hub_file(openai) == HubFile(
        "timm/vit_base_patch32_clip_224.openai", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    )
    with pytest.raises(ModelError, match="knows no weights 'best' of ViT-B-32; give one of these as tag: openai"):
        clip_hub_file(openai.model_copy(update={"tag": "best"}))


def test_weights_come_from_the_commit_that_is_named(hub: FakeHub) -> None:
    torch.manual_seed(0)
    first, second = (timm.create_model(DINO, num_classes=0) for _ in range(2))
    commits = [hub.add(f"timm/{DINO}", {"model.safetensors": save(vit.state_dict())}) for vit in (first, second)]
    config = TowerConfig(architecture=DINO, weights="pretrained", revision=commits[0])
    tower = ImageTower(config, image_size=(32, 32))
    assert torch.equal(tower.state_dict()["network.vit.norm.weight"], first.norm.weight)
    assert torch.equal(tower.state_dict()["network.vit.pos_embed"], first.pos_embed)
    assert tower.info.source == f"timm/{DINO}@{commits[0]}/model.safetensors"
    assert tower.info.says == f"image tower {DINO} (pretrained, frozen)"
    # Another time it lies in the cache, and nothing is asked.
    hub.requests.clear()
    assert ImageTower(config, image_size=(32, 32)).info == tower.info
    assert hub.asked("GET") == []


def test_the_second_name_is_tried(hub: FakeHub) -> None:
    commit = hub.add("org/clip", {"old.bin": b"weights"})
    path, name = fetch(HubFile("org/clip", ("new.safetensors", "old.bin")), commit)
    assert (path.read_bytes(), name) == (b"weights", "old.bin")


def test_openais_weights_bring_their_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TowerConfig(architecture="ViT-B-32", weights="pretrained", tag="openai", revision=COMMIT)
    laion = config.model_copy(update={"tag": "laion2b_s34b_b79k"})
    with weights_left_out(), torch.device("meta"):
        assert bool(ClipTextTower(config).get_extra_state())
        assert not bool(ClipTextTower(laion).get_extra_state())


def test_what_is_not_there_is_told(hub: FakeHub) -> None:
    location = HubFile("org/clip", ("a.safetensors", "b.bin"))
    with pytest.raises(ModelError, match=r"cannot fetch a\.safetensors of org/clip.*Not Found.*weights='file'"):
        fetch(location, COMMIT)
    commit = hub.add("org/clip", {"readme.md": b""})
    with pytest.raises(ModelError, match=rf"org/clip has none of a\.safetensors, b\.bin at commit {commit}"):
        fetch(location, commit)
    told = rf"cannot fetch .* at commit {COMMIT}.*Revision Not Found.*org/clip/commits/main lists .*revision.*'file'"
    with pytest.raises(ModelError, match=told):
        fetch(location, COMMIT)


def test_without_the_network_the_way_out_is_told(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add(f"timm/{DINO}", {"model.safetensors": b""})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = TowerConfig(architecture=DINO, weights="pretrained", revision=commit)
    with pytest.raises(ModelError) as caught:
        ImageTower(config, image_size=(32, 32))
    for part in (
        "HF_HUB_OFFLINE is set, and it was not fetched before",
        f"hf download timm/{DINO} model.safetensors --revision {commit} --local-dir FOLDER",
        "weights='file', path='FOLDER/model.safetensors'",
    ):
        assert part in str(caught.value)
    assert hub.requests == []
    with weights_left_out():
        assert ImageTower(config, image_size=(32, 32)).info.source == "left out"


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refusal_is_told(hub: FakeHub, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    commit = hub.add("org/clip", {"a.bin": b"x"})
    hub.failures += [("HEAD", status)] * 20
    with pytest.raises(ModelError, match=r"cannot fetch a\.bin of org/clip .*weights='file'"):
        fetch(HubFile("org/clip", ("a.bin",)), commit)
