"""The class report's numbers, each held against a value computed by hand or by brute force."""

import ast
import csv
import itertools
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_submissions as made
import numpy as np
import pytest
from bs4 import BeautifulSoup
from made_classes import BUNDLE, CHECK, HIDDEN, SOFTMAX, Student, failed, make_class
from made_submissions import SLUG
from typer.testing import CliRunner

from course.cli import app
from course.grading.errors import GRADEBOOK, MISUSED
from course.grading.gradebook import database_url
from course.grading.pages import same_answers
from course.grading.pages.notebooks import Work
from course.grading.pages.records import Gradebook, Item, Mark, Record
from course.grading.pages.report import make_pages
from course.grading.pages.same_answers import SMALL, Pair, SameAnswers, form, groups
from course.grading.pages.statistics import ENOUGH, ClassStatistics, ItemStatistics, Moments, Seconds

runner = CliRunner()


def told(root: Path) -> str:
    soup = BeautifulSoup((root / "reports" / SLUG / "index.html").read_text(encoding="utf-8"), "html.parser")
    soup.style.extract()
    return " ".join(soup.get_text(" ").split())


def table(root: Path, name: str) -> list[dict[str, str]]:
    with (root / "reports" / SLUG / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# --- statistics


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_correlation_is_numpys(offset: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500) + offset
    y = 0.3 * x + rng.normal(size=500)
    moments = Moments()
    for pair in zip(x, y, strict=True):
        moments.add(*pair)
    assert moments.correlation == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-8)


def scored(rows: list[dict[str, float | None]], items: dict[str, Item], needs: bool = False) -> ClassStatistics:
    statistics = ClassStatistics(items, [], {})
    for i, row in enumerate(rows):
        marks = {name: Mark(score, needs_person=score is None) for name, score in row.items()}
        statistics.add(Record(f"s{i}", marks=marks), Work(), [], {})
    return statistics


def test_items_against_brute_force() -> None:
    """Mean share, share with all points, and the correlation of an item with the rest of the points."""
    rng = random.Random(1)
    items = {"a": Item("a", 1.0), "b": Item("b", 4.0), "c": Item("c", 2.5)}
    rows: list[dict[str, float | None]] = []
    for _ in range(200):
        skill = rng.random()
        row = {name: rng.choice([0.0, item.maximum / 2]) for name, item in items.items()}
        rows.append(row | {name: item.maximum for name, item in items.items() if rng.random() < skill})
    statistics = scored(rows, items)
    for name, item in items.items():
        own = np.array([row[name] for row in rows], float)
        rest = np.array([sum(row.values()) for row in rows], float) - own  # type: ignore[arg-type]
        found = statistics.items[name]
        assert found.mean_share == pytest.approx(own.mean() / item.maximum)
        assert found.difficulty == pytest.approx((own == item.maximum).mean())
        assert found.discrimination == pytest.approx(np.corrcoef(own, rest)[0, 1])
    totals = [sum(row.values()) for row in rows]  # type: ignore[arg-type]
    quartiles = np.percentile(totals, [0, 25, 50, 75, 100])
    assert list(statistics.quartiles().values()) == pytest.approx([*quartiles, np.mean(totals)])
    assert statistics.bins() == [int(n) for n in np.histogram(totals, bins=10, range=(0, 7.5))[0]]


def test_of_an_item_that_is_right_or_wrong_it_is_the_point_biserial() -> None:
    """By its own formula: difference of means over the deviation, times sqrt(p q)."""
    rng = random.Random(2)
    rows = [{"a": float(rng.random() < 0.4), "b": float(rng.randrange(5))} for _ in range(50)]
    found = scored(rows, {"a": Item("a", 1.0), "b": Item("b", 4.0)}).items["a"].discrimination  # type: ignore[arg-type]
    got = [row["b"] for row in rows if row["a"]]
    others = [row["b"] for row in rows if not row["a"]]
    p = len(got) / len(rows)
    spread = np.std([row["b"] for row in rows])
    assert found == pytest.approx((np.mean(got) - np.mean(others)) / spread * np.sqrt(p * (1 - p)))


