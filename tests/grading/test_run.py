"""`course grade`: a class from hand-in to gradebook; who is graded again, and who ended a worker."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_submissions as made
import nbformat
import pytest
import typer
from made_runs import (
    BUNDLE,
    CHECK,
    ENTERED,
    by_hand,
    class_of,
    deserved,
    enter_by_hand,
    grades,
    hand_in,
    notebooks,
    order,
    scores,
    work_here,
)
from made_submissions import SLUG
from typer.testing import CliRunner

from course.grading import batch
from course.grading.batch import grade_all
from course.grading.errors import FAILED, GRADEBOOK, INTERRUPTED, Stopped
from course.grading.run import grade_command
from course.grading.task import GRADED, NOTED, UNREADABLE, Outcome, grade

app = typer.Typer()
app.command("grade")(grade_command)


# --- a class


def test_a_class_of_every_kind_of_work(small: None, tmp_path: Path) -> None:
    """Every submission has its result in the gradebook, its notebook, its line in the journal; none twice."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 8)
    (folder / "empty" / SLUG).mkdir(parents=True)
    heard: list[Outcome | None] = []
    tally = grade_all(order(folder, root), lambda total, outcome: heard.append(outcome))
    assert tally.statuses == {GRADED: 6, UNREADABLE: 3}
    assert (tally.failures, tally.skipped, len(heard)) == ([], 0, 9)
    found = grades(root)
    scores = {student: sum(auto for auto, _, _ in cells.values()) for student, cells in found.items()}
    zeros = ("s01", "s02", "s03", "s05", "s06", "s07", "empty")
    assert scores == {"s00": 3.0, "s04": 3.0, **dict.fromkeys(zeros, 0.0)}
    assert set(notebooks(root)) == set(found)
    assert "cannot be read" in notebooks(root)["s03"]


def graded(heard: list[Outcome | None]) -> list[str]:
    return [outcome.name for outcome in heard if outcome is not None]


def grades_whom(folder: Path, root: Path, **more: Any) -> list[str]:
    """Whom a run grades; everybody else had a result before."""
    heard: list[Outcome | None] = []
    tally = grade_all(order(folder, root, **more), lambda total, outcome: heard.append(outcome))
    assert tally.skipped == heard.count(None)
    assert tally.graded == len(graded(heard))
    return graded(heard)


def test_what_is_graded_is_not_graded_again(small: None, tmp_path: Path) -> None:
    """Unless it was handed in anew, or its notebook is gone."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    assert grades_whom(folder, root) == ["s00", "s01", "s02", "s03"]
    assert grades_whom(folder, root) == []
    (folder / "s02" / SLUG / f"{SLUG}.ipynb").write_bytes(made.handed_in(BUNDLE))
    (root / "autograded" / "s00" / SLUG / f"{SLUG}.ipynb").unlink()
    assert grades_whom(folder, root) == ["s00", "s02"]
    assert scores(grades(root))["s02"] == [2.0, 1.0]
    assert grades_whom(folder, root) == []


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ({"regrade": True}, ["s00", "s01", "s02", "s03"]),
        ({"failed": True}, ["s03"]),
        ({"regrade": True, "failed": True}, ["s00", "s01", "s02", "s03"]),
        ({"only": ("s01", "s02")}, []),
        ({"only": ("s01", "s02"), "regrade": True}, ["s01", "s02"]),
        ({"only": ("s01", "s03"), "failed": True}, ["s03"]),
        ({"only": ("s00",), "failed": True}, []),
    ],
)
def test_who_is_graded_again(small: None, tmp_path: Path, options: dict[str, Any], again: list[str]) -> None:
    """`--regrade`: everybody; `--failed`: whose file or kernel made trouble; `--only`: nobody else. Once each time."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    for _ in range(2):
        assert grades_whom(folder, root, **options) == again
    assert grades_whom(folder, root) == []
    assert scores(grades(root)) == deserved(4)


