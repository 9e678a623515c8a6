import pytest
import torch
from gaitbench_skeleton.gpgait import GPGait, GPGaitConfig, GPGaitPPConfig
from gaitbench_skeleton.human_oriented import human_oriented_descriptors, human_oriented_transform

from gaitbench.errors import ModelError, ShapeError
from gaitbench.losses import batch_hard_triplet
from gaitbench.model import GaitBatch, GaitOutput
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SMALL = {"channels": (6, 8, 12), "num_shared": 1, "embedding_width": 10, "num_classes": 3}


def small(**fields: object) -> GPGait:
    torch.manual_seed(0)
    model = GPGait(GPGaitConfig.model_validate({**SMALL, **fields}))
    for module in model.modules():  # statistics that a test would miss if they were 0 and 1
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def a_batch(num_frames: int = 7, seed: int = 0) -> GaitBatch:
    rng = torch.Generator().manual_seed(seed)
    pose = torch.rand(4, 3, 1, 17, generator=rng) + 0.2 * torch.rand(4, 3, num_frames, 17, generator=rng)
    return GaitBatch(
        {"skeleton2d": 200 * pose}, {"skeleton2d": torch.full((4,), num_frames)}, labels=torch.arange(4) // 2
    )


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (GPGaitConfig(), 3_654_810),
        (GPGaitConfig(channels=(64, 64, 128, 128, 256), num_classes=3000), 18_640_274),
        (GPGaitPPConfig(), 5_227_539),
    ],
    ids=["casia-b", "gait3d", "plus-plus"],
)
def test_sizes_are_the_published_ones(config: GPGaitConfig, size: int) -> None:
    with torch.device("meta"):
        model = GPGait(config)
    assert sum(weight.numel() for weight in model.parameters()) == size


@pytest.mark.parametrize("fields", [{}, {"block": "gpgait++"}, {"is_upright": True, "test_embedding": "head"}], ids=str)
def test_contract(fields: dict[str, object]) -> None:
    check_model(small(**fields), num_frames=5)


def test_order_of_frames_does_not_matter_to_gpgait_but_to_its_successor() -> None:
    batch = a_batch()
    order = torch.tensor([3, 0, 6, 5, 1, 4, 2])
    shuffled = GaitBatch({"skeleton2d": batch.inputs["skeleton2d"][:, :, order]}, batch.num_frames)
    with torch.no_grad():
        for block in ("gpgait", "gpgait++"):
            model = small(block=block)
            before, after = model(batch).embedding, model(shuffled).embedding
            assert bool((after - before).abs().max() < 1e-4 * before.abs().max()) == (block == "gpgait")


def test_19_parts_8_of_joints_8_of_bones_3_of_angles() -> None:
    model = small()
    with torch.no_grad():
        assert model(a_batch()).embedding.shape == (4, 10, 19)
        x = torch.randn(2, 9, 5, 17)
        branches = [
            branch(y, None).shape
            for branch, y in zip(model.branches, (x[:, :2], x[:, :2], x[:, :1, :, 5:]), strict=True)
        ]
    assert branches == [(2, 12, 8), (2, 12, 8), (2, 12, 3)]


def test_place_and_size_of_poses_do_not_matter() -> None:
    model, batch = small(), a_batch()
    joints = batch.inputs["skeleton2d"]
    size = torch.rand(4, 1, 7, 1) + 0.5
    moved = torch.cat([size * joints[:, :2] + 300 * torch.rand(4, 2, 7, 1), torch.rand(4, 1, 7, 17)], dim=1)
    with torch.no_grad():
        after = model(GaitBatch({"skeleton2d": moved}, batch.num_frames)).embedding
        torch.testing.assert_close(after, model(batch).embedding, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", ["gpgait", "gpgait++"])
@pytest.mark.parametrize("rubbish", [0.0, 500.0, float("nan")])
def test_padding_changes_nothing(block: str, rubbish: float) -> None:
    model, batch = small(block=block), a_batch()
    padded = torch.cat([batch.inputs["skeleton2d"], torch.full((4, 3, 6, 17), rubbish)], dim=2)
    with torch.no_grad():
        after = model(GaitBatch({"skeleton2d": padded}, batch.num_frames)).embedding
        torch.testing.assert_close(after, model(batch).embedding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 2, 90])
@pytest.mark.parametrize("block", ["gpgait", "gpgait++"])
def test_sequences_of_any_length_are_embedded(block: str, num_frames: int) -> None:
    with torch.no_grad():
        assert small(block=block)(a_batch(num_frames)).embedding.isfinite().all()


def test_own_input_of_the_network_is_the_descriptors() -> None:
    model, batch = small(), a_batch()
    pose = human_oriented_transform(batch.inputs["skeleton2d"][:, :2])
    with torch.no_grad():
        raw = model.embed_raw(human_oriented_descriptors(pose).transpose(1, 2))
        torch.testing.assert_close(raw, model(batch).embedding)
    with pytest.raises(ShapeError, match=r"\[N, T, 5, 17\]"):
        model.embed_raw(torch.zeros(2, 5, 60, 17))


def test_what_is_compared_is_behind_the_neck_and_what_is_descended_before_it() -> None:
    model, batch = small(), a_batch()
    output = model(batch)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(4, 19))
    assert output.logits is not None
    losses = model.losses(output, batch, Stage())
    assert batch.labels is not None
    torch.testing.assert_close(losses["triplet"], batch_hard_triplet(output.extras["head"], batch.labels, margin=0.3))
    expected = torch.nn.functional.cross_entropy(16 * output.logits, batch.labels[:, None].expand(-1, 19))
    torch.testing.assert_close(losses["cross_entropy"], expected)
    head = small(test_embedding="head")
    torch.testing.assert_close(head(batch).embedding, output.extras["head"])
    with pytest.raises(ModelError, match="vectors before the neck"):
        model.losses(GaitOutput(embedding=output.embedding, logits=output.logits), batch, Stage())


@pytest.mark.parametrize("block", ["gpgait", "gpgait++"])
def test_mixed_precision_trains(block: str) -> None:
    model, batch = small(block=block).train(), a_batch()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    loss = sum(model.losses(output, batch, Stage()).values())
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_learned_edges_start_small_and_train() -> None:
    model = small().train()
    batch = a_batch()
    sum(model.losses(model(batch), batch, Stage()).values()).backward()
    learned = [(name, weight) for name, weight in model.named_parameters() if name.endswith("learned")]
    assert len(learned) == 3 * 1 + (4 + 4 + 2) * 2
    assert all((weight == 1e-6).all() and weight.grad is not None and weight.grad.any() for _, weight in learned)


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves none of the 3 blocks"):
        small(num_shared=3)
    with pytest.raises(ValueError, match="cover the joints 0 to 16"):
        small(views=(((0, 1, 2),),))
    with pytest.raises(ValueError, match="3 or more"):
        small(block="gpgait++", channels=(2, 8), num_shared=1)


def test_raw_input_may_name_its_one_person() -> None:
    model, x = small(), torch.randn(2, 6, 5, 17)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_raw(x[..., None]), model.embed_raw(x))
    with pytest.raises(ShapeError, match=r"\[2, 6, 5, 17, 2\]"):
        model.embed_raw(torch.randn(2, 6, 5, 17, 2))
