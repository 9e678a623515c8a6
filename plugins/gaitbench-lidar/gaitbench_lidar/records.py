"""What there is to know of each dataset without its files: terms, how to get it, what to cite. Imports no code."""

from gaitbench.modality import Modality
from gaitbench.specs import DatasetSpec, ModalitySpec, ProtocolSpec

__all__ = ["DATASETS", "FREEGAIT", "LIDAR_FOLDER", "MMGAIT", "MODALITIES", "PROTOCOLS", "SUSTECH1K"]


def _masks(name: str, title: str) -> Modality:
    return Modality(name=name, title=title, kind="raster", codec="bits", dtype="uint8", channels=1, value_range=(0, 1))


def _picture(name: str, title: str, channels: int = 3) -> Modality:
    return Modality(
        name=name,
        title=title,
        kind="raster",
        codec="raw",
        dtype="uint8",
        channels=channels,
        value_range=(0, 255),
        is_exact=False,
    )


_MODALITIES = (
    _masks("lidar-silhouette", "Masks of the LiDAR returns on the person, aligned like silhouettes"),
    _masks("infrared-silhouette", "Masks of the person in the infrared camera, aligned like silhouettes"),
    _picture("infrared", "Crops of the walking person in the infrared camera"),
    _picture("event", "Pictures of what an event camera saw change"),
    _picture("depth-colour", "Depth-camera images as colours"),
    _picture("radar-depth", "Radar returns projected to an aligned range image"),
    Modality(
        name="radar",
        title="Returns of a 4D radar on the person: place, and what else the radar measures",
        kind="points",
        codec="points16",
        dtype="float32",
        channels=3,
        value_range=(-200, 200),
        unit="m",
        is_exact=False,
    ),
    Modality(
        name="lidar-range",
        title="LiDAR range images in the file's own numbers, 0 where nothing came back",
        kind="raster",
        codec="raw",
        dtype="float32",
        channels=1,
        value_range=(-100000, 100000),
        is_exact=False,
    ),
)

MODALITIES = tuple(
    ModalitySpec(name=modality.name, title=modality.title, modality=modality) for modality in _MODALITIES
)
"""Streams that core does not know."""

SUSTECH1K = DatasetSpec(
    name="sustech1k",
    title="SUSTech1K: 1,050 people outdoors, LiDAR and camera side by side, eight conditions, twelve views",
    source="C. Shen, C. Fan, W. Wu, R. Wang, G. Q. Huang, S. Yu, LidarGait: Benchmarking 3D Gait Recognition with "
    "Point Clouds, CVPR 2023",
    target="gaitbench_lidar.sustech1k:Sustech1k",
    options="gaitbench_lidar.sustech1k:Sustech1kOptions",
    modalities=(
        "silhouette",
        "lidar-depth",
        "lidar",
        "lidar-silhouette",
        "rgb",
        "aspect-ratio",
        "skeleton2d",
        "silhouette-raw",
    ),
    protocols=("sustech1k",),
    licence="Research only, under a signed agreement",
    access="Sign the agreement of https://lidargait.github.io and send it to shencf2019@mail.sustech.edu.cn; the reply "
    "has the password of the archives",
    citation="C. Shen, C. Fan, W. Wu, R. Wang, G. Q. Huang, S. Yu, LidarGait: Benchmarking 3D Gait Recognition with "
    "Point Clouds, CVPR 2023",
    redistribution=False,
)
FREEGAIT = DatasetSpec(
    name="freegait",
    title="FreeGait: 1,195 people in crowded public places, LiDAR and camera",
    source="X. Han et al., Gait Recognition in Large-scale Free Environment via Single LiDAR, ACM MM 2024",
    target="gaitbench_lidar.freegait:FreeGait",
    options="gaitbench_lidar.freegait:FreeGaitOptions",
    modalities=("silhouette", "lidar", "lidar-depth", "lidar-range", "skeleton3d", "smpl"),
    protocols=("freegait", "freegait-listed-gallery"),
    licence="Research only; terms of the project page",
    access="From the cloud drive that https://4dvlab.github.io/project_page/FreeGait.html links to; people are divided "
    "by FreeGait.json",
    citation="X. Han, Y. Ren, P. Cong, Y. Sun, J. Wang, L. Xu, Y. Ma, Gait Recognition in Large-scale Free Environment "
    "via Single LiDAR, ACM MM 2024",
)
MMGAIT = DatasetSpec(
    name="mmgait",
    title="MMGait: 725 people, in its extended version 1,015; thirteen streams of five sensors",
    source="MMGait, CVPR 2026 (arXiv 2604.15979), and its extended version",
    target="gaitbench_lidar.mmgait:MMGait",
    options="gaitbench_lidar.mmgait:MMGaitOptions",
    modalities=(
        "silhouette",
        "lidar-depth",
        "lidar",
        "rgb",
        "infrared",
        "infrared-silhouette",
        "event",
        "depth-colour",
        "radar",
        "radar-depth",
        "skeleton2d",
        "skeleton3d",
        "skeleton-map",
    ),
    protocols=("mmgait", "mmgait-v1", "mmgait-v2"),
    licence="Research only, under a signed agreement",
    access="Send the signed agreement to BNU-IVC@outlook.com, with a copy to chenye.wang@mail.bnu.edu.cn; people are "
    "divided by the partition file of the release",
    citation="MMGait, CVPR 2026 (arXiv 2604.15979)",
    redistribution=False,
)
LIDAR_FOLDER = DatasetSpec(
    name="lidar-folder",
    title="One's own LiDAR points in folders, as range images too: three projections, outliers removed, streams paired",
    source="the user's own files; what is read is documented in docs/own-data.md",
    target="gaitbench_lidar.points_folder:PointsFolder",
    options="gaitbench_lidar.points_folder:PointsFolderOptions",
    modalities=(
        "lidar-depth",
        "lidar",
        "silhouette",
        "rgb",
        "parsing",
        "depth",
        "skeleton2d",
        "skeleton3d",
        "lidar-range",
    ),
    protocols=("lidar-folder",),
    licence="that of the data",
    access="your own files, in folders named by subject, condition and view; see docs/own-data.md",
    population="",
)

DATASETS = (SUSTECH1K, FREEGAIT, MMGAIT, LIDAR_FOLDER)
"""Datasets in folders."""

PROTOCOLS = (
    ProtocolSpec(
        name="lidar-folder",
        title="One's own LiDAR data: subjects by lists or a hash; some conditions searched, the others asked about",
        source="gaitbench; the user's own division",
        target="gaitbench_lidar.points_folder:PROTOCOL",
        dataset="lidar-folder",
    ),
)
"""Protocols of these datasets that core does not have."""
