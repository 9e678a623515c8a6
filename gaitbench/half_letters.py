"""Text that no file can hold."""

import re

__all__ = ["has_half_letter"]

_HALF_LETTER = re.compile("[\ud800-\udfff]")


def has_half_letter(text: str) -> bool:
    r"""Tell whether there is half a letter in a text, a lone surrogate, which has no UTF-8 to save or hash.

    Args:
        text: Any; JSON's escapes and undecodable names of files can bring such halves.

    Example:
        >>> has_half_letter("a\ud800"), has_half_letter("naïve")
        (True, False)
    """
    return _HALF_LETTER.search(text) is not None
