"""Worker processes: forked from one that has imported what they need, and gone when the command is gone.

Light to import, so that `course grade` can start them before it imports anything slow itself.
"""

import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

__all__ = ["prepare_workers", "start_worker"]

_PRELOADED = ("course.grading.batch", "torch", "course.checks.run")  # what grading imports, and what test cells do


def prepare_workers() -> ForkServerContext:
    """Start the process that workers are forked from; it imports, once for all, while this one does other things."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the processes are the parallelism
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    forkserver.ensure_running()
    return context


def start_worker() -> None:
    """In a worker: Ctrl-C is the parent's to hear, and the end of the parent, however it comes, is the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: "multiprocessing.process.BaseProcess") -> None:
    parent.join()
    os._exit(1)
