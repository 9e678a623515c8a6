"""Words chosen by glob patterns and by inclusive ranges such as ``0001..0060``.

Axes: N words.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import ProtocolError

__all__ = ["matcher", "matches", "words_of"]


def matches(values: NDArray[np.str_], patterns: Iterable[str]) -> NDArray[np.bool_]:
    """Tell which words match at least one pattern.

    Args:
        values: ``[N]`` words.
        patterns: Globs (``nm-0[12]``, case counts) and inclusive ranges (``s001..s060``).

    Returns:
        ``[N]``.

    Raises:
        ProtocolError: A range cannot be read.

    Example:
        >>> matches(np.array(["007", "061"]), ["001..060"])
        array([ True, False])
    """
    known, index = np.unique(values, return_inverse=True)
    tests = [matcher(pattern) for pattern in patterns]
    hit = np.array([any(test(word) for test in tests) for word in known.tolist()], dtype=bool)
    return hit[index]


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Turn a pattern into a test of one word.

    A range compares numbers, so ``1..60`` and ``001..060`` both hold ``007``; its prefix must be the word's.

    Args:
        pattern: A glob or an inclusive range.

    Returns:
        A function from word to truth.

    Raises:
        ProtocolError: A range cannot be read.

    Example:
        >>> matcher("s001..s060")("s060"), matcher("nm-*")("bg-01")
        (True, False)
    """
    if parsed := _parse_range(pattern):
        prefix, first, last, _ = parsed
        numbered = re.compile(re.escape(prefix) + r"([0-9]+)")
        return lambda word: (found := numbered.fullmatch(word)) is not None and first <= int(found[1]) <= last
    glob = re.compile(translate(pattern))
    return lambda word: glob.match(word) is not None


def words_of(patterns: Iterable[str]) -> list[str]:
    """List the words that ranges and plain words stand for; a glob stands for nothing in particular.

    Args:
        patterns: Globs and inclusive ranges.

    Returns:
        Words in the order of the patterns, numbers as wide as the range's first.

    Raises:
        ProtocolError: A range cannot be read.

    Example:
        >>> words_of(["s08..s10", "x", "a*"])
        ['s08', 's09', 's10', 'x']
    """
    words: list[str] = []
    for pattern in patterns:
        if parsed := _parse_range(pattern):
            prefix, first, last, width = parsed
            words += [f"{prefix}{number:0{width}d}" for number in range(first, last + 1)]
        elif not re.search(r"[*?\[]", pattern):
            words.append(pattern)
    return words


def _parse_range(pattern: str) -> tuple[str, int, int, int] | None:
    """Prefix, first, last and width of ``s001..s060``; None for a glob."""
    if ".." not in pattern:
        return None
    ends = [re.fullmatch(r"(.*?)([0-9]+)", end) for end in pattern.split("..")]
    if len(ends) == 2 and ends[0] and ends[1] and ends[0][1] == ends[1][1] and int(ends[0][2]) <= int(ends[1][2]):
        return ends[0][1], int(ends[0][2]), int(ends[1][2]), len(ends[0][2])
    raise ProtocolError(
        f"range {pattern!r} cannot be read; write FIRST..LAST with one prefix and rising numbers, like 0001..0060"
    )
