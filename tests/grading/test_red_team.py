"""Every hostile or broken submission ends in the score that it deserves, in time, and harms nothing.

These tests need the sandbox: where there is none, they fail.
"""

import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import made_runs
import made_submissions as made
import nbformat
import pytest
from made_submissions import SLUG
from red_team import ATTACKS, MARK, SHAPES, Attack
from red_team.attack import as_expected
from red_team.bundles import ESSAY
from red_team.canaries import Canaries

from course.grading import batch
from course.grading.batch import Order, grade_all
from course.grading.bundle import Bundle
from course.grading.collect import collect
from course.grading.rebuild import Unreadable
from course.grading.task import GRADED, UNREADABLE, Outcome, grade, unreadable

HONEST = made.small("shapes", call_seconds=5)


@pytest.fixture(scope="module")
def canaries() -> Iterator[Canaries]:
    """What must stay as it is, while the sandbox is up and torch is imported."""
    grade("ann", made.handed_in(HONEST), HONEST)
    found = Canaries()
    yield found
    found.close()


def graded(attack: Attack, folder: Path) -> Outcome:
    """The outcome; what is no plain notebook goes the way through a class folder."""
    bundle = attack.bundle()
    if attack.place is as_expected and not attack.student:
        return grade("mallory", attack.build(bundle), bundle)
    hand_in(attack, folder / "submitted")
    (submission,) = collect(folder / "submitted", SLUG)[0]
    try:
        data = submission.read()
    except Unreadable as error:
        return unreadable(submission.student, bundle, str(error))
    return grade(submission.student, data, bundle, notes=submission.notes)


def hand_in(attack: Attack, submitted: Path) -> None:
    folder = submitted / (attack.student or attack.name) / SLUG
    folder.mkdir(parents=True)
    attack.place(folder, attack.build(attack.bundle()))


def check(outcome: Outcome, attack: Attack) -> None:
    """What an attack comes to is what it deserves, and sound."""
    assert score_of(outcome) == attack.deserved, (outcome.scores, outcome.notes)
    assert (outcome.status != UNREADABLE) if attack.status is None else (outcome.status == attack.status), outcome.notes
    assert attack.says in outcome.notebook.replace('\\"', '"')
    points = attack.bundle().points
    assert set(outcome.scores) == set(points)
    assert all(s is None or (math.isfinite(s) and 0 <= s <= points[cell]) for cell, s in outcome.scores.items())
    assert Outcome(**json.loads(json.dumps(asdict(outcome)))) == outcome
    nbformat.validate(nbformat.reads(outcome.notebook, as_version=4))
    if attack.after is not None:
        attack.after(outcome)


def score_of(outcome: Outcome) -> float | None:
    """None where a person must look."""
    return None if None in outcome.scores.values() else outcome.score


def still_grades_right() -> bool:
    """Whether honest work gets its points from the sandbox that the attacks were in."""
    outcome = grade("ann", made.handed_in(HONEST), HONEST)
    return (outcome.score, outcome.status) == (SHAPES, GRADED)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_what_it_deserves(attack: Attack, canaries: Canaries, tmp_path: Path) -> None:
    """And afterwards nothing of it is left, nothing was read or changed, and honest work is graded as before."""
    began = time.monotonic()
    outcome = graded(attack, tmp_path)
    took = time.monotonic() - began
    assert canaries.harm(outcome) == []
    assert still_grades_right()
    assert canaries.harm() == []
    check(outcome, attack)
    assert took <= attack.seconds


# --- the attacks themselves


def test_there_are_enough_attacks_and_each_has_a_name() -> None:
    assert len(ATTACKS) >= 60
    assert [name for name, count in Counter(attack.name for attack in ATTACKS).items() if count > 1] == []
    for attack in ATTACKS:
        assert attack.told.endswith("."), attack.name
        assert attack.told[0].isupper(), attack.name


