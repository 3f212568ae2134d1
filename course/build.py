"""From `solutions/` to what is released: check data, nbgrader's source notebooks, and the learners' notebooks.

    course/checks/data/NN-slug.{json,npz}   worked examples, fingerprints, records   (committed)
    _build/nbgrader/source/NN-slug/         the instructor's notebook, answers and hidden tests in it
    exercises/NN-slug/NN-slug.ipynb         what nbgrader makes of it                 (committed)

`make exercises` writes them, and CI runs `course build --check`, which compares and writes nothing.
"""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import ClearSolutions
from traitlets.config import Config

from course.checks.compare import differences, map_arrays
from course.checks.data_file import CheckData, Misconception, write
from course.exercises import DATA, Exercise
from course.sources import BEGIN, END, ROOT, Chapter, Mutant, chapters, implemented_by, tags

EXERCISES = ROOT / "exercises"
NBGRADER = ROOT / "_build" / "nbgrader"
CHECK_SEED = 0
HIDDEN_SEEDS = (101, 102, 103)  # fixed: the same submission gets the same score every time
CONFIRM_TOL = 1e-10
CELL_SECONDS = 60  # how long nbgrader waits for one cell of a submission

__all__ = ["NBGRADER", "NameTheExercise", "build", "check_data", "released", "source_notebook", "stale"]


# --- check data


def check_data(chapter: Chapter) -> dict[str, CheckData]:
    """Examples, confirmed answers and fingerprints of each exercise of a chapter."""
    return {exercise.id: _check_data(chapter, exercise) for exercise in chapter.exercises}


def _check_data(chapter: Chapter, exercise: Exercise) -> CheckData:
    oracle = chapter.oracle(exercise)
    if oracle is None:
        return CheckData()
    examples = [tuple(example) for example in oracle.inputs(np.random.default_rng(CHECK_SEED))]
    right = function_from(chapter.answer(exercise), exercise)
    answers = [right(*map_arrays(example, np.copy)) for example in examples]
    for i, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        independent = oracle.oracle(*map_arrays(example, np.copy))
        off = _gap(answer, independent)
        if not off <= CONFIRM_TOL:
            raise ValueError(f"{exercise.id}: on example {i + 1} reference and oracle differ by {off:.3g}")
    wrong = [m for m in chapter.mutants if m.exercise.id == exercise.id]
    fingerprints = [Misconception(m.says, _fingerprint(m, examples)) for m in wrong]
    telling = [f for f in fingerprints if any(map(differences, f.answers, answers))]
    return CheckData(examples, answers, getattr(oracle, "RETURNS", "result"), telling)


def _gap(a: Any, b: Any) -> float:
    if isinstance(a, dict):
        return max((_gap(a[key], b[key]) for key in a), default=0.0) if set(a) == set(b) else np.inf
    if isinstance(a, tuple | list):
        return max(map(_gap, a, b), default=0.0) if len(a) == len(b) else np.inf
    if isinstance(a, str | bool) or a is None:
        return 0.0 if a == b else np.inf
    if np.shape(a) != np.shape(b):
        return np.inf
    a, b = np.asarray(a, float), np.asarray(b, float)  # arrays of booleans have no difference
    with np.errstate(invalid="ignore"):  # inf - inf, where both are the same
        return float(np.max(np.where(a == b, 0.0, np.abs(a - b)), initial=0.0))


def _fingerprint(mutant: Mutant, examples: list[tuple[Any, ...]]) -> list[Any]:
    function, answers = function_from(mutant.source, mutant.exercise), []
    for example in examples:
        try:
            with np.errstate(all="ignore"):
                answers.append(function(*map_arrays(example, np.copy)))
        except Exception as error:
            answers.append({"raises": type(error).__name__})
    return answers


def function_from(source: str, exercise: Exercise) -> Any:
    """A function from its source, run among the names of the module that it belongs to."""
    namespace: dict[str, Any] = {"np": np}
    if exercise.module:
        module = __import__(exercise.module, fromlist=["_"])
        namespace = dict(vars(module))
    exec(compile(source, f"<{exercise.id}>", "exec"), namespace)
    return namespace[exercise.name]


# --- notebooks


