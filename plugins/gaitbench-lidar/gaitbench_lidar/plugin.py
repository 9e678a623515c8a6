"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import ModelSpec
from gaitbench_lidar.records import DATASETS, MODALITIES, PROTOCOLS

__all__ = ["MODELS", "api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

MODELS = (
    ModelSpec(
        name="lidargait++",
        title="LidarGait++: point clouds, set abstraction, slices of metric height",
        source="Shen et al., LidarGait++: Learning Local Features and Size Awareness from LiDAR Point Clouds for 3D "
        "Gait Recognition, CVPR 2025",
        target="gaitbench_lidar.lidargaitpp:LidarGaitPP",
        config="gaitbench_lidar.lidargaitpp:LidarGaitPPConfig",
        presets="gaitbench_lidar.lidargaitpp:PRESETS",
        inputs=("lidar",),
        tasks=("identity",),
        fidelity="parity",
        published_keys="gaitbench_lidar.lidargaitpp:PUBLISHED_KEYS",
    ),
)
"""The models."""


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add models, datasets and what these consist of."""
    for spec in (*MODELS, *MODALITIES, *DATASETS, *PROTOCOLS):
        registry.add(spec)
