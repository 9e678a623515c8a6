"""Groups cover every clip once, on threads that leave the caller's settings alone."""

import threading
from collections.abc import Iterator

import pytest
import torch

from gaitbench.threads import side_by_side

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_clips", [0, 1, 2, 5, 64])
def test_every_clip_once(two_threads: None, num_clips: int) -> None:
    counts = torch.zeros(num_clips)

    def count(start: int, end: int) -> None:
        counts[start:end] += 1

    side_by_side(count, num_clips, CPU)
    assert counts.tolist() == [1] * num_clips


def test_operations_of_a_group_run_on_one_core_and_the_caller_keeps_its_own(two_threads: None) -> None:
    seen: set[tuple[str, int]] = set()

    def look(start: int, end: int) -> None:
        seen.add((threading.current_thread().name.split("_")[0], torch.get_num_threads()))

    side_by_side(look, 64, CPU)
    assert seen == {("clips", 1)}
    assert torch.get_num_threads() == 2
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2], "threads that others start are as before"


def test_inference_mode_and_errors_reach_the_groups_and_back(two_threads: None) -> None:
    modes: set[bool] = set()

    def look(start: int, end: int) -> None:
        modes.add(torch.is_inference_mode_enabled())

    with torch.inference_mode():
        side_by_side(look, 64, CPU)
    assert modes == {True}

    def fail(start: int, end: int) -> None:
        raise LookupError(f"clip {start}")

    with pytest.raises(LookupError, match="clip 0"):
        side_by_side(fail, 64, CPU)
