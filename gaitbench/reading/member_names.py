"""Names inside archives: which of them may become files, and whether two of them would become one."""

import re
import unicodedata

from gaitbench.errors import DatasetError

__all__ = ["NameCheck", "path_parts"]

_MAX_PART_BYTES = 255
_MAX_PATH_BYTES = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_IN_MESSAGE = 80


def path_parts(name: str) -> tuple[str, ...]:
    """Take a member's name apart.

    Args:
        name: As the archive has it, with ``/`` between folders.

    Returns:
        Folders and file; empty for the root itself (``./``).

    Raises:
        DatasetError: The name could lead outside a folder, or is no name on some system. The message has the name and
            the reason, not the archive.

    Example:
        >>> path_parts("./001/nm-01/090/001.png")
        ('001', 'nm-01', '090', '001.png')
        >>> path_parts("../../etc/passwd")
        Traceback (most recent call last):
        gaitbench.errors.DatasetError: '../../etc/passwd' leads outside the folder (..)
    """
    reason = None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/"):
        reason = "is an absolute path"
    elif _DRIVE.match(name):
        reason = "names a drive"
    elif ".." in parts:
        reason = "leads outside the folder (..)"
    elif "\\" in name:
        reason = "has a backslash, which is a folder on some systems and a letter on others"
    elif any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        reason = "has a NUL or another control character"
    elif any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        reason = "is no text in UTF-8"
    elif any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        reason = f"has a part of more than {_MAX_PART_BYTES} bytes"
    elif len(name.encode()) > _MAX_PATH_BYTES:
        reason = f"has more than {_MAX_PATH_BYTES} bytes"
    if reason:
        raise DatasetError(f"{name[:_MAX_IN_MESSAGE]!a} {reason}")
    return parts


class NameCheck:
    """Remembers the names of an archive and refuses those that meet.

    Names that differ in case or in the way accents are written are one name on some systems, where the later file
    would take the place of the earlier one. Keeps about 100 bytes per member.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._files: set[int] = set()

    def add(self, parts: tuple[str, ...], *, is_folder: bool) -> None:
        """Take one member; a folder may be named again, a file may not.

        Raises:
            DatasetError: Another member has, or would have, the same name.
        """
        end = len(parts) if is_folder else len(parts) - 1
        for length in range(1, end + 1):
            exact = "/".join(parts[:length])
            folded = _fold(exact)
            if self._folders.setdefault(folded, exact) != exact:
                raise DatasetError(f"{exact!r} and {self._folders[folded]!r} are one folder where case does not count")
            if hash(folded) in self._files:
                raise DatasetError(f"{exact!r} is both a file and a folder")
        if is_folder:
            return
        exact = "/".join(parts)
        folded = _fold(exact)
        if hash(folded) in self._files:
            raise DatasetError(f"{exact!r} is there twice, or again in another case")
        if folded in self._folders:
            raise DatasetError(f"{exact!r} is both a file and a folder")
        self._files.add(hash(folded))


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())
