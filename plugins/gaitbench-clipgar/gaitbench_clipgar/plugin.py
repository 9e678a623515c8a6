"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["CLIPGAR", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

CLIPGAR = ModelSpec(
    name="clipgar",
    title="CLIP-GAR: attributes by likeness to sentences, then from clip and sentences in one transformer",
    source="Wang et al., RA-GAR and CLIP-GAR, AAAI 2025, 39(7):7591-7599",
    target="gaitbench_clipgar.model:ClipGar",
    config="gaitbench_clipgar.config:ClipGarConfig",
    presets="gaitbench_clipgar.presets:PRESETS",
    inputs=("silhouette",),
    tasks=("attribute",),
    fidelity="proposed",
    open_points=(
        "sentences: the template is printed, and two of RA-GAR's 45; all other words are ours (words, sentences)",
        "the order of classes is that of the data's card; MA-Gait's attributes are not known by name (sentences)",
        "text tower: that of CLIP's RN50, whose width the paper's 1,024 is (text)",
        "likeness of 8 parts and a sentence: the mean of their cosines (likeness)",
        "equation 1: labels divided by their sum, absent classes skipped, KL(target, prediction), mean over attributes",
        "temperature: starts at 0.07, factor at most 100 (tau, is_tau_learned, max_scale)",
        "the encoder starts from random weights (recipe.start_from)",
        "the fusion sees the encoder's parts, not those mapped to the text width (fused)",
        "sentences enter the fusion as the tower gives them (is_text_normalised)",
        "transformer block: norms in front, 8 heads, inner width x 4, GELU, dropout 0.1, none behind (is_pre_norm)",
        "equation 3: summed over labels, mean over sequences, unweighted (weighting)",
        "labels are told above 0.5; after the first stage the most alike sentence of each attribute (decision)",
        "in the second stage the encoder's batch norms keep their statistics (recipe)",
        "clips of 30 consecutive frames, constant rate, mixed precision, no augmentation, last weights (recipe)",
        "CLIP's image encoder: frames of 64x64 enlarged to 224x224, mean over frames (image_px, width_px)",
        "its fine-tuning: equation 1, 8 frames, 20,000 steps, the text tower frozen (recipe)",
    ),
)


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the model."""
    registry.add(CLIPGAR)
