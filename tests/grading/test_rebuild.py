"""Whatever is handed in, the notebook that is graded is the instructor's with the student's answers in it."""

import contextlib
import json
from typing import Any

import made_submissions as made
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_submissions import SLUG, cell_of

from course.grading import rebuild as module
from course.grading.rebuild import Unreadable, read_submission, rebuild

BUNDLE = made.whole()
SOFTMAX = f"{SLUG}--softmax"


def rebuilt(data: bytes) -> tuple[Any, list[str]]:
    return rebuild(BUNDLE, read_submission(data))


def changed(change: Any) -> tuple[Any, list[str]]:
    return rebuilt(made.handed_in(BUNDLE, change=change))


def without_sources(notebook: Any) -> list[Any]:
    """Kinds and metadata of the instructor's cells, in order; of locked cells the sources too."""
    cells = [cell for cell in notebook.cells if not cell.metadata.get("course", {}).get("added")]
    return [
        (c.cell_type, c.metadata, None if c.metadata.get("nbgrader", {}).get("solution") else c.source) for c in cells
    ]


# --- reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    """The same notebook comes out, with a byte-order mark or without."""
    text = made.handed_in(BUNDLE, change=lambda nb: nb.cells.append(made.code("# η"))).decode()
    notebook, notes = rebuilt(text.encode(encoding))
    assert notes == []
    assert notebook.cells[-1].source == "# η"


