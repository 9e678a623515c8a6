"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["LMGAIT", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

LMGAIT = ModelSpec(
    name="lmgait",
    title="LMGait: a text says where to look in the maps of a frozen image tower, a module sees motion",
    source="Wu et al., Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition, "
    "arXiv 2601.11931",
    target="gaitbench_lmgait.model:LMGait",
    config="gaitbench_lmgait.config:LMGaitConfig",
    presets="gaitbench_lmgait.presets:PRESETS",
    inputs=("rgb", "aspect-ratio", "silhouette-raw"),
    tasks=("identity",),
    fidelity="proposed",
    open_points=(
        "image tower: DINOv2's ViT-S/14 (image), as in BigGait",
        "sizes: crops at 448x224, tokens 32x16, maps 64x32 (image_px, map_px)",
        "features: the last layer for decoder and text, layers 3, 6, 9, 12 for the branch (layers, decoder_features)",
        "text tower: CLIP ViT-B/32 (text)",
        "positions of tokens: the tower's own table, not fixed sines (text_positions)",
        "MAM: rank 64, GELU, W_u starts at 0, no bias (mam_rank, mam_activation, mam_start)",
        "MAM follows the whole layer, every one (mam_layers)",
        "MAM sees no image, as equation 6 says (has_mam_gate)",
        "prompts: two sentences of our own about arms and legs, averaged; an LLM's from a file (prompts, prompts_file)",
        "wrong and random texts: our own, those of table 6 are not printed (prompt, prompt_seed)",
        "z_text: the end-of-text token after the final norm, without CLIP's projection (text_form, is_text_projected)",
        "d': the width of the image tower's last map",
        "attention: f (1 + sigmoid(cos(z, f) / tau)), tau learned from 0.07 (attention, attention_use, tau, attended)",
        "stored for inference: z_text and tau; the map is computed from the image each time",
        "decoder: BigGait's mask head, at a tenth of the learning rate after its own stage (decoder_dropout, recipe)",
        "channel 2 of the decoder is the person, as supervised (is_auto_swapped)",
        "silhouettes: those in the frame of the crop, cut at 0.5; empty ones do not count (silhouette_form)",
        "mask: core 1, seam soft, 0 elsewhere, no gradient (mask_use, has_mask_gradient)",
        "ResNet branch: 1x1 to 64, one residual block, 1x1 to 16, softmax (branch_width, out_channels)",
        "no second stream (two_stream)",
        "diversity: log2 C minus the entropy of channel use, as in BigGait (diversity)",
        "smoothness: mean absolute Sobel responses without the last channel (smoothness_channels)",
        "margin 0.2, cosines times 16, neck of 16 parts (margin, logit_scale, bins)",
        "MTCM: on the representation, kernels 3, 3x3x3 and 1x1, batch norm and ReLU (has_pte, has_rte, fusion)",
        "MTCM without a part: its branch hands on what it has (has_pte_conv, has_rte_difference, has_rte_conv)",
        "3D-CNN in its place: one convolution of 3x3x3 (temporal)",
        "T frames stay T: the difference behind the last frame is 0 (last_difference)",
        "frames: an ordered window of which 4 are dropped (recipe)",
        "gait network: ResNet9, 16 strips, BNNeck, as in BigGait (channels, strides)",
        "momentum 0.9, mixed precision, flips (recipe)",
        "the decoder's 5,000 steps come before the 40,000, with an optimizer of their own (recipe)",
    ),
    explains=True,
)


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the model."""
    registry.add(LMGAIT)
