"""Classes that hand in, runs of `course grade` over them, and what is in the gradebook afterwards."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import made_submissions as made
import pytest
from made_submissions import SLUG
from nbgrader.api import Gradebook
from sqlalchemy import create_engine, text

from course.grading import batch
from course.grading.batch import Order
from course.grading.bundle import Bundle
from course.grading.gradebook import COURSE_ID, database_url

BUNDLE = made.small("shapes")  # two graded cells, 2 points and 1
CHECK, HIDDEN = f"{SLUG}--shapes--check", f"{SLUG}--shapes--hidden"
DESERVED = [[2.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]  # of the four stories
HERE = Path(__file__).parent


def hand_in(folder: Path, name: str, data: bytes) -> None:
    path = folder / name / SLUG / f"{SLUG}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def class_of(folder: Path, count: int) -> Path:
    """Right, wrong, untouched and unreadable work in turn."""
    wrong = next(m.name for m in made.chapter().mutants if m.exercise.name == "shapes")
    stories = [
        made.handed_in(BUNDLE),
        made.handed_in(BUNDLE, {"shapes": made.mutant("shapes", wrong)}),
        made.handed_in(BUNDLE, {}),
        b"no notebook",
    ]
    for i in range(count):
        hand_in(folder, f"s{i:02d}", stories[i % 4] + b" " * i)
    return folder


def deserved(count: int) -> dict[str, list[float]]:
    """What each of the class gets for its two cells."""
    return {f"s{i:02d}": DESERVED[i % 4] for i in range(count)}


def order(folder: Path, root: Path, **more: Any) -> Order:
    return Order(SLUG, folder, root, **({"no_sandbox": made.NO_SANDBOX} | more))


class Here(Executor):
    """Runs tasks in this process, and breaks as a pool does whose worker was killed."""

    def __init__(self, breaks: Callable[[str], bool]) -> None:
        self.breaks, self.broken = breaks, False

    def submit(self, fn: Any, /, name: str, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.broken = self.broken or self.breaks(name)
        if self.broken:
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(fn(name, *args, **kwargs))
        return future


def work_here(patch: pytest.MonkeyPatch, breaks: Callable[[str], bool] = lambda name: False, ahead: int = 1) -> None:
    """Starting workers takes seconds; this needs none."""

    @contextmanager
    def workers(count: int) -> Iterator[tuple[Executor, int, Callable[[], None]]]:
        yield Here(breaks), ahead, lambda: None

    patch.setattr(batch, "_local_workers", workers)


# --- the command in a process of its own


def command(
    bundle: Bundle, folder: Path, root: Path, *more: str, said: Any = subprocess.PIPE, **environment: str
) -> "subprocess.Popen[str]":
    """`course grade` at work; what it says comes through a pipe unless a file is given."""
    saved = folder.parent / "bundle"
    if not saved.exists():  # made once: files of the course that change meanwhile would change it
        saved.write_bytes(pickle.dumps(bundle))
    arguments = [SLUG, "--submitted", str(folder), "--course", str(root), *more]
    arguments += ["--no-sandbox"] if made.NO_SANDBOX else []
    settings = {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)]), "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, str(HERE / "grading_script.py"), str(saved), *arguments],
        env=os.environ | settings | environment,
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


# --- what is there afterwards


def grades(root: Path, database: str = "gradebook.db") -> dict[str, Any]:
    """Every student's scores by cell, from a sound gradebook: by file in the course folder, or by URL."""
    query = """select a.student_id, c.name, g.auto_score, g.manual_score, g.needs_manual_grade from grade g
               join base_cell c on g.cell_id = c.id join submitted_notebook n on g.notebook_id = n.id
               join submitted_assignment a on n.assignment_id = a.id"""
    engine = create_engine(database_url(database if "://" in database else str(root / database)))
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                assert connection.execute(text("pragma integrity_check")).all() == [("ok",)]
                assert connection.execute(text("pragma foreign_key_check")).all() == []
            found: dict[str, Any] = {}
            for student, cell, *values in connection.execute(text(query)):
                assert cell not in found.setdefault(student, {}), "two grades of one cell"
                found[student][cell] = values
            return found
    finally:
        engine.dispose()


def scores(found: dict[str, Any]) -> dict[str, list[float]]:
    """Of the small bundle: what the two cells got by themselves."""
    return {student: [cells[CHECK][0], cells[HIDDEN][0]] for student, cells in found.items()}


def notebooks(root: Path) -> dict[str, str]:
    return {path.parent.parent.name: path.read_text() for path in root.glob(f"autograded/*/{SLUG}/{SLUG}.ipynb")}


def journal_lines(root: Path) -> list[dict[str, Any]]:
    """The journal's whole lines."""
    path = root / "grading" / f"{SLUG}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    found = []
    for line in lines:
        if line.endswith(b"}\n"):
            try:
                found.append(json.loads(line))
            except ValueError:  # a torn line that was written on
                continue
    return found


def finished(root: Path) -> list[str]:
    """The students of the journal's results, in order."""
    return [entry["result"]["name"] for entry in journal_lines(root) if "result" in entry]


def enter_by_hand(database: str, student: str) -> None:
    """What an instructor enters in nbgrader's formgrader: a score, extra credit, a comment, an extension."""
    with Gradebook(database, COURSE_ID) as gradebook:
        grade = gradebook.find_grade(CHECK, SLUG, SLUG, student)
        grade.manual_score, grade.extra_credit = 1.5, 0.25
        gradebook.find_comment(f"{SLUG}--shapes", SLUG, SLUG, student).manual_comment = "See me."
        gradebook.find_submission(SLUG, student).notebooks[0].late_submission_penalty = 0.5
        gradebook.db.commit()


def by_hand(database: str, student: str) -> tuple[Any, ...]:
    """The same, as nbgrader reads it."""
    with Gradebook(database, COURSE_ID) as gradebook:
        grade = gradebook.find_grade(CHECK, SLUG, SLUG, student)
        comment = gradebook.find_comment(f"{SLUG}--shapes", SLUG, SLUG, student)
        penalty = gradebook.find_submission(SLUG, student).late_submission_penalty
        return grade.manual_score, grade.extra_credit, comment.manual_comment, penalty


ENTERED = (1.5, 0.25, "See me.", 0.5)
