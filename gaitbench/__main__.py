"""The program ``gaitbench``, also as ``python -m gaitbench``."""

import atexit
import os
import sys
from typing import NoReturn

from gaitbench.cli import EXIT_INTERRUPTED, main

__all__ = ["run"]


def run() -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    code = main()
    if code == EXIT_INTERRUPTED:
        # CPython kills itself with SIGINT at exit, instead of giving our code, when the interrupt hit Python code
        # that an extension module was running. Clean up as it would, and leave.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
