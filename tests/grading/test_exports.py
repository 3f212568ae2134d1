"""Files for Canvas, Moodle and spreadsheets: who is meant is found again, and nothing in them is a formula."""

import csv
import locale
from pathlib import Path

import pytest
from made_classes import CHECK, HIDDEN, Student, make_class
from made_submissions import SLUG

from course.grading.pages.exports import Grades, Table, guarded
from course.grading.pages.records import Mark, Record
from course.grading.pages.report import make_pages

NASTY = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\tx",
    "\rx",
    "\r=1",
    "  =1",
    "\uff1d1+1",  # a wide equals sign
    'a";=1+1;"',
    "a;=1+1",
    "a,=1+1",
    "a\t@x",
    "a\n=1",
    'Quote "Mac" O\'Hara, Jr.',
    "two\nlines",
    "Żółć 山田 🎓",
    "Anne-Marie",
    "half \ud800",
]


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def record(student: str, score: float | None = 1.0, **more: object) -> Record:
    return Record(student, marks={"item": Mark(score)}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NASTY)
def test_text_goes_around_and_is_no_formula(tmp_path: Path, name: str) -> None:
    """Whatever a spreadsheet takes for the end of a cell, none begins like a formula; the rest comes back as it was."""
    with Table(tmp_path / "t.csv", ("name", "score")) as table:
        table.row(name, 1.5)
    (_, (cell, score)) = read(tmp_path / "t.csv")
    known = name.encode("utf-8", "replace").decode()
    assert cell.replace("'", "") == known.replace("'", "")
    assert score == "1.5"
    for separator in (",", ";", "\t", "|", "\n"):
        for piece in cell.split(separator):
            assert not piece.strip(' "').startswith(("=", "+", "-", "@", "\uff1d", "\t", "\r")), (cell, piece)


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("Anne-Marie", "O'Hara, Jr.", "Żółć 山田", "a=b", "x@y.org", "12-34", "two\nlines"):
        assert guarded(name) == name


def test_canvas(tmp_path: Path) -> None:
    """Its header, a row with the points possible, a row for each student; blank where there is no grade yet."""
    with Grades(tmp_path, "04-elman", 20.0) as grades:
        for found in (
            record("doejane_77", 12.25, lms_user_id="77", first_name="Jane", last_name="Doe"),
            record("wait", None),
            Record("absent"),
            record("zero", 0.0),
            record("=evil", 2.0),
            record("Points Possible", 999.0),
        ):
            grades.add(found)
    assert read(tmp_path / "canvas.csv") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "04-elman"],
        ["Points Possible", "", "", "", "", "20"],
        ["Jane Doe", "77", "", "", "", "12.25"],
        ["wait", "", "", "wait", "", ""],
        ["absent", "", "", "absent", "", ""],
        ["zero", "", "", "zero", "", "0"],
        ["'=evil", "", "", "'=evil", "", "2"],
        ["Points-Possible", "", "", "Points Possible", "", "999"],
    ]
    assert (grades.blank, grades.strange) == (["wait"], ["=evil"])
    assert (tmp_path / "canvas.csv").read_bytes().startswith(b"Student,")  # no byte-order mark


def test_moodle(tmp_path: Path) -> None:
    """What its grading worksheet needs, and columns for its gradebook's import."""
    with Grades(tmp_path, "04-elman", 20.0) as grades:
        grades.add(record("Jane Doe_77", 12.25, lms_user_id="77"))
        grades.add(record("jd", None, email="jd@example.org"))
        grades.add(Record("John Doe_78", lms_user_id="78"))  # his number may be another assignment's
        grades.add(Record("absent"))
    header, *rows = read(tmp_path / "moodle.csv")
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(header)
    assert rows == [
        ["Participant 77", "Jane Doe_77", "", "", "12.25", "20", ""],
        ["", "jd", "jd", "jd@example.org", "", "20", ""],
        ["", "absent", "absent", "", "", "20", ""],
    ]


def test_a_decimal_point_in_every_country(tmp_path: Path) -> None:
    was = locale.setlocale(locale.LC_NUMERIC)
    others = [name for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8") if _there_is(name)]
    try:
        for name in others:
            locale.setlocale(locale.LC_NUMERIC, name)
            with Table(tmp_path / "t.csv", ("a", "b", "c")) as table:
                table.row(1234.5, 1 / 3, 1e-9)
            assert read(tmp_path / "t.csv")[1] == ["1234.5", "0.3333", "0"]
    finally:
        locale.setlocale(locale.LC_NUMERIC, was)


def _there_is(name: str) -> bool:
    was = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_NUMERIC, was)
    return True


def test_a_table_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with Table(tmp_path / "t.csv", ("a",)) as table:
        table.row("old")
    with pytest.raises(ZeroDivisionError), Table(tmp_path / "t.csv", ("a",)) as table:
        table.row(1 / 0)
    assert read(tmp_path / "t.csv") == [["a"], ["old"]]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_class_of_a_gradebook(tmp_path: Path) -> None:
    """From gradebook to file: manual scores and penalties count, who waits is left blank and named."""
    students = [
        Student("ann_5", lms="5", manual={CHECK: 1.0}, penalty=0.5),
        Student("bob", {CHECK: None}),
        Student("late", {CHECK: 0.0, HIDDEN: 0.0}, penalty=99.0),
    ]
    make_class(tmp_path, students)
    summary = make_pages(tmp_path, SLUG)
    _, *rows = read(tmp_path / "reports" / SLUG / "canvas.csv")
    assert {row[0]: row[-1] for row in rows} == {"Points Possible": "15", "ann_5": "12.5", "bob": "", "late": "0"}
    assert summary.blank == ["bob"]
    header, *rows = read(tmp_path / "reports" / SLUG / "scores.csv")
    ann, bob, _ = (dict(zip(header, row, strict=True)) for row in rows)
    assert (ann["total"], ann["late penalty"], ann[CHECK], ann[HIDDEN], ann["needs a person"]) == (
        "12.5",
        "0.5",
        "1",
        "1",
        "",
    )
    assert (bob["total"], bob[CHECK], bob["needs a person"]) == ("12", "", "yes")
