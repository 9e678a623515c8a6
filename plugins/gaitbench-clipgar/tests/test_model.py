import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.model import ClipGar
from gaitbench_clipgar.presets import PRESETS
from torch import Tensor
from torch.nn import functional

from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch
from gaitbench.optim import freeze
from gaitbench.recipe import Stage

Make = Callable[..., ClipGar]
Clips = Callable[..., GaitBatch]
ALIGN, FUSION = PRESETS["paper"].recipe.stages
TEXT: dict[str, Any] = {
    "architecture": "RN50",
    "overrides": {"width": 16, "heads": 2, "layers": 2, "embed_dim": 24},
}
IMAGE: dict[str, Any] = {
    "architecture": "open_clip:RN50",
    "overrides": {"width": 4, "layers": (1, 1, 1, 1), "head_width": 8, "image_size": 32, "embed_dim": 24},
}
CLIP: dict[str, Any] = {"scored": "align", "encoder": "clip", "text": TEXT, "image": IMAGE, "image_px": (32, 32)}


def count(module: torch.nn.Module | None) -> int:
    assert module is not None
    return sum(weight.numel() for weight in module.parameters())


def test_sizes_are_those_of_the_sheet(walkers_schema: tuple[Any, ...]) -> None:
    with torch.device("meta"):
        model = ClipGar(ClipGarConfig(attributes=walkers_schema))
    assert model.text.width == 1024
    assert model.text.vectors.shape == (45, 1024)
    assert model.theta is not None
    assert model.theta.weight.shape == (1024, 512, 1)
    assert model.encoder.num_parts == 8
    # DeepGaitV2-3D has 29.8 million with blocks 1441, head and neck; here 1221 and neither.
    stages = [sum(w.numel() for w in stage.parameters()) for stage in model.encoder.stages]
    assert stages[0] == 2 * 64 * 64 * 9 + 4 * 64
    assert stages[3] == 27 * (256 * 512 + 512 * 512) + 256 * 512 + 6 * 512
    assert model.logit_scale.shape == ()


def test_shapes(small: Make, clips: Clips) -> None:
    model = small().eval()
    output = model(clips(model))
    assert output.embedding.shape == (4, 16, 4)
    assert {name: x.shape for name, x in output.attributes.items()} == {"gender": (4, 2), "toe": (4, 3)}
    assert output.extras["labels"].shape == (4, 5)
    assert model.decides == "threshold"
    aligned = small(scored="align").eval()
    assert aligned(clips(aligned)).extras["similarity"].shape == (4, 5)
    assert aligned.decides == "argmax"
    assert aligned.fusion is None


@pytest.mark.parametrize("bins", [(16,), (8,), (4,), (1,), (4, 2, 1)])
def test_part_numbers(bins: tuple[int, ...], small: Make, clips: Clips) -> None:
    model = small(bins=bins).eval()
    assert model(clips(model)).embedding.shape == (4, 16, sum(bins))
    assert model.fusion is not None
    assert model.fusion.position is not None
    assert model.fusion.position.shape == (sum(bins), 16)


@pytest.mark.parametrize("likeness", ["mean-of-cosines", "cosine-of-mean"])
def test_likeness_by_definition(likeness: str, small: Make, clips: Clips) -> None:
    model = small(scored="align", likeness=likeness).eval()
    output = model(clips(model))
    text, theta = model.text(), model.theta
    assert theta is not None
    for n in range(4):
        parts = [theta.weight[:, :, 0] @ output.embedding[n, :, p] + theta.bias for p in range(4)]
        if likeness == "cosine-of-mean":
            parts = [torch.stack(parts).mean(dim=0)]
        for s in range(5):
            cosines = torch.stack([functional.cosine_similarity(part, text[s], dim=0) for part in parts])
            torch.testing.assert_close(output.extras["similarity"][n, s], cosines.mean(), rtol=1e-4, atol=1e-5)
    told = torch.cat(list(output.attributes.values()), dim=1)
    torch.testing.assert_close(told, output.extras["similarity"] / 0.07)


