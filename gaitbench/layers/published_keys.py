"""Give the entries of a published state dict the names that they have here."""

import re
from collections.abc import Iterable, Mapping

from gaitbench.errors import ModelError

__all__ = ["rename_published"]

_MINUS_ONE = re.compile(r"@(\d+)")


def rename_published(keys: Iterable[str], patterns: Mapping[str, str]) -> dict[str, str]:
    r"""Translate published keys by a model's ``PUBLISHED_KEYS``.

    Args:
        keys: Keys of a published state dict.
        patterns: Regular expression of a whole key to its replacement, as in :func:`re.sub`. In a replacement,
            ``@`` before a number subtracts one from it: published stages often count from 1, lists here from 0.

    Returns:
        Published key to ours, in the order of ``keys``.

    Raises:
        ModelError: No pattern fits a key, or two keys would get one name; all such keys are listed.

    Example:
        >>> rename_published(["layer2.weight"], {r"layer(\d)\.(.+)": r"stages.@\1.\2"})
        {'layer2.weight': 'stages.1.weight'}
    """
    renamed: dict[str, str] = {}
    unknown: list[str] = []
    for key in keys:
        for pattern, replacement in patterns.items():
            if match := re.fullmatch(pattern, key):
                renamed[key] = _MINUS_ONE.sub(lambda number: str(int(number[1]) - 1), match.expand(replacement))
                break
        else:
            unknown.append(key)
    if unknown:
        raise ModelError(f"{len(unknown)} published keys have no place in this model: {', '.join(unknown)}")
    if len(set(renamed.values())) < len(renamed):
        names = list(renamed.values())
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ModelError(f"several published keys would become {', '.join(twice)}; check the model's PUBLISHED_KEYS")
    return renamed
