"""Core's own components, registered through the same hook as any plugin's."""

from gaitbench.hookspecs import hookimpl
from gaitbench.modality import CORE_MODALITIES
from gaitbench.registry import Registry
from gaitbench.specs import (
    API_VERSION,
    DatasetSpec,
    MetricSpec,
    ModalitySpec,
    ProtocolSpec,
    TaskSpec,
)

__all__ = ["METRICS", "api_version", "gaitbench_register"]

api_version = API_VERSION
"""The plugin interface this module is written for."""


FERET = "Phillips et al., 'The FERET Evaluation Methodology for Face-Recognition Algorithms', TPAMI 2000"

METRICS = (
    MetricSpec(
        name="rank_1",
        title="Probes whose nearest gallery sequence shows their subject",
        source=f"{FERET} (cumulative match score); ties count against the probe",
        target="gaitbench.metrics.named:rank_1",
    ),
    MetricSpec(
        name="rank_5",
        title="Probes whose subject is among the 5 nearest",
        source=f"{FERET} (cumulative match score); ties count against the probe",
        target="gaitbench.metrics.named:rank_5",
    ),
    MetricSpec(
        name="rank_10",
        title="Probes whose subject is among the 10 nearest",
        source=f"{FERET} (cumulative match score); ties count against the probe",
        target="gaitbench.metrics.named:rank_10",
    ),
    MetricSpec(
        name="mean_ap",
        title="Mean average precision: how far up all matches of a probe are",
        source="Zheng et al., 'Scalable Person Re-identification: A Benchmark', ICCV 2015; ties against the probe",
        target="gaitbench.metrics.average_precision:average_precision",
    ),
    MetricSpec(
        name="mean_inp",
        title="Mean inverse negative penalty: how far up the hardest match of a probe is",
        source="Ye et al., 'Deep Learning for Person Re-identification: A Survey and Outlook', TPAMI 2022",
        target="gaitbench.metrics.average_precision:inverse_negative_penalty",
    ),
    MetricSpec(
        name="eer",
        title="Equal error rate of verification over all valid pairs",
        source="ISO/IEC 19795-1, biometric performance testing",
        target="gaitbench.metrics.verification:eer",
        unit="pairs",
        higher_is_better=False,
    ),
    MetricSpec(
        name="tar_at_far",
        title="True accept rate of verification at a false accept rate",
        source="ISO/IEC 19795-1, biometric performance testing",
        target="gaitbench.metrics.verification:tar_at_far",
        unit="pairs",
    ),
)
"""What the tasks report; they compute these in one pass, so that the targets serve those who want one alone."""


@hookimpl
def gaitbench_register(registry: Registry) -> None:
    """Add core's modalities, the walkers, the tasks and the metrics."""
    for modality in CORE_MODALITIES:
        registry.add(ModalitySpec(name=modality.name, title=modality.title, modality=modality))
    registry.add(
        DatasetSpec(
            name="walkers",
            title="Embedded synthetic walkers: generated here, calibrated to be difficult, never ranked with real data",
            source="gaitbench; body and gait parameters as documented in docs/datasets/walkers.md",
            target="gaitbench.walkers.builder:WalkersBuilder",
            options="gaitbench.walkers.builder:WalkersOptions",
            modalities=(
                "silhouette",
                "lidar",
                "lidar-depth",
                "rgb",
                "depth",
                "parsing",
                "skeleton2d",
                "skeleton3d",
            ),
            protocols=("walkers",),
            needs_source=False,
            licence="Apache-2.0, like gaitbench; no person was recorded",
            access="generated on first use",
            citation="gaitbench",
            preview="gaitbench.walkers.preview:contact_sheet",
        )
    )
    registry.add(
        ProtocolSpec(
            name="walkers",
            title="60 training and 40 test subjects; gallery nm-01, probes in other conditions and views",
            source="gaitbench; built like CASIA-B's cross-view protocol",
            target="gaitbench.walkers.protocol:WALKERS",
            dataset="walkers",
        )
    )
    registry.add(
        TaskSpec(
            name="identity",
            title="Who is the probe? Retrieval within one modality, or of models that fuse several",
            source=FERET,
            target="gaitbench.tasks.identity:IdentityTask",
        )
    )
    registry.add(
        TaskSpec(
            name="crossmodal",
            title="Who is the probe, when probe and gallery come from different sensors?",
            source="Guo et al., 'Camera-LiDAR Cross-modality Gait Recognition', ECCV 2024",
            target="gaitbench.tasks.crossmodal:CrossmodalTask",
        )
    )
    for metric in METRICS:
        registry.add(metric)
