"""Runs a workspace's pytest again and again, each time in a fork that has the imports behind it.

    python -m course.pytest_forks        in the workspace; then on stdin, one a line: EXERCISE <tab> FILE

The run's output goes to the file, its exit code to stdout. A fork sees the workspace's `rnnlib` as it is at that
moment: nothing of it has been imported before.
"""

import gc
import os
import sys

import pytest

from course.checks import check_names
from course.exercises import catalogue


def main() -> None:
    """Serve until stdin ends."""
    for exercise in catalogue().values():
        check_names(exercise)  # imports the checks
    early = [name for name in sys.modules if name.partition(".")[0] == "rnnlib"]
    if early:
        raise SystemExit(f"the checks import {', '.join(early)} before they run: forks would share it")
    gc.freeze()  # pytest collects garbage when it ends: a fork need not go through all that stood before it
    for line in sys.stdin:
        name, file = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            _run(name, file)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(exercise: str, file: str) -> None:
    """Be pytest; never returns."""
    code = 70
    try:
        log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        code = int(pytest.main(["-p", "no:cacheprovider", "-m", f"exercise(id='{exercise}')"]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