def test_logits_stand_in_the_order_of_the_schema(small: Make, clips: Clips) -> None:
    model = small(scored="align").eval()
    assert [s.split()[-1] for s in model.text.sentences] == ["male", "female", "straight", "in", "out"]
    output = model(clips(model))
    labels = output.extras["similarity"] * model.scale
    assert torch.equal(output.attributes["gender"], labels[:, :2])
    assert torch.equal(output.attributes["toe"], labels[:, 2:])
    # Another order of classes on the card is another order of logits.
    turned = small(
        scored="align",
        attributes=(
            {"name": "toe", "title": "Toe", "classes": ("out", "in", "straight")},
            {"name": "gender", "title": "Gender", "classes": ("male", "female")},
        ),
    ).eval()
    again = turned(clips(turned))
    torch.testing.assert_close(again.attributes["toe"].flip(1), output.attributes["toe"])
    torch.testing.assert_close(again.attributes["gender"], output.attributes["gender"])


def stage_of(model: ClipGar, stage: Stage) -> ClipGar:
    model.train()
    freeze(model, stage.freeze)
    return model


def test_the_first_stage_trains_encoder_map_and_temperature(small: Make, clips: Clips) -> None:
    model = stage_of(small(), ALIGN)
    batch = clips(model)
    output = model(batch)
    assert set(output.extras) == {"similarity"}
    losses = model.losses(output, batch, ALIGN)
    assert set(losses) == set(ALIGN.loss_weights) == {"contrastive"}
    losses["contrastive"].backward()
    trained = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == {"encoder", "theta", "logit_scale"}
    assert all(weight.grad is None for weight in model.fusion.parameters())


def test_the_second_stage_leaves_the_first_ones_work_as_it_is(small: Make, clips: Clips) -> None:
    model = stage_of(small(), FUSION)
    batch = clips(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    output = model(batch)
    assert set(output.extras) == {"labels"}
    assert not output.embedding.requires_grad
    losses = model.losses(output, batch, FUSION)
    assert set(losses) == set(FUSION.loss_weights) == {"bce"}
    losses["bce"].backward()
    assert {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None} == {"fusion"}
    assert all(weight.grad is not None and weight.grad.any() for weight in model.fusion.parameters())
    optimizer.step()
    after = model.state_dict()
    # Statistics of batch norms, too.
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"fusion"}
    # Sentences mean the same in both stages.
    assert torch.equal(before["text.vectors"], after["text.vectors"])


def test_equation_3_by_definition(small: Make, clips: Clips) -> None:
    model = stage_of(small(dropout=0.0), FUSION)
    batch = clips(model)
    batch.attributes = torch.tensor([[0, 2], [1, 0], [1, 1], [0, -1]])
    output = model(batch)
    total = 0.0
    for row, labels in enumerate(batch.attributes.tolist()):
        for label in range(5):
            attribute, cls = (0, label) if label < 2 else (1, label - 2)
            if labels[attribute] >= 0:
                share = float(output.extras["labels"][row, label].detach().double().sigmoid())
                total -= float(torch.tensor(share if labels[attribute] == cls else 1 - share).double().log())
    found = model.losses(output, batch, FUSION)["bce"]
    assert found.item() == pytest.approx(total / 4, rel=1e-4)


def test_without_frozen_parts_both_losses_are_learned_at_once(small: Make, clips: Clips) -> None:
    model = small().train()
    batch = clips(model)
    assert set(model.losses(model(batch), batch, Stage())) == {"contrastive", "bce"}


def test_no_label_enters_the_fusion(small: Make, clips: Clips) -> None:
    model = small().eval()
    batch = clips(model)
    told = model(batch).extras["labels"]
    batch.attributes = batch.attributes.flip(0)
    assert torch.equal(model(batch).extras["labels"], told)


def test_the_temperature_is_bounded(small: Make, clips: Clips) -> None:
    model = small(scored="align", tau=0.001, is_tau_learned=False)
    assert model.scale.item() == pytest.approx(100)
    assert not model.logit_scale.requires_grad
    assert small(tau=0.5).scale.item() == pytest.approx(2)


