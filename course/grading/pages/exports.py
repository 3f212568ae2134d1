"""CSV files: tables of the class report, and grades for Canvas and Moodle.

A spreadsheet runs a cell that begins with = + - @ (also in their wide forms), a tab or a line's end as a formula, and
takes commas, semicolons and tabs for ends of cells, depending on the country. So text in which one of these signs
begins a cell, or might, gets an apostrophe before it. Numbers are written by us. A platform finds a student by her
number all the same, which begins with a digit; a login that begins with such a sign is found by hand, and
`course report` names it.

Scores have a decimal point in every country. A grade that waits for a person is left blank, never 0, and so is the
grade of a student who handed nothing in.

Canvas (Gradebook, Import) looks for a student by `ID`, which Canvas puts into the names of the files that it exports,
then by `SIS Login ID`, then by name. Our column is called as the assignment, without a number in parentheses: Canvas
would take that for the id of an assignment of its own, and overwrite another one. There is no byte-order mark, since
Canvas's reader does not expect one.

Moodle takes the same file in two places. In the assignment, "Upload grading worksheet" finds students by `Identifier`,
made from the number in Moodle's file names (this needs Moodle in English, and "Allow updating records that have been
modified more recently" if somebody was graded before). In the gradebook, "Import, CSV file" asks which column is which:
map `Username` or `Email address`, and `Grade`.
"""

import csv
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from course.grading.pages.feedback import number
from course.grading.pages.notebooks import plain
from course.grading.pages.records import Record

DIGITS = 4  # after the decimal point
_FORMULA = re.compile(r"(?<![^\t\r\n,;|\"])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])")
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = (
    "Identifier",
    "Full name",
    "Username",
    "Email address",
    "Grade",
    "Maximum grade",
    "Last modified (grade)",
)

__all__ = ["Grades", "Table", "guarded"]


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "")
    return _FORMULA.sub("'", text)


class Table:
    """A CSV file that is there whole or not at all."""

    def __init__(self, path: Path, header: Iterable[str], spreadsheet: bool = True) -> None:
        """`spreadsheet`: for people, so with the byte-order mark that lets Excel read names as they are."""
        self._path, self._new = path, path.with_name(f".{path.name}.new")
        self._file = self._new.open("w", encoding="utf-8-sig" if spreadsheet else "utf-8", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow(header)

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._new, self._path)
        else:
            self._new.unlink(missing_ok=True)

    def row(self, *cells: str | float | None) -> None:
        """Text is made harmless, numbers get a decimal point, None is blank."""
        self._csv.writerow([guarded(cell) if isinstance(cell, str) else number(cell, DIGITS) for cell in cells])


class Grades:
    """canvas.csv and moodle.csv, a student at a time."""

    def __init__(self, folder: Path, slug: str, maximum: float) -> None:
        self._maximum = maximum
        self.blank: list[str] = []  # handed in, but a person must grade something first
        self.strange: list[str] = []  # a platform cannot find them by what is written
        with ExitStack() as stack:
            self._canvas = stack.enter_context(Table(folder / "canvas.csv", (*CANVAS, slug), spreadsheet=False))
            self._moodle = stack.enter_context(Table(folder / "moodle.csv", MOODLE, spreadsheet=False))
            self._stack = stack.pop_all()
        self._canvas.row("Points Possible", None, None, None, None, maximum)

    def __enter__(self) -> "Grades":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, record: Record) -> None:
        """One student of the class."""
        known = record.lms_user_id
        login = "" if known else record.student
        grade = record.total if record.submitted and not record.needs_person else None
        if record.submitted and record.needs_person:
            self.blank.append(record.student)
        if guarded(login) != login:
            self.strange.append(record.student)
        name = plain(record.name)
        # Canvas takes a row for its own whose first cell has these words in it.
        self._canvas.row(name.replace("Points Possible", "Points-Possible"), known, "", login, "", grade)
        if record.submitted or not known:  # Moodle's numbers are those of one assignment
            identifier = f"Participant {known}" if known else ""
            self._moodle.row(identifier, name, login, record.email or "", grade, self._maximum, "")
