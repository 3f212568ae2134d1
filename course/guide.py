"""What the instructor's guide shows: tables that its pages make from data files, the catalogue and the code.

A data file in `book/instructors/_data` is written by a command; a page whose file is missing cannot be built.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from IPython.display import Markdown

from course.exercises import catalogue
from course.grading import errors
from course.sources import ROOT

DATA = ROOT / "book" / "instructors" / "_data"
MADE_BY = {
    "kill_matrix": "course mutants --write",
    "plans": "hand",
    "red_team": "make red-team",
    "throughput": "make bench-grading WRITE=1",
}

__all__ = ["GuideError", "common_errors", "data", "exit_codes", "folds", "lines", "plain", "plan", "table"]


class GuideError(Exception):
    """A page cannot be made; the message says what is missing, and which command makes it."""


def data(name: str) -> Any:
    """A data file of the guide, by its name without `.json`."""
    path = DATA / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    raise GuideError(f"{path.relative_to(ROOT)} is missing; it is made by: {MADE_BY[name]}")


def lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns in which every cell is a number, or empty, are set flush right."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        raise GuideError(f"the table {' | '.join(heads)} has no rows")
    if any(len(row) != len(heads) for row in cells):
        raise GuideError(f"the table {' | '.join(heads)} has rows of other lengths")
    right = [all(_is_number(row[i]) for row in cells) and any(row[i] for row in cells) for i in range(len(heads))]
    rule = ["---:" if flush else "---" for flush in right]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *cells])


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markdown:
    """The same, for a page to show."""
    return Markdown(lines(heads, rows))


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return " ".join(text.split()).replace("|", r"\|")


def _is_number(text: str) -> bool:
    return text.strip("*").replace(",", "").replace(".", "", 1).isdigit() or not text


def plain(text: str) -> str:
    """Text in which nothing is Markdown, such as the underscores of a Python name."""
    return re.sub(r"([\\`*_{}\[\]<>$])", r"\\\1", text)


def folds(parts: Mapping[str, str]) -> Markdown:
    """Titles under which a text opens on a click."""
    return Markdown("\n\n".join(f"::::{{dropdown}} {title}\n{text}\n::::" for title, text in parts.items()))


# --- what there is to teach


def plan(name: str) -> list[tuple[str, str, Any, Any]]:
    """One of the plans: for each unit its name, its chapters, and minutes and points of those that exist.

    Raises
    ------
    GuideError  a chapter that exists is in no outline.
    """
    known, exercises = data("plans"), list(catalogue().values())
    there = {exercise.slug for exercise in exercises}
    if strange := there - set(known["chapters"]):
        raise GuideError(f"plans.json has no title for {', '.join(sorted(strange))}")
    found = []
    for unit, slugs in known[name].items():
        parts = [f"{int(s[:2])} {known['chapters'][s]}{'' if s in there else ' (planned)'}" for s in slugs]
        own = [exercise for exercise in exercises if exercise.slug in slugs]
        minutes, points = sum(e.minutes for e in own), sum(e.total_points for e in own)
        found.append((unit, "; ".join(parts), minutes or "", points or ""))
    return found


def common_errors() -> dict[str, list[str]]:
    """The mistakes that the course knows, by exercise, as the names that wrong versions have.

    Their diagnoses stay out: some say what is right, and a page is read by those who have not tried yet.
    """
    found: dict[str, list[str]] = {}
    for record in data("kill_matrix").values():
        for row in record["versions"]:
            if not row["version"].startswith("("):
                found.setdefault(row["exercise"], []).append(row["version"].replace("-", " "))
    return found


def exit_codes() -> list[tuple[str, str]]:
    """What `course grade` says to a script, as the module that defines the codes explains them."""
    text = (errors.__doc__ or "").split("\n\n", 1)[1].strip()
    return [(code, meaning) for code, meaning in (line.split(maxsplit=1) for line in text.splitlines())]
