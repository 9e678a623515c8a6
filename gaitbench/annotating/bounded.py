"""Responses that neither grow nor last without end; each piece of one alone may be small and quick.

This module imports `httpx2`, which comes with the `openai` package, and is imported when there is an endpoint to ask.
"""

import time
from collections.abc import Callable, Iterator

import httpx2

__all__ = ["OversizedAnswerError", "bound"]

MOST_BYTES = 4 << 20
"""Of one response."""


class OversizedAnswerError(httpx2.DecodingError):
    """A response is larger than any answer, or may be, as its size cannot be known before it is unpacked."""


def bound(timeout_s: float, clock: Callable[[], float] = time.monotonic) -> Callable[[httpx2.Response], None]:
    """A hook for an HTTP client that bounds its responses.

    Args:
        timeout_s: Longest time from the first to the last byte.
        clock: Gives seconds.

    Returns:
        The hook. Reading a response then raises :class:`OversizedAnswerError` or :class:`httpx2.ReadTimeout`.
    """

    def hook(response: httpx2.Response) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise OversizedAnswerError("the answer is compressed, which was not asked for")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, clock() + timeout_s, clock)

    return hook


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, end_s: float, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._end_s = end_s
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        num_bytes = 0
        for piece in self._stream:
            num_bytes += len(piece)
            if num_bytes > MOST_BYTES:
                raise OversizedAnswerError(f"the answer is larger than {MOST_BYTES:,} bytes")
            if self._clock() > self._end_s:
                raise httpx2.ReadTimeout("the answer does not end")
            yield piece

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
