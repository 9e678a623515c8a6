"""Asking again when an endpoint is busy or silent: waits that double, with jitter, or as long as it asks for."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gaitbench.annotating.budget import Budget
from gaitbench.annotating.chat import Failure, Reply

__all__ = ["Backoff", "Clock", "Stopped", "ask_patiently"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """When to ask again."""

    num_tries: int = 5
    """Requests for one answer."""
    first_wait_s: float = 1.0
    """Longest wait after the first failure; it doubles with every other one."""
    longest_wait_s: float = 60.0
    """Longest wait that is not asked for."""
    longest_asked_wait_s: float = 600.0
    """Longest wait that is asked for and granted; an endpoint that asks for more has failed."""

    def wait_s(self, num_failures: int, failure: Failure, rng: random.Random) -> float:
        """How long to wait after so many failures, the last one being this.

        Example:
            >>> Backoff().wait_s(1, Failure("passing", "busy", retry_after_s=7.0), random.Random(0)) >= 7.0
            True
        """
        wait_s = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (num_failures - 1)) * rng.uniform(0.5, 1.0)
        if failure.retry_after_s is None:
            return wait_s
        # Many who were told the same moment should not come back in the same one.
        return failure.retry_after_s + rng.uniform(0.0, min(1.0, wait_s))


class Clock:
    """Time, and waiting that can be cut short.

    Args:
        sleep: Waits some seconds; None for real time, which :meth:`stop` ends.
        now: Gives seconds.
    """

    def __init__(
        self, sleep: Callable[[float], object] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self.now = now

    def sleep(self, seconds: float) -> None:
        """Wait, unless or until all is stopped."""
        if not self._stop.is_set():
            self._sleep(seconds)

    def stop(self) -> None:
        """End all waits, now and later."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        """True after :meth:`stop`."""
        return self._stop.is_set()


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing was asked, or not again: the budget is spent, or all is stopped."""


def ask_patiently(
    ask: Callable[[], Reply | Failure],
    budget: Budget,
    *,
    estimate: Callable[[Reply], int],
    backoff: Backoff,
    clock: Clock,
    rng: random.Random,
    tell: Callable[[str], None],
) -> Reply | Failure | Stopped:
    """Ask, and ask again while that may help.

    Args:
        ask: Sends one request.
        budget: Counts every request, also those that fail.
        estimate: Tokens of a reply that does not say what it used.
        backoff: When to ask again.
        clock: To wait with.
        rng: Of the jitter.
        tell: Is told of every wait.

    Returns:
        The reply; the last failure; or that the budget or the user stopped it.
    """
    failure: Failure | None = None
    for attempt in range(1, backoff.num_tries + 1):
        if clock.is_stopped or not budget.take():
            return Stopped()
        num_tokens = 0
        try:
            answer = ask()
            if isinstance(answer, Reply):
                told = (answer.prompt_tokens, answer.completion_tokens)
                num_tokens = estimate(answer) if None in told else sum(count or 0 for count in told)
                return answer
        finally:
            budget.settle(num_tokens)
        failure = answer
        if failure.kind != "passing":
            return failure
        if (failure.retry_after_s or 0) > backoff.longest_asked_wait_s:
            reason = f"{failure.reason}; it asks to wait {failure.retry_after_s:.0f} s"
            return Failure("stopping", reason, failure.retry_after_s)
        if attempt < backoff.num_tries:
            wait_s = backoff.wait_s(attempt, failure, rng)
            tell(f"waits {wait_s:.0f} s: {failure.reason}")
            clock.sleep(wait_s)
    assert failure is not None
    return Failure("passing", f"{failure.reason} ({backoff.num_tries} tries)", failure.retry_after_s)