def test_only_leaves_the_others_for_later(small: None, tmp_path: Path) -> None:
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    assert grades_whom(folder, root, only=("s02", "s01")) == ["s01", "s02"]
    assert set(grades(root)) == {"s01", "s02"}
    assert grades_whom(folder, root) == ["s00", "s03"]


@pytest.mark.parametrize(
    ("first", "then", "again"),
    [
        ({"regrade": True}, {"regrade": True}, ["s02", "s03"]),  # the same command
        ({"regrade": True}, {}, ["s02", "s03"]),  # or without the option
        ({"regrade": True}, {"only": ("s01", "s03"), "regrade": True}, ["s03"]),
        ({"regrade": True}, {"only": ("s01",), "regrade": True}, ["s01"]),
        ({"only": ("s00", "s01", "s03"), "regrade": True}, {"regrade": True}, ["s00", "s01", "s02", "s03"]),
    ],
)
def test_a_regrade_that_was_cut_short_goes_on(
    small: None, tmp_path: Path, first: dict[str, Any], then: dict[str, Any], again: list[str]
) -> None:
    """It does not begin anew, unless it is about more students than the first time."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    heard: list[Outcome | None] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        heard.append(outcome)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        grade_all(order(folder, root, **first), tell)
    assert graded(heard) == ["s00", "s01"]
    assert grades_whom(folder, root, **then) == again
    assert scores(grades(root)) == deserved(4)


def test_another_gradebook_gets_the_same_results(small: None, tmp_path: Path) -> None:
    """From the journal, without grading; so does one that was lost."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    assert grade_all(order(folder, root, database=str(root / "other.db"))).graded == 0
    assert grades(root, "other.db") == grades(root)
    before = grades(root)
    (root / "gradebook.db").unlink()
    assert grade_all(order(folder, root)).graded == 0
    assert grades(root) == before


def test_what_people_entered_survives_a_regrade(small: None, tmp_path: Path) -> None:
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 1)
    grade_all(order(folder, root))
    database = f"sqlite:///{root / 'gradebook.db'}"
    enter_by_hand(database, "s00")
    grade_all(order(folder, root, regrade=True))
    assert by_hand(database, "s00") == ENTERED
    assert grades(root)["s00"][CHECK] == [2.0, 1.5, 1]


def test_stock_nbgrader_exports_it(small: None, tmp_path: Path) -> None:
    """`nbgrader export` writes the scores that we wrote, a person's own among them."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    enter_by_hand(f"sqlite:///{root / 'gradebook.db'}", "s01")
    command = [sys.executable, "-m", "nbgrader", "export", f"--CourseDirectory.root={root}", "--to=out.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {row["student_id"]: row for row in csv.DictReader((tmp_path / "out.csv").open())}
    assert {name: float(row["score"]) for name, row in rows.items()} == {"s00": 3, "s01": 1.25, "s02": 0, "s03": 0}
    assert {row["assignment"] for row in rows.values()} == {SLUG}
    assert {float(row["max_score"]) for row in rows.values()} == {3.0}


def test_notes_about_handing_in_are_in_the_notebook(small: None, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "ann" / SLUG
    folder.mkdir(parents=True)
    (folder / "mine.ipynb").write_bytes(made.handed_in(BUNDLE))
    assert grade_all(order(tmp_path / "in", tmp_path)).statuses == {NOTED: 1}
    assert f"not called {SLUG}.ipynb" in notebooks(tmp_path)["ann"]


# --- stopped


def test_interrupted_it_keeps_what_it_has(one_exercise: None, tmp_path: Path) -> None:
    """Ctrl-C in the middle: results so far are in the gradebook, the exit code says interrupted."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 6)
    heard: list[Outcome | None] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        heard.append(outcome)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="goes on from here") as stopped:
        grade_all(order(folder, root), tell)
    assert stopped.value.code == INTERRUPTED
    assert len(grades(root)) == 2
    assert grade_all(order(folder, root)).graded == 4


# --- lost workers


