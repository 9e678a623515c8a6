from collections.abc import Callable

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig, TextConfig
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.prompts import CORRECT, WRONG, random_sentences, sentences_of
from gaitbench_lmgait.text_side import MotionAwareness, StoredText, TextSide
from pydantic import ValidationError
from torch.nn import functional

from gaitbench.errors import ModelError

SMALL = {
    "text": {"architecture": "ViT-B-32", "overrides": {"width": 16, "heads": 2, "layers": 3, "embed_dim": 8}},
    "mam_rank": 4,
}


def side(**fields: object) -> TextSide:
    torch.manual_seed(0)
    return TextSide(TextConfig(**{**SMALL, **fields}), image_width=6)


def test_sizes_are_those_of_the_sheet() -> None:
    with torch.device("meta"):
        text = TextSide(TextConfig(), image_width=384)
    assert sum(weight.numel() for weight in text.adapters.parameters()) == 786_432
    assert text.projection.weight.numel() == 196_608
    assert len(text.adapters) == 12
    assert not text.tower.is_built


def test_a_module_by_the_formula() -> None:
    torch.manual_seed(0)
    module = MotionAwareness(16, TextConfig(mam_rank=4, mam_start="xavier"), 6)
    h = torch.randn(2, 5, 16)
    expected = h + functional.gelu(h @ module.down.weight.T) @ module.up.weight.T
    torch.testing.assert_close(module(h), expected)
    assert torch.equal(MotionAwareness(16, TextConfig(mam_rank=4), 6)(h), h)


def test_at_the_start_the_vector_is_that_of_plain_clip() -> None:
    text = side()
    tower = text.tower.tower
    plain = tower(tower.tokenize(CORRECT))
    expected = text.projection(plain).mean(dim=0)
    torch.testing.assert_close(text(), expected[None, None])
    without = side(has_mam=False)
    without.projection.load_state_dict(text.projection.state_dict())
    torch.testing.assert_close(without(), text(), atol=0, rtol=0)


def test_modules_change_the_vector_layer_by_layer() -> None:
    text = side(mam_start="xavier")
    tower = text.tower.tower
    seen = []

    def note(layer: int, h: torch.Tensor) -> torch.Tensor:
        seen.append(layer)
        return text.adapters[str(layer + 1)](h)

    expected = text.projection(tower(tower.tokenize(CORRECT), note)).mean(dim=0)
    assert seen == [0, 1, 2]
    torch.testing.assert_close(text(), expected[None, None])
    only = side(mam_start="xavier", mam_layers=(2,))
    assert list(only.adapters) == ["2"]
    assert not torch.allclose(only(), text())


def test_gradients_reach_modules_and_projection_and_never_the_tower() -> None:
    text = side(mam_start="xavier")
    text().square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in text.parameters())
    assert all(weight.grad is None for weight in text.tower.tower.parameters())


def test_autocast_changes_nothing() -> None:
    text = side(mam_start="xavier").eval()
    plain = text()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(text(), plain)


def test_all_tokens_of_all_sentences_may_be_kept() -> None:
    text = side(text_form="tokens")
    tokens = text.tower.tower.tokenize(CORRECT)
    assert text().shape == (1, int((tokens.argmax(dim=1) + 1).sum()), 6)


def test_an_image_may_gate() -> None:
    text = side(has_mam_gate=True, mam_start="xavier")
    image = torch.randn(3, 6)
    vectors = text(image)
    assert vectors.shape == (3, 1, 6)
    torch.testing.assert_close(text(image[1:2]), vectors[1:2])
    assert (vectors[0] - vectors[1]).abs().max() > 1e-6


def test_fixed_positions_are_as_strong_as_the_table() -> None:
    table = side(text_positions="sinusoidal").tower.tower.network.positional_embedding
    drawn = side().tower.tower.network.positional_embedding
    assert table.std() == pytest.approx(float(drawn.std()), rel=1e-3)
    assert table[0, 0] == 0
    assert table[0, 1] == table[0, 3]
    assert not torch.allclose(side(text_positions="sinusoidal")(), side()())


