"""What exercises there are: one record each, written by the build from the notebooks' front matter.

The records ship with the checks (`course/checks/data/NN-slug.json`), so a learner's kit, a browser
kernel and a grading process know them without the instructor's files.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "checks" / "data"
_ID = re.compile(r"(\d\d)-[a-z0-9-]+/[a-z_][a-z0-9_]*")

__all__ = ["DATA", "Exercise", "catalogue", "chapter_number", "find", "implementing"]


def chapter_number(slug: str) -> int:
    """The number that a chapter's slug begins with: 4 for "04-elman"."""
    if not re.match(r"\d\d-", slug):
        raise ValueError(f"{slug!r} is not a chapter's name; expected two digits and a word, such as 04-elman")
    return int(slug[:2])


@dataclass(frozen=True)
class Exercise:
    """One graded exercise. Points and minutes are the front matter's; nothing here is derived twice."""

    id: str  # NN-slug/name: the name it has everywhere
    title: str
    purpose: str
    points: dict[str, int]  # cell kind ("check", "hidden") to points
    minutes: int
    difficulty: int  # 1 to 5
    needs: list[str] = field(default_factory=list)  # ids of exercises to do first
    star: bool = False  # graded nowhere else
    implements: str | None = None  # the function of rnnlib it becomes, or None: it lives in the notebook
    signature: list[str] = field(default_factory=list)  # parameters by name, with "=" where there is a default

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(
                f"{self.id!r} is not an exercise id; expected NN-slug/function, such as 04-elman/elman_step"
            )
        if self.difficulty not in range(1, 6):
            raise ValueError(f"{self.id}: difficulty is {self.difficulty}, expected 1 to 5")

    @property
    def slug(self) -> str:
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        return self.id.partition("/")[2]

    @property
    def token(self) -> str:
        """The id where a slash cannot stand: nbgrader's grade_id (its pages select cells by it), file names."""
        return self.id.replace("/", "--")

    @property
    def total_points(self) -> int:
        return sum(self.points.values())

    @property
    def module(self) -> str | None:
        return self.implements.rpartition(".")[0] if self.implements else None

    @property
    def stub(self) -> str:
        """The one statement that stands where the answer goes."""
        return f'raise NotImplementedError("Exercise {self.id} is not written yet")'

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_record(slug: str) -> dict[str, Any]:
    """The record of one chapter: its exercises, and the skeleton of its check data."""
    return json.loads((DATA / f"{slug}.json").read_text(encoding="utf-8"))


@cache
def catalogue() -> dict[str, Exercise]:
    """All exercises, by id, in the order of the course."""
    exercises: dict[str, Exercise] = {}
    for path in sorted(DATA.glob("*.json")):
        for record in read_record(path.stem)["exercises"]:
            exercise = Exercise(**record)
            exercises[exercise.id] = exercise
    return exercises


def find(text: str) -> Exercise:
    """The exercise of that id, or of that function's name if only one has it."""
    known = catalogue()
    if text in known:
        return known[text]
    named = [exercise for exercise in known.values() if text in (exercise.name, exercise.implements)]
    if len(named) == 1:
        return named[0]
    if named:
        raise KeyError(f"{text!r} names {len(named)} exercises: {', '.join(e.id for e in named)}")
    raise KeyError(f"no exercise is called {text!r}; there are: {', '.join(known)}")


def implementing(function: str, exercises: Iterable[Exercise] | None = None) -> Exercise | None:
    """The exercise whose answer is this function (full name, such as rnnlib.elman.elman_step), if there is one."""
    pool = catalogue().values() if exercises is None else exercises
    return next((exercise for exercise in pool if exercise.implements == function), None)
