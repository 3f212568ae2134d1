"""What one hostile or broken submission is, and how most of them are built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_submissions as made
from nbformat import NotebookNode

from course.grading.bundle import Bundle
from course.grading.task import Outcome

# Small enough that an attack which uses all of its time is over in seconds.
LIMITS = {
    "memory_mb": 400,
    "processor_seconds": 20,
    "folder_mb": 40,
    "call_seconds": 2,
    "cell_seconds": 3,
    "test_seconds": 10,
    "notebook_seconds": 25,
}
SHAPES, SOFTMAX = 3.0, 4.0  # points of the two exercises: checks 2 and 3, hidden tests 1 each
FULL = SHAPES + SOFTMAX
WRONG = "def softmax(logits):\n    return logits"
UNTOUCHED: dict[str, str] = {}

MARK = "red-team-was-here"  # in the name of every file that an attack makes outside of its own folder
CANARIES = "/tmp/red-team-*"  # where what nobody may read or change lies, world-readable, for attacks to look for

__all__ = [
    "CANARIES",
    "FULL",
    "LIMITS",
    "MARK",
    "SHAPES",
    "SOFTMAX",
    "UNTOUCHED",
    "WRONG",
    "Attack",
    "cells",
    "default_bundle",
    "function",
]


def as_expected(folder: Path, data: bytes) -> None:
    """Hand in a notebook of the right name."""
    (folder / f"{made.SLUG}.ipynb").write_bytes(data)


def default_bundle() -> Bundle:
    """A notebook of two exercises, `shapes` for 3 points and `softmax` for 4."""
    return made.small("shapes", "softmax", **LIMITS)


@dataclass(frozen=True)
class Attack:
    """One hostile or broken submission, and what it deserves."""

    name: str  # unique, kebab-case: the test's id
    kind: str  # heading of the table: "the file", "the notebook", "IPython", "the tests", ...
    told: str  # what it does, in one short sentence for the instructor's guide
    build: Callable[[Bundle], bytes]  # the submitted bytes, from the bundle that it is for
    deserved: float | None  # points; None: a person must look
    status: str | None = None  # Outcome.status, or None for either of graded / graded with notes
    says: str = ""  # a piece of a note or an output that must be there
    seconds: float = 40  # the most that grading may take
    bundle: Callable[[], Bundle] = default_bundle
    stock: bool = True  # also handed to stock nbgrader in the comparison
    after: Callable[[Outcome], None] | None = None  # more to look at afterwards
    place: Callable[[Path, bytes], None] = as_expected  # how it lies in submitted/STUDENT/SLUG
    student: str = ""  # the name of her folder; none: the attack's name


def cells(*sources: str, at: int = 1, softmax: str = WRONG, **answers: str) -> Callable[[Bundle], bytes]:
    """`shapes` right, `softmax` wrong (unless given), and added code cells, first thing after the setup cell.

    `at=10_000` puts them at the end. Deserves SHAPES, whatever the cells do.
    """

    def add(notebook: NotebookNode) -> None:
        notebook.cells[at:at] = [made.code(source) for source in sources]

    return lambda bundle: made.handed_in(bundle, made.right("shapes") | {"softmax": softmax} | answers, add)


def function(softmax: str, change: Callable[[NotebookNode], Any] = lambda notebook: None) -> Callable[[Bundle], bytes]:
    """`shapes` right, `softmax` defined by this source."""
    return lambda bundle: made.handed_in(bundle, made.right("shapes") | {"softmax": softmax}, change)
