"""Freed memory, kept for the next batch.

A batch takes tens of megabytes and gives them back a moment later. The C library returns such memory to the system,
which hands it out again page by page, each page with a fault: a quarter of the time of a training run on a CPU.
"""

import ctypes
import functools
import os
import sys

__all__ = ["keep_freed_memory"]

# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_INT = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library once to keep what this process frees; the process stays as large as it ever was.

    Whoever set ``MALLOC_TRIM_THRESHOLD_`` or ``GLIBC_TUNABLES`` knows better and is left alone.

    Returns:
        True when it was told; False on other systems and C libraries.

    Source:
        mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
    """
    if sys.platform != "linux" or {"MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"} & set(os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # The limit for single mappings first: setting one of the two stops it from adapting itself.
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_INT)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
