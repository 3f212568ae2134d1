"""Files that are no notebook, hardly one, or one in which everything has been moved, copied, relabeled or made huge."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import made_submissions as made
import nbformat
from made_submissions import SLUG, cell_of
from nbformat import NotebookNode

from course.grading.bundle import Bundle
from course.grading.task import GRADED, NOTED, UNREADABLE, Outcome
from red_team.attack import FULL, SHAPES, SOFTMAX, UNTOUCHED, WRONG, Attack
from red_team.bundles import ESSAY, essay_bundle

SETUP, ANSWER = f"{SLUG}--setup", f"{SLUG}--softmax"
CHECK, HIDDEN = f"{ANSWER}--check", f"{ANSWER}--hidden"
OTHER = f"{SLUG}--shapes"


# --- the file


def encoded(encoding: str) -> Callable[[Bundle], bytes]:
    return lambda bundle: made.handed_in(bundle).decode().encode(encoding)


def latin_1(bundle: Bundle) -> bytes:
    return made.handed_in(bundle, change=lambda nb: nb.cells.append(made.code("# é"))).decode().encode("latin-1")


def zipped(bundle: Bundle) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{SLUG}.ipynb", made.handed_in(bundle))
    return buffer.getvalue()


def as_dict(bundle: Bundle, answers: dict[str, str] | None = None) -> Any:
    return json.loads(made.handed_in(bundle, answers))


def json_with(change: Callable[[Any], Any]) -> Callable[[Bundle], bytes]:
    """Right answers, in a JSON that `change` has been at; lone surrogates stay escaped."""

    def build(bundle: Bundle) -> bytes:
        content = as_dict(bundle)
        return json.dumps(change(content) or content).encode()

    return build


def version_3(bundle: Bundle) -> bytes:
    cells = [
        {"cell_type": "code", "input": c.source, "outputs": [], "language": "python", "metadata": c.metadata}
        for c in made.answered(bundle, made.right()).cells
    ]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    return json.dumps(old).encode()


def large(bundle: Bundle) -> bytes:
    picture = base64.b64encode(bytes(22_000_000)).decode()

    def change(notebook: NotebookNode) -> None:
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", {"image/png": picture})]

    return made.handed_in(bundle, change=change)


def set_version(major: Any, minor: Any = 5) -> Callable[[Bundle], bytes]:
    return json_with(lambda content: content.update(nbformat=major, nbformat_minor=minor))


def without(*keys: str) -> Callable[[Bundle], bytes]:
    def change(content: Any) -> None:
        for part in [content, *content["cells"]]:
            for key in keys:
                part.pop(key, None)

    return json_with(change)


def twice(bundle: Bundle) -> bytes:
    """The key `cells` is there twice; the second has the right answers."""
    untouched = json.dumps(as_dict(bundle, UNTOUCHED)["cells"])
    return b'{"cells": ' + untouched.encode() + b", " + made.handed_in(bundle).lstrip()[1:]


def huge_numbers(content: Any) -> None:
    for i, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = 10**4000
        cell["metadata"]["nbgrader"]["points"] = [10**300, -(10**300), float("nan"), float("inf"), "7"][i % 5]


FILES = [
    ("byte-order-mark", "UTF-8 with a byte-order mark.", encoded("utf-8-sig"), FULL, GRADED),
    ("utf-16", "UTF-16, as an editor of Windows saves it.", encoded("utf-16"), FULL, GRADED),
    ("latin-1", "Latin-1, so that one letter is no UTF-8.", latin_1, 0.0, UNREADABLE),
    ("empty", "A file of no bytes.", lambda bundle: b"", 0.0, UNREADABLE),
    ("prose", "A letter.", lambda bundle: b"Dear teacher, the dog ate my notebook.", 0.0, UNREADABLE),
    ("half", "The first half of a notebook.", lambda bundle: made.handed_in(bundle)[:4000], 0.0, UNREADABLE),
    ("zipped", "A zip that is called .ipynb.", zipped, 0.0, UNREADABLE),
    ("script", "The notebook as a Python script.", lambda bundle: b"def softmax(logits): ...", 0.0, UNREADABLE),
    ("null", "JSON that says null.", lambda bundle: b"null", 0.0, UNREADABLE),
    ("deep", "JSON that is nested 100,000 deep.", lambda b: b'{"cells":' + b"[" * 100_000, 0.0, UNREADABLE),
    (
        "deep-metadata",
        "Metadata nested 500 deep.",
        json_with(lambda c: c["metadata"].update(x=json.loads("[" * 500 + "]" * 500))),
        0.0,
        UNREADABLE,
    ),
    ("no-cells", "A notebook without the key cells.", without("cells"), 0.0, UNREADABLE),
    ("cells-no-list", "Cells that are an object.", json_with(lambda c: c.update(cells={"a": 1})), 0.0, UNREADABLE),
    (
        "cells-of-all-kinds",
        "Numbers, null and lists among the cells.",
        json_with(lambda c: c["cells"].extend([7, None, [], {}, "x"])),
        FULL,
        GRADED,
    ),
    ("large", "A notebook of 30 MB.", large, 0.0, UNREADABLE),
    ("version-3", "A notebook of format 3.", version_3, FULL, GRADED),
    ("version-5", "A notebook that says it is of format 5.", set_version(5), FULL, GRADED),
    ("version-minus-1", "A notebook of format -1.", set_version(-1, -1), FULL, GRADED),
    ("version-text", "A notebook whose format is a text.", set_version("four", None), FULL, GRADED),
    (
        "no-version",
        "No format, no metadata, no outputs, no ids.",
        without("nbformat", "nbformat_minor", "outputs", "id", "execution_count"),
        FULL,
        GRADED,
    ),
    ("cells-twice", "The key cells twice, right answers in the second.", twice, FULL, GRADED),
    ("huge-numbers", "Numbers of 4,000 digits, points of 1e300 and NaN.", json_with(huge_numbers), FULL, GRADED),
]


# --- the notebook


def changed(change: Callable[[NotebookNode], Any], right: bool = True) -> Callable[[Bundle], bytes]:
    """All answers right, or only those to `shapes`, in a notebook that has been changed."""
    return lambda bundle: made.handed_in(bundle, None if right else made.right("shapes") | {"softmax": WRONG}, change)


def passing_tests(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.metadata.nbgrader.grade:
            cell.source = "pass"


def flags(**values: Any) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            cell.metadata.nbgrader |= values
            if cell.metadata.nbgrader.grade_id in (CHECK, HIDDEN):
                cell.source = "pass"

    return change


def swapped(notebook: NotebookNode) -> None:
    """The check of the right answer under the name of the wrong one's."""
    ids = {CHECK: f"{OTHER}--check", f"{OTHER}--check": CHECK, HIDDEN: f"{OTHER}--hidden", f"{OTHER}--hidden": HIDDEN}
    for cell in notebook.cells:
        name = cell.metadata.nbgrader.grade_id
        cell.metadata.nbgrader.grade_id = cell.id = ids.get(name, name)


