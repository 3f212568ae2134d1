"""Every hostile or broken submission ends in the score that it deserves, in time, and harms nothing.

These tests need the sandbox: where there is none, they fail.
"""

import json
import math
import stat
import subprocess
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import made_runs
import made_submissions as made
import nbformat
import pytest
from made_submissions import SLUG
from red_team import ATTACKS, stock
from red_team.attack import MARK, SHAPES, Attack
from red_team.bundles import ESSAY
from red_team.canaries import Canaries
from red_team.ours import graded, hand_in, score_of

from course.grading import batch
from course.grading.batch import Order, grade_all
from course.grading.bundle import Bundle
from course.grading.collect import _student
from course.grading.task import GRADED, UNREADABLE, Outcome, grade
from course.grading.workers import prepare_workers

HONEST = made.small("shapes", call_seconds=5)


@pytest.fixture(scope="module")
def canaries() -> Iterator[Canaries]:
    """What must stay as it is, while the sandbox is up and torch is imported."""
    grade("ann", made.handed_in(HONEST), HONEST)
    found = Canaries()
    prepare_workers()
    found.started()
    yield found
    found.close()


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


def still_grades_right() -> bool:
    """Whether honest work gets its points from the sandbox that the attacks were in."""
    outcome = grade("ann", made.handed_in(HONEST), HONEST)
    return (outcome.score, outcome.status) == (SHAPES, GRADED)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_what_it_deserves(attack: Attack, canaries: Canaries) -> None:
    """And afterwards nothing of it is left, nothing was read or changed, and honest work is graded as before."""
    began = time.monotonic()
    outcome = graded(attack)
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
def test_a_class_of_attackers(
    bundle: Callable[[], Bundle], canaries: Canaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one folder, on two workers, with an honest student first and last: every name has its own score."""
    attacks = {_student(a.student or a.name): a for a in ATTACKS if a.bundle is bundle}
    assert len(attacks) == sum(attack.bundle is bundle for attack in ATTACKS)
    for attack in attacks.values():
        hand_in(attack, tmp_path / "submitted")
    for name in ("aaron", "zoe"):
        made_runs.hand_in(tmp_path / "submitted", name, made.handed_in(bundle()))
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: bundle())
    monkeypatch.setattr(batch, "own_submission", lambda chapter, bundle: made.handed_in(bundle, change=_write_essay))
    outcomes: dict[str, Outcome] = {}
    grade_all(
        Order(SLUG, tmp_path / "submitted", tmp_path / "course", workers=2),
        lambda total, outcome: outcomes.update({outcome.name: outcome}) if outcome else None,
    )
    found = {student: _points(cells) for student, cells in made_runs.grades(tmp_path / "course").items()}
    honest = sum(points for cell, points in bundle().points.items() if cell != ESSAY)
    deserved = dict.fromkeys(("aaron", "zoe"), honest) | {name: a.deserved for name, a in attacks.items()}
    assert {s: (found.get(s), outcomes[s].notes) for s in deserved if found.get(s) != deserved[s]} == {}
    assert found.keys() == deserved.keys()
    assert canaries.harm(*outcomes.values()) == []


def _write_essay(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.metadata.nbgrader.grade_id == ESSAY:
            cell.source = "# because it cancels"


def _points(cells: dict[str, list[float | None]]) -> float | None:
    """What the gradebook has for a student; None where a person must look."""
    scores = [values[0] for values in cells.values()]
    return None if None in scores else sum(filter(None, scores))


BOMB = bytes(40_000_000)
ZIPPED = {  # member of a zip: who has handed it in, and what it deserves
    f"ann_{SLUG}.ipynb": ("ann", SHAPES),
    f"bomb_{SLUG}.ipynb": ("bomb", 0.0),
    f"locked_{SLUG}.ipynb": ("locked", 0.0),
    f"link_{SLUG}.ipynb": ("link", 0.0),
    f"twice_{SLUG}.ipynb": ("twice", SHAPES),
    f"/etc/rooted_{SLUG}.ipynb": ("rooted", SHAPES),
    f"../../above_{SLUG}.ipynb": ("above", SHAPES),
    f"C:\\evil\\below_{SLUG}.ipynb": ("below", SHAPES),
    f"zoe_{SLUG}.ipynb": ("zoe", SHAPES),
}


def hostile_zip(path: Path) -> None:
    """Bombs, paths that lead out, a member that is there twice, one that needs a password, one that is a link."""
    right = made.handed_in(HONEST)
    contents = {f"bomb_{SLUG}.ipynb": BOMB, f"link_{SLUG}.ipynb": b"/etc/passwd"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that is there twice
        archive.writestr(f"twice_{SLUG}.ipynb", b"the older one")
        for name in ZIPPED:
            member = zipfile.ZipInfo(name)
            member.filename = name  # which ZipInfo would have cleaned
            member.compress_type = zipfile.ZIP_DEFLATED
            if name.startswith("link"):
                member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, contents.get(name, right))
    data = bytearray(path.read_bytes())
    locked = f"locked_{SLUG}.ipynb".encode()
    for head, flags, magic in ((30, 6, b"PK\x03\x04"), (46, 8, b"PK\x01\x02")):
        found = next(i for i in range(len(data)) if data[i : i + 4] == magic and data[i + head :].startswith(locked))
        data[found + flags] |= 1
    path.write_bytes(data)


def test_a_hostile_zip(canaries: Canaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each member has its result, and nothing is unpacked anywhere."""
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: HONEST)
    made_runs.work_here(monkeypatch)
    hostile_zip(tmp_path / "class.zip")
    tally = grade_all(Order(SLUG, tmp_path / "class.zip", tmp_path / "course"))
    found = {student: _points(cells) for student, cells in made_runs.grades(tmp_path / "course").items()}
    assert found == dict(ZIPPED.values())
    assert tally.strays == []
    assert {path.name for path in tmp_path.iterdir()} == {"class.zip", "course"}
    assert not Path(f"/etc/rooted_{SLUG}.ipynb").exists()
    assert canaries.harm() == []


