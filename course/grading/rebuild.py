"""The notebook that is graded: the instructor's, with a submission's answers in it.

Order, metadata, points and locked cells are the instructor's. From the submission come the sources of its
answer cells, found by their `grade_id`, and the cells that the student added. Nothing else of it is kept.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.grading.bundle import Bundle

MAX_BYTES = 20_000_000
MAX_DEPTH = 60  # of JSON: a notebook needs about ten
MAX_SOURCE = 200_000  # characters of one cell
MAX_ADDED, MAX_ADDED_CHARACTERS = 300, 1_000_000

__all__ = ["MAX_BYTES", "Unreadable", "as_text", "read_submission", "rebuild"]


class Unreadable(Exception):
    """A submission that is not a notebook; the message says what it is instead."""


# --- reading


def read_submission(data: bytes) -> NotebookNode:
    """The notebook in these bytes, cut down to its cells' kinds, sources, ids and tags; or Unreadable."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the file is larger than {MAX_BYTES // 1_000_000} MB; clear the outputs and hand in again")
    if not data.strip():
        raise Unreadable("the file is empty")
    content = _parse(data)
    if not isinstance(content, dict) or not isinstance(content.get("cells", content.get("worksheets")), list):
        raise Unreadable("the file is JSON, but not a notebook: it has no list of cells")
    if "cells" not in content:
        content = _upgrade(content)
    cells = [_cell(cell) for cell in content["cells"] if isinstance(cell, dict)]
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


def _parse(data: bytes) -> Any:
    try:
        text = data.decode(json.detect_encoding(data))  # UTF-8 and UTF-16, with and without a byte-order mark
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"the file is not UTF-8 text (byte {error.start} is not); save it from Jupyter again"
        ) from None
    try:
        content = json.loads(text)
    except (RecursionError, MemoryError):
        raise Unreadable("the file's JSON is nested too deep to be a notebook") from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"the file is not a notebook: it is no valid JSON{where}") from None
    if _deeper_than(MAX_DEPTH, content):
        raise Unreadable("the file's JSON is nested too deep to be a notebook")
    return content


def _deeper_than(limit: int, content: Any) -> bool:
    level = [content]
    for _ in range(limit):
        level = [item for value in level for item in _items(value)]
        if not level:
            return False
    return True


def _items(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """A notebook of format 3 or older, in which cells lie in worksheets."""
    try:
        found = nbformat.convert(nbformat.from_dict(content | {"nbformat": 3, "metadata": {}}), 4)
    except Exception as error:  # nbformat trips over a broken file in as many ways as it can be broken
        raise Unreadable(f"the notebook is of an old format and broken ({type(error).__name__})") from None
    return found if isinstance(found.get("cells"), list) else {"cells": []}


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    """What is used of a cell, whatever it holds."""
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    nbgrader = metadata.get("nbgrader")
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    tags = metadata.get("tags")
    return {
        "cell_type": "code" if cell.get("cell_type") == "code" else "markdown",
        "id": cell.get("id") if isinstance(cell.get("id"), str) else "",
        "metadata": {
            "grade_id": grade_id if isinstance(grade_id, str) else "",
            "experiment": isinstance(tags, list) and "experiment" in tags,
        },
        "source": _source(cell.get("source")),
    }


def _source(source: Any) -> str:
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return ""
    return source.encode("utf-8", "replace").decode().replace("\0", "")  # half a character cannot be written again


# --- rebuilding


def rebuild(bundle: Bundle, submitted: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The notebook to grade, and what is to be said about the submission."""
    notebook = bundle.notebook()
    answers, added, notes = _sort_cells(bundle, notebook, submitted)
    cells = [_as_added(cell, i) for i, cell in enumerate(added.get(-1, []))]
    for position, cell in enumerate(notebook.cells):
        if _name(cell) in answers:
            answer = answers[_name(cell)]
            cell.source = answer if cell.cell_type == "code" else as_text(answer)
        cells.append(cell)
        cells += [_as_added(new, len(cells) + i) for i, new in enumerate(added.get(position, []))]
    notebook.cells = cells
    return notebook, notes


def _sort_cells(
    bundle: Bundle, notebook: NotebookNode, submitted: NotebookNode
) -> tuple[dict[str, str], dict[int, list[NotebookNode]], list[str]]:
    """Answers by grade_id; added cells by the position of the cell that they follow; notes."""
    positions = {_name(cell): i for i, cell in enumerate(notebook.cells)}
    sources = {cell.source.strip(): i for i, cell in enumerate(notebook.cells) if "nbgrader" not in cell.metadata}
    wanted = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")}
    found: dict[str, list[NotebookNode]] = {}
    added: dict[int, list[NotebookNode]] = {}
    after, characters, dropped = -1, 0, 0
    for cell in submitted.cells:
        # By grade_id, else by cell id (a tool may have lost the metadata), else by the text of an ungraded cell.
        name = next((name for name in (cell.metadata.grade_id, cell.id) if name in positions), "")
        position = positions.get(name, sources.get(cell.source.strip()))
        if position is not None:
            after = position
            found.setdefault(name, []).append(cell)
        elif cell.source.strip():
            characters += len(cell.source)
            if sum(map(len, added.values())) < MAX_ADDED and characters <= MAX_ADDED_CHARACTERS:
                added.setdefault(after, []).append(cell)
            else:
                dropped += 1
    notes = [*_notes_on_answers(wanted, found), *_notes_on_locked(bundle, found)]
    if dropped:
        notes.append(f"{dropped} added cells were left out: there are too many, or they are too long.")
    answers = {i: cells[-1].source for i, cells in found.items() if i in wanted and len(cells[-1].source) <= MAX_SOURCE}
    return answers, added, notes


def _name(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id") or cell.id


def _notes_on_answers(wanted: dict[str, NotebookNode], found: dict[str, list[NotebookNode]]) -> Iterator[str]:
    for grade_id, cell in wanted.items():
        cells = found.get(grade_id, [])
        if not cells:
            yield f"The answer cell {grade_id} is missing: it counts as not answered."
        elif len(cells[-1].source) > MAX_SOURCE:
            yield f"The answer in {grade_id} is longer than {MAX_SOURCE} characters: it counts as not answered."
        elif cells[-1].cell_type != cell.cell_type:
            yield f"The answer cell {grade_id} is now a {cells[-1].cell_type} cell: it was read as {cell.cell_type}."
        if len(cells) > 1:
            yield f"The answer cell {grade_id} is there {len(cells)} times: the last one counts."


def _notes_on_locked(bundle: Bundle, found: dict[str, list[NotebookNode]]) -> Iterator[str]:
    for grade_id, source in bundle.released.items():
        cells = found.get(grade_id, [])
        if not cells:
            yield f"The cell {grade_id} was missing: it was put back."
        elif cells[-1].source.strip() != source.strip():
            yield f"The cell {grade_id} was changed: the original was used."


def _as_added(cell: NotebookNode, number: int) -> NotebookNode:
    metadata: dict[str, Any] = {"course": {"added": True}}
    if cell.metadata.experiment:
        metadata["tags"] = ["experiment"]
    common = {"id": f"added-{number:04d}", "metadata": metadata}
    if cell.cell_type == "code":
        code = common | {"cell_type": "code", "source": cell.source, "outputs": [], "execution_count": None}
        return nbformat.from_dict(code)
    return nbformat.from_dict(common | {"cell_type": "markdown", "source": as_text(cell.source)})


def as_text(markdown: str) -> str:
    """Markdown in which HTML is only text: nbgrader's pages show what a student wrote to the instructor."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", markdown)
