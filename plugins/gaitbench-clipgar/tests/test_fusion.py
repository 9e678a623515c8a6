import pytest
import torch
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.fusion import EncoderBlock, Fusion
from torch import nn

from gaitbench.errors import ModelError


def config(**fields: object) -> ClipGarConfig:
    return ClipGarConfig(**{"channels": (8, 8, 8, 8), "heads": 2, **fields})


def test_sizes_are_those_of_the_sheet() -> None:
    with torch.device("meta"):
        fusion = Fusion(1024, 512, 8, 45, ClipGarConfig())
    assert fusion.phi.weight.shape == (512, 1024)
    assert fusion.position is not None
    assert fusion.position.shape == (8, 512)
    assert fusion.head_weight.shape == (45, 512)
    block = sum(weight.numel() for weight in fusion.blocks.parameters())
    # Attention, feed-forward layers four times as wide, two norms.
    assert block == 4 * (512 * 512 + 512) + 2 * 4 * 512 * 512 + 5 * 512 + 2 * 2 * 512


@pytest.mark.parametrize("is_pre_norm", [True, False])
def test_the_block_is_a_transformer_encoder_layer(is_pre_norm: bool) -> None:
    torch.manual_seed(0)
    block = EncoderBlock(8, config(is_pre_norm=is_pre_norm)).eval()
    layer = nn.TransformerEncoderLayer(8, 2, 32, activation="gelu", batch_first=True, norm_first=is_pre_norm).eval()
    ours = block.state_dict()
    names = {
        "qkv": "self_attn.in_proj_",
        "out": "self_attn.out_proj.",
        "inner": "linear1.",
        "outer": "linear2.",
        "norm1": "norm1.",
        "norm2": "norm2.",
    }
    layer.load_state_dict({f"{names[k.split('.')[0]]}{k.split('.')[1]}": value for k, value in ours.items()})
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(block(x), layer(x), rtol=1e-5, atol=1e-6)


def test_equation_2_by_definition() -> None:
    torch.manual_seed(0)
    fusion = Fusion(6, 8, 3, 4, config()).eval()
    text, visual = torch.randn(4, 6), torch.randn(2, 8, 3)
    for n in range(2):
        above = [fusion.phi(text[s]) + fusion.text_type for s in range(4)]
        below = [visual[n, :, p] + fusion.visual_type + fusion.position[p] for p in range(3)]
        (block,) = fusion.blocks
        tokens = block(torch.stack(above + below)[None])[0]
        expected = [tokens[s] @ fusion.head_weight[s] + fusion.head_bias[s] for s in range(4)]
        torch.testing.assert_close(fusion(text, visual)[n], torch.stack(expected))


def test_switches_take_embeddings_away() -> None:
    bare = Fusion(6, 8, 3, 4, config(has_types=False, has_positions=False)).eval()
    assert not {name for name, _ in bare.named_parameters()} & {"text_type", "visual_type", "position"}
    text, visual = torch.randn(4, 6), torch.randn(2, 8, 3)
    # Without positions the order of parts is nothing, with them it is something.
    torch.testing.assert_close(bare(text, visual), bare(text, visual.flip(2)))
    whole = Fusion(6, 8, 3, 4, config()).eval()
    assert not torch.equal(whole(text, visual), whole(text, visual.flip(2)))
    unit = Fusion(6, 8, 3, 4, config(is_text_normalised=True)).eval()
    torch.testing.assert_close(unit(text, visual), unit(3 * text, visual))


def test_dropout_is_for_training() -> None:
    block = EncoderBlock(8, config(dropout=0.5))
    x = torch.randn(3, 5, 8)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_heads_must_divide_the_width_of_tokens() -> None:
    with pytest.raises(ModelError, match="tokens are 9 wide, which 2 heads do not divide"):
        Fusion(6, 9, 3, 4, config())
