"""Results into nbgrader's gradebook: its own tables, written by one process, a transaction for each batch.

`nbgrader formgrader`, `generate_feedback` and `export` go on from there. What a person has entered stays:
manual scores, comments, extra credit, extensions, late penalties.
"""

import contextlib
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import nbformat
from alembic.script import ScriptDirectory
from nbgrader.api import (
    Base,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    InvalidEntry,
    Notebook,
    SolutionCell,
    SourceCell,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    new_uuid,
)
from nbgrader.dbutil import ALEMBIC_DIR
from nbgrader.preprocessors import SaveCells
from sqlalchemy import URL, Connection, create_engine, insert, inspect, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from course.build import source_notebook
from course.grading.bundle import Bundle
from course.grading.errors import GRADEBOOK, Stopped
from course.grading.task import Outcome
from course.sources import Chapter

COURSE_ID = "rnn-course"
TRIES = 4  # where another program holds the database, or writes the same student at the same moment
LOCK_SECONDS = 20  # how long each waits for a lock
ANSWER_SECONDS = 10  # how long a database server has to answer
T = TypeVar("T")

__all__ = ["Result", "Writer", "database_url", "faults_in_words", "save_notebook", "save_source"]


@dataclass(frozen=True)
class Result:
    """An outcome, and what is known of how it was handed in."""

    outcome: Outcome
    timestamp: datetime | None = None
    lms_user_id: str | None = None


def database_url(text: str) -> URL:
    """A database from its URL, or from the path of an SQLite file."""
    try:
        url = make_url(text if "://" in text else f"sqlite:///{Path(text).resolve()}")
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError):
        shown = re.sub(r"//.*@", "//***@", text, flags=re.DOTALL)  # it may have a password in it
        raise Stopped(
            f"{shown!r} is not a database. Expected the path of a file, or a URL such as\n"
            "postgresql://USER@HOST:5432/DATABASE (the password in ~/.pgpass, or as USER:PASSWORD)."
        ) from None
    except ImportError as error:
        kind, package = url.get_backend_name(), "psycopg[binary]" if "psycopg" in str(error) else error.name
        raise Stopped(f"{kind} databases need a Python package that is not here: pip install '{package}'") from None
    if url.get_backend_name() == "sqlite" and url.database:
        _make_folder(Path(url.database).parent)
    patience = {
        "sqlite": {"timeout": str(LOCK_SECONDS)},
        "postgresql": {
            "connect_timeout": str(ANSWER_SECONDS),
            "options": f"-c lock_timeout={LOCK_SECONDS}s",
        },
    }
    wanted = patience.get(url.get_backend_name(), {})
    return url.update_query_dict({name: value for name, value in wanted.items() if name not in url.query})


