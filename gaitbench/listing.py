"""Plain text for terminals and pipes: aligned columns, and blocks of labelled lines."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

__all__ = ["block", "columns"]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """Align rows under a head; the last column is cut to the terminal's width, and never cut in a pipe.

    Args:
        head: Titles of the columns.
        rows: One text per column.
        width: Characters per line; None asks the terminal.

    Example:
        >>> print(columns(["name", "title"], [["gei", "Gait energy image"]]))
        name  title
        gei   Gait energy image
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    lines = []
    for row in (head, *rows):
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    return "\n".join(lines)


def block(title: str, details: Sequence[tuple[str, Sequence[str]]], *, width: int = 100) -> str:
    """A title, then labels with their lines beside them.

    Example:
        >>> print(block("model gei", [("inputs", ["silhouette"])]))
        model gei
          inputs  silhouette
    """
    indent = max((len(label) for label, _ in details), default=0) + 4
    lines = [title]
    for label, texts in details:
        lead = f"  {label}".ljust(indent)
        for text in texts:
            lines.append(textwrap.fill(text, width, initial_indent=lead, subsequent_indent=" " * indent))
            lead = " " * indent
    return "\n".join(lines)
