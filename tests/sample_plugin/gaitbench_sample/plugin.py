"""What this package adds to gaitbench. Imports no model code."""

from gaitbench.hookspecs import hookimpl
from gaitbench.modality import Modality
from gaitbench.registry import Registry
from gaitbench.specs import DatasetSpec, MetricSpec, ModalitySpec, ModelSpec, ProtocolSpec

api_version = 1

OUTLINE = Modality(
    name="sample-outline",
    title="Edge of a silhouette",
    kind="raster",
    codec="bits",
    dtype="uint8",
    channels=1,
    value_range=(0, 1),
)


@hookimpl
def gaitbench_register(registry: Registry) -> None:
    """Add one component of each kind."""
    registry.add(ModalitySpec(name=OUTLINE.name, title=OUTLINE.title, modality=OUTLINE))
    registry.add(
        DatasetSpec(
            name="sample-blobs",
            title="Swinging ellipses, generated",
            source="gaitbench-sample",
            target="gaitbench_sample.dataset:BlobsBuilder",
            options="gaitbench_sample.dataset:BlobsOptions",
            modalities=("silhouette", "sample-outline"),
            protocols=("sample-blobs",),
            needs_source=False,
            licence="Apache-2.0",
            access="generated on first use",
            citation="nothing to cite",
        )
    )
    registry.add(
        ProtocolSpec(
            name="sample-blobs",
            title="Take 1 against take 2, across views",
            source="gaitbench-sample",
            target="gaitbench_sample.dataset:PROTOCOL",
            dataset="sample-blobs",
        )
    )
    registry.add(
        ModelSpec(
            name="sample-mean",
            title="Mean silhouette through one linear layer",
            source="gaitbench-sample",
            target="gaitbench_sample.model:SampleMean",
            config="gaitbench_sample.model:SampleMeanConfig",
            presets="gaitbench_sample.model:PRESETS",
            inputs=("silhouette",),
            tasks=("identity",),
            fidelity="proposed",
            open_points=("everything: it is an example",),
        )
    )
    registry.add(
        MetricSpec(
            name="sample_reciprocal",
            title="One over the rank of the first match",
            source="gaitbench-sample",
            target="gaitbench_sample.metric:reciprocal_rank",
        )
    )