class Writer:
    """The one writer of a run. Opening it makes sure that the gradebook knows the assignment as it is now."""

    def __init__(self, url: URL, bundle: Bundle) -> None:
        self._url, self._slug = url, bundle.slug
        with faults_in_words(url), _alone(url):
            _make_tables(url)
            self._gradebook = Gradebook(url.render_as_string(hide_password=False), COURSE_ID)
            try:
                self._prepare(bundle)
            except BaseException:
                self._gradebook.close()
                raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._gradebook.close()

    def write(self, results: Sequence[Result]) -> None:
        """Put a batch of results (one for each student) into the gradebook, all of them or none."""
        if results:
            with faults_in_words(self._url):
                self._retrying(lambda session: self._write(session, results))

    def missing(self, students: Iterable[str]) -> set[str]:
        """Those of whom the gradebook has no submission of this assignment."""
        with faults_in_words(self._url):
            query = select(SubmittedAssignment.student_id).where(SubmittedAssignment.assignment_id == self._assignment)
            return set(students) - set(self._retrying(lambda session: list(session.scalars(query))))

    # --- the assignment

    def _prepare(self, bundle: Bundle) -> None:
        notebook = bundle.notebook()
        self._gradebook.update_or_create_assignment(bundle.slug)
        wanted = {_source_row(cell) for cell in notebook.cells if "nbgrader" in cell.metadata}
        if self._saved_sources(bundle.slug) != wanted:
            url = self._url.render_as_string(hide_password=False)
            about = {"notebook": bundle.slug, "assignment": bundle.slug, "db_url": url}
            try:
                SaveCells().preprocess(notebook, {"nbgrader": about})
            except RuntimeError:  # its way to say that cells came or went, and that there are submissions
                raise Stopped(
                    f"the gradebook holds submissions of an older {bundle.slug}, which had other graded cells.\n"
                    f"Name a new one with --db, or give them up: nbgrader db assignment remove {bundle.slug} --force",
                    GRADEBOOK,
                ) from None
        record = self._gradebook.find_notebook(bundle.slug, bundle.slug)
        self._assignment, self._notebook = record.assignment_id, record.id
        self._grade_cells = self._ids(GradeCell)
        self._solution_cells = self._ids(SolutionCell)
        self._gradebook.db.rollback()  # nothing is held open between two batches

    def _saved_sources(self, slug: str) -> set[tuple[Any, ...]]:
        columns = (SourceCell.name, SourceCell.cell_type, SourceCell.locked, SourceCell.source, SourceCell.checksum)
        query = select(*columns).join(Notebook).where(Notebook.name == slug)
        return {tuple(row) for row in self._gradebook.db.execute(query)}

    def _ids(self, kind: type[Any]) -> dict[str, str]:
        query = select(kind.name, kind.id).where(kind.notebook_id == self._notebook)
        return dict(self._gradebook.db.execute(query).all())

    # --- a batch

    def _write(self, session: Session, results: Sequence[Result]) -> None:
        # Always in the same order: two commands that wait for each other's rows would both be in the way.
        by_name = {result.outcome.name: result for result in sorted(results, key=lambda r: r.outcome.name)}
        self._add_students(session, by_name)
        submissions = self._add_submissions(session, by_name)
        notebooks = self._add_notebooks(session, submissions)
        self._put_grades(session, by_name, notebooks)
        self._put_comments(session, by_name, notebooks)

    def _add_students(self, session: Session, by_name: dict[str, Result]) -> None:
        query = select(Student.id, Student.lms_user_id).where(Student.id.in_(by_name))
        known: dict[str, str | None] = dict(session.execute(query).all())
        new = [{"id": name, "lms_user_id": r.lms_user_id} for name, r in by_name.items() if name not in known]
        told = [
            {"id": name, "lms_user_id": r.lms_user_id}
            for name, r in by_name.items()
            if r.lms_user_id and name in known and not known[name]
        ]
        _run(session, insert(Student), new)
        _run(session, update(Student), told)

    def _add_submissions(self, session: Session, by_name: dict[str, Result]) -> dict[str, str]:
        """Ids of the students' submissions."""
        table = SubmittedAssignment
        query = select(table.student_id, table.id).where(
            table.assignment_id == self._assignment, table.student_id.in_(by_name)
        )
        known: dict[str, str] = dict(session.execute(query).all())
        new = {name: new_uuid() for name in by_name if name not in known}
        stamped = [{"id": known[n], "timestamp": r.timestamp} for n, r in by_name.items() if n in known and r.timestamp]
        rows = [
            {"id": new[n], "assignment_id": self._assignment, "student_id": n, "timestamp": by_name[n].timestamp}
            for n in new
        ]
        _run(session, insert(table), rows)
        _run(session, update(table), stamped)
        return known | new

    def _add_notebooks(self, session: Session, submissions: dict[str, str]) -> dict[str, str]:
        """Ids of the students' submitted notebooks, by student."""
        table = SubmittedNotebook
        query = select(table.assignment_id, table.id).where(
            table.notebook_id == self._notebook, table.assignment_id.in_(submissions.values())
        )
        known: dict[str, str] = dict(session.execute(query).all())
        new = {submission: new_uuid() for submission in submissions.values() if submission not in known}
        rows = [{"id": new[s], "assignment_id": s, "notebook_id": self._notebook, "flagged": False} for s in new]
        _run(session, insert(table), rows)
        return {student: (known | new)[submission] for student, submission in submissions.items()}

    def _put_grades(self, session: Session, by_name: dict[str, Result], notebooks: dict[str, str]) -> None:
        columns = (Grade.notebook_id, Grade.cell_id, Grade.id, Grade.manual_score)
        query = select(*columns).where(Grade.notebook_id.in_(notebooks.values()))
        known = {(notebook, cell): (found, manual) for notebook, cell, found, manual in session.execute(query)}
        new, old = [], []
        for student, notebook in notebooks.items():
            scores = by_name[student].outcome.scores
            for grade_id, cell in self._grade_cells.items():
                found, manual = known.get((notebook, cell), (None, None))
                auto = scores.get(grade_id)
                values = {"auto_score": auto, "needs_manual_grade": auto is None or manual is not None}
                if found:
                    old.append({"id": found} | values)
                else:
                    new.append({"id": new_uuid(), "notebook_id": notebook, "cell_id": cell} | values)
        _run(session, insert(Grade), new)
        _run(session, update(Grade), old)

    def _put_comments(self, session: Session, by_name: dict[str, Result], notebooks: dict[str, str]) -> None:
        columns = (Comment.notebook_id, Comment.cell_id, Comment.id)
        query = select(*columns).where(Comment.notebook_id.in_(notebooks.values()))
        known = {(notebook, cell): found for notebook, cell, found in session.execute(query)}
        new, old = [], []
        for student, notebook in notebooks.items():
            unanswered = set(by_name[student].outcome.unanswered)
            for grade_id, cell in self._solution_cells.items():
                said = {"auto_comment": "No response." if grade_id in unanswered else None}
                if (notebook, cell) in known:
                    old.append({"id": known[notebook, cell]} | said)
                else:
                    new.append({"id": new_uuid(), "notebook_id": notebook, "cell_id": cell} | said)
        _run(session, insert(Comment), new)
        _run(session, update(Comment), old)

    # --- trouble

    def _retrying(self, work: Callable[[Session], T]) -> T:
        """Do it in one transaction; anew where another program was in the way."""
        for left in reversed(range(TRIES)):
            try:
                with Session(self._gradebook.engine) as session, session.begin():
                    return work(session)
            except SQLAlchemyError as error:
                if not left or not _passes(error):
                    raise
                time.sleep(0.2 * (TRIES - left))
        raise AssertionError("the last try returns or raises")