def swapped_answers(notebook: NotebookNode) -> None:
    a, b = cell_of(notebook, ANSWER), cell_of(notebook, OTHER)
    for kind in ("metadata", "id"):
        a[kind], b[kind] = b[kind], a[kind]


def same_ids(content: Any) -> None:
    for cell in content["cells"]:
        cell["id"] = "same"


def doubled(notebook: NotebookNode) -> None:
    """As a student does who copies a cell and goes on in the copy."""
    cell = cell_of(notebook, ANSWER)
    first = nbformat.from_dict(dict(cell, source=WRONG, id="first"))
    notebook.cells.insert(notebook.cells.index(cell), first)


def doubled_tests(notebook: NotebookNode) -> None:
    for grade_id in (CHECK, HIDDEN):
        copy = nbformat.from_dict(dict(cell_of(notebook, grade_id), source="pass", id=f"{grade_id}-2"))
        notebook.cells.append(copy)


def delete(*grade_ids: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells = [cell for cell in notebook.cells if cell.metadata.nbgrader.grade_id not in grade_ids]

    return change


def relabel(kind: str, *grade_ids: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        for grade_id in grade_ids:
            cell = cell_of(notebook, grade_id)
            cell.cell_type = kind
            cell.pop("outputs", None)
            cell.pop("execution_count", None)

    return change


def many_cells(notebook: NotebookNode) -> None:
    notebook.cells += [made.code(f"x = {i}") for i in range(20_000)]


def attachments(notebook: NotebookNode) -> None:
    cell = nbformat.v4.new_markdown_cell("![a](attachment:../../evil.png)")
    cell["attachments"] = {"../../evil.png": {"text/html": "<script>1</script>"}, "/etc/passwd": {"image/png": "AA=="}}
    notebook.cells.append(cell)


def paths(notebook: NotebookNode) -> None:
    """Names that lead elsewhere where somebody makes a file name of them."""
    for path in ("../../evil", "/etc/passwd", "..\\evil", "a\x00b"):
        cell = made.code("1")
        cell.id = path
        cell.metadata = nbformat.from_dict({"nbgrader": {"grade_id": path, "grade": True, "points": 9}, "name": path})
        notebook.cells.append(cell)
    notebook.metadata["kernelspec"] = {"name": "../../evil", "display_name": "evil", "language": "python"}


def other_kernel(notebook: NotebookNode) -> None:
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "bash", "display_name": "Bash"}, "language_info": {"name": "bash"}}
    )