def test_where_discrimination_says_nothing() -> None:
    """Too few students, and an item that all got, or one that is all there is."""
    items = {"a": Item("a", 1.0), "b": Item("b", 1.0)}
    varied: list[dict[str, float | None]] = [{"a": float(i % 2), "b": float(i % 3 == 0)} for i in range(ENOUGH)]
    assert scored(varied, items).items["a"].discrimination is not None
    few = scored(varied[:-1], items).items["a"]
    assert (few.discrimination, few.no_discrimination) == (None, "too few")
    same = scored([row | {"a": 1.0} for row in varied], items).items
    assert (same["a"].discrimination, same["a"].no_discrimination) == (None, "all the same")
    assert same["b"].discrimination is None
    assert ItemStatistics(items["a"]).mean_share is None


def test_what_waits_for_a_person_is_not_counted_as_zero() -> None:
    items = {"a": Item("a", 2.0), "b": Item("b", 2.0)}
    statistics = scored([{"a": 2.0, "b": None}, {"a": 1.0, "b": 1.0}], items)
    assert (statistics.items["b"].count, statistics.items["b"].waiting, statistics.items["b"].mean_share) == (1, 1, 0.5)
    assert statistics.items["a"].mean_share == 0.75
    assert statistics.graded == 1
    assert statistics.items["a"].against_rest.count == 1


def test_the_full_score_is_in_the_last_bar() -> None:
    items = {"a": Item("a", 20.0)}
    rows: list[dict[str, float | None]] = [{"a": total} for total in (0, 1.9, 2, 19.99, 20)]
    assert scored(rows, items).bins() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]


def test_seconds_by_kind_and_who_is_slow() -> None:
    seconds = {"start": 0.5, "setup": 0.25, "x--check": 2.0, "x": 0.5, "x--hidden": 1.0}
    took = Seconds.of("ann", seconds, ["x--check", "x--hidden"])
    assert (took.by_kind, took.total) == ((0.5, 0.75, 3.0), 4.25)
    statistics = ClassStatistics({"t": Item("t", 1.0)}, [], {})
    for name, total in [*((f"s{i}", 1.0) for i in range(9)), ("slow", 3.1), ("near", 2.9)]:
        statistics.add(Record(name, marks={"t": Mark(1.0)}), Work(), [], {"seconds": {"t": total}})
    assert [entry.student for entry in statistics.slow()] == ["slow"]


# --- the whole report


def test_a_class(tmp_path: Path) -> None:
    """Statuses, misconceptions, who must be looked at, who was stopped: counted by hand."""
    cause, forged = next(m.says for m in made.chapter().mutants if m.exercise.name == "softmax"), "<b>made up</b>"
    wrong = {"scores": {CHECK: 0.0}, "outputs": {CHECK: [failed("x", f"Likely cause: {cause}")]}}
    students = [
        Student("right", seconds={"start": 1.0, CHECK: 1.0}),
        Student("noted", notes=("The notebook is not called so.",), seconds={"start": 1.0, CHECK: 1.5}),
        Student("wrong1", **wrong, seconds={"start": 1.0, CHECK: 1.0}),  # type: ignore[arg-type]
        Student("wrong2", **wrong),  # type: ignore[arg-type]
        Student("forger", {CHECK: 0.0}, outputs={CHECK: [failed("x", f"Likely cause: {forged}")]}),
        Student("blank", dict.fromkeys(BUNDLE.points, 0.0), answers={}),
        Student("gone", unreadable=True, notes=("The submission cannot be read: the file is empty.",)),
        Student("fault", dict.fromkeys(BUNDLE.points, None), notes=("The grader failed on it (E: no).",)),
        Student("hand", {CHECK: None}),
        Student("killed", {HIDDEN: 0.0}, notes=("the cell x: its kernel ended: it used too much memory.",)),
    ]
    make_class(tmp_path, students)
    make_pages(tmp_path, SLUG)
    statuses = Counter(row["status"] for row in table(tmp_path, "scores"))
    expected = {"graded": 6, "graded with notes": 2, "unreadable": 1, "a person must look": 1}
    assert statuses == expected
    assert table(tmp_path, "misconceptions") == [
        {"exercise": f"{SLUG}/softmax", "students": "2", "misconception": cause}
    ]
    assert {row["student"]: row["reason"] for row in table(tmp_path, "attention")} == {
        "gone": "The submission cannot be read: the file is empty.",
        "fault": "The grader failed on it (E: no).",
        "hand": f"to be graded by hand: {CHECK}",
    }
    items = {row["item"]: row for row in table(tmp_path, "items")}
    # Eight are graded (not gone, not fault); of `hand` a person grades this one.
    assert (items[CHECK]["students"], items[CHECK]["waiting"]) == ("7", "1")
    assert float(items[CHECK]["got it"]) == pytest.approx(3 / 7, abs=1e-4)
    assert (items[CHECK]["not answered"], items[CHECK]["discrimination"]) == ("1", "")
    times = {row["student"]: row for row in table(tmp_path, "times")}
    assert (times["noted"]["start"], times["noted"]["tests"], times["noted"]["total"]) == ("1", "1.5", "2.5")
    assert "too much memory" in times["killed"]["what happened"]
    page = told(tmp_path)
    for words in (
        "10 submissions, 15 points.",
        "graded 6 graded with notes 2",
        "2 " + cause[0].upper() + cause[1:],
        "the file is empty",
        f"to be graded by hand: {CHECK}",
        "its kernel ended: it used too much memory",
        "too few",
    ):
        assert words in page, words
    assert forged not in page


