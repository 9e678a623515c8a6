"""Which package to install for a component that is published but not installed here.

Data for error messages only: nothing is imported, and a plugin that is not listed works just as well.
"""

__all__ = ["PACKAGES"]

_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "gaitbench-baselines": {
        "model": (
            "biggait",
            "cl-gait",
            "crossgait",
            "deepgaitv2-2d",
            "deepgaitv2-3d",
            "deepgaitv2-p3d",
            "gaitbase",
            "gaitgl",
            "gaitpart",
            "gaitset",
            "garnet",
            "gei",
            "gln",
            "lidargait",
            "multigait++",
            "nearest-raw",
            "omnigait",
            "parsinggait",
            "sconet",
            "shared-encoder",
            "skeletongait",
            "skeletongait++",
            "smplgait",
            "swingait",
            "two-stream",
            "unicrossgait",
        ),
    },
    "gaitbench-clipgar": {"model": ("clipgar",)},
    "gaitbench-lidar": {
        "model": ("lidargait++",),
        "dataset": ("freegait", "lidar-folder", "mmgait", "sustech1k"),
        "modality": (
            "depth-colour",
            "event",
            "infrared",
            "infrared-silhouette",
            "lidar-range",
            "lidar-silhouette",
            "radar",
            "radar-depth",
        ),
        "protocol": ("lidar-folder",),
    },
    "gaitbench-lmgait": {"model": ("lmgait",)},
    "gaitbench-rgb": {"dataset": ("casia-b-star", "ccgr-mini", "ccpg")},
    "gaitbench-silhouette": {
        "dataset": (
            "casia-b",
            "casia-e",
            "gait3d",
            "gait3d-parsing",
            "grew",
            "hid",
            "hid-2023",
            "ma-gait",
            "ou-mvlp",
            "ra-gar",
            "scoliosis1k",
            "usf-gait17",
        ),
        "protocol": ("usf-gait17",),
    },
    "gaitbench-skeleton": {"model": ("gaitgraph", "gaitgraph2", "gaitmixer", "gaittr", "gpgait", "gpgait++")},
    "gaitbench-sgcrossgait": {"model": ("sgcrossgait",)},
    "gaitbench-tcfdnet": {"model": ("tcfdnet",)},
}

PACKAGES: dict[tuple[str, str], str] = {
    (kind, name): package for package, kinds in _NAMES.items() for kind, names in kinds.items() for name in names
}
"""Kind and name to the package that has it."""
