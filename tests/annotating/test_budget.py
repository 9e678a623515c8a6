import threading

import pytest

from gaitbench.annotating.budget import Budget, Spent
from gaitbench.errors import UsageError


def test_without_limits_everything_goes() -> None:
    budget = Budget()
    for _ in range(100):
        assert budget.take()
    for _ in range(100):
        budget.settle(10)
    assert budget.spent == Spent(100, 1000)
    assert budget.exhausted == ""


def test_requests_are_counted_when_they_are_sent() -> None:
    budget = Budget(max_requests=2)
    assert budget.take()
    assert budget.take()
    assert not budget.take()
    assert budget.exhausted == "the limit of 2 requests"


def test_a_limit_that_just_suffices_is_not_exhausted() -> None:
    budget = Budget(max_requests=1, max_tokens=10)
    assert budget.take()
    budget.settle(10)
    assert budget.exhausted == ""


@pytest.mark.parametrize(("limit", "num"), [(1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (250, 2), (300, 3)])
def test_tokens_are_not_passed_by_requests_of_one_price(limit: int, num: int) -> None:
    budget = Budget(max_tokens=limit)
    taken = 0
    while budget.take():
        taken += 1
        budget.settle(100)
    assert taken == num
    assert budget.exhausted == f"the limit of {limit} tokens"


def test_the_dearest_so_far_is_expected() -> None:
    budget = Budget(max_tokens=100)
    for cost in (10, 60):
        assert budget.take()
        budget.settle(cost)
    assert not budget.take()  # 70 + 60


@pytest.mark.parametrize("num_threads", [2, 8])
def test_threads_together_keep_both_limits(num_threads: int) -> None:
    budget, lock, most = Budget(max_requests=40, max_tokens=250), threading.Lock(), [0, 0]

    def work() -> None:
        while budget.take():
            with lock:
                most[0] += 1
                most[1] = max(most[1], most[0])
            with lock:
                most[0] -= 1
            budget.settle(10)

    threads = [threading.Thread(target=work) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert budget.spent == Spent(25, 250)
    assert most[1] <= num_threads


def test_closing_wakes_whoever_waits() -> None:
    budget = Budget(max_tokens=100)
    assert budget.take()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(budget.take()))
    thread.start()
    budget.close()
    thread.join(10)
    assert found == [False]
    assert budget.exhausted == ""


@pytest.mark.parametrize("limits", [{"max_requests": 0}, {"max_tokens": -1}])
def test_limits_that_cannot_be(limits: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        Budget(**limits)