def test_a_picture_says_in_words_what_it_shows(tmp_path: Path) -> None:
    make_class(tmp_path, [Student("a"), Student("b"), Student("c", dict.fromkeys(BUNDLE.points, 0.0))])
    make_pages(tmp_path, SLUG)
    svg = BeautifulSoup((tmp_path / "reports" / SLUG / "index.html").read_text(), "html.parser").svg
    assert svg.desc.get_text().endswith("1, 0, 0, 0, 0, 0, 0, 0, 0, 2 students.")
    heights = [float(bar["height"]) for bar in svg.select("rect")]
    assert heights[9] == 2 * heights[0] > 0


def test_students_are_read_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, each once, whatever the portion is; who handed nothing in has no marks."""
    monkeypatch.setattr("course.grading.pages.records.PORTION", 3)
    make_class(tmp_path, [Student(f"s{i:02d}", {CHECK: i / 10}) for i in range(10)])
    url = database_url(str(tmp_path / "gradebook.db"))
    with made_stock(tmp_path) as stock:
        stock.add_student("zoe")
    with Gradebook(url, SLUG) as gradebook:
        found = list(gradebook.students())
        assert gradebook.count() == (11, 10)
    assert [record.student for record in found] == [*(f"s{i:02d}" for i in range(10)), "zoe"]
    assert [record.marks[CHECK].auto for record in found[:-1]] == [i / 10 for i in range(10)]
    assert not found[-1].submitted


def made_stock(root: Path) -> Any:
    from nbgrader.api import Gradebook as Stock

    return Stock(f"sqlite:///{root / 'gradebook.db'}", "rnn-course")


# --- same answers

ANSWER = '''
def f(x, y):
    """Says what it does."""
    # a comment
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i] - np.sum(x, axis=0)
    return {"x": total}
'''
ALIKE = [
    "def f(x,y):\n  s=0.\n  for k in range(len(x)): s+=x[k]*y[k]-np.sum(x,axis=0)\n  return {'x':s}",
    "%%implement m.f\ndef f(a, b):\n    total = (0.0)\n    for j in range(len(a)):\n        total += a[j] * b[j] - "
    "np.sum(a, axis=0)\n    return {'x': total}  # mine",
    "def f(x: int, y: 'A') -> dict:\n    t: float = 0.0\n    for i in range(len(x)):\n        t += x[i] * y[i] - "
    "np.sum(\n            x, axis=0)\n    'done'\n    return {'x': t}",
]
OTHERS = [
    ("*", "/"),
    ("axis=0", "axis=1"),
    ("axis=0", "keepdims=0"),
    ("np.sum", "np.max"),
    ('{"x"', '{"y"'),
    ("x[i] * y[i]", "y[i] * x[i]"),
    ("0.0", "0"),
    ("def f(", "def g("),
    ("len(x)", "len(y)"),
]


@pytest.mark.parametrize("source", ALIKE)
def test_names_and_layout_make_no_difference(source: str) -> None:
    assert form(source, "f") == form(ANSWER, "f")


@pytest.mark.parametrize(("old", "new"), OTHERS)
def test_anything_else_does(old: str, new: str) -> None:
    assert old in ANSWER
    other = form(ANSWER.replace(old, new), "f")
    assert other is not None
    assert other != form(ANSWER, "f")


def test_names_that_only_look_like_hers_are_kept() -> None:
    """An attribute, a keyword and a string are no names of hers, even where she has a variable of that name."""
    source = "def f(a):\n    h = a.h\n    return g(h=h, s='h')"
    renamed = "def f(b):\n    k = b.h\n    return g(h=k, s='h')"
    assert form(source, "f") == form(renamed, "f")
    assert form(source, "f") != form(renamed.replace("b.h", "b.k"), "f")
    assert form(source, "f") != form(renamed.replace("h=k", "k=k"), "f")
    assert form(source, "f") != form(renamed.replace("'h'", "'k'"), "f")


@pytest.mark.parametrize("source", ["def f(", "(" * 10_000, "-" * 15_000 + "1", "x" * 30_000, "\0", "\ud800 = 1"])
def test_what_is_no_python_is_not_compared(source: str) -> None:
    found = form(source, "f")
    assert found is None or source == "\ud800 = 1"


def test_pairs_against_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair that shares rare forms in at least two exercises, and no other."""
    monkeypatch.setattr(same_answers, "RARE", 0.08)
    rng = random.Random(3)
    exercises = ["c/a", "c/b", "c/d"]
    long = "\n".join(f"    v{i} = x * {i} + np.exp(x)" for i in range(12))
    bodies = {e: [f"def f(x):\n{long}\n    return {e!r}, {i}" for i in range(40)] for e in exercises}
    likely = [0] * 15 + list(range(40))  # one answer is common, as where many come to the same
    answers = {
        f"s{i:03d}": {e: bodies[e][rng.choice(likely)] for e in exercises if rng.random() < 0.9} for i in range(240)
    }
    limit = {e: max(3, min(10, 0.08 * sum(e in a for a in answers.values()))) for e in exercises}
    writers = Counter((e, source) for found in answers.values() for e, source in found.items())
    expected = {}
    for first, second in itertools.combinations(sorted(answers), 2):
        shared = {
            e: writers[e, source]
            for e, source in answers[first].items()
            if answers[second].get(e) == source and writers[e, source] <= limit[e]
        }
        if len(shared) >= 2:
            expected[first, second] = shared
    assert len(expected) > 5
    with SameAnswers({e: ["def f(x):\n    pass"] for e in exercises}) as same:
        for student, found in answers.items():
            same.add(student, found)
        assert {pair.students: pair.exercises for pair in same.pairs()} == expected


