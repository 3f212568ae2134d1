"""Assignments of other kinds than the course's own: a cell that gives partial credit, and one that a person grades."""

import json
from dataclasses import replace
from functools import cache

import made_submissions as made
import nbformat
from nbgrader.utils import compute_checksum

from course.grading.bundle import Bundle
from red_team.attack import default_bundle

CREDIT = """### BEGIN HIDDEN TESTS
import numpy as np
p = softmax(np.zeros((2, 4)))
float(p.sum()) / 2  # half of the point for each row that sums to 1
### END HIDDEN TESTS"""
ESSAY = f"{made.SLUG}--essay"
ESSAY_POINTS = 5
QUESTION = "# Write here, as a comment, why softmax is not changed by a shift."


@cache
def credit_bundle() -> Bundle:
    """The hidden test of softmax gives partial credit, from what the student's function returns."""
    bundle = default_bundle()
    notebook = bundle.notebook()
    cell = made.cell_of(notebook, f"{made.SLUG}--softmax--hidden")
    cell.source = CREDIT
    cell.metadata.nbgrader.checksum = compute_checksum(cell)
    return replace(bundle, skeleton=json.dumps(notebook))


@cache
def essay_bundle() -> Bundle:
    """Behind the two exercises comes an answer that a person grades."""
    bundle = default_bundle()
    notebook = bundle.notebook()
    cell = nbformat.v4.new_code_cell(QUESTION, id=ESSAY)
    flags = {"grade": True, "solution": True, "locked": False, "task": False, "points": ESSAY_POINTS}
    cell.metadata["nbgrader"] = nbformat.from_dict(
        {"schema_version": 3, "grade_id": ESSAY, "cell_type": "code"} | flags
    )
    cell.metadata.nbgrader["checksum"] = compute_checksum(cell)
    notebook.cells.append(cell)
    return replace(bundle, skeleton=json.dumps(notebook))
