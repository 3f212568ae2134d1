"""What the gradebook and the journal know of each student of one assignment, read in small portions."""

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from nbgrader.api import (
    Assignment,
    Comment,
    Grade,
    GradeCell,
    Notebook,
    SolutionCell,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from sqlalchemy import URL, Select, create_engine, func, select
from sqlalchemy.orm import Session

from course.grading.errors import GRADEBOOK, Stopped
from course.grading.gradebook import faults_in_words

PORTION = 300  # students that are read at one time
NO_RESPONSE = "No response."  # nbgrader's comment on an answer cell that is as it was handed out

__all__ = ["Gradebook", "Item", "Mark", "Record", "Results", "nothing_graded"]


@dataclass(frozen=True)
class Item:
    """A graded cell."""

    name: str  # its grade_id
    maximum: float


@dataclass(frozen=True)
class Mark:
    """What one student got for one item."""

    auto: float | None
    manual: float | None = None
    extra: float | None = None
    needs_person: bool = False

    @property
    def score(self) -> float | None:
        """As nbgrader counts: a person's score before the automatic one, extra credit on top; None: no score yet."""
        found = self.auto if self.manual is None else self.manual
        return None if found is None else found + (self.extra or 0.0)


@dataclass(frozen=True)
class Record:
    """One student, and what she got. Without a submission there are no marks."""

    student: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    lms_user_id: str | None = None
    penalty: float = 0.0
    marks: dict[str, Mark] = field(default_factory=dict)  # by item
    comments: dict[str, str] = field(default_factory=dict)  # by answer cell: what a person wrote

    @property
    def name(self) -> str:
        """Her name as people write it, or the name that her submission has."""
        return " ".join(filter(None, (self.first_name, self.last_name))) or self.student

    @property
    def submitted(self) -> bool:
        return bool(self.marks)

    @property
    def needs_person(self) -> bool:
        """Whether something of hers is still to be graded by hand."""
        return any(mark.needs_person or mark.score is None for mark in self.marks.values())

    @property
    def total(self) -> float:
        """The score so far, after the late penalty; never below zero."""
        return max(0.0, sum(mark.score or 0.0 for mark in self.marks.values()) - self.penalty)


class Gradebook:
    """nbgrader's gradebook of one assignment, for reading only."""

    def __init__(self, url: URL, slug: str, notebook: str | None = None) -> None:
        self._url, self.slug = url, slug
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            raise nothing_graded(slug, f"there is no gradebook {url.database}")
        self._engine = create_engine(url)
        with faults_in_words(url), Session(self._engine) as session:
            query = select(Notebook.id, Assignment.id).join(Assignment, Notebook.assignment_id == Assignment.id)
            row = session.execute(query.where(Assignment.name == slug, Notebook.name == (notebook or slug))).first()
            if row is None:
                raise nothing_graded(slug, "the gradebook does not know it")
            self._notebook, self._assignment = row
            cells = [
                session.execute(select(kind.id, kind.name, kind.max_score).where(kind.notebook_id == self._notebook))
                for kind in (GradeCell, TaskCell)
            ]
            found = [row for rows in cells for row in rows]
            self._names: dict[str, str] = {cell: name for cell, name, _ in found}
            self.items = {name: Item(name, float(top or 0.0)) for _, name, top in found}
            kinds = select(SolutionCell.id, SolutionCell.name).where(SolutionCell.notebook_id == self._notebook)
            self._answers: dict[str, str] = dict(session.execute(kinds).all()) | self._names

    def __enter__(self) -> "Gradebook":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    @property
    def maximum(self) -> float:
        return sum(item.maximum for item in self.items.values())

    def count(self) -> tuple[int, int]:
        """How many students there are, and how many of them handed this assignment in."""
        with faults_in_words(self._url), Session(self._engine) as session:
            handed_in = select(func.count(SubmittedNotebook.id)).where(SubmittedNotebook.notebook_id == self._notebook)
            return session.scalar(select(func.count(Student.id))) or 0, session.scalar(handed_in) or 0

    def students(self) -> Iterator[Record]:
        """All students, in the order of their ids."""
        last: str | None = None
        while records := self._portion(last):
            yield from records
            last = records[-1].student

    def student(self, name: str) -> Record:
        """One of them; without marks if the gradebook does not know her."""
        with faults_in_words(self._url), Session(self._engine) as session:
            found = self._filled(session, self._people().where(Student.id == name))
        return found[0] if found else Record(name)

    def _portion(self, last: str | None) -> list[Record]:
        query = self._people().order_by(Student.id).limit(PORTION)
        if last is not None:
            query = query.where(Student.id > last)
        with faults_in_words(self._url), Session(self._engine) as session:
            return self._filled(session, query)

    def _people(self) -> Select[Any]:
        handed_in = (SubmittedAssignment.student_id == Student.id) & (
            SubmittedAssignment.assignment_id == self._assignment
        )
        notebook = (SubmittedNotebook.assignment_id == SubmittedAssignment.id) & (
            SubmittedNotebook.notebook_id == self._notebook
        )
        about = (Student.id, Student.first_name, Student.last_name, Student.email, Student.lms_user_id)
        columns = select(*about, SubmittedNotebook.late_submission_penalty, SubmittedNotebook.id)
        return columns.outerjoin(SubmittedAssignment, handed_in).outerjoin(SubmittedNotebook, notebook)

    def _filled(self, session: Session, query: Select[Any]) -> list[Record]:
        records: list[Record] = []
        by_notebook: dict[str, Record] = {}
        for student, first, last, email, number, penalty, notebook in session.execute(query):
            records.append(Record(student, first, last, email, number, float(penalty or 0.0)))
            if notebook is not None:
                by_notebook[notebook] = records[-1]
        grades = (Grade.auto_score, Grade.manual_score, Grade.extra_credit, Grade.needs_manual_grade)
        wanted = select(Grade.notebook_id, Grade.cell_id, *grades).where(Grade.notebook_id.in_(by_notebook))
        for notebook, cell, *mark in session.execute(wanted):
            if cell in self._names:
                by_notebook[notebook].marks[self._names[cell]] = Mark(*mark)
        said = (Comment.notebook_id, Comment.cell_id, func.coalesce(Comment.manual_comment, Comment.auto_comment))
        for notebook, cell, text in session.execute(select(*said).where(Comment.notebook_id.in_(by_notebook))):
            if cell in self._answers and text and text != NO_RESPONSE:
                by_notebook[notebook].comments[self._answers[cell]] = text
        return records


def nothing_graded(slug: str, why: str) -> Stopped:
    """What is said where there is nothing to report on."""
    return Stopped(f"nothing of {slug} is graded yet ({why}); run first: course grade {slug}")


class Results:
    """The journal's last result of each student, for reading only: without a lock, so also while a run goes on."""

    def __init__(self, path: Path) -> None:
        self._offsets: dict[str, int] = {}
        try:
            self._file: BinaryIO = path.open("rb")
        except FileNotFoundError:  # graded by nbgrader, or on another machine
            self._file = io.BytesIO()
        except OSError as error:
            raise Stopped(f"the journal {path} cannot be read: {error.strerror}", GRADEBOOK) from None
        offset = 0
        for line in self._file:
            with suppress(ValueError, KeyError, TypeError):  # torn, half written just now, or not about a student
                self._offsets[json.loads(line)["result"]["name"]] = offset
            offset += len(line)

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, student: str) -> dict[str, Any]:
        """What grading her submission came to, as the journal has it; empty if it does not know."""
        if student not in self._offsets:
            return {}
        self._file.seek(self._offsets[student])
        return json.loads(self._file.readline())["result"]
