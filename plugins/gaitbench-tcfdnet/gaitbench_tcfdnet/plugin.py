"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["TCFDNET", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

TCFDNET = ModelSpec(
    name="tcfdnet",
    title="TCFDNet: what is a sensor's own is put together from dictionary sentences and taken away",
    source="Z. Lu, M. Cheng, TCFDNet: Text-guided Cross-modal Feature Disentanglement Network, CVPR 2026 "
    "(arXiv 2605.30784), through notes of others",
    target="gaitbench_tcfdnet.model:TcfdNet",
    config="gaitbench_tcfdnet.config:TcfdNetConfig",
    presets="gaitbench_tcfdnet.presets:PRESETS",
    inputs=("silhouette", "lidar-depth"),
    tasks=("crossmodal",),
    fidelity="proposed",
    open_points=(
        "the paper was read through two notes of others, which differ in places",
        "sensors share everything, batch norms included; silhouettes are repeated to 3 channels (sharing)",
        "dictionary: 2 x 64 sentences of our own, l = 8 rounds; an LLM's from a file (dictionary)",
        "CLIP: ViT-B/16 at 64x64, positions resampled, all tokens projected to 512 (image, image_px, text)",
        "adapters: inner width 512, GELU, in place of what they read (adapter, adapter_width)",
        "retrieval: adapted class token, maximum over time, before the fusion; no gradient (retrieval)",
        "MF: 2 layers, 8 heads, norms in front, residual, inputs not in the sum (num_layers, heads, has_mf_residual)",
        "SW: 128 channels between, not bounded, weights start around 1 (sw_width, sw_activation)",
        "Omega: no temperature (tau)",
        "gate: inner width 128, bias starts at -2 (gate_width, gate_bias)",
        "FSE: stride 2, d' = 64 (fse_stride, fse_width)",
        "beta by sigmoid; one of two notes has a softmax (squash)",
        "triplets: across the sensors, both directions, margin 0.2, none within (margin, has_within_triplet)",
        "L_ortho: the cosine's size counts, as its literal minimum is -1 (orthogonality)",
        "HSIC: of globally averaged features (hsic_features)",
        "head: 16 parts, 512 to 256, cosines times 16, smoothing 0.1; compared by Euclidean distance (bins)",
        "patch exchange: half of the pairs, 4 of 4x4 cells, the same in all frames (exchange, exchange_grid)",
        "without GMTD: learned vectors, or a linear map of the feature; no alignment then (prototypes)",
        "without bypass: CLIP's patches, enlarged to 16x16 (has_bypass)",
        "printed epochs are taken for steps; weight decay 5e-4 and mixed precision as the sibling methods (recipe)",
    ),
    explains=True,
)


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the model."""
    registry.add(TCFDNET)