@pytest.mark.parametrize("bundle", {attack.bundle: None for attack in ATTACKS}, ids=lambda bundle: bundle.__name__)
def test_honest_work_gets_all_points(bundle: Callable[[], Bundle]) -> None:
    """In each assignment that is attacked: a score below is an attack's own doing."""
    outcome = grade("ann", made.handed_in(bundle()), bundle())
    assert outcome.score == sum(points for cell, points in bundle().points.items() if cell != ESSAY)
    assert outcome.status == GRADED


# --- the class


@pytest.mark.parametrize("bundle", {attack.bundle: None for attack in ATTACKS}, ids=lambda bundle: bundle.__name__)
def test_a_class_of_attackers(bundle: Callable[[], Bundle], canaries: Canaries, tmp_path: Path, monkeypatch) -> None:
    """All in one folder, on two workers, with an honest student first and last: every name has its own score."""
    attacks = [attack for attack in ATTACKS if attack.bundle is bundle]
    submitted = tmp_path / "submitted"
    for attack in attacks:
        hand_in(attack, submitted)
    for name in ("aaron", "zoe"):
        made_runs.hand_in(submitted, name, made.handed_in(bundle()))
    deserved = {_student_of(attack): attack.deserved for attack in attacks}
    assert len(deserved) == len(attacks)
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: bundle())
    outcomes: dict[str, Outcome] = {}
    grade_all(
        Order(SLUG, submitted, tmp_path / "course", workers=2),
        lambda total, outcome: outcomes.update({outcome.name: outcome}) if outcome else None,
    )
    found = made_runs.grades(tmp_path / "course")
    honest = [found.pop("aaron"), found.pop("zoe")]
    assert all(
        values[:1] == [None] or values[0] == bundle().points[c] for cells in honest for c, values in cells.items()
    )
    totals = {}
    for student, scored in found.items():
        automatic = [values[0] for values in scored.values()]
        totals[student] = None if None in automatic else sum(automatic)
    assert totals == deserved
    assert canaries.harm(*outcomes.values()) == []


def _student_of(attack: Attack) -> str:
    """The name that the gradebook has for it."""
    from course.grading.collect import _student

    return _student(attack.student or attack.name)


# --- the canaries


LEAK = f"""
import glob, os, subprocess, sqlite3
for path in glob.glob("/tmp/red-team-*/source/*/*.ipynb"):
    print(open(path).read())
for path in glob.glob("/tmp/red-team-*/submitted/*/*/*.ipynb"):
    open(path, "a").write("mine")
for path in glob.glob("/tmp/red-team-*/gradebook.db"):
    with sqlite3.connect(path) as book:
        book.execute("update grade set auto_score = 100")
open("/tmp/{MARK}", "w").write("here")
"""


def test_the_canaries_see_a_leak(canaries: Canaries) -> None:
    """Without walls the same kind of attack reads, writes, and is seen."""
    leaks = Canaries()
    try:
        bundle = replace(made.small("shapes"), limits=HONEST.limits)
        data = made.handed_in(bundle, change=lambda notebook: notebook.cells.insert(1, made.code(LEAK)))
        harm = leaks.harm(grade("mallory", data, bundle, no_sandbox=True))
    finally:
        leaks.close()
        canaries.harm()
    for expected in (
        f"source/{SLUG}/{SLUG}.ipynb was opened",
        f"submitted/ben/{SLUG}/{SLUG}.ipynb was written",
        f"submitted/ben/{SLUG}/{SLUG}.ipynb is another",
        "gradebook.db is another",
        f"/tmp/{MARK} was left behind",
        "the result of mallory has a secret in it",
    ):
        assert expected in harm, harm


def test_the_canaries_see_a_process_that_outlives_its_parent() -> None:
    found = Canaries()
    try:
        subprocess.run(
            [sys.executable, "-c", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)"]
        )
        harm = found.harm()
        left = found._processes() - found.processes
        assert len(left) == len(harm) == 1
        assert "is still running" in harm[0]
        for process in left:
            process.kill()
            process.wait()
    finally:
        found.close()
