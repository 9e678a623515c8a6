"""Work on a batch in groups of clips: small enough for the processor's cache, side by side on its cores.

Torch splits each single operation over the cores and waits for the slowest one, a dozen times per batch; on a machine
that does other work too that costs several times the work itself. Groups go through all operations on one core each.
"""

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["side_by_side"]


def side_by_side(task: Callable[[int, int], None], num_clips: int, device: torch.device) -> None:
    """Run a task on all clips, in groups on the CPU, in one go elsewhere.

    Args:
        task: Works on clips ``start`` to ``end``, and on nothing that another group writes.
        num_clips: N.
        device: Where the work is done.

    Example:
        >>> done = torch.zeros(10)
        >>> def count(start, end):
        ...     done[start:end] += 1
        >>> side_by_side(count, 10, torch.device("cpu"))
        >>> done.sum()
        tensor(10.)
    """
    if device.type != "cpu":
        task(0, num_clips)
        return
    num_threads = torch.get_num_threads()
    # One group per thread: more would only make threads wait for each other between operations.
    size = max(1, -(-num_clips // num_threads))
    groups = [(start, min(start + size, num_clips)) for start in range(0, num_clips, size)]
    if num_threads == 1 or len(groups) == 1:
        for start, end in groups:
            task(start, end)
        return
    is_inference = torch.is_inference_mode_enabled()

    def run(group: tuple[int, int]) -> None:
        with torch.inference_mode(is_inference):
            task(*group)

    for _ in _pool(num_threads).map(run, groups):
        pass


@functools.cache
def _pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads in which every torch operation runs on one core."""
    ready = threading.Barrier(num_threads + 1)

    def start() -> None:
        # The first question makes the thread inherit a setting, which would undo a change made before it.
        torch.get_num_threads()
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="clips", initializer=start)
    for _ in range(num_threads):
        pool.submit(int)
    ready.wait()
    # The setting belongs to each thread, but new threads inherit the last one made: make it this thread's again.
    torch.set_num_threads(num_threads)
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)
