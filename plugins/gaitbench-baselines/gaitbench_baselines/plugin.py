"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec

__all__ = ["MODELS", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

MODELS = (
    ModelSpec(
        name="nearest-raw",
        title="Trivial: nearest neighbour of mean frames, nothing learned",
        source="Han and Bhanu, Individual Recognition Using Gait Energy Image, TPAMI 2006, without its learned part",
        target="gaitbench_baselines.nearest_raw:NearestRaw",
        config="gaitbench_baselines.nearest_raw:NearestRawConfig",
        presets="gaitbench_baselines.nearest_raw:PRESETS",
        inputs=("silhouette", "lidar-depth"),
        tasks=("identity", "crossmodal"),
        fidelity="paper",
        is_trivial=True,
    ),
    ModelSpec(
        name="gei",
        title="Gait energy image with PCA and shrinkage LDA",
        source="Han and Bhanu, Individual Recognition Using Gait Energy Image, TPAMI 2006: PCA and MDA",
        target="gaitbench_baselines.gei:Gei",
        config="gaitbench_baselines.gei:GeiConfig",
        presets="gaitbench_baselines.gei:PRESETS",
        inputs=("silhouette",),
        tasks=("identity",),
        fidelity="proposed",
        open_points=(
            "within-subject covariance: each subject's own, shrunk after Ledoit and Wolf; the paper uses none",
            "number of principal components: 200",
            "mean over the whole sequence, not over a detected gait cycle",
            "no synthetic templates",
        ),
    ),
    ModelSpec(
        name="gaitset",
        title="GaitSet: silhouettes as an unordered set",
        source="Chao et al., GaitSet: Regarding Gait as a Set for Cross-View Gait Recognition, AAAI 2019",
        target="gaitbench_baselines.gaitset:GaitSet",
        config="gaitbench_baselines.gaitset:GaitSetConfig",
        presets="gaitbench_baselines.gaitset:PRESETS",
        inputs=("silhouette",),
        tasks=("identity",),
        fidelity="parity",
    ),
    ModelSpec(
        name="gaitbase",
        title="GaitBase: ResNet9 per frame, set pooling, 16 strips, BNNeck",
        source="Fan et al., OpenGait: Revisiting Gait Recognition Toward Better Practicality, CVPR 2023, GaitBase",
        target="gaitbench_baselines.gaitbase:GaitBase",
        config="gaitbench_baselines.gaitbase:GaitBaseConfig",
        presets="gaitbench_baselines.gaitbase:PRESETS",
        inputs=("silhouette",),
        tasks=("identity",),
        fidelity="parity",
    ),
    ModelSpec(
        name="lidargait",
        title="LidarGait: GaitBase on LiDAR range images in false colour",
        source="Shen et al., LidarGait: Benchmarking 3D Gait Recognition with Point Clouds, CVPR 2023",
        target="gaitbench_baselines.gaitbase:GaitBase",
        config="gaitbench_baselines.gaitbase:LidarGaitConfig",
        presets="gaitbench_baselines.gaitbase:LIDARGAIT_PRESETS",
        inputs=("lidar-depth",),
        tasks=("identity",),
        fidelity="parity",
    ),
    ModelSpec(
        name="two-stream",
        title="Two encoders, one embedding space: silhouette against LiDAR range image",
        source="Common ground of CL-Gait (ECCV 2024), UniCrossGait (TMM 2026) and MMGait's baselines",
        target="gaitbench_baselines.two_stream:TwoStream",
        config="gaitbench_baselines.two_stream:TwoStreamConfig",
        presets="gaitbench_baselines.two_stream:PRESETS",
        inputs=("silhouette", "lidar-depth"),
        tasks=("crossmodal",),
        fidelity="proposed",
        open_points=(
            "encoders share no layer, so that each modality has its own batch norm; CL-Gait shares stages 2 to 4",
            "part matrices and neck are shared, as UniCrossGait's students do; CL-Gait has them per sensor",
            "triplets within each modality are added to those across",
            "no contrastive pre-training on synthetic pairs",
        ),
    ),
)
"""Everything this package registers."""


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the models."""
    for spec in MODELS:
        registry.add(spec)
