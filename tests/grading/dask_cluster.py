"""A Dask cluster on this machine, as somebody would start it on several: a scheduler and workers of one thread."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cluster:
    """A real `dask scheduler`, and `dask worker` processes that come and go."""

    def __init__(self) -> None:
        command = self._command("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.scheduler = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        assert self.scheduler.stderr is not None
        lines = iter(self.scheduler.stderr.readline, "")
        self.address = next(line.split("Scheduler at:")[1].strip() for line in lines if "Scheduler at:" in line)
        self.workers: list[subprocess.Popen[bytes]] = []

    def add(self, count: int, threads: int = 1, path: Path | None = None) -> None:
        """More workers; the course that they import may lie in a folder of its own."""
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(path)} if path else {})
        command = self._command("worker", self.address, "--nthreads", str(threads))
        quiet = subprocess.DEVNULL
        for _ in range(count):
            process = subprocess.Popen(
                command, stdout=quiet, stderr=quiet, env=environment, cwd=path, start_new_session=True
            )
            self.workers.append(process)

    def kill_workers(self) -> None:
        """All of them at once, with whatever watches over them."""
        while self.workers:
            _end(self.workers.pop(), signal.SIGKILL)

    def close(self) -> None:
        self.kill_workers()
        _end(self.scheduler, signal.SIGTERM)
        if self.scheduler.stderr is not None:
            self.scheduler.stderr.close()

    @staticmethod
    def _command(kind: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]


def _end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", how: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, how)
    process.wait(30)


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """Gone with the block, whatever happens in it."""
    found = Cluster()
    try:
        found.add(workers)
        yield found
    finally:
        found.close()
