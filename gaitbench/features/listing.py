"""What features are kept, and how to be rid of them: they can always be computed again."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitbench.atomic import output_errors
from gaitbench.errors import UnknownNameError
from gaitbench.features.folder import ABOUT_FILE, features_root
from gaitbench.registry import nearest

__all__ = ["KeptFeatures", "list_features", "remove_features"]

_UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class KeptFeatures:
    """The features of one dataset, computed in one way."""

    name: str
    """Of the folder, as ``gaitbench features --remove`` takes it."""
    dataset: str
    """Name of the dataset; ``?``, as in the next fields, where the description of the folder cannot be read."""
    model: str
    """Class of the model that computed them first."""
    features: str
    """Their name in a batch."""
    shape: tuple[int, ...]
    """C', h, w of a frame."""
    dtype: str
    """Of the values."""
    num_bytes: int
    """On the disk."""
    path: Path
    """The folder."""


def list_features() -> list[KeptFeatures]:
    """All features in the cache, by name; nothing but their descriptions and sizes is read."""
    root = features_root()
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [_describe(folder) for folder in folders]


def remove_features(names: Sequence[str]) -> list[KeptFeatures]:
    """Remove features; a run that reads them at this moment goes on.

    Args:
        names: Of their folders, as :func:`list_features` gives them; ``all`` for every one.

    Returns:
        What was removed.

    Raises:
        UnknownNameError: There are none of a name; nothing is removed then.
        OutputError: A file cannot be removed.
    """
    there = {kept.name: kept for kept in list_features()}
    chosen = list(there) if list(names) == ["all"] else list(dict.fromkeys(names))
    for name in chosen:
        if name not in there:
            near = nearest(name, there)
            raise UnknownNameError(
                f"there are no features {name!r} in {features_root()}"
                + (f"; did you mean {near!r}?" if near else ".")
                + " 'gaitbench features' lists them."
            )
    for name in chosen:
        with output_errors(there[name].path):
            shutil.rmtree(there[name].path)
    return [there[name] for name in chosen]


def _describe(folder: Path) -> KeptFeatures:
    try:
        about = json.loads((folder / ABOUT_FILE).read_bytes())
        words = (str(about["dataset"][0]), str(about["model"]), str(about["name"]))
        shape, dtype = tuple(int(size) for size in about["shape"]), str(about["dtype"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        words, shape, dtype = (_UNKNOWN, _UNKNOWN, _UNKNOWN), (), _UNKNOWN
    num_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return KeptFeatures(folder.name, *words, shape, dtype, num_bytes, folder)