def magics_for_cells(notebook: NotebookNode) -> None:
    """Cells that mean to run elsewhere."""
    notebook.cells[1:1] = [
        made.code(f"%%{magic}\necho hello") for magic in ("bash", "script false", "sh", "perl", "ruby")
    ]


def broken_text(content: Any) -> None:
    added = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": "x"}
    content["cells"].append(added | {"source": "# \ud800 \udfff \u0000 \ufffe"})
    content["cells"].append(added | {"id": "\ud800", "source": ["'a\u0000b'", 7, None]})
    content["cells"][0]["metadata"]["x\ud800"] = "\u0000"


def claims_points(notebook: NotebookNode) -> None:
    """Says in outputs and metadata that all is well."""
    for cell in notebook.cells:
        cell.metadata.nbgrader |= {"points": 1000, "score": 1000, "auto_score": 1000}
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "1000.0"}, execution_count=1)]
    notebook.cells.append(nbformat.v4.new_markdown_cell("### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS"))


def own_tests(notebook: NotebookNode) -> None:
    """Brings graded cells of its own."""
    for i in range(20):
        cell = made.code("pass")
        meta = {"grade": True, "grade_id": f"mine-{i}", "points": 50, "locked": True, "solution": False, "task": False}
        cell.metadata = nbformat.from_dict({"nbgrader": meta | {"schema_version": 3, "cell_type": "code"}})
        notebook.cells.append(cell)


def skipped(notebook: NotebookNode) -> None:
    """Tags that keep a cell from being run, or let it fail."""
    for cell in notebook.cells:
        cell.metadata["tags"] = ["experiment", "skip-execution", "raises-exception", "remove-cell"]


def no_metadata(content: Any) -> None:
    for cell in content["cells"]:
        cell["metadata"] = 7 if cell["id"] == ANSWER else {"nbgrader": "none"}


