"""The kill matrix that is stored for the instructor's guide: current, complete, and without a source in it."""

import json
from pathlib import Path

import pytest

from course.audit import answer_lines, leaks
from course.checks.run import check_files
from course.mutants import MATRIX, REFERENCE, STUB, Row, Variant, stamp, store, variants
from course.sources import ROOT, chapters

STORED = json.loads(MATRIX.read_text(encoding="utf-8"))
CHAPTERS = [pytest.param(chapter, id=chapter.slug) for chapter in chapters()]


def test_every_chapter_is_in_the_matrix():
    """No chapter too few, none that is gone."""
    assert list(STORED) == [chapter.slug for chapter in chapters()]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_stored_matrix_is_of_these_versions_and_checks(chapter):
    """Answers, wrong versions, checks and their data are those that the matrix was made with."""
    record = STORED[chapter.slug]
    made_with = {key: record[key] for key in stamp(chapter)}
    assert made_with == stamp(chapter), f"run: course mutants --write {chapter.slug}"
    assert [f"{row['exercise']}:{row['version']}" for row in record["versions"]] == [v.id for v in variants(chapter)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_changed_version_or_check_is_noticed(chapter, monkeypatch):
    """The fingerprints tell one wrong version more, and another byte in the check data."""
    before = stamp(chapter)
    monkeypatch.setitem(vars(chapter), "mutants", chapter.mutants[1:])
    assert stamp(chapter)["versions_digest"] != before["versions_digest"]
    assert stamp(chapter)["checks_digest"] == before["checks_digest"]
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: b"other")
    assert stamp(chapter)["checks_digest"] != before["checks_digest"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_stored_says_that_the_checks_do_their_work(chapter):
    """The reference passes everything; every other version fails the visible cell and pytest."""
    for row in STORED[chapter.slug]["versions"]:
        right = row["version"] == REFERENCE
        assert bool(row["visible"]) != right, row
        assert row["pytest"] != right, row
        assert row["hidden"] in ([False, None] if right else [True, False, None]), row


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_changed_property_is_noticed(chapter, monkeypatch):
    """Another byte in the module that holds a chapter's properties, whatever its name, is noticed."""
    before, read = stamp(chapter), Path.read_bytes
    files = check_files(chapter.exercises)
    assert files, f"no module of properties for {chapter.slug}"
    assert {path.parent for path in files} == {ROOT / "course" / "checks"}, "a property's module is not ours"
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: read(path) + b"#" * (path in files))
    assert stamp(chapter)["checks_digest"] != before["checks_digest"]


def test_no_source_is_stored():
    """The book is public: no line of an answer, and no line of a wrong version, is in the file."""
    wrong = {
        line.strip(): mutant.id
        for chapter in chapters()
        for mutant in chapter.mutants
        for line in mutant.source.splitlines()
        if len(line.strip()) > 20
    }
    assert not leaks([MATRIX], answer_lines(chapters()) | wrong)


def test_a_row_is_stored_with_the_checks_that_caught_it(tmp_path):
    """The names of broken checks come from the cell's report; an error before any check is stored as its kind."""
    chapter = chapters()[0]
    exercise = chapter.exercises[0]
    report = "CheckFailed: x\n  ✓ one\n  ✗ two, in words\n      because ✗ of this\n  ✗ three"
    rows = [
        Row(Variant(chapter, exercise, REFERENCE, "")),
        Row(Variant(chapter, exercise, STUB, ""), "CheckFailed: x\n  ✗ not written yet", "no", "no"),
        Row(Variant(chapter, exercise, "first", "", "why"), report, None, "no"),
        Row(Variant(chapter, exercise, "second", ""), "SyntaxError: bad", "no", "no"),
    ]
    path = tmp_path / "deep" / "matrix.json"
    store(path, chapter, rows)
    found = json.loads(path.read_text(encoding="utf-8"))[chapter.slug]["versions"]
    assert [row["visible"] for row in found] == [[], ["not written yet"], ["two, in words", "three"], ["SyntaxError"]]
    assert [row["hidden"] for row in found] == [False, True, False, True]
    assert [row["pytest"] for row in found] == [False, True, True, True]
    assert [row["cause"] for row in found] == [False, False, True, False]


def test_storing_one_chapter_leaves_the_others(tmp_path):
    """A chapter's record is replaced, its neighbors stay, a line for each version."""
    path = tmp_path / "matrix.json"
    first, second = chapters()[:2]
    rows = {c.slug: [Row(Variant(c, c.exercises[0], REFERENCE, ""))] for c in (first, second)}
    store(path, second, rows[second.slug])
    store(path, first, rows[first.slug] * 3)
    store(path, first, rows[first.slug] * 2)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found) == [first.slug, second.slug]
    assert [len(record["versions"]) for record in found.values()] == [2, 1]
    assert sum('"version"' in line for line in path.read_text(encoding="utf-8").splitlines()) == 3