def source_notebook(chapter: Chapter) -> nbformat.NotebookNode:
    """nbgrader's source notebook: quoted functions written out, cards, nbgrader's metadata, steady cell ids."""
    cells, seen = [], set()
    for cell in chapter.notebook.cells:
        kinds = tags(cell)
        cell = nbformat.from_dict(cell)
        cell.metadata = nbformat.from_dict({"tags": list(kinds)} if kinds else {})
        cell.metadata.tags = [kind for kind in kinds if kind in ("experiment", "hide-input")]
        if not cell.metadata.tags:
            del cell.metadata["tags"]
        for kind, name in kinds.items():
            if kind in _EXPAND:
                _EXPAND[kind](chapter, cell, name)
                seen.add((kind, name))
        cells.append(cell)
    _all_there(chapter, seen)
    for i, cell in enumerate(cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{i:03d}")[:64]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "course": {
            "slug": chapter.slug,
            "title": chapter.notebook.metadata["course"]["title"],
            "exercises": {exercise.name: exercise.as_dict() for exercise in chapter.exercises},
        },
    }
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})


def _all_there(chapter: Chapter, seen: set[tuple[str, str]]) -> None:
    for exercise in chapter.exercises:
        for kind in ("card", "answer", *exercise.points):
            if (kind, exercise.name) not in seen:
                raise ValueError(f"{exercise.id}: no cell has the tag {kind}:{exercise.name}")


def _nbgrader(cell: nbformat.NotebookNode, grade_id: str, **fields: Any) -> None:
    base = {"schema_version": 3, "grade_id": grade_id, "grade": False, "locked": True, "solution": False, "task": False}
    cell.metadata.nbgrader = nbformat.from_dict(base | fields)


