"""Run cells of notebooks as a kernel would, many times over, without starting a kernel each time.

`python -m course.rig` reads jobs, one JSON list of [name, source] pairs a line, runs each list from the
top in one IPython shell, and answers with a line of {name: error text or null}. The folder it is
started in decides what `%chapter` finds there. Used to run every known wrong version through the graded cells.
"""

import contextlib
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:  # the shell processes need no nbformat, whose import takes longer than most jobs
    import nbformat

__all__ = ["graded_cells", "run_jobs"]

Job = list[tuple[str, str]]


def graded_cells(
    notebook: "nbformat.NotebookNode", exercise_token: str, answer: str, needs: Collection[str] = ()
) -> Job:
    """What grading runs for one exercise: the given cells, the answer in place of the notebook's own, the tests.

    `needs` are the tokens of exercises of the same notebook that this one builds on: theirs is the notebook's answer.
    """
    job = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        grade_id = meta.get("grade_id", "")
        given = meta and not meta.get("grade") and not meta.get("solution") and cell.cell_type == "code"
        if grade_id == exercise_token:
            job.append((grade_id, answer))
        elif given or grade_id in needs or grade_id.startswith(f"{exercise_token}--"):
            job.append((grade_id, cell.source))
    return job


def run_jobs(jobs: Iterable[Job], folder: Path) -> Iterator[dict[str, str | None]]:
    """Run each job in a shell process started in `folder`; the first non-null entry is the first error."""
    environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "course.rig"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for job in jobs:
            line = ""
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                raise RuntimeError(f"the shell process ended while running {[name for name, _ in job]}")
            yield json.loads(line)
        process.stdin.close()


def _run(shell: InteractiveShell, job: Job) -> dict[str, str | None]:
    shell.reset(new_session=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == "rnnlib"]:
        del sys.modules[module]
    gc.collect()
    gc.freeze()  # what is alive now are imports: to go through those of PyTorch each time takes longer than most jobs
    outcome: dict[str, str | None] = {}
    for name, source in job:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result = shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        outcome[name] = None if error is None else f"{type(error).__name__}: {error}"
    return outcome


def main() -> None:
    shell = InteractiveShell.instance()
    jobs, answers = _private_streams()
    folder, path = os.getcwd(), list(sys.path)
    for line in jobs:
        os.chdir(folder)
        sys.path[:] = path
        answers.write(json.dumps(_run(shell, json.loads(line))) + "\n")
        answers.flush()


def _private_streams() -> tuple[TextIO, TextIO]:
    """Where jobs come from and answers go to, out of the reach of what jobs read and print."""
    jobs, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return jobs, answers


if __name__ == "__main__":
    main()
