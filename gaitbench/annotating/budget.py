"""What a run may spend: requests and tokens, counted over all threads."""

import threading
from typing import NamedTuple

from gaitbench.errors import UsageError

__all__ = ["Budget", "Spent"]


class Spent(NamedTuple):
    """What was used."""

    num_requests: int
    """Sent, those that failed among them."""
    num_tokens: int
    """Of questions and answers together."""


class Budget:
    """Lets requests through while they fit.

    What a request costs is known when its answer is there. So the first one of a run with a limit of tokens goes alone,
    and later ones are counted as dear as the dearest so far until they are settled: the limit is passed only by a
    request that is dearer than all before it.

    Args:
        max_requests: None for no limit.
        max_tokens: None for no limit.

    Raises:
        UsageError: A limit is below 1.

    Example:
        >>> budget = Budget(max_tokens=250)
        >>> for _ in range(2):
        ...     assert budget.take()
        ...     budget.settle(100)
        >>> budget.take(), budget.spent, budget.exhausted
        (False, Spent(num_requests=2, num_tokens=200), 'the limit of 250 tokens')
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        for what, limit in (("requests", max_requests), ("tokens", max_tokens)):
            if limit is not None and limit < 1:
                raise UsageError(f"the limit of {what} must be 1 or more, got {limit}.")
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._changed = threading.Condition()
        self._num_requests = self._num_tokens = self._num_open = 0
        self._dearest = 0
        self._is_closed = False
        self._exhausted = ""

    def take(self) -> bool:
        """Ask for one request; waits where only the end of others tells. Every True is followed by :meth:`settle`."""
        with self._changed:
            while not self._is_closed:
                if self._max_requests is not None and self._num_requests >= self._max_requests:
                    self._exhausted = f"the limit of {self._max_requests:,} requests"
                    return False
                if self._fits():
                    self._num_requests += 1
                    self._num_open += 1
                    return True
                if not self._num_open:
                    self._exhausted = f"the limit of {self._max_tokens:,} tokens"
                    return False
                self._changed.wait()
            return False

    def settle(self, num_tokens: int) -> None:
        """Say what a request has cost."""
        with self._changed:
            self._num_open -= 1
            self._num_tokens += num_tokens
            self._dearest = max(self._dearest, num_tokens)
            self._changed.notify_all()

    def close(self) -> None:
        """Let nothing through any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def spent(self) -> Spent:
        """What was used so far."""
        with self._changed:
            return Spent(self._num_requests, self._num_tokens)

    @property
    def exhausted(self) -> str:
        """The limit that a request did not fit into; empty when all did."""
        with self._changed:
            return self._exhausted

    def _fits(self) -> bool:
        if self._max_tokens is None:
            return True
        if not self._dearest:
            return not self._num_open
        return self._num_tokens + (self._num_open + 1) * self._dearest <= self._max_tokens
