"""A class of made-up submissions for 04-elman and a notebook of each chapter, graded with nbgrader's own commands.

It shows the way of a submission from hand-in to gradebook, and a test holds the scores against what they
must be. Safe grading of submissions that nobody should trust is another matter; this is the plain way.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from rich.console import Console

from course.build import released
from course.sources import ROOT, SOLUTIONS, Chapter, chapters

SLUG = "04-elman"
CELL_SECONDS = 20  # a whole notebook takes about 5 on an idle machine; the endless one waits this long twice
# Exercise and wrong version of the three students who made a known mistake.
MUTANTS = [
    ("elman_step_backward", "bias-not-summed"),
    ("elman_init", "variance-for-deviation"),
    ("predict_next", "one-symbol-late"),
]

__all__ = ["Graded", "Story", "make_class", "run_all", "run_chapter", "run_demo", "stories"]

Notebook = nbformat.NotebookNode


@dataclass(frozen=True)
class Story:
    """One made-up student: what she handed in, and which exercises earn their points."""

    student: str
    told: str
    answers: dict[str, str]  # exercise name to the source of the function
    earns: list[str]  # names of exercises that get full points
    change: Callable[[Notebook], None] = lambda notebook: None  # what else happened to the notebook
    file_name: str = ""  # as it was handed out, if empty
    graded: bool = True  # whether stock nbgrader finds it at all


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
        Story(
            "10-renamed",
            "right, but in a notebook of another name",
            right,
            [],
            file_name="my-answers.ipynb",
            graded=False,
        ),
        Story("11-deleted", "right, then the answer cells deleted", right, [], _delete_answers),
        Story("12-tampered", "nothing written, every check replaced by `pass`", {}, [], _tamper),
    ]


def _fill(notebook: Notebook, chapter: Chapter, answers: dict[str, str]) -> None:
    """Write answers into the cells for them, as a student would."""
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        for name, source in answers.items():
            exercise = chapter.exercise(name)
            if grade_id == exercise.token:
                magic = [f"%%implement {exercise.implements}"] if exercise.implements else []
                cell.source = "\n".join([*magic, source])


def _delete_answers(notebook: Notebook) -> None:
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("solution")]


def _tamper(notebook: Notebook) -> None:
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.source = "pass"


def make_class(root: Path) -> tuple[Chapter, list[Story]]:
    """Release the assignment in a course folder of its own and hand in every story's notebook."""
    chapter = Chapter(SOLUTIONS / SLUG)
    told = stories(chapter)
    _hand_in(chapter, told, root)
    return chapter, told


def _hand_in(chapter: Chapter, told: Iterable[Story], root: Path) -> None:
    text = released(chapter, root)
    for story in told:
        notebook = nbformat.reads(text, as_version=4)
        _fill(notebook, chapter, story.answers)
        story.change(notebook)
        path = root / "submitted" / story.student / chapter.slug / (story.file_name or f"{chapter.slug}.ipynb")
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)


def run_all(folder: Path, console: Console) -> Iterator[Graded]:
    """The class, then a notebook of each chapter: as many at a time as there are cores, told in this order."""
    root = folder.resolve()
    shutil.rmtree(root, ignore_errors=True)
    with (
        console.status(f"nbgrader autograde, {SLUG} and a notebook of each chapter"),
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
    ):
        whole_class = pool.submit(run_demo, root)
        one_each = [pool.submit(_in_own_folder, chapter.slug, root) for chapter in chapters()]
        yield from whole_class.result()
        yield from (row.result() for row in one_each)


def run_demo(folder: Path) -> list[Graded]:
    """Make the class, run `nbgrader autograde` on it, and read the gradebook."""
    root = folder.resolve()
    chapter, told = make_class(root)
    return list(_graded(chapter, told, root))


def run_chapter(chapter: Chapter, folder: Path) -> Graded:
    """Hand in a notebook of a chapter in which all is right but the last exercise, which was never begun; grade it."""
    root = folder.resolve() / "chapters"
    *written, last = chapter.exercises
    names = [exercise.name for exercise in written]
    right = {exercise.name: chapter.answer(exercise) for exercise in written}
    story = Story("ada", f"{chapter.slug}, all but {last.name}", right, names)
    _hand_in(chapter, [story], root)
    return next(_graded(chapter, [story], root))


def _in_own_folder(slug: str, root: Path) -> Graded:
    """A chapter in the course folder of this process: two commands at once would wait for one gradebook."""
    return run_chapter(Chapter(SOLUTIONS / slug), root / f"process-{os.getpid()}")


def _graded(chapter: Chapter, told: Iterable[Story], root: Path) -> Iterator[Graded]:
    """Run `nbgrader autograde` on what was handed in, and read the gradebook."""
    points = {exercise.name: exercise.total_points for exercise in chapter.exercises}
    _nbgrader("autograde", chapter.slug, root=root)
    for story in told:
        expected = float(sum(points[name] for name in story.earns)) if story.graded else None
        yield Graded(story.student, story.told, _score(root, chapter.slug, story.student), expected)


def _nbgrader(*arguments: str, root: Path) -> None:
    """One nbgrader command; its own log goes to a file, since a student without a notebook is an error to it."""
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={root}"]
    command.append(f"--Execute.timeout={CELL_SECONDS}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (root / "nbgrader.log").open("a", encoding="utf-8") as log:
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, stdout=log, stderr=log, check=False)


def _score(root: Path, slug: str, student: str) -> float | None:
    """The score in the gradebook; None if nothing was graded, where stock nbgrader leaves a 0 all the same."""
    if not (root / "autograded" / student / slug / f"{slug}.ipynb").exists():
        return None
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "rnn-course") as gradebook:
        try:
            submission = gradebook.find_submission(slug, student)
        except MissingEntry:
            return None
        return float(submission.score)