def test_a_temperature_at_its_bound_finds_back(small: Make, clips: Clips) -> None:
    model = small(scored="align").train()
    batch = clips(model)
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    assert model.scale.item() == pytest.approx(100)
    similarity = model(batch).extras["similarity"].detach()
    # Training that goes on beyond the bound would have to come all the way back.
    assert model.logit_scale.item() == pytest.approx(math.log(100))
    assert model.scale <= 100
    # Wrong answers want to be less sure.
    batch.attributes = torch.stack([part.argmin(dim=1) for part in torch.split(similarity, [2, 3], dim=1)], dim=1)
    model.losses(model(batch), batch, ALIGN)["contrastive"].backward()
    assert model.logit_scale.grad is not None
    assert model.logit_scale.grad > 0
    # Where it is not learned, and in evaluation, nothing is changed.
    for other in (small(tau=0.001, is_tau_learned=False).train(), small(tau=0.001).eval()):
        before = other.logit_scale.item()
        other(clips(other))
        assert other.logit_scale.item() == before


def test_shares_of_labels_are_counted_in_training_alone(small: Make, clips: Clips) -> None:
    model = small(weighting="exp-share").train()
    batch = clips(model)
    assert model.shares is not None
    weighted = model.losses(model(batch), batch, FUSION)["bce"]
    assert model.shares.num_known.tolist() == [4] * 5
    model.eval()
    model.losses(model(batch), batch, FUSION)
    assert model.shares.num_known.tolist() == [4] * 5
    assert weighted > 0
    assert "shares.num_positive" in model.state_dict()
    assert small().shares is None


def test_saved_weights_bring_sentences_along(small: Make, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(text=TEXT).eval()
    batch = clips(model)
    weights = weights_of(model)
    assert weights["text.vectors"].any()
    other = small(text=TEXT).eval()
    monkeypatch.setattr(other.text, "_build", lambda: pytest.fail("the tower was built"))
    apply_weights(other, weights, "here")
    with torch.no_grad():
        assert torch.equal(other(batch).extras["labels"], model(batch).extras["labels"])
    with pytest.raises(ModelError, match="other sentences, or with another text tower"):
        apply_weights(small(text={**TEXT, "seed": 1}), weights, "here")


def test_towers_are_told(small: Make) -> None:
    (text,) = small().towers
    assert (text.role, text.weights) == ("text", "hashing")
    (text,) = small(text=TEXT).towers
    assert (text.weights, text.is_reduced, text.is_frozen) == ("untrained", True, True)
    roles = {tower.role: tower for tower in small(**CLIP).towers}
    assert (roles["image"].weights, roles["image"].is_frozen) == ("untrained", True)
    trained = {tower.role: tower for tower in small(**CLIP, is_image_trained=True).towers}
    assert (trained["image"].weights, trained["image"].is_frozen) == ("trained-along", False)


def test_clips_image_encoder_is_the_mean_over_frames(small: Make, clips: Clips) -> None:
    model = small(**CLIP).eval()
    batch = clips(model)
    batch.num_frames["silhouette"][1] = 2
    tower = model.encoder.tower.tower
    silhouettes = batch.inputs["silhouette"][1, :, :2].transpose(0, 1)
    upright = functional.interpolate(silhouettes, (32, 22), mode="bilinear", antialias=True)
    frames = functional.pad(upright, (5, 5))
    expected = tower(frames.expand(-1, 3, -1, -1)).pooled.mean(dim=0)
    found = model(batch).embedding
    assert found.shape == (4, 24, 1)
    torch.testing.assert_close(found[1, :, 0], expected, rtol=1e-4, atol=1e-6)
    assert (expected - tower(frames[:1].expand(-1, 3, -1, -1)).pooled[0]).abs().max() > 1e-5
    assert count(model) == 1
    assert count(small(**CLIP, is_image_trained=True)) > 1000


def test_towers_of_two_clips_are_refused(small: Make) -> None:
    with pytest.raises(ModelError, match="have 24 numbers and sentences of hashing 32; take both towers of one CLIP"):
        small(**{**CLIP, "text": {"architecture": "hashing", "overrides": {"width": 32}}})


def test_fine_tuning_reaches_the_image_encoder(small: Make, clips: Clips) -> None:
    model = small(**CLIP, is_image_trained=True).train()
    batch = clips(model)
    model.losses(model(batch), batch, ALIGN)["contrastive"].backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in model.encoder.parameters())
    still = small(**CLIP).train()
    output = still(clips(still))
    assert not output.embedding.requires_grad


