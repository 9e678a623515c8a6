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

__all__ = ["ATTRIBUTE_PROTOCOLS", "METRICS", "PROTOCOLS", "api_version", "gaitbench_register"]

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
    MetricSpec(
        name="ma",
        title="mA of attributes: mean over labels of true positive and true negative rate",
        source="Deng et al., 'Pedestrian Attribute Recognition at Far Distance', ACM MM 2014",
        target="gaitbench.metrics.label_based:mean_accuracy",
        tasks=("attribute",),
        unit="labels",
    ),
    MetricSpec(
        name="acc_elementwise",
        title="Share of the cells of the label matrix that are right",
        source="'ACC' of Wang et al. (RA-GAR), AAAI 2025, as its precision and recall imply",
        target="gaitbench.metrics.label_based:element_accuracy",
        tasks=("attribute",),
        unit="labels",
    ),
    MetricSpec(
        name="instance",
        title="Precision, recall, F1 and Jaccard accuracy of each sequence's labels, averaged over sequences",
        source="Li et al., 'A Richly Annotated Pedestrian Dataset for Person Retrieval in Real Surveillance "
        "Scenarios', TIP 2019",
        target="gaitbench.metrics.instance_based:instance_means",
        tasks=("attribute",),
        unit="labels",
    ),
    MetricSpec(
        name="ma_classes",
        title="Mean over classes of the share told right: mA of an attribute of any number of classes",
        source="Brodersen et al., 'The Balanced Accuracy and Its Posterior Distribution', ICPR 2010",
        target="gaitbench.metrics.class_based:class_recall",
        tasks=("attribute",),
        unit="labels",
    ),
)
"""What the tasks report; they compute these in one pass, so that the targets serve those who want one alone."""

OPENGAIT = "rules of the public OpenGait evaluator"


def _protocol(name: str, target: str, title: str, source: str, *, dataset: str = "") -> ProtocolSpec:
    return ProtocolSpec(
        name=name, title=title, source=source, target=f"gaitbench.protocols.{target}", dataset=dataset or name
    )


PROTOCOLS = (
    _protocol("casia-b", "casia_b:CASIA_B", "CASIA-B, one gallery view at a time", f"Yu et al., ICPR 2006; {OPENGAIT}"),
    _protocol(
        "casia-b-cross-view",
        "casia_b:CASIA_B_CROSS_VIEW",
        "CASIA-B, one gallery of all views and conditions: rank-1 and mAP",
        f"Hou et al., TBIOM 2022; {OPENGAIT}",
        dataset="casia-b",
    ),
    _protocol(
        "casia-b-star",
        "casia_b:CASIA_B_STAR",
        "CASIA-B*, newly segmented, counted as CASIA-B",
        f"Liang et al., ECCV 2022; {OPENGAIT}",
    ),
    _protocol(
        "ou-mvlp",
        "ou_mvlp:OU_MVLP",
        "OU-MVLP, one gallery view at a time",
        f"Takemura et al., IPSJ TCVA 2018; {OPENGAIT}",
    ),
    _protocol(
        "ou-mvlp-present",
        "ou_mvlp:OU_MVLP_PRESENT",
        "OU-MVLP without the probes that cannot be found, not the official number",
        f"Takemura et al., IPSJ TCVA 2018; {OPENGAIT}",
        dataset="ou-mvlp",
    ),
    _protocol(
        "ou-mvlp-cross-view",
        "ou_mvlp:OU_MVLP_CROSS_VIEW",
        "OU-MVLP, one gallery of all views: rank-1 and mAP",
        f"Takemura et al., IPSJ TCVA 2018; {OPENGAIT}",
        dataset="ou-mvlp",
    ),
    _protocol("grew", "grew:GREW", "GREW, the file for the benchmark's server", f"Zhu et al., ICCV 2021; {OPENGAIT}"),
    _protocol(
        "grew-validation",
        "grew:GREW_VALIDATION",
        "GREW's gallery against itself, a local stand-in",
        f"Zhu et al., ICCV 2021; {OPENGAIT}",
        dataset="grew",
    ),
    _protocol(
        "gait3d",
        "gait3d:GAIT3D",
        "Gait3D, listed probes against all the rest",
        f"Zheng et al., CVPR 2022; {OPENGAIT}",
    ),
    _protocol(
        "gait3d-parsing",
        "gait3d:GAIT3D_PARSING",
        "Gait3D-Parsing, listed probes against all the rest, by the cosine",
        f"Zheng et al., ACM MM 2023; {OPENGAIT}",
    ),
    _protocol(
        "ccpg",
        "ccpg:CCPG",
        "CCPG, the protocol of gait papers: identical cameras left out",
        f"Li et al., CVPR 2023; {OPENGAIT}",
    ),
    _protocol(
        "ccpg-with-identical-views",
        "ccpg:CCPG_WITH_IDENTICAL_VIEWS",
        "CCPG, all camera cells, identical cameras among them",
        f"Li et al., CVPR 2023; {OPENGAIT}",
        dataset="ccpg",
    ),
    _protocol(
        "ccpg-reid",
        "ccpg:CCPG_REID",
        "CCPG, the protocol of person re-identification: rank-1, mAP, mINP",
        f"Li et al., CVPR 2023; {OPENGAIT}",
        dataset="ccpg",
    ),
    _protocol(
        "sustech1k",
        "sustech1k:SUSTECH1K",
        "SUSTech1K, eight conditions and their union, one gallery view at a time",
        f"Shen et al., CVPR 2023; {OPENGAIT}",
    ),
    _protocol(
        "sustech1k-with-identical-views",
        "sustech1k:SUSTECH1K_WITH_IDENTICAL_VIEWS",
        "SUSTech1K, all view cells, for probe and gallery of two sensors",
        f"Shen et al., CVPR 2023; {OPENGAIT}, diagonal kept",
        dataset="sustech1k",
    ),
    _protocol(
        "freegait",
        "freegait:FREEGAIT",
        "FreeGait, listed probes against all the rest",
        f"Han et al., ACM MM 2024; {OPENGAIT}",
    ),
    _protocol(
        "freegait-listed-gallery",
        "freegait:FREEGAIT_LISTED",
        "FreeGait, listed probes against the listed gallery and nothing else",
        "Han et al., ACM MM 2024; the lists that come with the data",
        dataset="freegait",
    ),
    _protocol(
        "ccgr-mini",
        "ccgr_mini:CCGR_MINI",
        "CCGR-MINI, a listed gallery asked by all the rest",
        f"Zou et al., AAAI 2024; {OPENGAIT}",
    ),
    _protocol(
        "ccgr-easy",
        "ccgr:CCGR_EASY",
        "CCGR, the normal walk searched, each other covariate asked about",
        "Zou et al., AAAI 2024; rules of its public scoring script",
        dataset="ccgr",
    ),
    _protocol(
        "ccgr-hard",
        "ccgr:CCGR_HARD",
        "CCGR, every covariate against every other",
        "Zou et al., AAAI 2024; rules of its public scoring script",
        dataset="ccgr",
    ),
    _protocol(
        "mmgait",
        "mmgait:MMGAIT",
        "MMGait, one normal walk searched, one gallery view at a time: rank-1 and mAP",
        f"MMGait, CVPR 2026, arXiv 2604.15979; {OPENGAIT}",
    ),
    _protocol(
        "mmgait-v1",
        "mmgait:MMGAIT_V1",
        "MMGait's extended version, two normal walks searched, one gallery view at a time",
        "MMGait, extended version of September 2026",
        dataset="mmgait",
    ),
    _protocol(
        "mmgait-v2",
        "mmgait:MMGAIT_V2",
        "MMGait's extended version, all walks of all other people as impostors in every cell",
        "MMGait, extended version of September 2026",
        dataset="mmgait",
    ),
    _protocol(
        "casia-e",
        "casia_e:CASIA_E",
        "CASIA-E, scene 1 searched, one gallery view at a time",
        f"Song et al., TPAMI 2022; {OPENGAIT}",
    ),
    _protocol(
        "hid",
        "hid:HID",
        "HID 2020 to 2022, the file for the competition's server",
        f"Yu et al., HID reports, IJCB 2022; {OPENGAIT}",
    ),
    _protocol(
        "hid-2023",
        "hid:HID_2023",
        "HID since 2023, the file for the competition's server",
        f"Yu et al., HID reports, IJCB 2023 to 2025; {OPENGAIT}",
    ),
)
"""Official protocols of public datasets. They are registered here, as embeddings are scored without the datasets."""

