"""Random numbers that belong to a name, not to a place in a queue.

Every draw of the walkers comes from a stream keyed by what it is for (seed, subject, condition, view, purpose), so
that a sequence comes out the same whichever chunk or process generates it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounded_normal", "stream"]


def stream(seed: int, *key: str) -> np.random.Generator:
    """Open the random stream of a name.

    Args:
        seed: The dataset's seed.
        key: Words that name the stream; the order counts.

    Example:
        >>> bool(stream(1, "0001", "body").integers(1000) == stream(1, "0001", "body").integers(1000))
        True
    """
    digest = hashlib.sha256("\x1f".join((str(seed), *key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def bounded_normal(
    rng: np.random.Generator, shape: int | tuple[int, ...] = (), limit: float = 2.0
) -> NDArray[np.float64]:
    """Draw standard normal numbers and clip them to ``[-limit, limit]``: people, not monsters.

    Example:
        >>> bool(abs(bounded_normal(stream(0, "x"), 1000)).max() <= 2)
        True
    """
    return np.clip(np.asarray(rng.standard_normal(shape)), -limit, limit)
