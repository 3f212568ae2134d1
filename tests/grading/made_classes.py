"""Graded classes for the tests of pages, made without grading: a gradebook, a journal, autograded notebooks."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_submissions as made
from made_submissions import SLUG
from nbgrader.api import Gradebook as Stock

from course.grading.bundle import Bundle
from course.grading.gradebook import COURSE_ID, Result, Writer, database_url, save_notebook
from course.grading.journal import Journal
from course.grading.task import GRADED, NOTED, UNREADABLE, Outcome

BUNDLE = made.small("softmax", "cross_entropy", "output_layer")
TOKENS = [exercise.token for exercise in BUNDLE.exercises]
SOFTMAX, CHECK, HIDDEN = f"{SLUG}--softmax", f"{SLUG}--softmax--check", f"{SLUG}--softmax--hidden"


def text(said: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": said}


def error(name: str, said: str, *lines: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": said, "traceback": list(lines)}


def failed(*lines: str) -> dict[str, Any]:
    """What `course grade` puts under a test cell that did not pass."""
    return error("Failed", lines[0], *lines)


def shown(**data: Any) -> dict[str, Any]:
    """An output of these kinds: `text_html="…"` is text/html."""
    kinds = {kind.replace("_", "/", 1).replace("_", "+"): value for kind, value in data.items()}
    return {"output_type": "display_data", "data": kinds, "metadata": {}}


@dataclass
class Student:
    """One made-up student of a graded class."""

    id: str
    scores: Mapping[str, float | None] = field(default_factory=dict)  # left out: full points
    answers: Mapping[str, str] | None = None  # None: right ones
    outputs: Mapping[str, list[Any]] = field(default_factory=dict)  # by grade_id
    notes: tuple[str, ...] = ()
    added: tuple[Any, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    lms: str | None = None
    unreadable: bool = False
    person: Mapping[str, Any] = field(default_factory=dict)  # what the gradebook knows of her
    manual: Mapping[str, float] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    penalty: float = 0.0
    source: Mapping[str, str] = field(default_factory=dict)  # of any answer cell, as it is


def make_class(root: Path, students: Iterable[Student], bundle: Bundle = BUNDLE) -> Path:
    """A course folder in which these have been graded."""
    students = list(students)
    url = database_url(str(root / "gradebook.db"))
    with Journal(root / "grading" / f"{SLUG}.jsonl", str(url)) as journal, Writer(url, bundle) as writer:
        results = []
        for student in students:
            outcome = _outcome(student, bundle)
            save_notebook(root, student.id, SLUG, json.dumps(notebook_of(student, bundle)))
            journal.finish("of", bundle.digest, outcome)
            results.append(Result(outcome, None, student.lms))
        writer.write(results)
    with Stock(f"sqlite:///{root / 'gradebook.db'}", COURSE_ID) as stock:
        for student in students:
            _by_hand(stock, student)
        stock.db.commit()
    return root


def _outcome(student: Student, bundle: Bundle) -> Outcome:
    scores: dict[str, float | None] = dict.fromkeys(bundle.points, 0.0) if student.unreadable else dict(bundle.points)
    status = UNREADABLE if student.unreadable else NOTED if student.notes else GRADED
    seconds = dict(student.seconds)
    return Outcome(student.id, status, scores | dict(student.scores), notes=list(student.notes), seconds=seconds)


def notebook_of(student: Student, bundle: Bundle) -> Any:
    """An autograded notebook as `course grade` writes it, hidden tests and all."""
    notebook = bundle.notebook()
    answers = {} if student.unreadable else made.right() if student.answers is None else student.answers
    written = made.answered(bundle, answers)
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            cell.source = student.source.get(about.grade_id, made.cell_of(written, about.grade_id).source)
        cell.id = about.get("grade_id", cell.id)
        if cell.cell_type == "code":
            cell.outputs = student.outputs.get(about.get("grade_id", ""), [])
    if student.notes:
        lines = ["**Notes from grading**", "", *(f"- {note}" for note in student.notes)]
        cell = {"cell_type": "markdown", "id": "grading-notes", "metadata": {}, "source": "\n".join(lines)}
        notebook.cells.insert(0, made.nbformat.from_dict(cell))
    notebook.cells += student.added
    return notebook


def _by_hand(stock: Any, student: Student) -> None:
    """What people enter in nbgrader."""
    stock.update_or_create_student(student.id, **student.person)
    for cell, score in student.manual.items():
        grade = stock.find_grade(cell, SLUG, SLUG, student.id)
        grade.manual_score, grade.needs_manual_grade = score, False
    for cell, said in student.comments.items():
        stock.find_comment(cell, SLUG, SLUG, student.id).manual_comment = said
    if student.penalty:
        stock.find_submission_notebook(SLUG, SLUG, student.id).late_submission_penalty = student.penalty
