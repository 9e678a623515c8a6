"""What this package adds to gaitbench. Imports nothing heavy."""

from gaitbench.hookspecs import hookimpl
from gaitbench.specs import DatasetSpec, ProtocolSpec
from gaitbench_silhouette.records import DATASETS

__all__ = ["api_version", "gaitbench_register"]

api_version = 1
"""The plugin interface this package is written for."""

_CITATION = (
    "H. Lu, K. N. Plataniotis, A. N. Venetsanopoulos, MPCA: Multilinear Principal Component Analysis of Tensor "
    "Objects, IEEE Transactions on Neural Networks 19(1):18-39, January 2008"
)


@hookimpl
def gaitbench_register(registry):  # type: ignore[no-untyped-def]
    """Add the datasets, and the protocols that core does not have."""
    for spec in DATASETS:
        registry.add(spec)
    registry.add(
        DatasetSpec(
            name="usf-gait17",
            title="USF HumanID gait challenge 1.7: 71 real people outdoors, silhouettes of 32x22 pixels",
            source=_CITATION,
            target="gaitbench_silhouette.usf_gait17:UsfGait17",
            options="gaitbench_silhouette.usf_gait17:UsfGait17Options",
            modalities=("silhouette",),
            protocols=("usf-gait17",),
            licence="Free for research; every document that reports work with the data cites the MPCA paper",
            access="Public tensor release by Haiping Lu: USF17Gal.mat and PrbA.mat to PrbG.mat in one folder",
            citation=_CITATION,
        )
    )
    registry.add(
        ProtocolSpec(
            name="usf-gait17",
            title="Gait challenge 1.7: gallery GAR, probe sets A to G, sets of half-cycles",
            source=f"{_CITATION}, Table VII",
            target="gaitbench_silhouette.usf_gait17:PROTOCOL",
            dataset="usf-gait17",
        )
    )
