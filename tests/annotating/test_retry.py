import random

import pytest

from gaitbench.annotating.budget import Budget
from gaitbench.annotating.chat import Failure, Reply
from gaitbench.annotating.retry import Backoff, Clock, Stopped, ask_patiently

BUSY = Failure("passing", "status 429: busy")
GOOD = Reply("{}", prompt_tokens=7, completion_tokens=3)


class Script:
    """Gives one answer after the other, and keeps what was waited for."""

    def __init__(self, *answers: Reply | Failure) -> None:
        self.answers = list(answers)
        self.waits: list[float] = []
        self.told: list[str] = []
        self.budget = Budget()

    def run(self, **backoff: float) -> Reply | Failure | Stopped:
        return ask_patiently(
            lambda: self.answers.pop(0),
            self.budget,
            estimate=lambda reply: 1000,
            backoff=Backoff(**backoff),
            clock=Clock(self.waits.append),
            rng=random.Random(0),
            tell=self.told.append,
        )


def test_waits_double_up_to_a_longest_with_jitter() -> None:
    script = Script(*[BUSY] * 7, GOOD)
    assert script.run(num_tries=8, first_wait_s=1.0, longest_wait_s=10.0) is GOOD
    bounds = [1, 2, 4, 8, 10, 10, 10]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(script.waits, bounds, strict=True))
    assert len(set(script.waits)) == 7
    assert script.told[0].startswith("waits 1 s: status 429: busy")
    assert script.budget.spent == (8, 10)


def test_what_is_asked_for_is_waited() -> None:
    script = Script(Failure("passing", "busy", 7.5), Failure("passing", "busy", 0.0), GOOD)
    assert script.run() is GOOD
    assert 7.5 <= script.waits[0] <= 8.5
    assert 0 <= script.waits[1] <= 1


def test_a_wait_that_is_too_long_ends_it() -> None:
    found = Script(Failure("passing", "busy", 3600.0)).run()
    assert isinstance(found, Failure)
    assert (found.kind, found.reason) == ("stopping", "busy; it asks to wait 3600 s")


def test_it_gives_up() -> None:
    script = Script(*[BUSY] * 3)
    found = script.run(num_tries=3)
    assert isinstance(found, Failure)
    assert found.reason == "status 429: busy (3 tries)"
    assert len(script.waits) == 2


@pytest.mark.parametrize("kind", ["rejected", "stopping"])
def test_what_will_not_change_is_not_tried_again(kind: str) -> None:
    failure = Failure(kind, "no")
    script = Script(failure)
    assert script.run() is failure
    assert script.waits == []


def test_the_budget_ends_it_between_two_tries() -> None:
    script = Script(BUSY, BUSY)
    script.budget = Budget(max_requests=2)
    assert isinstance(script.run(), Stopped)
    assert script.answers == []


def test_silent_servers_are_estimated() -> None:
    script = Script(Reply("{}"))
    script.run()
    assert script.budget.spent == (1, 1000)


def test_stopping_ends_all_waits_and_tries() -> None:
    clock = Clock()
    clock.stop()
    clock.sleep(1000)
    budget = Budget()
    found = ask_patiently(
        lambda: GOOD,
        budget,
        estimate=lambda reply: 0,
        backoff=Backoff(),
        clock=clock,
        rng=random.Random(0),
        tell=lambda text: None,
    )
    assert isinstance(found, Stopped)
    assert budget.spent == (0, 0)
