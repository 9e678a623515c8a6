"""Which package to install for a component that is published but not installed here.

Data for error messages only: nothing is imported, and a plugin that is not listed works just as well.
"""

__all__ = ["PACKAGES"]

PACKAGES: dict[tuple[str, str], str] = {
    ("model", "gei"): "gaitbench-baselines",
    ("model", "nearest-raw"): "gaitbench-baselines",
    ("model", "gaitset"): "gaitbench-baselines",
    ("model", "gaitbase"): "gaitbench-baselines",
    ("model", "lidargait"): "gaitbench-baselines",
    ("model", "two-stream"): "gaitbench-baselines",
    ("dataset", "usf-gait17"): "gaitbench-silhouette",
    ("protocol", "usf-gait17"): "gaitbench-silhouette",
}
"""Kind and name to the package that has it."""