def test_without_a_schema_it_can_be_asked_what_it_reads(small: Make, clips: Clips) -> None:
    model = small(attributes=()).eval()
    batch = clips(model, attribute_classes=None)
    output = model(batch)
    assert not output.attributes
    assert output.embedding.shape == (4, 16, 4)
    with pytest.raises(ModelError, match="its config names no attributes"):
        model.losses(output, batch, ALIGN)


def test_losses_need_attributes(small: Make, clips: Clips) -> None:
    model = small().train()
    batch = clips(model)
    batch.attributes = None
    with pytest.raises(ModelError, match="losses need attributes"):
        model.losses(model(batch), batch, ALIGN)


def test_a_model_may_start_from_the_weights_of_the_first_stage(small: Make, clips: Clips, tmp_path: Path) -> None:
    from gaitbench.checkpoint import save_tensors
    from gaitbench.recipe import StartWeights
    from gaitbench.start_weights import start_weights

    first = small(scored="align")
    save_tensors(tmp_path / "align.safetensors", weights_of(first))
    torch.manual_seed(7)
    whole = ClipGar(ClipGarConfig(**{**first.config.model_dump(), "scored": "fusion"}))
    start_weights(whole, StartWeights(path=tmp_path / "align.safetensors"))
    for name, value in first.state_dict().items():
        assert torch.equal(whole.state_dict()[name], value), name


def test_mixed_precision_compares_and_decides_in_float32(small: Make, clips: Clips) -> None:
    model = small().eval()
    batch = clips(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    assert output.extras["labels"].dtype == torch.float32
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(batch).extras["similarity"].dtype == torch.float32


@pytest.mark.parametrize("preset", ["paper", "paper@ra-gar", "paper@ma-gait"])
def test_recipes_are_those_published(preset: str) -> None:
    align, fusion = PRESETS[preset].recipe.stages
    assert (align.iterations, fusion.iterations) == (120_000, 20_000)
    for stage in (align, fusion):
        assert (stage.clips.batch_size, stage.clips.num_frames, stage.clips.order) == (32, 30, "ordered")
        optimizer = stage.optimizer
        assert (optimizer.name, optimizer.lr, optimizer.weight_decay, optimizer.eps) == ("adam", 1e-4, 2e-5, 1e-6)
        assert stage.schedule.name == "constant"
        assert stage.augment.flip == 0
    config = ClipGarConfig(**PRESETS[preset].config)
    assert (config.text.architecture, config.text.weights, config.text.tag) == ("RN50", "pretrained", "openai")
    assert (config.num_blocks, config.bins, config.mode) == ((1, 2, 2, 1), (8,), "3d")
    assert PRESETS["paper-fine-tuned"].recipe.stages[0].optimizer.lr == 5e-5
    assert PRESETS["paper-zero-shot"].recipe.stages == ()


def test_left_and_right_are_never_exchanged() -> None:
    for name, preset in PRESETS.items():
        assert all(stage.augment.flip == 0 for stage in preset.recipe.stages), name


def test_attention_over_a_batch_is_each_sequences_own(small: Make, clips: Clips) -> None:
    model = small().eval()
    batch = clips(model)
    told: Tensor = model(batch).extras["labels"]
    alone = GaitBatch({"silhouette": batch.inputs["silhouette"][1:2]}, {"silhouette": torch.tensor([3])})
    torch.testing.assert_close(model(alone).extras["labels"][0], told[1], rtol=1e-4, atol=1e-5)
