"""Freed memory stays with the process, so that a batch as large as the last one costs no page fault."""

import os
import subprocess
import sys

import pytest

# Where the kernel hands out pages of 2 MiB unasked, a batch costs few faults either way: the child refuses them.
COUNT_FAULTS = """
import ctypes, resource, sys
import torch
from gaitbench.memory import keep_freed_memory

PR_SET_THP_DISABLE = 41
assert ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(20):
    torch.zeros(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.zeros(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
needs_glibc = pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="not the GNU C library")


def faults(what: str) -> int:
    environment = {k: v for k, v in os.environ.items() if k not in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, what], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@needs_glibc
def test_a_batch_like_the_last_one_costs_no_page_fault() -> None:
    assert faults("keep") < 100
    assert faults("leave") > 1000


@needs_glibc
def test_the_users_own_setting_wins() -> None:
    code = "from gaitbench.memory import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "1000000"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
