"""Give the entries of a published state dict the names that they have here, and back."""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from gaitbench.errors import ModelError

__all__ = ["published_name", "rename_published"]

_MINUS_ONE = re.compile(r"@(\d+)")
_REFERENCE = re.compile(r"(@?)\\(?:g<(\w+)>|(\d))")
_PIECE = re.compile(
    r"\((?:\?P<(?P<name>\w+)>|(?P<apart>\?:))?(?P<inside>[^()]*)\)(?P<optional>\??)"
    r"|\[(?P<either>\w+)\]|\\(?P<escaped>\W)|(?P<plain>\w)"
)
"""What the patterns of key maps are made of."""


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
                renamed[key] = _rename(match, replacement)
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


def published_name(ours: str, patterns: Mapping[str, str], known: Collection[str]) -> str:
    r"""Find what an entry that is missing would be called in a published state dict.

    Args:
        ours: Its name here.
        patterns: As for :func:`rename_published`.
        known: Keys that the state dict has; where several would become ``ours``, the one that begins with most words
            of one of them is taken.

    Returns:
        The published key, or ``ours`` where no pattern leads to it.

    Example:
        >>> published_name("stages.1.bias", {r"layer(\d)\.(?:block\.)?(.+)": r"stages.@\1.\2"}, ["layer2.block.weight"])
        'layer2.block.bias'
    """
    found = [
        key
        for pattern, replacement in patterns.items()
        for key in _spell(pattern, _groups(replacement, ours))
        if (match := re.fullmatch(pattern, key)) and _rename(match, replacement) == ours
    ]

    def fit(key: str) -> tuple[int, int]:
        shared = max((_num_shared(key.split("."), other.split(".")) for other in known), default=0)
        return shared, -key.count(".")

    return max(found, key=fit, default=ours)


def _num_shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words both begin with."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _rename(match: re.Match[str], replacement: str) -> str:
    return _MINUS_ONE.sub(lambda number: str(int(number[1]) - 1), match.expand(replacement))


def _groups(replacement: str, ours: str) -> dict[str, str] | None:
    """Name or number of each group to the text that it must have had; None where the replacement never gives that."""
    parts: list[str] = []
    references: list[tuple[str, bool]] = []
    end = 0
    for reference in _REFERENCE.finditer(replacement):
        parts += [re.escape(replacement[end : reference.start()]), r"(\d+)" if reference[1] else "(.+?)"]
        references.append((reference[2] or reference[3], bool(reference[1])))
        end = reference.end()
    match = re.fullmatch("".join([*parts, re.escape(replacement[end:])]), ours)
    if match is None:
        return None
    texts = zip(references, match.groups(), strict=True)
    return {group: str(int(text) + 1) if is_less else text for (group, is_less), text in texts}


def _spell(pattern: str, groups: Mapping[str, str] | None) -> list[str]:
    """All texts of a pattern with given groups; none where it is made of other pieces than those of key maps."""
    if groups is None:
        return []
    choices: list[list[str]] = []
    number = end = 0
    for piece in _PIECE.finditer(pattern):
        if piece.start() != end:
            return []
        end = piece.end()
        if piece["inside"] is None:
            choices.append(list(piece["either"] or piece["escaped"] or piece["plain"]))
            continue
        options = [re.sub(r"\\(\W)", r"\1", option) for option in piece["inside"].split("|")]
        if not piece["apart"]:
            number += 1
            text = groups.get(piece["name"] or str(number))
            options = options if text is None else [text]
        choices.append([*options, ""] if piece["optional"] else options)
    return ["".join(choice) for choice in itertools.product(*choices)] if end == len(pattern) else []
