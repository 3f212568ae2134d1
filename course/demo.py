"""A small class of made-up submissions for 04-elman, graded with nbgrader's own commands.

It shows the way of a submission from hand-in to gradebook, and a test holds the scores against what they
must be. Safe grading of submissions that nobody should trust is another matter; this is the plain way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import nbformat

SLUG = "04-elman"
CELL_SECONDS = 45

__all__ = ["Graded", "Story", "run_demo", "stories"]

Notebook = nbformat.NotebookNode


@dataclass(frozen=True)
class Story:
    """One made-up student: what she handed in, and which exercises earn their points."""

    student: str
    told: str
    answers: dict[str, str]  # exercise name to the source of the function
    earns: list[str]  # names of exercises that get full points
    change: Callable[[Notebook], None] = lambda notebook: None  # what else happened to the notebook
    file_name: str = f"{SLUG}.ipynb"
    graded: bool = True  # whether stock nbgrader finds it at all
    also: dict[str, float] = field(default_factory=dict)  # partial points


@dataclass(frozen=True)
class Graded:
    student: str
    story: str
    score: float | None
    expected: float | None


def stories(chapter: Chapter) -> list[Story]:
    """The class: what each student did, and what she must get for it."""
    right = {exercise.name: chapter.answer(exercise) for exercise in chapter.exercises}
    names = list(right)
    half = dict(list(right.items())[: len(names) // 2])

    def wrong(name: str, mutant: str) -> dict[str, str]:
        return right | {name: next(m.source for m in chapter.mutants if m.id == f"{SLUG}/{name}:{mutant}")}

    def without(*lost: str) -> list[str]:
        """All exercises but these and those that build on them."""
        gone = set(lost)
        for exercise in chapter.exercises:
            if gone & {need.rpartition("/")[2] for need in exercise.needs if need.startswith(SLUG)}:
                gone.add(exercise.name)
        return [name for name in names if name not in gone]

    def broken(name: str, body: str) -> dict[str, str]:
        header, _ = chapter.header_and_body(chapter.exercise(name))
        return right | {name: "\n".join([*header, f"    {body}"])}

    mutants = [
        Story(f"{i:02d}-{mutant}", f"{name}: {mutant}", wrong(name, mutant), without(name))
        for i, (name, mutant) in enumerate(MUTANTS, 3)
    ]
    return [
        Story("01-perfect", "everything right", right, names),
        Story("02-half", "the first half right, the rest untouched", half, list(half)),
        *mutants,
        Story("06-untouched", "nothing written", {}, []),
        Story("07-syntax", "a syntax error in elman_init", broken("elman_init", "return {"), without("elman_init")),
        Story("08-exception", "elman_init raises", broken("elman_init", "return 1 / 0"), without("elman_init")),
        Story("09-endless", "elman_init never ends", broken("elman_init", "while True: pass"), without("elman_init")),
        Story("10-renamed", "right, but in a notebook of another name", right, [], file_name="my-answers.ipynb", graded=False),
        Story("11-deleted", "right, then the answer cells deleted", right, [], _delete_answers),
        Story("12-tampered", "nothing written, every check replaced by `pass`", {}, [], _tamper),
    ]