ATTRIBUTE_PROTOCOLS = (
    _protocol(
        "ra-gar",
        "ra_gar:RA_GAR",
        "RA-GAR, attributes: 250 training and 283 test subjects (the paper's text says 288)",
        "Wang et al., AAAI 2025",
    ),
    _protocol(
        "ma-gait",
        "ma_gait:MA_GAIT",
        "MA-Gait, attributes: the user's own division, as none is published",
        "IEEE TIFS 19, 2024",
    ),
    *(
        _protocol(
            f"scoliosis1k-{ratio}",
            f"scoliosis1k:SCOLIOSIS1K_{ratio}",
            f"Scoliosis1K, screening: the authors' list {ratio}",
            "Zhou et al., MICCAI 2024",
            dataset="scoliosis1k",
        )
        for ratio in ("112", "114", "118", "1116")
    ),
)
"""Divisions for attributes, by which nobody is identified."""


@hookimpl
def gaitbench_register(registry: Registry) -> None:
    """Add core's modalities, the walkers, one's own folders, the official protocols, the tasks and the metrics."""
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
                "silhouette-raw",
            ),
            protocols=("walkers",),
            needs_source=False,
            licence="Apache-2.0, like gaitbench; no person was recorded",
            access="generated on first use",
            citation="gaitbench",
            redistribution=True,
            preview="gaitbench.walkers.preview:contact_sheet",
            population="walkers of seed {seed}",
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
        DatasetSpec(
            name="folder",
            title="One's own data in folders: subject/condition/view/frames as pictures, arrays, videos, points, poses",
            source="the user's own files; what is read is documented in docs/own-data.md",
            target="gaitbench.folder.builder:FolderBuilder",
            options="gaitbench.folder.options:FolderOptions",
            modalities=("silhouette", "rgb", "parsing", "depth", "lidar", "skeleton2d", "skeleton3d"),
            protocols=("folder",),
            licence="that of the data",
            access="your own files, in folders named by subject, condition and view; see docs/own-data.md",
            population="",
        )
    )
    registry.add(
        ProtocolSpec(
            name="folder",
            title="One's own data: subjects by lists or a hash; some conditions searched, the others asked about",
            source="gaitbench; the user's own division",
            target="gaitbench.folder.protocol:FOLDER",
            dataset="folder",
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
    registry.add(
        TaskSpec(
            name="attribute",
            title="What is the walker like? A class of each attribute that the data declare",
            source="Wang et al. (RA-GAR), AAAI 2025, 39(7):7591-7599",
            target="gaitbench.tasks.attribute:AttributeTask",
        )
    )
    for component in (*PROTOCOLS, *ATTRIBUTE_PROTOCOLS, *METRICS):
        registry.add(component)