def _given(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    _nbgrader(cell, f"{chapter.slug}--{name}")


def _answer(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    exercise = chapter.exercise(name)
    header, body = chapter.header_and_body(exercise)
    if implemented_by(cell.source):
        cell.source = "\n".join([f"%%implement {exercise.implements}", *header, f"    {BEGIN}", *body, f"    {END}"])
    _nbgrader(cell, exercise.token, solution=True, locked=False)


def _check(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    exercise = chapter.exercise(name)
    if not cell.source.strip():
        cell.source = f'from course.checks import check\n\ncheck("{exercise.id}", {exercise.name})'
    _nbgrader(cell, f"{exercise.token}--check", grade=True, points=exercise.points["check"])


def _hidden(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    exercise = chapter.exercise(name)
    if not cell.source.strip():
        cell.source = (
            f"# Hidden tests of {exercise.id}: when your work is graded, the function runs here on inputs\n"
            "# that you have not seen, and its answers are held against an independent computation.\n"
            "### BEGIN HIDDEN TESTS\n"
            f"{(chapter.oracle_source(exercise) or '').strip()}\n\n\n"
            "from course.checks import compare_all\n\n"
            f'compare_all("{exercise.id}", {exercise.name}, inputs, oracle, seeds={HIDDEN_SEEDS})\n'
            "### END HIDDEN TESTS"
        )
    _nbgrader(cell, f"{exercise.token}--hidden", grade=True, points=exercise.points["hidden"])


def _card(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    """The card on top of an exercise's statement; its anchor is the exercise's id."""
    e = chapter.exercise(name)
    needs = _needs(e) or "nothing before it"
    star = " ★" if e.star else ""
    cell.source = (
        f'<a id="{e.id}"></a>\n\n'
        f"## {e.title}{star}\n\n"
        f"| exercise | difficulty | minutes | points | needs |\n|---|---|---|---|---|\n"
        f"| `{e.id}` | {'●' * e.difficulty}{'○' * (5 - e.difficulty)} | {e.minutes} | {e.total_points} | {needs} |\n\n"
        f"*What it is for:* {e.purpose}\n\n{cell.source}"
    )


def _needs(exercise: Exercise) -> str:
    """The names of the exercises to do first, those of another chapter with its number."""
    names: dict[str, list[str]] = {}
    for need in exercise.needs:
        slug, _, name = need.partition("/")
        names.setdefault("" if slug == exercise.slug else f"chapter {slug[:2]}: ", []).append(f"`{name}`")
    return "; ".join(where + ", ".join(found) for where, found in names.items())


def _overview(chapter: Chapter, cell: nbformat.NotebookNode, name: str) -> None:
    rows = "\n".join(
        f'| {i} | <a href="#{e.id}">{e.title}</a>{" ★" if e.star else ""} | {e.total_points} | {e.minutes} |'
        for i, e in enumerate(chapter.exercises, 1)
    )
    points, minutes = (sum(getattr(e, f) for e in chapter.exercises) for f in ("total_points", "minutes"))
    total = f"| | **together** | **{points}** | **{minutes}** |"
    cell.source += f"\n\n| | exercise | points | minutes |\n|---|---|---|---|\n{rows}\n{total}"
    if any(e.star for e in chapter.exercises):
        cell.source += "\n\n★ No other public course that we know of grades this one."


_EXPAND = {"answer": _answer, "check": _check, "hidden": _hidden, "card": _card, "given": _given, "overview": _overview}


class NameTheExercise(ClearSolutions):
    """nbgrader's preprocessor that takes the answers out, with a stub that says which exercise it is."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> Any:
        found = re.search(r"(\d\d-[a-z0-9-]+)--(\w+)$", cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if found:
            stub = f'# Your code here.\nraise NotImplementedError("Exercise {found[1]}/{found[2]} is not written yet")'
            self.code_stub = {"python": stub}
        return super().preprocess_cell(cell, resources, cell_index)


def nbgrader_config(root: Path) -> Config:
    """nbgrader's settings for a course folder at `root`; `nbgrader_config.py` uses the same."""
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = "rnn-course"
    config.GenerateAssignment.preprocessors = [
        "nbgrader.preprocessors.IncludeHeaderFooter",
        "nbgrader.preprocessors.LockCells",
        NameTheExercise,
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.SaveCells",
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbgrader.preprocessors.ClearMarkScheme",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.Execute.timeout = CELL_SECONDS
    config.Execute.skip_cells_with_tag = "experiment"  # they illustrate, and take most of a notebook's minute
    # Our own pages: no hidden tests, no scripts. By name, so that only who makes them needs what they need.
    config.GenerateFeedback.exporter_class = "course.grading.pages.feedback.FeedbackExporter"
    return config


def released(chapter: Chapter, root: Path = NBGRADER) -> str:
    """The released notebook's text, made by nbgrader from the source notebook, which is left in `root/source`."""
    path = root / "source" / chapter.slug / f"{chapter.slug}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(source_notebook(chapter), path)
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # nbgrader runs alembic
    api = NbGraderAPI(config=nbgrader_config(root))
    api.log.setLevel(logging.WARNING)
    result = api.generate_assignment(chapter.slug, force=True, create=True)
    if not result["success"]:
        raise RuntimeError(f"nbgrader could not generate {chapter.slug}:\n{result['log']}")
    notebook = nbformat.read(root / "release" / chapter.slug / f"{chapter.slug}.ipynb", as_version=4)
    return nbformat.writes(notebook) + "\n"


# --- files


def _outputs(root: Path) -> Iterator[tuple[Path, bytes]]:
    for chapter in chapters():
        for name, content in write(chapter.slug, chapter.exercises, check_data(chapter)).items():
            yield DATA / name, content
        yield EXERCISES / chapter.slug / f"{chapter.slug}.ipynb", released(chapter, root).encode()


def build(root: Path = NBGRADER) -> list[Path]:
    """Write all that is generated; return the files that changed."""
    changed = []
    for path, content in _outputs(root):
        if not path.exists() or not _same_content(path, content):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(path.name + ".new")  # whoever reads meanwhile sees the old file or the new one
            fresh.write_bytes(content)
            fresh.replace(path)
            changed.append(path)
    return changed


def stale(root: Path = NBGRADER) -> list[Path]:
    """The committed files that are not what the sources generate, and those that nothing generates."""
    expected = dict(_outputs(root))
    present = {*EXERCISES.glob("*/*.ipynb"), *DATA.glob("*.*")}
    wrong = [path for path, content in expected.items() if not path.exists() or not _same_content(path, content)]
    return sorted([*wrong, *(present - set(expected))])


def _same_content(path: Path, content: bytes) -> bool:
    """The same bytes; for arrays the same numbers, since another processor may round the last digit otherwise."""
    if path.suffix != ".npz" or path.read_bytes() == content:
        return path.read_bytes() == content
    with np.load(path) as old, np.load(io.BytesIO(content)) as new:
        return set(old.files) == set(new.files) and all(
            old[k].shape == new[k].shape
            and old[k].dtype == new[k].dtype
            and np.allclose(old[k], new[k], rtol=1e-12, atol=1e-14, equal_nan=True)
            for k in old.files
        )