# --- tables


@contextmanager
def _alone(url: URL) -> Iterator[None]:
    """Only one command at a time makes tables and saves cells, which nbgrader does in many small steps."""
    with contextlib.ExitStack() as stack:
        if url.get_backend_name() == "postgresql":
            engine = create_engine(url)
            stack.callback(engine.dispose)
            held = stack.enter_context(engine.connect())
            held.exec_driver_sql("select pg_advisory_lock(hashtext('course grade'))")
        elif url.get_backend_name() == "sqlite" and url.database:
            # The folder, not the file: who closes an SQLite file lets go of all locks of this process on it.
            folder = os.open(Path(url.database).parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            _lock(folder, f"another `course grade` is preparing {_shown(url)}; wait for it, or stop it first")
        yield


def _lock(descriptor: int, otherwise: str) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                raise Stopped(otherwise, GRADEBOOK) from None
            time.sleep(0.1)


def _make_tables(url: URL) -> None:
    """Make nbgrader's tables in an empty database, all of them or none; look at their version in one that has some."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if names := inspect(connection).get_table_names():
                _look_at_version(connection, names, url)
                return
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("begin immediate")  # Python's sqlite3 leaves tables out of transactions
            Base.metadata.create_all(connection)
            connection.exec_driver_sql("create table alembic_version (version_num varchar(32) not null)")
            connection.exec_driver_sql(f"insert into alembic_version values ('{_versions().get_current_head()}')")
    finally:
        engine.dispose()


def _look_at_version(connection: Connection, tables: list[str], url: URL) -> None:
    if "alembic_version" not in tables:
        raise Stopped(
            f"{_shown(url)} holds tables that are no gradebook of nbgrader's ({', '.join(tables[:5])}).\n"
            "Name another database with --db.",
            GRADEBOOK,
        )
    found = connection.exec_driver_sql("select version_num from alembic_version").scalar()
    head = _versions().get_current_head()
    if found == head:
        return
    known = {script.revision for script in _versions().walk_revisions()}
    came = f"{_shown(url)} has tables of version {found}; the nbgrader installed here expects {head}.\n"
    if found in known:
        raise Stopped(f"{came}Bring it up to date, then run the same command: nbgrader db upgrade --db URL", GRADEBOOK)
    raise Stopped(f"{came}Install the nbgrader that made it, or name another database with --db.", GRADEBOOK)


def _versions() -> ScriptDirectory:
    """nbgrader's versions of its tables."""
    return ScriptDirectory(ALEMBIC_DIR)


# --- faults of databases


@contextmanager
def faults_in_words(url: URL) -> Iterator[None]:
    """Faults of the database as Stopped, with what to do."""
    loggers = [logging.getLogger(name) for name in ("tornado.application", "sqlalchemy.pool")]
    was = [logger.disabled for logger in loggers]  # nbgrader's, and of a lost connection: they print tracebacks
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    except (SQLAlchemyError, InvalidEntry) as error:
        raise Stopped(f"{_shown(url)}: {_cause(error)}\n{_advice(error)}", GRADEBOOK) from error
    finally:
        for logger, disabled in zip(loggers, was, strict=True):
            logger.disabled = disabled


def _shown(url: URL) -> str:
    """The URL for messages: without the password, and without what we have put into it."""
    return url.set(query={}).render_as_string(hide_password=True)


def _cause(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _kind(error: Exception) -> str:
    """What SQLite calls its errors, or the five characters of the SQL standard; text where there is neither."""
    orig = getattr(error, "orig", None)
    return getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None) or ""


_HELD = ("SQLITE_BUSY", "SQLITE_LOCKED", "40", "55P03")
_NO_GRADEBOOK = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_NO_SPACE = ("SQLITE_FULL", "SQLITE_IOERR", "53100")
_NOT_ALLOWED = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "42501")