def test_answers_that_say_nothing_are_left_out() -> None:
    """The stub, the reference, short ones, and those that too many wrote; one exercise alone does not do either."""
    long = "\n".join(f"    v{i} = x * {i} + np.exp(x)" for i in range(12))
    stub, reference = "def f(x):\n    raise NotImplementedError", f"def f(x):\n{long}\n    return 1"
    own = f"def f(x):\n{long}\n    return 2"
    cases = {
        "both hers": ([own, own], 2, True),
        "one of two": ([own, reference.replace("1", "7")], 2, False),
        "reference": ([reference, reference.replace("x", "y")], 2, False),
        "short": (["def f(x):\n    return x / x.sum()"] * 2, 2, False),
        "common": ([own, own], 4, False),
    }
    for name, (sources, students, listed) in cases.items():
        with SameAnswers({"c/f": [stub, reference], "d/f": [stub, reference]}) as same:
            for i in range(students):
                second = sources[1] if name != "one of two" else f"{sources[1]} + {i}"
                same.add(f"s{i}", {"c/f": sources[0], "d/f": second})
            assert bool(list(same.pairs())) == listed, name
    short, stubbed = form("def f(x):\n    return x / x.sum()", "f"), form(stub, "f")
    assert short is not None
    assert stubbed is not None
    assert short.size - stubbed.size < SMALL
    assert ast.parse(own)


