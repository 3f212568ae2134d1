"""One submission, graded: what honest, wrong and broken work comes to, and that nothing else comes out."""

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import made_submissions as made
import nbformat
import pytest
from made_submissions import SLUG, cell_of
from nbclient.exceptions import DeadKernelError

from course.grading import task
from course.grading.errors import WORKERS, Stopped
from course.grading.referee import CellResult
from course.grading.sandbox import KernelLost
from course.grading.task import GRADED, UNREADABLE, Outcome, grade, grade_elsewhere

QUICK = {"call_seconds": 3, "cell_seconds": 4, "test_seconds": 20}
BUNDLE = made.small("shapes", "softmax", "output_layer", **QUICK)
FULL = {
    f"{SLUG}--shapes--check": 2.0,
    f"{SLUG}--shapes--hidden": 1.0,
    f"{SLUG}--softmax--check": 3.0,
    f"{SLUG}--softmax--hidden": 1.0,
    f"{SLUG}--output_layer--check": 2.0,
    f"{SLUG}--output_layer--hidden": 1.0,
}


def graded(data: bytes, bundle: Any = BUNDLE) -> Outcome:
    """The outcome, after what must hold of every one."""
    outcome = grade("ann", data, bundle, made.NO_SANDBOX)
    assert Outcome(**json.loads(json.dumps(vars(outcome)))) == outcome
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert set(outcome.scores) == set(bundle.points)
    for grade_id, score in outcome.scores.items():
        assert score is None or (math.isfinite(score) and 0 <= score <= bundle.points[grade_id])
    nbformat.validate(nbformat.reads(outcome.notebook, as_version=4))
    assert (outcome.status == GRADED) == (not outcome.notes)
    return outcome


def lost(outcome: Outcome) -> dict[str, Any]:
    """The cells without full points."""
    return {grade_id: score for grade_id, score in outcome.scores.items() if score != FULL[grade_id]}


def zero(*names: str) -> dict[str, float]:
    return {grade_id: 0.0 for grade_id in FULL if grade_id.split("--")[1] in names}


def text_of(outcome: Outcome, grade_id: str) -> str:
    return str(made.outputs_of(outcome.notebook, grade_id))


def wrong(name: str, source: str) -> bytes:
    return made.handed_in(BUNDLE, made.right() | {name: source})


# --- honest work


def test_right_answers_get_all_points() -> None:
    outcome = graded(made.handed_in(BUNDLE))
    assert (outcome.status, outcome.scores, outcome.score) == (GRADED, FULL, 10.0)
    assert (outcome.unanswered, outcome.diagnoses, outcome.trouble) == ([], [], False)
    assert set(outcome.seconds) == {"start", f"{SLUG}--setup", *FULL, *(f"{SLUG}--{e.name}" for e in BUNDLE.exercises)}
    assert "all as expected" in text_of(outcome, f"{SLUG}--softmax--hidden")


def test_what_a_submission_used_is_counted() -> None:
    """Her processor time and memory, with those of processes that she starts, apart from start and tests."""
    child = "import os, time\nif os.fork() == 0:\n    end = time.process_time() + 0.5\n    x = bytearray(80 << 20)\n"
    child += "    while time.process_time() < end:\n        pass\n    os._exit(0)\nos.wait()"
    idle = graded(made.handed_in(BUNDLE)).used
    busy = graded(made.handed_in(BUNDLE, change=lambda nb: nb.cells.insert(3, made.code(child)))).used
    assert set(idle) == set(busy) == {"start", "cells", "warden", "tests", "around", "memory_mb"}
    assert all(amount > 0 for amount in idle.values())
    assert 0.4 < busy["cells"] - idle["cells"] < 1.5
    assert 60 < busy["memory_mb"] - idle["memory_mb"] < 200


def test_nothing_written_gets_none_and_is_told_apart() -> None:
    """Each answer is known to be unanswered, each test says so."""
    outcome = graded(made.handed_in(BUNDLE, {}))
    assert outcome.scores == dict.fromkeys(FULL, 0.0)
    assert outcome.unanswered == [f"{SLUG}--{e.name}" for e in BUNDLE.exercises]
    assert "Only the stub is there" in text_of(outcome, f"{SLUG}--softmax--check")


def test_a_known_mistake_is_named() -> None:
    outcome = graded(wrong("softmax", made.mutant("softmax", "no-shift")))
    assert lost(outcome) == zero("softmax")
    assert outcome.status == GRADED
    says = next(m.says for m in made.chapter().mutants if m.id == f"{SLUG}/softmax:no-shift")
    assert [f"{SLUG}/softmax", says] in outcome.diagnoses