UNREADABLE = {
    "nothing": (b"", "empty"),
    "blanks": (b" \n\t ", "empty"),
    "text": (b"dear teacher, my notebook is in the other folder", "no valid JSON"),
    "half a notebook": (made.handed_in(BUNDLE)[:5000], "no valid JSON"),
    "latin-1": (made.handed_in(BUNDLE).replace(b"###", "é".encode("latin-1"), 1), "not UTF-8"),
    "a zip": (b"PK\x03\x04\xff\xfe\x00\x00" + bytes(range(256)), "not UTF-8"),
    "a list": (b"[1, 2, 3]", "no list of cells"),
    "a number": (b"17", "no list of cells"),
    "cells that are no list": (b'{"cells": {"a": 1}}', "no list of cells"),
    "no cells": (b'{"nbformat": 4, "metadata": {}}', "no list of cells"),
    "deep brackets": (b'{"cells": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "nested too deep"),
    "deep enough to parse": (b'{"cells": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deep"),
    "a long number": (b'{"cells": [' + b"7" * 100_000 + b"]}", "no valid JSON"),
    "an old notebook that is broken": (b'{"worksheets": [{"cells": [7]}], "nbformat": 3}', "old format and broken"),
    "too large": (b'{"cells": []}' + b" " * 20_000_000, "larger than 20 MB"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_notebook_is_called_by_its_name(kind: str) -> None:
    """Unreadable, with words that say what the file is; nothing else is ever raised."""
    data, said = UNREADABLE[kind]
    with pytest.raises(Unreadable, match=said):
        read_submission(data)


def test_a_notebook_of_format_3_is_upgraded() -> None:
    """Its answers count; it has no cell ids, so ungraded cells are known by their text."""
    cells = []
    for cell in made.answered(BUNDLE, made.right()).cells:
        if cell.cell_type == "code":
            old = {"cell_type": "code", "input": cell.source, "outputs": [], "language": "python", "collapsed": False}
        else:
            old = {"cell_type": "markdown", "source": cell.source}
        cells.append(old | {"metadata": cell.metadata})
    old_notebook = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    notebook, notes = rebuilt(json.dumps(old_notebook).encode())
    assert notes == []
    assert notebook == rebuilt(made.handed_in(BUNDLE))[0]


# --- rebuilding


def test_honest_work_is_the_skeleton_with_answers() -> None:
    """Every answer is there, nothing is noted, and the notebook is valid."""
    notebook, notes = rebuilt(made.handed_in(BUNDLE))
    nbformat.validate(notebook)
    assert notes == []
    assert without_sources(notebook) == without_sources(BUNDLE.notebook())
    assert "logits.max" in cell_of(notebook, SOFTMAX).source


def test_hidden_tests_come_back_and_answers_are_not_in_the_skeleton() -> None:
    """The released cell says only what it is; the one that is graded holds the tests."""
    assert "compare_all" not in cell_of(made.released(BUNDLE), f"{SOFTMAX}--hidden").source
    assert "compare_all" in cell_of(rebuilt(made.handed_in(BUNDLE))[0], f"{SOFTMAX}--hidden").source
    assert "logits.max" not in BUNDLE.skeleton


def delete(notebook: Any, *grade_ids: str) -> None:
    gone = [cell_of(notebook, grade_id) for grade_id in grade_ids]
    notebook.cells = [cell for cell in notebook.cells if all(cell is not other for other in gone)]


def insert_after(notebook: Any, grade_id: str, *cells: Any) -> None:
    position = notebook.cells.index(cell_of(notebook, grade_id)) + 1
    notebook.cells[position:position] = cells


def test_a_deleted_answer_is_not_answered_and_said() -> None:
    """The stub stands in its place."""
    notebook, notes = changed(lambda nb: delete(nb, SOFTMAX))
    assert "NotImplementedError" in cell_of(notebook, SOFTMAX).source
    assert notes == [f"The answer cell {SOFTMAX} is missing: it counts as not answered."]


def test_deleted_and_changed_tests_are_put_back() -> None:
    """The original runs, and both are said."""

    def change(notebook: Any) -> None:
        delete(notebook, f"{SOFTMAX}--check")
        cell_of(notebook, f"{SOFTMAX}--hidden").source = "pass"
        cell_of(notebook, f"{SLUG}--setup").source = "import os"

    notebook, notes = changed(change)
    assert without_sources(notebook) == without_sources(BUNDLE.notebook())
    assert notes == [
        f"The cell {SLUG}--setup was changed: the original was used.",
        f"The cell {SOFTMAX}--check was missing: it was put back.",
        f"The cell {SOFTMAX}--hidden was changed: the original was used.",
    ]


def test_of_duplicates_the_last_one_counts() -> None:
    """As a student sees it who copied a cell and went on in the copy."""

    def change(notebook: Any) -> None:
        copy = nbformat.from_dict(cell_of(notebook, SOFTMAX) | {"source": "# the copy", "id": "other"})
        insert_after(notebook, SOFTMAX, copy)

    notebook, notes = changed(change)
    assert cell_of(notebook, SOFTMAX).source == "# the copy"
    assert sum(cell.metadata.get("nbgrader", {}).get("grade_id") == SOFTMAX for cell in notebook.cells) == 1
    assert notes == [f"The answer cell {SOFTMAX} is there 2 times: the last one counts."]


def test_points_flags_kinds_and_order_are_the_instructors() -> None:
    """Nothing of a submission's metadata, and no order of its cells, changes what is graded."""

    def change(notebook: Any) -> None:
        for cell in notebook.cells:
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader |= {
                    "points": 1000,
                    "grade": True,
                    "solution": True,
                    "locked": False,
                    "task": True,
                }
            cell.metadata.tags = ["raises-exception"]
        notebook.cells.reverse()
        notebook.metadata = {"kernelspec": {"name": "bash", "display_name": "sh"}, "widgets": {}}

    notebook, notes = changed(change)
    assert without_sources(notebook) == without_sources(BUNDLE.notebook())
    assert notebook.metadata == BUNDLE.notebook().metadata
    assert notes == []


def test_an_answer_cell_that_became_text_is_still_the_answer() -> None:
    def change(notebook: Any) -> None:
        cell = cell_of(notebook, SOFTMAX)
        cell.cell_type = "markdown"
        del cell["outputs"], cell["execution_count"]

    notebook, notes = changed(change)
    assert cell_of(notebook, SOFTMAX).cell_type == "code"
    assert "logits.max" in cell_of(notebook, SOFTMAX).source
    assert len(notes) == 1


def test_an_answer_cell_that_lost_its_metadata_is_known_by_its_id() -> None:
    def change(notebook: Any) -> None:
        cell_of(notebook, SOFTMAX).metadata = {}

    notebook, notes = changed(change)
    assert "logits.max" in cell_of(notebook, SOFTMAX).source
    assert notes == []


def test_added_cells_stay_where_they_were() -> None:
    """Before, between and after the instructor's, without the metadata that they claim."""
    fake = made.code("# d")
    fake.metadata = nbformat.from_dict({"nbgrader": {"grade_id": "mine", "grade": True, "points": 50}})
    tagged = made.code("# e")
    tagged.metadata = nbformat.from_dict({"tags": ["experiment", "other"]})

    def change(notebook: Any) -> None:
        notebook.cells.insert(0, made.code("# a"))
        insert_after(notebook, SOFTMAX, made.code("# b"), made.code("# c"))
        notebook.cells += [fake, tagged]

    notebook, notes = changed(change)
    sources = [cell.source for cell in notebook.cells]
    at = sources.index(cell_of(notebook, SOFTMAX).source)
    assert [sources[0], *sources[at + 1 : at + 3], *sources[-2:]] == ["# a", "# b", "# c", "# d", "# e"]
    assert "nbgrader" not in notebook.cells[-2].metadata
    assert notebook.cells[-1].metadata.tags == ["experiment"]
    assert notes == []
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_added_cells_are_bounded() -> None:
    """In number and in length; how many were left out is said."""
    notebook, notes = changed(lambda nb: nb.cells.extend(made.code(f"# {i}") for i in range(1000)))
    assert len(notebook.cells) == len(BUNDLE.notebook().cells) + module.MAX_ADDED
    assert notes == [f"{1000 - module.MAX_ADDED} added cells were left out: there are too many, or they are too long."]
    notebook, notes = changed(lambda nb: nb.cells.append(made.code("#" * 3_000_000)))
    assert len(notebook.cells) == len(BUNDLE.notebook().cells)
    assert len(notes) == 1


def test_an_answer_without_end_is_not_read() -> None:
    notebook, notes = rebuilt(made.handed_in(BUNDLE, {"softmax": "#" * 1_000_000}))
    assert "NotImplementedError" in cell_of(notebook, SOFTMAX).source
    assert "longer than" in notes[0]


@pytest.mark.parametrize(
    "html", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div><iframe src=//x>", "<!-- <b>", "<?php"]
)
def test_html_in_an_added_text_is_only_text(html: str) -> None:
    """The instructor's browser shows it in nbgrader's pages; a comparison stays readable."""
    notebook, _ = changed(lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell(f"$a < b$ {html}")))
    assert notebook.cells[-1].source.startswith("$a < b$ &lt;")
    assert html not in notebook.cells[-1].source


def test_a_raw_cell_becomes_text() -> None:
    """A raw cell would go into a page as it is."""
    notebook, _ = changed(lambda nb: nb.cells.append(nbformat.v4.new_raw_cell("<script>1</script>")))
    assert (notebook.cells[-1].cell_type, notebook.cells[-1].source) == ("markdown", "&lt;script>1&lt;/script>")


def test_half_characters_and_null_bytes_are_written_again() -> None:
    """JSON can hold what no file can."""
    notebook, _ = rebuilt(made.handed_in(BUNDLE).replace(b"# Your code", b"# Your code"))
    data = made.handed_in(BUNDLE, change=lambda nb: nb.cells.append(made.code("# XYZ"))).replace(
        b"XYZ", rb"\ud800\u0000!"
    )
    notebook, _ = rebuilt(data)
    assert notebook.cells[-1].source == "# ?!"


_NAMES = "cells cell_type source metadata nbgrader grade_id tags id outputs x"
_KEYS = st.sampled_from(_NAMES.split(" "))
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_IDS = st.sampled_from([SOFTMAX, f"{SOFTMAX}--check", "cell-002", "", 3])
_FIELDS = {
    "cell_type": st.sampled_from(["code", "markdown", "raw", 7, None]),
    "source": _ANYTHING,
    "id": _IDS,
    "metadata": _ANYTHING | st.builds(lambda grade_id: {"nbgrader": {"grade_id": grade_id}}, _IDS),
}
_CELLS = st.lists(_ANYTHING | st.fixed_dictionaries({}, optional=_FIELDS), max_size=6)
_OTHER = st.dictionaries(st.sampled_from(["nbformat", "metadata", "worksheets"]), _ANYTHING, max_size=3)


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(
    cells=_CELLS, other=st.dictionaries(st.sampled_from(["nbformat", "metadata", "worksheets"]), _ANYTHING, max_size=3)
)
def test_no_json_whatsoever_changes_what_is_graded(cells: list[Any], other: dict[str, Any]) -> None:
    """Unreadable, or a valid notebook in which all that the instructor wrote stands as it was."""
    try:
        submitted = read_submission(json.dumps(other | {"cells": cells}).encode())
    except Unreadable:
        return
    notebook, _ = rebuild(BUNDLE, submitted)
    nbformat.validate(notebook)
    assert without_sources(notebook) == without_sources(BUNDLE.notebook())


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(data=st.binary(max_size=60), worksheets=_ANYTHING)
def test_no_bytes_raise_anything_else(data: bytes, worksheets: Any) -> None:
    """Nor do notebooks of old formats, broken in any way."""
    old = [json.dumps({"worksheets": sheets}).encode() for sheets in (worksheets, [worksheets])]
    for attempt in (data, *old):
        with contextlib.suppress(Unreadable):
            rebuilt(attempt)