def test_who_ends_the_worker_is_found_and_the_others_are_graded(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One submission kills its worker each time, one only the first time."""
    once = {"s01"}

    def breaks(name: str) -> bool:
        if name in once:
            once.discard(name)
            return True
        return name == "s04"

    work_here(monkeypatch, breaks, 3)
    root, folder = tmp_path / "course", tmp_path / "in"
    for i in range(8):
        hand_in(folder, f"s{i:02d}", made.handed_in(BUNDLE))
    tally = grade_all(order(folder, root))
    assert tally.statuses == {GRADED: 7, UNREADABLE: 1}
    assert [name for name, _ in tally.failures] == ["s04"]
    assert {name: sum(auto or 0 for auto, _, _ in cells.values()) for name, cells in grades(root).items()} == {
        f"s{i:02d}": 0.0 if i == 4 else 3.0 for i in range(8)
    }
    assert grades(root)["s04"][f"{SLUG}--shapes--check"] == [None, None, 1]
    assert grade_all(order(folder, root)).graded == 1  # it is tried again


def test_a_real_worker_that_is_killed_is_replaced(one_exercise: None, tmp_path: Path) -> None:
    """A process of the pool gets SIGKILL in the middle; the class is graded all the same."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 8)
    killed: list[int] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        if not killed and outcome is not None and outcome.status == GRADED:
            killed.append(max(child.pid or 0 for child in batch.active_children()))
            os.kill(killed[0], signal.SIGKILL)

    tally = grade_all(order(folder, root), tell)
    assert killed
    assert tally.statuses == {GRADED: 6, UNREADABLE: 2}
    assert tally.failures == []


# --- the command


def run(*arguments: str) -> tuple[int, str]:
    more = ["--no-sandbox"] if made.NO_SANDBOX else []
    result = CliRunner().invoke(app, [*arguments, *more], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split())


def test_the_command_says_what_became_of_the_class(small: None, tmp_path: Path) -> None:
    folder = class_of(tmp_path / "in", 4)
    arguments = (SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"), "--workers", "1")
    code, said = run(*arguments)
    assert code == 0
    assert said.startswith("3 graded, 1 unreadable. ")
    code, said = run(*arguments)
    assert code == 0
    assert said.startswith("nothing new; 4 had their result before.")


def test_two_notebooks_are_one_students_result(small: None, tmp_path: Path) -> None:
    """The others are graded, and the command ends well."""
    folder = class_of(tmp_path / "in", 1)
    for name in ("a", "b"):
        path = folder / "zoe" / SLUG / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    code, said = run(SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"), "--workers", "1")
    assert code == 0
    assert said.startswith("1 graded, 1 unreadable.")
    assert "2 notebooks were handed in (a.ipynb, b.ipynb)" in notebooks(tmp_path / "course")["zoe"]


def test_a_fault_of_the_grader_is_an_exit_code(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student is named, and the next run tries again."""
    work_here(monkeypatch, lambda name: name != batch.OWN, 1)
    folder = class_of(tmp_path / "in", 1)
    code, said = run(SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"))
    assert code == FAILED
    assert "s00: Grading it ended the worker process" in said


def test_a_second_run_at_the_same_time_is_refused(small: None, tmp_path: Path) -> None:
    folder = class_of(tmp_path / "in", 2)
    refused: list[int] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        with pytest.raises(Stopped, match="at work here") as stopped:
            grade_all(order(folder, tmp_path / "course"))
        refused.append(stopped.value.code)

    grade_all(order(folder, tmp_path / "course"), tell)
    assert refused == [GRADEBOOK, GRADEBOOK]


def test_a_task_travels_to_any_executor() -> None:
    """A pure function of plain data: nothing but arguments and result."""
    outcome = grade("ann", made.handed_in(BUNDLE), BUNDLE, made.NO_SANDBOX)
    assert nbformat.reads(outcome.notebook, as_version=4).cells
    assert outcome.score == 3.0