BROKEN = {
    "a syntax error": "def softmax(logits):\n    return {",
    "no function": "x = 1",
    "an exception": "def softmax(logits):\n    return 1 / 0",
    "the end of the process": "def softmax(logits):\n    import os\n    os._exit(0)",
    "the wrong type": "def softmax(logits):\n    return 'everything'",
    "an endless loop": "def softmax(logits):\n    while True:\n        pass",
    "a loop that cannot be interrupted": (
        "def softmax(logits):\n    while True:\n        try:\n            while True:\n                pass\n"
        "        except KeyboardInterrupt:\n            pass"
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_costs_its_own_points_only(kind: str) -> None:
    """Whatever it does to its kernel, the answers before and after it get what they deserve."""
    outcome = graded(wrong("softmax", BROKEN[kind]))
    assert lost(outcome) == zero("softmax")


ENDS = {
    "ends the process": ("import os\nos._exit(3)", "its kernel ended"),
    "never ends": ("while True:\n    pass", None),
    "swallows interrupts": (
        "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass",
        "could not be interrupted",
    ),
    "floods": ("while True:\n    print('x' * 10_000)", None),
    "sleeps": ("import time\ntime.sleep(1000)", None),
    "raises": ("raise SystemExit", None),
}


@pytest.mark.parametrize("kind", ENDS)
def test_an_added_cell_that_ends_badly_costs_nothing(kind: str) -> None:
    """What the tests need is run again without it; what was lost is said."""
    source, said = ENDS[kind]

    def change(notebook: Any) -> None:
        notebook.cells.insert(3, made.code(source))

    outcome = graded(made.handed_in(BUNDLE, change=change))
    assert lost(outcome) == {}
    if said:
        assert outcome.trouble
        assert said in outcome.notes[0]
    assert len(outcome.notebook) < 600_000


def test_a_notebook_that_wears_out_kernel_after_kernel_comes_to_an_end() -> None:
    """What was graded before keeps its points."""

    def change(notebook: Any) -> None:
        notebook.cells += [made.code("import os\nos._exit(0)") for _ in range(20)]
        notebook.cells.append(made.code("# the end"))

    outcome = graded(made.handed_in(BUNDLE, change=change))
    assert lost(outcome) == {}
    assert "ended again and again" in outcome.notes[-1]


def test_the_time_of_a_notebook_is_limited() -> None:
    """Behind its end nothing is run; before it points are kept."""
    bundle = made.small("shapes", "softmax", "output_layer", **QUICK | {"notebook_seconds": 6, "cell_seconds": 60})

    def change(notebook: Any) -> None:
        position = notebook.cells.index(cell_of(notebook, f"{SLUG}--softmax--check"))
        notebook.cells.insert(position, made.code("import time\ntime.sleep(30)"))

    outcome = graded(made.handed_in(bundle, change=change), bundle)
    assert lost(outcome) == zero("softmax", "output_layer")
    assert "6 seconds were used up" in outcome.notes[-1]
    assert outcome.trouble


def test_cells_tagged_experiment_are_not_run() -> None:
    cell = made.code("raise SystemExit\nimport os\nos._exit(0)")
    cell.metadata["tags"] = ["experiment"]
    outcome = graded(made.handed_in(BUNDLE, change=lambda nb: nb.cells.insert(2, cell)))
    assert (outcome.scores, outcome.status) == (FULL, GRADED)


def test_what_a_student_defines_reaches_her_functions_in_order() -> None:
    """Cells run in the notebook's order, as in Jupyter: a helper below its use is not there yet."""
    helped = "def shapes(T, B, D, H, K):\n    return helper(T, B, D, H, K)"
    helper = made.right()["shapes"].replace("def shapes", "def helper")

    def change_at(position: int) -> Callable[[Any], None]:
        return lambda notebook: notebook.cells.insert(position, made.code(helper))

    data = made.handed_in(BUNDLE, made.right() | {"shapes": helped}, change_at(1))
    assert lost(graded(data)) == {}
    data = made.handed_in(BUNDLE, made.right() | {"shapes": helped}, lambda nb: nb.cells.append(made.code(helper)))
    assert lost(graded(data)) == zero("shapes")


def test_the_line_of_hers_that_failed_is_shown() -> None:
    """Lines are counted as the notebook shows them, the magic's own among them."""
    outcome = graded(wrong("softmax", BROKEN["an exception"]))
    assert "in softmax, line 3: return 1 / 0" in text_of(outcome, f"{SLUG}--softmax--check")


def test_a_warning_decides_nothing() -> None:
    """Stock nbgrader gives no points where something is written to stderr."""
    lines = made.right()["softmax"].splitlines()
    body = next(i for i, line in enumerate(lines) if "logits.max" in line)
    lines.insert(
        body, "    import sys, warnings; warnings.warn('old', DeprecationWarning); print('!', file=sys.stderr)"
    )
    assert lost(graded(wrong("softmax", "\n".join(lines)))) == {}


# --- what cannot be graded


def test_what_is_no_notebook_has_a_result() -> None:
    """No points, a reason in words, and a notebook that nbgrader's pages can show."""
    outcome = graded(b"dear teacher")
    assert (outcome.status, outcome.score, outcome.trouble, outcome.is_final) == (UNREADABLE, 0.0, True, True)
    assert outcome.notes == ["The submission cannot be read: the file is not a notebook: it is no valid JSON (line 1)."]
    assert outcome.notes[0] in outcome.notebook


def test_a_fault_of_the_grader_is_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person looks, and the run goes on."""
    monkeypatch.setattr(task._Run, "outcome", lambda self: 1 / 0)
    outcome = graded(made.handed_in(BUNDLE))
    assert (outcome.status, outcome.is_final, set(outcome.scores.values())) == (UNREADABLE, False, {None})
    assert "ZeroDivisionError" in outcome.notes[0]


LOSSES = [
    ("Sandbox._launch", KernelLost("no start"), "no start"),
    ("_Client.async_start_new_kernel_client", RuntimeError("Kernel died"), "Kernel died"),
    ("_Client.async_start_new_kernel_client", DeadKernelError("dead"), "DeadKernelError"),
    ("_Client.async_execute_cell", DeadKernelError("dead"), "its kernel ended"),
    ("_Client.async_execute_cell", KernelLost("bytes"), "no message of Jupyter's"),
    ("_Client._serve", KernelLost("bytes"), "no message of Jupyter's"),
    ("_Client._async_check_alive", DeadKernelError("dead"), "its kernel ended"),
    ("Referee.run_cell", ConnectionResetError("gone"), "no message of Jupyter's"),
]


@pytest.mark.parametrize(("where", "fault", "said"), LOSSES, ids=[f"{where}: {fault!r}" for where, fault, _ in LOSSES])
@pytest.mark.parametrize("at", [1, 4, None])
def test_a_kernel_may_be_lost_anywhere(
    monkeypatch: pytest.MonkeyPatch, where: str, fault: Exception, said: str, at: int | None
) -> None:
    """Once, or each time: there is an outcome, and no point is lost without a word about it."""
    owner, name = where.split(".")
    work, count = getattr(getattr(task, owner), name), iter(range(1, 1000))

    def lose(*args: Any, **more: Any) -> Any:
        if at in (None, next(count)):
            raise fault
        return work(*args, **more)

    monkeypatch.setattr(getattr(task, owner), name, lose)
    outcome = graded(made.handed_in(BUNDLE))
    assert outcome.is_final or set(outcome.scores.values()) == {None}
    assert outcome.trouble or lost(outcome) == {}
    assert not outcome.notes or said in " ".join(outcome.notes)
    if at is None:
        assert said in " ".join(outcome.notes)
        assert outcome.trouble


@pytest.mark.parametrize("times", [1, 3])
def test_a_kernel_that_does_not_answer_gets_a_successor(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """What kept it from connecting may be gone then; where it is not, that costs one test cell and is said."""
    serve, count = task._Client._serve, iter(range(1000))

    async def refuse(client: task._Client) -> None:
        if next(count) >= times:
            await serve(client)

    monkeypatch.setattr("course.grading.referee.CONNECT_SECONDS", 1)
    monkeypatch.setattr(task._Client, "_serve", refuse)
    outcome = graded(made.handed_in(BUNDLE))
    assert outcome.trouble
    if times == 1:
        assert (lost(outcome), outcome.notes) == ({}, [])
    else:
        first, second = list(FULL)[:2]
        assert lost(outcome) == {first: 0.0, second: 0.0}
        assert outcome.notes == [f"the cell {cell}: its kernel did not answer the tests." for cell in (first, second)]


def test_a_worker_of_another_version_grades_nothing() -> None:
    with pytest.raises(Stopped, match="another version") as stopped:
        grade_elsewhere("ann", made.handed_in(BUNDLE), made.replace(BUNDLE, code="other"))
    assert stopped.value.code == WORKERS
    assert pickle.loads(pickle.dumps(stopped.value)).code == WORKERS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 99.0])
def test_no_number_but_one_between_zero_and_the_points_is_a_score(value: float) -> None:
    assert task._valid(value, 3.0) == (3.0 if value == 99.0 else 0.0)


def test_partial_credit_is_the_referees(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says counts, within the points."""

    def run_cell(self: Any, source: str, names: Any = None, points: float = 0.0) -> CellResult:
        return CellResult(True, 0.5)

    monkeypatch.setattr(task.Referee, "run_cell", run_cell)
    assert graded(made.handed_in(BUNDLE)).scores == dict.fromkeys(FULL, 0.5)


# --- outputs


def clean(*outputs: Any) -> list[Any]:
    return list(task._harmless(list(outputs), 1000))


@pytest.mark.parametrize(
    "data",
    [
        {"text/html": "<script>alert(1)</script>"},
        {"application/javascript": "alert(1)"},
        {"image/svg+xml": "<svg onload=alert(1)>"},
        {"text/latex": "<img src=x onerror=alert(1)>"},
        {"text/markdown": "<script>"},
        {"image/png": '"><script>alert(1)</script>'},
        {"image/jpeg": "A" * 3_000_000},
        {"image/png": ["aGk="]},
    ],
)
def test_only_text_and_pictures_of_dots_are_kept(data: dict[str, Any]) -> None:
    """No output can do anything in a browser; what NumPy prints and Matplotlib draws stays."""
    output = {"output_type": "display_data", "data": data | {"text/plain": "an object"}, "metadata": {"x": "><script>"}}
    assert clean(output)[0]["data"] == {"text/plain": "an object"}
    assert clean(output)[0]["metadata"] == {}
    picture = {"output_type": "display_data", "data": {"image/png": "aGk=\n"}, "metadata": {}}
    assert clean(picture)[0]["data"] == {"image/png": "aGk=\n"}


@pytest.mark.parametrize(
    "output",
    [
        {},
        {"output_type": "stream"},
        {"output_type": "stream", "text": 7, "name": ["x"]},
        {"output_type": "error", "traceback": [1, None], "ename": {}, "evalue": "\ud800\0"},
        {"output_type": "display_data", "data": "x"},
        {"output_type": "execute_result", "data": {"text/plain": {"a": 1}}, "execution_count": "x"},
        {"output_type": "update_display_data", "data": {}},
    ],
)
def test_outputs_of_any_form_become_valid_ones(output: dict[str, Any]) -> None:
    cell = nbformat.v4.new_code_cell(outputs=clean(output))
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    json.dumps(cell).encode()


def test_outputs_are_bounded_in_length_and_number() -> None:
    (cut,) = clean({"output_type": "stream", "name": "stdout", "text": "x" * 5000}, {"output_type": "error"})
    assert len(cut["text"]) < 1100
    many = clean(*[{"output_type": "display_data", "data": {"text/plain": "x"}}] * 500)
    assert len(many) == task.MAX_OUTPUTS + 1
    assert many[-1]["text"] == "[outputs cut]\n"


def test_text_that_came_in_pieces_is_joined() -> None:
    """The same submission gives the same notebook, however its messages were cut."""
    streams = [{"output_type": "stream", "name": name, "text": name[3:]} for name in ("stdout", "stderr", "stdout")]
    found = [(output["name"], output["text"]) for output in clean(*streams)]
    assert found == [("stdout", "outout"), ("stderr", "err")]


def test_what_cells_showed_is_in_the_notebook() -> None:
    """Prints, values, errors and pictures of the student's cells, at their places."""

    def change(notebook: Any) -> None:
        show = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
        notebook.cells += [made.code("print('hello')"), made.code("40 + 2"), made.code("1 / 0"), made.code(show)]

    outcome = graded(made.handed_in(BUNDLE, change=change))
    cells = nbformat.reads(outcome.notebook, as_version=4).cells[-4:]
    assert cells[0].outputs[0].text == "hello\n"
    assert cells[1].outputs[0].data == {"text/plain": "42"}
    assert (cells[2].outputs[0].ename, cells[2].outputs[0].evalue) == ("ZeroDivisionError", "division by zero")
    assert any("image/png" in output.get("data", {}) for output in cells[3].outputs)
