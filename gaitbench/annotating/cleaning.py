"""Text of others, fit for a terminal, a file and a text encoder: one line without escapes, controls and markup."""

import re
import unicodedata

__all__ = ["clean_text", "without_controls"]

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)?"  # strings of other kinds
    r"|\x1b[ -/]*[0-~]?"
)
_TAGS = re.compile(r"</?[A-Za-z!?][^<>]*>|\[[^\[\]]*\]")
_MARKUP = frozenset("<>[]{}`|*~#\\^")
_LONGEST = 1 << 16


def clean_text(text: str, most_chars: int | None = None) -> str:
    r"""Make one plain line of whatever somebody else's program said.

    Terminal escapes, HTML and rich tags go with what is in them; control and formatting characters (invisible ones and
    those that change the direction of reading among them) and letters of markup are dropped; any white space becomes
    one space.

    Args:
        text: Anything; beyond 65,536 characters it is cut.
        most_chars: Longer lines are cut and end with three dots; None for no limit.

    Example:
        >>> clean_text("\x1b[31mA <b>walking</b>\n person\u202e, [bold]seen[/] from **behind**\x07")
        'A walking person, seen from behind'
        >>> clean_text("far too long", 9)
        'far to...'
    """
    if text.isascii() and text.isprintable() and _MARKUP.isdisjoint(text) and text == " ".join(text.split()):
        return _cut(text[:_LONGEST], most_chars)
    text = _TAGS.sub("", _ESCAPES.sub("", text[:_LONGEST]))
    kept = (" " if letter.isspace() else letter for letter in unicodedata.normalize("NFC", text))
    # Composed once more, as letters whose accents stood apart have come together; so the line stays as it is now.
    line = unicodedata.normalize("NFC", " ".join("".join(letter for letter in kept if _is_plain(letter)).split()))
    return _cut(line, most_chars)


def without_controls(text: str) -> str:
    r"""Drop escapes and control characters but line ends: for text of many lines that goes to a terminal.

    Example:
        >>> without_controls("a\x1b[31m list\n| b |")
        'a list\n| b |'
    """
    kept = _ESCAPES.sub("", text)
    return "".join(letter for letter in kept if letter == "\n" or unicodedata.category(letter)[0] != "C")


def _cut(line: str, most_chars: int | None) -> str:
    if most_chars is None or len(line) <= most_chars:
        return line
    return line[: most_chars - 3].rstrip() + "..."


def _is_plain(letter: str) -> bool:
    return letter not in _MARKUP and unicodedata.category(letter)[0] != "C"