def _passes(error: SQLAlchemyError) -> bool:
    """Whether it may go well at the next try."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, IntegrityError) or _kind(error).startswith(_HELD)


def _advice(error: Exception) -> str:
    kind = _kind(error)
    if kind.startswith(_HELD):
        return "Another program holds the gradebook. Close it, then run the same command: no result is lost."
    if kind.startswith(_NO_GRADEBOOK):
        return "It is no gradebook, or is damaged. Put a copy of it in its place, or name another one with --db."
    if kind.startswith(_NO_SPACE):
        return "The disk may be full. Make space, then run the same command: no result is lost."
    if kind.startswith(_NOT_ALLOWED):
        return "You may not write there. Look whose it is, then run the same command: no result is lost."
    return "Look whether the database is running and lets you in, then run the same command: no result is lost."


def _run(session: Session, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(statement, rows)


def _source_row(cell: Any) -> tuple[Any, ...]:
    meta = cell.metadata.nbgrader
    return (meta.grade_id, cell.cell_type, bool(meta.locked), cell.source, meta.checksum)


def save_notebook(root: Path, student: str, slug: str, text: str) -> None:
    """Write an autograded notebook where nbgrader looks for it."""
    _save(root / "autograded" / student / slug, slug, text)


def save_source(root: Path, chapter: Chapter) -> None:
    """Write the assignment's own notebook where nbgrader looks for it, if none is there: its pages list those."""
    folder = root / "source" / chapter.slug
    if not any(folder.glob("*.ipynb")):
        _save(folder, chapter.slug, nbformat.writes(source_notebook(chapter)))


def _save(folder: Path, name: str, text: str) -> None:
    """All of it or nothing."""
    _make_folder(folder)
    new = folder / f".{name}.new"
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, folder / f"{name}.ipynb")
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise Stopped(
            f"{folder} cannot be written: {error.strerror or error}.\n"
            "Mend that, then run the same command: what is finished is kept.",
            GRADEBOOK,
        ) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Stopped(
            f"{folder} cannot be made: {error.strerror or error}.\n"
            "Mend that, or name another place with --course or --db, then run the same command.",
            GRADEBOOK,
        ) from None
