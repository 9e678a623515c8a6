"""Ctrl-C is held back, not lost."""

import os
import signal
import threading

import pytest

from gaitbench.commands.interrupts import interrupts_held


def test_it_is_raised_at_the_end_of_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def work() -> None:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("behind the signal")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["behind the signal"]
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_happens_without_one_and_in_other_threads() -> None:
    with interrupts_held():
        pass
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with interrupts_held():
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


def test_an_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="no"), interrupts_held():
        raise ValueError("no")
