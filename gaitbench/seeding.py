"""Random numbers that depend on a seed and a place in the run alone, and algorithms that repeat.

Every draw is preceded by a seed derived from (run seed, stage, step), so that a run which was stopped and resumed
draws what an uninterrupted one draws, without storing the state of any generator.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator

import torch
import torch.utils.deterministic

from gaitbench.digest import canonical_json

__all__ = ["derive_seed", "deterministic"]


def derive_seed(*parts: int | str) -> int:
    """Derive a seed from whatever names the place of use.

    Returns:
        An integer in [0, 2**63). Places that differ in any part get unrelated seeds.

    Example:
        >>> derive_seed(0, "init") == derive_seed(0, "init")
        True
        >>> derive_seed(0, "train", 1) == derive_seed(0, "train", 2)
        False
    """
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Choose algorithms that give the same bits every time, where there are such, inside the block.

    An operation that has none warns and runs all the same. The former setting returns at the end.
    """
    was_enabled = torch.are_deterministic_algorithms_enabled()
    was_warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    was_benchmark = torch.backends.cudnn.benchmark
    was_filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # cuBLAS reads this when its handle is made, which is at the first product on the device.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_enabled, warn_only=was_warn_only)
        torch.backends.cudnn.benchmark = was_benchmark
        torch.utils.deterministic.fill_uninitialized_memory = was_filling  # type: ignore[attr-defined]