NOTEBOOKS = [
    ("passing-tests", "Every test replaced by pass.", changed(passing_tests, False), SHAPES, NOTED),
    (
        "tests-are-answers",
        "Test cells marked as answers.",
        changed(flags(solution=True, locked=False), False),
        SHAPES,
        NOTED,
    ),
    (
        "tests-are-not-graded",
        "Test cells marked as not graded.",
        changed(flags(grade=False, locked=False), False),
        SHAPES,
        NOTED,
    ),
    (
        "more-points",
        "Cells that are worth 1,000 points.",
        changed(flags(points=1000, grade=True), False),
        SHAPES,
        NOTED,
    ),
    ("claims-points", "Outputs and metadata that claim points.", changed(claims_points, False), SHAPES, None),
    ("own-tests", "Twenty graded cells of its own.", changed(own_tests, False), SHAPES, None),
    ("swapped-tests", "Two tests with each other's ids.", changed(swapped, False), SHAPES, NOTED),
    (
        "swapped-answers",
        "Two right answers with each other's ids, so that one comes behind its tests.",
        changed(swapped_answers),
        SOFTMAX,
        None,
    ),
    ("same-ids", "All cells with the same id.", json_with(same_ids), FULL, GRADED),
    ("doubled-answer", "An answer cell copied, the second one right.", changed(doubled), FULL, NOTED),
    ("doubled-tests", "Test cells copied, the copies empty.", changed(doubled_tests), FULL, NOTED),
    ("deleted-tests", "Right answers, the tests deleted.", changed(delete(CHECK, HIDDEN)), FULL, NOTED),
    ("deleted-answer", "An answer cell deleted.", changed(delete(ANSWER)), SHAPES, NOTED),
    ("deleted-setup", "The first cell deleted.", changed(delete(SETUP)), FULL, None),
    ("deleted-all", "Every cell deleted.", changed(lambda notebook: notebook.cells.clear()), 0.0, NOTED),
    ("text-answer", "An answer cell that became text.", changed(relabel("markdown", ANSWER)), FULL, NOTED),
    ("raw-tests", "Tests that became raw cells.", changed(relabel("raw", CHECK, HIDDEN), False), SHAPES, None),
    ("strange-kind", "Cells of a kind that does not exist.", changed(relabel("heading", CHECK, HIDDEN)), FULL, None),
    ("reversed", "The cells from last to first.", changed(lambda notebook: notebook.cells.reverse()), FULL, GRADED),
    ("skip-tags", "Tags that keep tests from being run.", changed(skipped, False), SHAPES, GRADED),
    ("many-cells", "Twenty thousand added cells.", changed(many_cells), FULL, NOTED),
    ("attachments", "Attachments with names like ../../evil.", changed(attachments), FULL, GRADED),
    ("path-ids", "Ids and a kernel with names like ../../evil.", changed(paths), FULL, GRADED),
    ("other-kernel", "A notebook that asks for a kernel of another language.", changed(other_kernel), FULL, GRADED),
    ("shell-cells", "Cells that run bash, perl and ruby.", changed(magics_for_cells), FULL, GRADED),
    ("broken-text", "Half characters and NUL bytes.", json_with(broken_text), FULL, GRADED),
    ("metadata-numbers", "Metadata that is a number.", json_with(no_metadata), FULL, GRADED),
]


# --- what a person grades


def essay(**values: Any) -> Callable[[Bundle], bytes]:
    """A handed-in essay whose flags say otherwise."""

    def change(notebook: NotebookNode) -> None:
        cell = cell_of(notebook, ESSAY)
        cell.source = "# The shift cancels in numerator and denominator."
        cell.metadata.nbgrader |= values

    return changed(change)


def is_for_a_person(outcome: Outcome) -> None:
    """The tests have their scores, only the essay waits."""
    assert outcome.scores.pop(ESSAY) is None
    assert sum(score or 0.0 for score in outcome.scores.values()) == FULL


ESSAYS = [
    ("essay-not-an-answer", "An essay marked as a test, which passes.", essay(solution=False, locked=True)),
    ("essay-not-graded", "An essay marked as not graded.", essay(grade=False)),
    ("essay-of-a-thousand", "An essay worth 1,000 points.", essay(points=1000, solution=False)),
]

ATTACKS = [
    *(Attack(name, "the file", told, build, points, status) for name, told, build, points, status in FILES),
    *(Attack(name, "the notebook", told, build, points, status) for name, told, build, points, status in NOTEBOOKS),
    *(
        Attack(name, "hand-graded answers", told, build, None, bundle=essay_bundle, after=is_for_a_person)
        for name, told, build in ESSAYS
    ),
]