def test_pairs_that_hang_together_are_one_group() -> None:
    pairs = [Pair(("a", "b"), {"x": 2, "y": 2}), Pair(("c", "d"), {"x": 3, "y": 2}), Pair(("b", "e"), {"y": 3, "z": 2})]
    assert groups(pairs) == [(["a", "b", "e"], {"x": 2, "y": 3, "z": 2}), (["c", "d"], {"x": 3, "y": 2})]


def test_two_who_share_are_listed_in_the_report(tmp_path: Path) -> None:
    """In different names and layout; the reference, which the others have, is not listed."""
    extra = "\n".join(f"    w{i} = logits * {i} + np.exp(logits) - {i}" for i in range(8))
    mine = {SOFTMAX: f"def softmax(logits):\n{extra}\n    return logits"}
    mine[f"{SLUG}--output_layer"] = f"def output_layer(params, h):\n{extra.replace('logits', 'h')}\n    return h"
    theirs = {cell: source.replace("w", "tmp").replace("logits", "z") + "  # mine" for cell, source in mine.items()}
    make_class(tmp_path, [Student("ann", source=mine), Student("bob", source=theirs), Student("cyd"), Student("dan")])
    make_pages(tmp_path, SLUG)
    shared = [(row["student"], row["other student"], row["exercise"]) for row in table(tmp_path, "same-answers")]
    assert shared == [("ann", "bob", f"{SLUG}/output_layer"), ("ann", "bob", f"{SLUG}/softmax")]
    assert "ann , bob" in told(tmp_path)


# --- the command


def test_the_command(tmp_path: Path) -> None:
    make_class(tmp_path, [Student("ann"), Student("bob", {CHECK: None})])
    result = runner.invoke(app, ["report", SLUG, "--course", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "2 feedback pages written" in result.output
    assert "1 blank in canvas.csv and moodle.csv, until a person has graded what is left: bob" in result.output
    again = runner.invoke(app, ["report", SLUG, "--course", str(tmp_path), "--db", str(tmp_path / "gradebook.db")])
    assert "0 feedback pages written, 2 are as they were" in again.output


def test_errors_are_for_people(tmp_path: Path) -> None:
    """Each says what to do, and has its exit code; nothing is made."""

    def run(*arguments: str) -> SimpleNamespace:
        result = runner.invoke(app, ["report", *arguments, "--course", str(tmp_path / "course")])
        return SimpleNamespace(code=result.exit_code, said=" ".join(result.output.split()))

    unknown = run("99-nothing")
    assert unknown.code == MISUSED
    assert "there is no assignment '99-nothing'" in unknown.said
    empty = run(SLUG)
    assert empty.code == MISUSED
    assert f"run first: course grade {SLUG}" in empty.said
    assert not (tmp_path / "course").exists()
    make_class(tmp_path / "course", [])
    assert f"run first: course grade {SLUG}" in run(SLUG).said
    assert "run first: course grade 04-elman" in run("04-elman").said
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    broken = run(SLUG, "--db", str(tmp_path / "broken.db"))
    assert broken.code == GRADEBOOK
    assert "broken.db" in broken.said


def test_a_page_that_is_missing_is_named(tmp_path: Path) -> None:
    make_class(tmp_path, [Student("ann"), Student("bob")])
    (tmp_path / "autograded" / "bob" / SLUG / f"{SLUG}.ipynb").unlink()
    result = runner.invoke(app, ["report", SLUG, "--course", str(tmp_path)])
    assert "1 without an autograded notebook, so without a page: bob" in result.output


def test_grading_ends_with_pages_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.grading.batch.make_bundle", lambda chapter: BUNDLE)
    hand_in = tmp_path / "submitted" / "ann" / SLUG / f"{SLUG}.ipynb"
    hand_in.parent.mkdir(parents=True)
    hand_in.write_bytes(b"this is no notebook")
    arguments = ["grade", SLUG, "--course", str(tmp_path), "--workers", "1"]
    arguments += ["--no-sandbox"] if made.NO_SANDBOX else []
    result = runner.invoke(app, [*arguments, "--no-pages"])
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "feedback").exists()
    assert not (tmp_path / "reports").exists()
    result = runner.invoke(app, arguments)
    assert "1 feedback pages written" in result.output
    assert "cannot be read" in (tmp_path / "feedback" / "ann" / SLUG / f"{SLUG}.html").read_text()
    assert "unreadable 1" in told(tmp_path)
