"""A learner's folder: her notebooks, her `rnnlib`, and the checks that tell her how far she is.

    my-rnn/
        README.md  pytest.ini  course.json      what this is; the last one marks the folder
        NN-slug.ipynb                           the notebooks
        rnnlib/                                 the library, with a stub for each function she will write
        tests/test_exercises.py                 the checks, for pytest

Nothing here ever writes over a file that holds a learner's work.
"""

import importlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from course.checks import UNWRITTEN
from course.exercises import Exercise, catalogue, chapter_number
from course.implement import MARKER, keep_history, write_atomically
from course.library import functions, is_stub, reference, replace_lines, staged_files

KIT = Path(__file__).parent / "kit"
CHECK_SECONDS = 60.0

__all__ = ["Progress", "answer", "catchup", "find_workspace", "progress", "start"]


class WorkspaceError(Exception):
    """Something about the folder; the message says what to do."""


def find_workspace(start_at: Path | None = None) -> Path:
    """The workspace that a folder lies in."""
    here = (start_at or Path.cwd()).resolve()
    for folder in [here, *here.parents]:
        if (folder / MARKER).exists():
            return folder
    raise WorkspaceError(f"{here} is not in a workspace. Make one with `course start my-rnn`, then `cd my-rnn`.")


# --- start


def start(folder: Path) -> tuple[list[Path], list[Path]]:
    """Make a workspace, or add to one what is missing; return the files written, and those kept as they were."""
    if folder.exists() and not (folder / MARKER).exists() and any(folder.iterdir()):
        raise WorkspaceError(f"{folder} already holds other files. Name a new folder, or an empty one.")
    written, kept = [], []
    for relative, content in _kit_files():
        path = folder / relative
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written.append(relative)
        elif path.read_bytes() != content:
            kept.append(relative)
    return written, kept


def _kit_files() -> Iterator[tuple[Path, bytes]]:
    for path in sorted(KIT.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(KIT), path.read_bytes()
    exercises = reference().parent / "exercises"
    for path in sorted(exercises.glob("*/*.ipynb")):
        yield Path(path.name), path.read_bytes()
    for relative, text in staged_files(1, catalogue().values()):
        yield Path("rnnlib") / relative, text.encode()
    yield Path(MARKER), (json.dumps({"course": version("rnn-course")}) + "\n").encode()


# --- catch up


def catchup(root: Path, chapter: int, replace_failing: bool = False) -> tuple[list[str], list[str]]:
    """Fill in the functions of chapters before `chapter` that are still stubs; return (filled, left as they are).

    With `replace_failing`, answers that fail their checks are replaced too; the old ones go to `.history`.
    """
    wanted = [e for e in catalogue().values() if e.implements and chapter_number(e.slug) < chapter]
    failing: set[str] = set()
    if replace_failing:
        failing = {p.exercise.id for p in progress(root, [e.id for e in wanted]) if not p.done}
    filled, left = [], []
    for exercise in wanted:
        path = root.joinpath(*(exercise.module or "").split(".")).with_suffix(".py")
        text = path.read_text(encoding="utf-8")
        mine = functions(text).get(exercise.name)
        if mine is not None and not is_stub(mine.node) and exercise.id not in failing:
            left.append(exercise.id)
            continue
        source = reference().joinpath(*(exercise.module or "").split(".")[1:]).with_suffix(".py")
        lines = functions(source.read_text(encoding="utf-8"))[exercise.name].lines
        if mine is None:
            new = text.rstrip() + "\n\n\n" + "\n".join(lines) + "\n"
        else:
            keep_history(root, exercise, text)
            new = replace_lines(text, mine.first, mine.last, lines)
        write_atomically(path, new)
        filled.append(exercise.id)
    return filled, left


# --- progress


@dataclass(frozen=True)
class Progress:
    """How far one exercise is: outcome of each check as [name, passed, message], or why they did not run."""

    exercise: Exercise
    results: list[tuple[str, bool, str]]
    problem: str = ""

    @property
    def done(self) -> bool:
        return not self.problem and bool(self.results) and all(passed for _, passed, _ in self.results)

    @property
    def written(self) -> bool:
        return bool(self.problem) or [name for name, _, _ in self.results] != [UNWRITTEN]

    @property
    def points(self) -> int:
        """The points of the visible checks; hidden tests are run when the work is graded."""
        return self.exercise.points.get("check", 0) if self.done else 0


def answer(exercise: Exercise, root: Path) -> Callable[..., Any]:
    """The learner's function: from her `rnnlib`, or from the cell of her notebook that defines it."""
    if exercise.implements:
        return getattr(importlib.import_module(exercise.module or ""), exercise.name)
    path = root / f"{exercise.slug}.ipynb"
    # Read as JSON: importing nbformat takes seconds (its schema checker parses a grammar first).
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == exercise.token:
            namespace: dict[str, Any] = {"np": np}
            exec(compile("".join(cell["source"]), f"<{path.name}>", "exec"), namespace)
            return namespace[exercise.name]
    raise WorkspaceError(f"{path.name} has no cell {exercise.token}; was it deleted?")


def progress(root: Path, ids: list[str] | None = None, seconds: float = CHECK_SECONDS) -> Iterator[Progress]:
    """Run the checks of each exercise on the learner's code, in a process that can be stopped."""
    todo = list(ids or catalogue())
    while todo:
        for record in _worker(root, list(todo), seconds):  # a copy: the loop takes out what is done
            todo.remove(record.exercise.id)
            yield record


def _worker(root: Path, ids: list[str], seconds: float) -> Iterator[Progress]:
    """One process for all of them; where it ends or hangs, that exercise gets the blame and the caller goes on."""
    command = [sys.executable, "-m", "course.checks.worker", str(root), *ids]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = _lines_within(process, seconds)
        for exercise_id in ids:
            line = next(lines)
            exercise = catalogue()[exercise_id]
            if line is None:
                process.kill()
                yield Progress(exercise, [], f"no answer within {seconds:.0f} s: is there an endless loop?")
                return
            if not line:
                yield Progress(exercise, [], "the check's process ended by itself")
                return
            found = json.loads(line)
            yield Progress(exercise, [tuple(r) for r in found["results"]], found["problem"])


def _lines_within(process: "subprocess.Popen[str]", seconds: float) -> Iterator[str | None]:
    """Each line that the process prints; "" at its end; None when a line takes too long."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        deadline = time.monotonic() + seconds
        try:
            yield lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            yield None
