"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["MODELS", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

MODELS = (
    ModelSpec(
        name="gaitgraph",
        title="GaitGraph: residual graph network on joints, contrastive loss",
        source="Teepe et al., GaitGraph: Graph Convolutional Network for Skeleton-Based Gait Recognition, ICIP 2021",
        target="gaitbench_skeleton.gaitgraph:GaitGraph",
        config="gaitbench_skeleton.gaitgraph:GaitGraphConfig",
        presets="gaitbench_skeleton.gaitgraph:PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity", "attribute"),
        fidelity="parity",
        published_keys="gaitbench_skeleton.gaitgraph:PUBLISHED_KEYS",
    ),
    ModelSpec(
        name="gaitgraph2",
        title="GaitGraph2: three graph branches on joints, velocity and bones",
        source="Teepe et al., Towards a Deeper Understanding of Skeleton-based Gait Recognition, CVPRW 2022",
        target="gaitbench_skeleton.gaitgraph2:GaitGraph2",
        config="gaitbench_skeleton.gaitgraph2:GaitGraph2Config",
        presets="gaitbench_skeleton.gaitgraph2:PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity", "attribute"),
        fidelity="parity",
        published_keys="gaitbench_skeleton.gaitgraph2:PUBLISHED_KEYS",
    ),
    ModelSpec(
        name="gaittr",
        title="GaitTR: temporal convolutions and attention over the joints of each frame",
        source="Zhang et al., Spatial Transformer Network on Skeleton-based Gait Recognition, Expert Systems 2023",
        target="gaitbench_skeleton.gaittr:GaitTR",
        config="gaitbench_skeleton.gaittr:GaitTRConfig",
        presets="gaitbench_skeleton.gaittr:PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity", "attribute"),
        fidelity="parity",
        published_keys="gaitbench_skeleton.gaittr:PUBLISHED_KEYS",
    ),
    ModelSpec(
        name="gpgait",
        title="GPGait: human-oriented poses in graphs that part the body",
        source="Fu et al., GPGait: Generalized Pose-based Gait Recognition, ICCV 2023",
        target="gaitbench_skeleton.gpgait:GPGait",
        config="gaitbench_skeleton.gpgait:GPGaitConfig",
        presets="gaitbench_skeleton.gpgait:PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity", "attribute"),
        fidelity="paper",
        published_keys="gaitbench_skeleton.gpgait:PUBLISHED_KEYS",
    ),
    ModelSpec(
        name="gpgait++",
        title="GPGait++: GPGait with convolutions over time and attention per frame",
        source="Meng et al., GPGait++, TPAMI 2025",
        target="gaitbench_skeleton.gpgait:GPGait",
        config="gaitbench_skeleton.gpgait:GPGaitPPConfig",
        presets="gaitbench_skeleton.gpgait:GPGAITPP_PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity",),
        fidelity="paper",
        published_keys="gaitbench_skeleton.gpgait:GPGAITPP_KEYS",
    ),
    ModelSpec(
        name="gaitmixer",
        title="GaitMixer: attention over joints, then large convolutions over time",
        source="Pinyoanuntapong et al., GaitMixer: Skeleton-based Gait Representation Learning via Wide-spectrum "
        "Multi-axial Mixer, ICASSP 2023",
        target="gaitbench_skeleton.gaitmixer:GaitMixer",
        config="gaitbench_skeleton.gaitmixer:GaitMixerConfig",
        presets="gaitbench_skeleton.gaitmixer:PRESETS",
        inputs=("skeleton2d",),
        tasks=("identity",),
        fidelity="proposed",
        open_points=(
            "window of a test sequence: the middle, a short one repeated whole; published: three and their reversals",
            "tolerance of the mining: 0.1; the triplet loss measures by cosine and means over non-zero terms",
        ),
        published_keys="gaitbench_skeleton.gaitmixer:PUBLISHED_KEYS",
    ),
)
"""Everything this package registers."""


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the models."""
    for spec in MODELS:
        registry.add(spec)
