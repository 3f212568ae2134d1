"""nbgrader's own tables hold our results as nbgrader would have written them, and what people entered stays."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import made_submissions as made
import pytest
from made_submissions import SLUG
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ComputeChecksums
from sqlalchemy import make_url

from course.build import released
from course.grading import gradebook as module
from course.grading.errors import GRADEBOOK, MISUSED, Stopped
from course.grading.gradebook import Result, Writer, database_url
from course.grading.task import GRADED, Outcome, unreadable

BUNDLE = made.small("softmax", "output_layer")
CHECK, HIDDEN = f"{SLUG}--softmax--check", f"{SLUG}--softmax--hidden"


def outcome(name: str, check: float | None = 3.0, unanswered: tuple[str, ...] = ()) -> Outcome:
    scores = dict.fromkeys(BUNDLE.points, 1.0) | {CHECK: check}
    return Outcome(name, GRADED, scores, list(unanswered))


def write(path: Path, *outcomes: Outcome, **more: Any) -> None:
    with Writer(database_url(str(path)), BUNDLE) as writer:
        writer.write([Result(outcome, **more) for outcome in outcomes])


@contextmanager
def stock(path: Path) -> Iterator[Gradebook]:
    """The gradebook as nbgrader sees it."""
    with Gradebook(f"sqlite:///{path}", "rnn-course") as gradebook:
        yield gradebook


def tables(path: Path) -> dict[str, Any]:
    """Every row of the database, without the ids that are made at random and what refers to them."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return {name: sorted(map(str, connection.execute(f"select * from {name}"))) for name in names}


def test_scores_arrive(tmp_path: Path) -> None:
    """Students, submissions, grades and comments are there, as nbgrader's own interface reads them."""
    when = datetime(2026, 3, 1, 12)
    path = tmp_path / "g.db"
    answers = (f"{SLUG}--softmax",)
    write(path, outcome("ann", 2.5), outcome("bob", None, answers), timestamp=when, lms_user_id="17")
    with stock(path) as gradebook:
        ann, bob = (gradebook.find_submission(SLUG, name) for name in ("ann", "bob"))
        assert (ann.score, ann.max_score, ann.needs_manual_grade, ann.timestamp) == (5.5, 7.0, False, when)
        assert (bob.score, bob.needs_manual_grade) == (3.0, True)
        assert gradebook.find_student("ann").lms_user_id == "17"
        assert gradebook.find_comment(f"{SLUG}--softmax", SLUG, SLUG, "bob").comment == "No response."
        assert gradebook.find_comment(f"{SLUG}--softmax", SLUG, SLUG, "ann").comment is None
        assert gradebook.find_grade(CHECK, SLUG, SLUG, "ann").failed_tests
        assert not gradebook.find_grade(HIDDEN, SLUG, SLUG, "ann").failed_tests


def test_rows_are_those_that_nbgrader_would_make(tmp_path: Path) -> None:
    """The structure of a submission that nbgrader adds itself, one that we add, and none twice."""
    path = tmp_path / "g.db"
    write(path)
    with stock(path) as gradebook:
        gradebook.add_student("stock")
        gradebook.add_submission(SLUG, "stock")
    write(path, outcome("ours"), outcome("stock"))
    write(path, outcome("ours"), outcome("stock"))
    with stock(path) as gradebook:
        kinds = []
        for name in ("stock", "ours"):
            (notebook,) = gradebook.find_submission(SLUG, name).notebooks
            grades = sorted((g.name, g.cell_type, g.score, g.max_score, g.needs_manual_grade) for g in notebook.grades)
            kinds.append((grades, sorted((c.name, c.comment) for c in notebook.comments), notebook.flagged))
    assert kinds[0] == kinds[1]


def test_a_gradebook_made_by_nbgrader_is_used_as_it_is(tmp_path: Path) -> None:
    """`nbgrader generate_assignment` and we save the same cells, so nothing of the assignment is written anew."""
    root = tmp_path / "course"
    released(made.chapter(), root)
    before = tables(root / "gradebook.db")
    with Writer(database_url(str(root / "gradebook.db")), made.whole()):
        pass
    assert tables(root / "gradebook.db") == before


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    write(path, outcome("ann"))
    before = tables(path)
    write(path)
    write(path, outcome("ann"))
    assert tables(path) == before


def test_what_people_entered_stays(tmp_path: Path) -> None:
    """Manual scores, extra credit, comments, extensions, late penalties, flags; and a person looks again."""
    path = tmp_path / "g.db"
    write(path, outcome("ann", 1.0))
    with stock(path) as gradebook:
        grade = gradebook.find_grade(CHECK, SLUG, SLUG, "ann")
        grade.manual_score, grade.extra_credit = 2.0, 0.5
        gradebook.find_comment(f"{SLUG}--softmax", SLUG, SLUG, "ann").manual_comment = "Good idea."
        submission = gradebook.find_submission(SLUG, "ann")
        submission.extension = timedelta(days=2)
        submission.timestamp = datetime(2026, 1, 1)
        submission.notebooks[0].late_submission_penalty = 1.25
        submission.notebooks[0].flagged = True
        gradebook.find_student("ann").first_name = "Anna"
        gradebook.db.commit()
    write(path, outcome("ann", 3.0, (f"{SLUG}--softmax",)))
    with stock(path) as gradebook:
        grade = gradebook.find_grade(CHECK, SLUG, SLUG, "ann")
        assert (grade.auto_score, grade.manual_score, grade.score, grade.needs_manual_grade) == (3.0, 2.0, 2.5, True)
        comment = gradebook.find_comment(f"{SLUG}--softmax", SLUG, SLUG, "ann")
        assert (comment.auto_comment, comment.comment) == ("No response.", "Good idea.")
        submission = gradebook.find_submission(SLUG, "ann")
        assert (submission.extension, submission.timestamp) == (timedelta(days=2), datetime(2026, 1, 1))
        assert (submission.late_submission_penalty, submission.notebooks[0].flagged) == (1.25, True)
        assert gradebook.find_student("ann").first_name == "Anna"


