"""Submissions for the tests of grading: what students made of 03-definition, and small bundles of a few exercises."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.grading.bundle import Bundle, find_chapter, make_bundle
from course.grading.sandbox import Limits, Sandbox
from course.sources import Chapter

SLUG = "03-definition"
NO_SANDBOX = Sandbox.available() is not None  # these tests are about grading; the walls have tests of their own


@cache
def chapter() -> Chapter:
    return find_chapter(SLUG)


@cache
def whole() -> Bundle:
    return make_bundle(chapter())


@cache
def small(*names: str, **limits: float) -> Bundle:
    """The bundle of a notebook that has only these exercises."""
    bundle = whole()
    notebook = bundle.notebook()
    keep = {f"{SLUG}--{name}" for name in names}
    notebook.cells = [cell for cell in notebook.cells if _belongs(cell, keep)]
    return replace(
        bundle,
        skeleton=json.dumps(notebook),
        released={grade_id: source for grade_id, source in bundle.released.items() if _of(grade_id) in keep},
        exercises=tuple(exercise for exercise in bundle.exercises if exercise.name in names),
        limits=replace(Limits(), **limits),
    )


def _of(grade_id: str) -> str:
    return grade_id.removesuffix("--check").removesuffix("--hidden") if not grade_id.endswith("--setup") else ""


def _belongs(cell: NotebookNode, keep: set[str]) -> bool:
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    return grade_id.endswith("--setup") or _of(grade_id) in keep


def right(*names: str) -> dict[str, str]:
    """Right answers by exercise; no names: all."""
    return {e.name: chapter().answer(e) for e in chapter().exercises if not names or e.name in names}


def mutant(name: str, version: str) -> str:
    return next(m.source for m in chapter().mutants if m.id == f"{SLUG}/{name}:{version}")


def released(bundle: Bundle) -> NotebookNode:
    """The notebook as a student gets it."""
    notebook = bundle.notebook()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = bundle.released.get(grade_id, cell.source)
    return notebook


def answered(bundle: Bundle, answers: Mapping[str, str]) -> NotebookNode:
    """The notebook with these sources of functions in its answer cells, as a student would write them."""
    notebook = released(bundle)
    for exercise in bundle.exercises:
        if exercise.name in answers:
            magic = [f"%%implement {exercise.implements}"] if exercise.implements else []
            cell_of(notebook, exercise.token).source = "\n".join([*magic, answers[exercise.name]])
    return notebook


def cell_of(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def data_of(notebook: NotebookNode) -> bytes:
    return nbformat.writes(notebook).encode()


def handed_in(
    bundle: Bundle,
    answers: Mapping[str, str] | None = None,
    change: Callable[[NotebookNode], Any] = lambda notebook: None,
) -> bytes:
    """A submission's bytes: right answers unless others are given, and whatever else happened to the notebook."""
    notebook = answered(bundle, right() if answers is None else answers)
    change(notebook)
    return data_of(notebook)


def code(source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source)


def outputs_of(text: str, grade_id: str) -> Iterable[Any]:
    return cell_of(nbformat.reads(text, as_version=4), grade_id).outputs
