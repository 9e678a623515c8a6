"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["SG_CROSSGAIT", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

SG_CROSSGAIT = ModelSpec(
    name="sgcrossgait",
    title="SG-CrossGait: texts about the walk as the space between the sensors, shared and specific features apart",
    source="SG-CrossGait, IEEE TIFS 2026: abstract, the authors' list of gait description factors and their logs "
    "(repository O-VIGIA/SCCG)",
    target="gaitbench_sgcrossgait.model:SgCrossGait",
    config="gaitbench_sgcrossgait.config:SgCrossGaitConfig",
    presets="gaitbench_sgcrossgait.presets:PRESETS",
    inputs=("silhouette", "lidar-depth"),
    tasks=("crossmodal",),
    fidelity="proposed",
    open_points=(
        "neither paper nor code was at hand: abstract, list of factors, a training and an evaluation log",
        "texts: gait description factors in a sentence of ours, one per sequence (wording)",
        "without annotations the eight view sentences, or the dataset's own labels (source, attributes_told)",
        "texts of test sequences, which the authors' data folder has, are never read (annotations)",
        "text tower: CLIP's ViT-B/16, outside the model; no map behind it, as the log's text triplet is flat (text)",
        "image tower: CLIP's ViT-B/16, frozen, at 64x64, maximum over time (image, image_px)",
        "CLIP's 512-d head: cross-entropy, which the log has no key for; weight 0 as logged, 0.5 in full (recipe)",
        "DCF: attention both ways, 8 heads, feed-forward, 1x1 convolution (heads, num_layers, ffn_factor)",
        "DCF: one for both sensors; the log's 48.7 M parameters fit neither reading (fusion_sharing)",
        "SGFD: two 1x1 projections; the sensor is told of the average of the specific one (has_sgfd)",
        "SGFD: attention to the subject's texts, in training alone, with a loss of its own (guidance)",
        "alignment: pooled shared feature against texts, soft targets (positives)",
        "temperature: learned from 0.07; the logged run's alignment never moves, which is 1.0 (tau, is_tau_learned)",
        "kldiv: between both sensors' identity distributions, symmetric, temperature 4 (kl_temperature)",
        "MT: a linear head per factor on the pooled shared map, weight 0.1; none in the log (has_mt, has_viewpoint)",
        "the log's point branch is dead and its l1_loss 0: neither is built",
        "loss weights: 1, of texts 0.5 (recipe)",
        "range images: three false colours (encoding)",
        "smoothing of the modality's cross-entropy from the log's floor (label_smoothing)",
    ),
    explains=True,
)


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the model."""
    registry.add(SG_CROSSGAIT)
