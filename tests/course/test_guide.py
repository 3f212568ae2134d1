"""The tables of the instructor's guide: numbers flush right, nothing that breaks a row, nothing without its data."""

import json

import pytest

from course import guide
from course.audit import answer_lines, leaks
from course.exercises import catalogue
from course.grading import errors
from course.guide import GuideError
from course.sources import chapters


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of data files."""
    monkeypatch.setattr(guide, "DATA", tmp_path)
    monkeypatch.setattr(guide, "ROOT", tmp_path)
    return tmp_path


def test_a_table_is_one_row_a_line():
    """Thousands have commas; a bar or a line's end in a cell does not end the cell."""
    rows = [("a|b", 1234, ""), ("two\nlines", "**7**", "x")]
    assert guide.lines(("what", "count", "more"), rows).splitlines() == [
        "| what | count | more |",
        "| --- | ---: | --- |",
        r"| a\|b | 1,234 |  |",
        "| two lines | **7** | x |",
    ]


@pytest.mark.parametrize("rows", [[], [("one",)], [("one", "two", "three")]])
def test_a_table_that_cannot_be_right_is_refused(rows):
    """No rows, or rows that do not fit the heads."""
    with pytest.raises(GuideError, match=r"the table a \| b has"):
        guide.lines(("a", "b"), rows)


def test_a_missing_file_names_the_command_that_makes_it(folder):
    """The build of a page stops with words."""
    with pytest.raises(GuideError, match=r"red_team.json is missing; it is made by: make red-team"):
        guide.data("red_team")


def test_plain_text_is_no_markdown():
    """A dunder name is not bold, a tag is no tag; a bar is the table's business."""
    assert guide.plain("__import__ of <b> and *x* | $y$") == r"\_\_import\_\_ of \<b\> and \*x\* | \$y\$"


def test_folds_hold_tables():
    """A title and a text each, in a fence longer than those inside."""
    text = guide.folds({"first": "| a |", "second": "b"}).data
    assert text == "::::{dropdown} first\n| a |\n::::\n\n::::{dropdown} second\nb\n::::"


@pytest.mark.parametrize("name", ["ten_weeks", "three_days"])
def test_plans_mark_what_does_not_exist(name):
    """Minutes and points are the catalogue's; a chapter without exercises is planned."""
    there = {exercise.slug for exercise in catalogue().values()}
    known = guide.data("plans")
    for (unit, text, minutes, points), slugs in zip(guide.plan(name), known[name].values(), strict=True):
        own = [e for e in catalogue().values() if e.slug in slugs]
        assert text.count("(planned)") == len(set(slugs) - there), unit
        assert (minutes or 0, points or 0) == (sum(e.minutes for e in own), sum(e.total_points for e in own))


def test_a_chapter_without_a_title_is_noticed(folder):
    """A new chapter has to be put into the plans."""
    known = {exercise.slug: "x" for exercise in catalogue().values() if exercise.slug != "04-elman"}
    (folder / "plans.json").write_text(json.dumps({"chapters": known, "week": {}}))
    with pytest.raises(GuideError, match="no title for 04-elman"):
        guide.plan("week")


def test_common_errors_are_names_and_no_answers(tmp_path):
    """Every exercise has some; what is shown of them gives no line of an answer away."""
    found = guide.common_errors()
    assert list(found) == [e.id for c in chapters() for e in c.exercises]
    assert all(len(names) >= 5 for names in found.values())
    page = tmp_path / "page.md"
    page.write_text("\n".join(name for names in found.values() for name in names))
    assert not leaks([page], answer_lines(chapters()))


def test_exit_codes_are_those_of_the_command():
    """Each code that there is has its line, with a meaning."""
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    told = dict(guide.exit_codes())
    assert {int(code) for code in told} == codes | {0}
    assert all(len(meaning) > 10 for meaning in told.values())