# --- the canaries


LEAK = """
import glob, sqlite3
print(open(glob.glob("{folder}/source/*/*.ipynb")[0]).read())
open(glob.glob("{folder}/submitted/*/*/*.ipynb")[0], "a").write("mine")
with sqlite3.connect("{folder}/gradebook.db") as book:
    book.execute("update grade set auto_score = 100")
open("{place}/{mark}", "w").write("here")
"""


def test_the_canaries_see_a_leak(canaries: Canaries, tmp_path: Path) -> None:
    """Without walls the same kind of attack reads, writes, and is seen."""
    leaks = Canaries([tmp_path])
    source = LEAK.format(folder=leaks.folder, place=tmp_path, mark=MARK)
    try:
        data = made.handed_in(HONEST, change=lambda notebook: notebook.cells.insert(1, made.code(source)))
        walled = leaks.harm(grade("mallory", data, HONEST))
        harm = leaks.harm(grade("mallory", data, HONEST, no_sandbox=True))
    finally:
        leaks.close()
        canaries.started()  # a process for kernels without walls
    assert walled == []
    for expected in (
        f"source/{SLUG}/{SLUG}.ipynb was opened",
        f"submitted/ben/{SLUG}/{SLUG}.ipynb was written",
        f"submitted/ben/{SLUG}/{SLUG}.ipynb is another",
        "gradebook.db is another",
        f"{tmp_path}/{MARK} was left behind",
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


# --- stock nbgrader


def test_the_comparison_is_of_these_attacks() -> None:
    """The table in the instructor's guide has each of them, as it is now, with the score that it deserves."""
    rows = json.loads(stock.TARGET.read_text(encoding="utf-8"))["attacks"]
    expected = [(a.kind, a.name, a.told, a.deserved) for a in sorted(ATTACKS, key=lambda a: (a.kind, a.name))]
    assert [(row["kind"], row["name"], row["told"], row["deserved"]) for row in rows] == expected, "run: make red-team"
    assert [row["name"] for row in rows if row["ours"] != row["deserved"]] == []


SAMPLE = {
    "assert-stripper": "cheated: full marks",
    "shown-nan": "cheated: full marks",
    "renamed": "no grade",
    "warning": "too little",
    "gradebook": "cheated: full marks",
}


@pytest.mark.parametrize("name", SAMPLE)
def test_stock_nbgrader_does_what_the_table_says(name: str) -> None:
    """A sample of the table, run again."""
    (attack,) = (attack for attack in ATTACKS if attack.name == name)
    found = stock.handed_to_stock(attack)
    points = sum(attack.bundle().points.values())
    assert stock.verdict(attack.deserved, found.score, points) == SAMPLE[name]
    assert ("another student's grade was changed" in found.harm) == (name == "gradebook")


def test_a_stock_grader_that_hangs_is_ended(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that runs in its container."""
    (attack,) = (attack for attack in ATTACKS if attack.name == "pipe")
    monkeypatch.setattr(stock, "ATTACK_SECONDS", 8)
    assert stock.handed_to_stock(attack).score == "hung"
    assert canaries.harm() == []