def test_texts_differ_and_random_ones_depend_on_the_seed_alone() -> None:
    assert len({sentences_of("correct"), sentences_of("wrong"), sentences_of("random"), sentences_of("random", 1)}) == 4
    assert random_sentences(5) == random_sentences(5)
    assert len(random_sentences(0)) == len(CORRECT) == len(WRONG)
    assert TextConfig(prompt="wrong").sentences == WRONG
    assert TextConfig(prompts=("An arm swings.",)).sentences == ("An arm swings.",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": {"architecture": "hashing"}}, "the hashing encoder has none"),
        ({"has_mam_gate": True, "text_form": "tokens"}, "use text_form='vector'"),
        ({"has_mam_gate": True, "has_mam": False}, "switch them on with has_mam"),
        ({"mam_layers": (1,), "has_mam": False}, "mam_layers is about motion awareness modules"),
        ({"has_mam_gate": True, "has_text": False}, "has_mam and has_text"),
        ({"has_text": False, "prompt": "wrong"}, "has_text=false reads no text: leave prompt out, or set"),
        ({"has_text": False, "prompts": ("An arm swings.",)}, "leave prompts out"),
        ({"prompt": "wrong", "prompts": ("An arm swings.",)}, "prompts would not be read with prompt='wrong'"),
        ({"prompt": "random", "prompts": ("An arm swings.",)}, "prompts would not be read with prompt='random'"),
        ({"prompt_seed": 1}, "set prompt='random' with it"),
        ({"temporal": "mtcm", "has_pte": False, "has_rte": False}, "temporal='none' does without it"),
        (
            {"temporal": "none", "has_rte": False},
            "module, which is not there: has_rte; leave it out, or set",
        ),
        ({"temporal": "conv3d", "fusion": "sum"}, "not there: fusion"),
        ({"has_pte": False, "has_pte_conv": False}, "has_pte=false has no has_pte_conv"),
        ({"has_rte": False, "has_rte_conv": False}, "has_rte=false has no has_rte_conv"),
        ({"has_rte_difference": False, "has_rte_conv": False}, "set has_rte=false"),
        ({"has_rte_difference": False, "last_difference": "repeat"}, "set has_rte_difference=true"),
        ({"has_mask_gradient": True, "mask_use": "core"}, "has_mask_gradient needs closed or soft"),
        ({"attended": "last", "decoder_features": "layers"}, "leaves unread"),
        ({"channels": (4, 4)}, "must name the same stages"),
        ({"bins": (16, 3)}, "do not cut into equal strips"),
        ({"is_auto_swapped": True, "map_px": (8, 16), "bins": (4,)}, "more than the 8 rows of map_px"),
        ({"tau": 0.0}, "greater than 0.01"),
        ({"image": "clipp"}, "an image tower is dinov2 or clip"),
        ({"image": "clip", "is_image_trained": True}, "set is_image_trained=false"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LMGaitConfig(**fields)


def test_what_the_tower_cannot_read_is_told_when_the_model_is_built() -> None:
    with pytest.raises(ModelError, match=r"mam_layers \[9\] are beyond the 3 layers"):
        side(mam_layers=(1, 9))
    with pytest.raises(ModelError, match="reads 77; shorten or divide it"):
        side(prompts=("An arm swings.", "step " * 90))
    with pytest.raises(ModelError, match="sentence 0"):
        side(prompts=(" ",))


def test_sealing_keeps_the_vector_and_drops_the_rest(small: Callable[..., LMGait]) -> None:
    model = small(mam_start="xavier").eval()
    assert isinstance(model.text, TextSide)
    vector = model.text()
    before = set(model.state_dict())
    model.seal()
    assert isinstance(model.text, StoredText)
    assert torch.equal(model.text(), vector)
    assert before - set(model.state_dict()) >= {"text.projection.weight", "text.adapters.1.down.weight"}
    assert set(model.state_dict()) - before == {"text.vector"}
    model.seal()
    assert torch.equal(model.text(), vector)