def test_unreadable_is_zero_and_a_fault_of_ours_is_for_a_person(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    write(path, unreadable("ann", BUNDLE, "no"), unreadable("bob", BUNDLE, "no", review=True))
    with stock(path) as gradebook:
        found = [gradebook.find_submission(SLUG, name) for name in ("ann", "bob")]
        assert [(s.score, s.needs_manual_grade) for s in found] == [(0.0, False), (0.0, True)]


def test_an_assignment_whose_points_changed_is_brought_up_to_date(tmp_path: Path) -> None:
    """The cells are the same, so the submissions stay."""
    path = tmp_path / "g.db"
    write(path, outcome("ann"))
    notebook = BUNDLE.notebook()
    made.cell_of(notebook, CHECK).metadata.nbgrader.points = 30
    notebook, _ = ComputeChecksums().preprocess(notebook, {})
    with Writer(database_url(str(path)), replace(BUNDLE, skeleton=json.dumps(notebook))):
        pass
    with stock(path) as gradebook:
        assert gradebook.find_submission(SLUG, "ann").max_score == 34.0
        assert gradebook.find_submission(SLUG, "ann").score == 6.0


def test_submissions_of_other_cells_are_not_mixed(tmp_path: Path) -> None:
    """Nothing is written, and the way out is named."""
    path = tmp_path / "g.db"
    write(path, outcome("ann"))
    before = tables(path)
    with pytest.raises(Stopped, match=f"nbgrader db assignment remove {SLUG}") as stopped:
        Writer(database_url(str(path)), made.whole())
    assert stopped.value.code == GRADEBOOK
    assert tables(path) == before


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in its last step leaves nothing of it."""
    path = tmp_path / "g.db"
    write(path, outcome("ann"))
    before = tables(path)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Writer, "_put_comments", fail)
    with pytest.raises(ZeroDivisionError):
        write(path, outcome("bob"), outcome("ann", 0.0))
    assert tables(path) == before


def test_who_is_missing(tmp_path: Path) -> None:
    with Writer(database_url(str(tmp_path / "g.db")), BUNDLE) as writer:
        writer.write([Result(outcome("ann"))])
        assert writer.missing(["ann", "bob"]) == {"bob"}


# --- trouble


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program that writes and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        yield


def test_a_locked_gradebook_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While opening and while writing, with what to do, without a traceback of nbgrader's."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 0)
    path = tmp_path / "g.db"
    with Writer(database_url(str(path)), BUNDLE) as writer:
        with held(path), pytest.raises(Stopped, match="Another program holds the gradebook") as stopped:
            writer.write([Result(outcome("ann"))])
        assert stopped.value.code == GRADEBOOK
        writer.write([Result(outcome("ann"))])
    with held(path), pytest.raises(Stopped, match="locked"):
        write(path)


def test_a_lock_that_passes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with Writer(database_url(str(path)), BUNDLE) as writer:
        started = threading.Event()

        def hold() -> None:
            with held(path):
                started.set()
                time.sleep(1)

        other = threading.Thread(target=hold)
        other.start()
        started.wait()
        writer.write([Result(outcome("ann"))])
        other.join()
        assert writer.missing(["ann"]) == set()


@pytest.mark.parametrize(
    ("database", "code", "said"),
    [
        ("nosuchkind://x/y", MISUSED, "is not a database"),
        ("://", MISUSED, "is not a database"),
        ("oracle+cx_oracle://u:secret@localhost/x", MISUSED, "oracle databases need a Python package"),
    ],
)
def test_what_is_no_database_is_said(database: str, code: int, said: str) -> None:
    with pytest.raises(Stopped, match=said) as stopped:
        database_url(database)
    assert stopped.value.code == code


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "g.db").write_text("these are my grades: ann 3, bob 5. " * 100)
    with pytest.raises(Stopped, match="not a database") as stopped:
        write(tmp_path / "g.db")
    assert stopped.value.code == GRADEBOOK


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = make_url(f"sqlite://user:secret@/{tmp_path}")
    with pytest.raises(Stopped) as stopped, module.faults_in_words(url):
        raise module.SQLAlchemyError("no")
    assert "secret" not in str(stopped.value)


def test_many_students_are_written_in_little_time(tmp_path: Path) -> None:
    """In bulk: 1,000 students in ten transactions take seconds, first and again."""
    with Writer(database_url(str(tmp_path / "g.db")), BUNDLE) as writer:
        for _ in range(2):
            started = time.monotonic()
            for first in range(0, 1000, 100):
                writer.write([Result(outcome(f"s{i:04d}")) for i in range(first, first + 100)])
            assert time.monotonic() - started < 20
        assert writer.missing([f"s{i:04d}" for i in range(1001)]) == {"s1000"}
