"""A learner's folder: her notebooks, her `rnnlib`, and the checks that tell her how far she is.

    my-rnn/
        README.md  pytest.ini  course.json      what this is; the last one marks the folder
        NN-slug.ipynb                           the notebooks
        rnnlib/                                 the library, with a stub for each function she will write
        tests/test_exercises.py                 the checks, for pytest

Nothing here ever writes over a file that holds a learner's work.
"""

import ast
import contextlib
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
from types import CodeType
from typing import Any

import numpy as np

from course.checks import UNWRITTEN
from course.exercises import Exercise, catalogue, chapter_number
from course.implement import MARKER, keep_history, write_atomically
from course.library import append_lines, functions, is_stub, reference, replace_lines, staged_files

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
        elif path.read_bytes() != content and relative != Path(MARKER):
            kept.append(relative)
    return written, kept


def _kit_files() -> Iterator[tuple[Path, bytes]]:
    # The mark comes first: a start that is interrupted can then be finished by another.
    yield Path(MARKER), (json.dumps({"course": version("rnn-course")}) + "\n").encode()
    for path in sorted(KIT.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(KIT), path.read_bytes()
    exercises = reference().parent / "exercises"
    for path in sorted(exercises.glob("*/*.ipynb")):
        yield Path(path.name), path.read_bytes()
    for relative, text in staged_files(1, catalogue().values()):
        yield Path("rnnlib") / relative, text.encode()


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
    texts: dict[Path, str] = {}
    replaced: list[tuple[Exercise, str]] = []
    for exercise in wanted:
        path = root.joinpath(*(exercise.module or "").split(".")).with_suffix(".py")
        text = texts.setdefault(path, _module_text(path))
        mine = functions(text).get(exercise.name)
        if mine is not None and not is_stub(mine.node) and exercise.id not in failing:
            left.append(exercise.id)
            continue
        source = reference().joinpath(*(exercise.module or "").split(".")[1:]).with_suffix(".py")
        lines = functions(source.read_text(encoding="utf-8"))[exercise.name].lines
        if mine is None:
            texts[path] = append_lines(text, lines)
        else:
            replaced.append((exercise, text))
            texts[path] = replace_lines(text, mine.first, mine.last, lines)
        filled.append(exercise.id)
    for exercise, text in replaced:
        keep_history(root, exercise, text)
    for path, text in texts.items():
        if text != _module_text(path):
            write_atomically(path, text)
    return filled, left


def _module_text(path: Path) -> str:
    """A module of the learner's library, to the byte; or which one is in the way."""
    try:
        text = path.read_bytes().decode("utf-8")
        ast.parse(text)
    except FileNotFoundError:
        raise WorkspaceError(f"rnnlib/{path.name} is missing. `course start` on this folder writes it anew.") from None
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else f": {error}"
        raise WorkspaceError(f"rnnlib/{path.name} cannot be read{where}. Mend that first.") from None
    return text


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
    namespace: dict[str, Any] = {"np": np}
    for source, meta in _code_cells(path):
        if meta.get("grade_id") == exercise.token:
            exec(compile(source, f"<{path.name}>", "exec"), namespace)
            if exercise.name not in namespace:
                raise WorkspaceError(f"{path.name}: the cell {exercise.token} does not define {exercise.name}.")
            return namespace[exercise.name]
        if meta.get("locked") and not meta.get("grade"):
            exec(_imports(source, f"<{path.name}>"), namespace)
    raise WorkspaceError(f"{path.name} has no cell {exercise.token}; was it deleted?")


def _code_cells(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Source and nbgrader's metadata of each code cell.

    Read as JSON: importing nbformat takes seconds (its schema checker parses a grammar first).
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return [("".join(cell["source"]), cell["metadata"].get("nbgrader", {})) for cell in code]
    except FileNotFoundError:
        raise WorkspaceError(f"{path.name} is missing. `course start` on this folder writes it anew.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WorkspaceError(f"{path.name} cannot be read as a notebook. Rename it, and `course start` anew.") from None


def _imports(source: str, filename: str) -> CodeType:
    """What a given cell imports, its magics left out: an answer in the notebook may use it."""
    lines = ["" if line.startswith(("%", "!")) else line for line in source.split("\n")]
    tree = ast.parse("\n".join(lines), filename)
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return compile(tree, filename, "exec")


def progress(root: Path, ids: list[str] | None = None, seconds: float = CHECK_SECONDS) -> Iterator[Progress]:
    """Run the checks of each exercise on the learner's code, in a process that can be stopped."""
    todo = list(catalogue() if ids is None else ids)
    while todo:
        for record in _worker(root, list(todo), seconds):  # a copy: the loop takes out what is done
            todo.remove(record.exercise.id)
            yield record


def _worker(root: Path, ids: list[str], seconds: float) -> Iterator[Progress]:
    """One process for all of them; where it ends or hangs, that exercise gets the blame and the caller goes on."""
    command = [sys.executable, "-m", "course.checks.worker", str(root), *ids]
    with (
        subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)  # also when nobody asks for the rest
        lines = _lines_within(process, seconds)
        for exercise_id in ids:
            line = next(lines)
            exercise = catalogue()[exercise_id]
            if line is None:
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
        with contextlib.suppress(ValueError):  # closed, because nobody waits for the rest
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
