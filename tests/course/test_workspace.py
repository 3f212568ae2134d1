"""A learner's folder: made, made again, caught up, and looked at without ever touching her work."""

import json
import re

import nbformat
import numpy as np
import pytest
from conftest import files_of
from toy_course import ANSWERS, COUNT, LIBRARY

from course import workspace
from course.exercises import find
from course.implement import MARKER, use_chapter
from course.library import functions
from course.workspace import WorkspaceError, answer, catchup, find_workspace, progress, start

LIMIT = 20  # seconds that a check may take here: the machine may be busy
EVERY_FILE = {
    "README.md", "pytest.ini", MARKER, "01-one.ipynb", "02-two.ipynb", "03-three.ipynb",
    "rnnlib/__init__.py", "rnnlib/sums.py", "rnnlib/cells.py", "rnnlib/chain.py", "tests/test_exercises.py",
}  # fmt: skip


def write(root, name: str, text: str) -> None:
    """An answer, written by hand over what the file has."""
    exercise = find(name)
    path = root / "rnnlib" / f"{exercise.module.partition('.')[2]}.py"
    before = path.read_text()
    function = functions(before)[exercise.name]
    path.write_text(before.replace("\n".join(function.lines) + "\n", text))


def write_in_notebook(root, text: str | None) -> None:
    """An answer that lives in the notebook; None deletes its cell."""
    path = root / "01-one.ipynb"
    book = nbformat.read(path, as_version=4)
    book.cells = [c for c in book.cells if text is not None or c.metadata.nbgrader.grade_id != "01-one--count"]
    for cell in book.cells:
        if cell.metadata.nbgrader.grade_id == "01-one--count":
            cell.source = text
    nbformat.write(book, path)


def rows(root, *names, seconds=LIMIT):
    ids = [find(name).id for name in names] or None
    return {row.exercise.name: row for row in progress(root, ids, seconds)}


# --- start


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "empty folder"])
def test_start_makes_a_workspace(toy, tmp_path, there):
    """Notebooks, the staged library, the checks, and the mark; nothing written counts as kept."""
    root = tmp_path / "deep" / "my-rnn"
    if there:
        root.mkdir(parents=True)
    written, kept = start(root)
    assert set(files_of(root)) == EVERY_FILE == {str(path) for path in written}
    assert kept == []
    assert (root / "01-one.ipynb").read_bytes() == (toy / "exercises" / "01-one" / "01-one.ipynb").read_bytes()
    assert "y = x + x" not in (root / "rnnlib" / "sums.py").read_text()
    assert find_workspace(root / "rnnlib") == root


def test_start_keeps_out_of_a_folder_with_other_files(toy, tmp_path):
    """Somebody else's folder is left as it is, to the byte."""
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "rnnlib").mkdir()
    with pytest.raises(WorkspaceError, match="already holds other files"):
        start(tmp_path)
    assert files_of(tmp_path) == {"thesis.tex": b"years of work"}


def test_start_on_a_file_is_an_error(toy, tmp_path):
    """And the file stays."""
    (tmp_path / "my-rnn").write_text("a file")
    with pytest.raises(OSError, match="my-rnn"):
        start(tmp_path / "my-rnn")
    assert (tmp_path / "my-rnn").read_text() == "a file"


def test_starting_again_never_writes_over_anything(desk):
    """Answers, notebooks, notes, tests of her own: all bytes are the same, and what differs from the kit is told."""
    desk.implement("sums.double", ANSWERS["double"])
    write_in_notebook(desk.root, COUNT)
    (desk.root / "notes.txt").write_text("mine")
    (desk.root / "tests" / "test_mine.py").write_text("def test(): pass\n")
    (desk.root / "README.md").write_text("")
    before = desk.files()
    written, kept = start(desk.root)
    assert written == []
    assert desk.files() == before
    assert {str(path) for path in kept} == {"rnnlib/sums.py", "01-one.ipynb", "README.md"}


def test_starting_again_brings_back_what_was_deleted(desk):
    """A file that is gone is written anew; the others stay."""
    desk.implement("sums.double", ANSWERS["double"])
    before = desk.files()
    for name in ("rnnlib/cells.py", "02-two.ipynb", "tests/test_exercises.py"):
        (desk.root / name).unlink()
    written, _ = start(desk.root)
    assert {str(path) for path in written} == {"rnnlib/cells.py", "02-two.ipynb", "tests/test_exercises.py"}
    assert desk.files() == before


def test_an_older_workspace_gets_what_is_new(desk):
    """A later version of the course has another chapter: it is added, nothing else is touched."""
    for name in ("rnnlib/chain.py", "03-three.ipynb"):
        (desk.root / name).unlink()
    (desk.root / MARKER).write_text('{"course": "0.0.1"}\n')
    desk.implement("sums.double", ANSWERS["double"])
    before = desk.files()
    written, kept = start(desk.root)
    assert {str(path) for path in written} == {"rnnlib/chain.py", "03-three.ipynb"}
    assert {str(path) for path in kept} == {"rnnlib/sums.py"}
    assert {name: content for name, content in desk.files().items() if name in before} == before


def test_a_start_that_was_interrupted_can_be_finished(toy, tmp_path, monkeypatch):
    """The disk is full after some files; with room again, the same command goes on."""
    root, kit_files, made = tmp_path / "my-rnn", workspace._kit_files, []

    def some():
        for file in kit_files():
            if len(made) == 4:
                raise OSError(28, "No space left on device")
            made.append(file)
            yield file

    monkeypatch.setattr(workspace, "_kit_files", some)
    with pytest.raises(OSError, match="No space left"):
        start(root)
    monkeypatch.setattr(workspace, "_kit_files", kit_files)
    start(root)
    assert set(files_of(root)) == EVERY_FILE


def test_outside_a_workspace_the_message_says_what_to_do(toy, tmp_path):
    """The command that makes one."""
    with pytest.raises(WorkspaceError, match=r"not in a workspace. Make one with `course start my-rnn`"):
        find_workspace(tmp_path)


# --- catch up


def test_catchup_fills_the_stubs_before_a_chapter(desk):
    """Those of earlier chapters, with the reference; the others stay stubs."""
    assert catchup(desk.root, 2) == (["01-one/double", "01-one/scale"], [])
    assert desk.text("sums") == LIBRARY["sums.py"]
    assert desk.text("cells").count("raise NotImplementedError") == 2
    use_chapter("01-one")
    assert desk.module("sums").double(np.ones(1)).tolist() == [2]


def test_catchup_never_touches_the_learners_code(desk):
    """Her functions, right or wrong, her helpers and her comments stay; the rest of the file is filled."""
    mine = "# mine, and wrong\nFACTOR = 3\n\n\ndef double(x):\n    return FACTOR * x  # odd\n"
    desk.implement("sums.double", mine)
    before = desk.text("sums")
    filled, left = catchup(desk.root, 2)
    assert (filled, left) == (["01-one/scale"], ["01-one/double"])
    stub = "\n".join(functions(before)["scale"].lines)
    reference = "\n".join(functions(LIBRARY["sums.py"])["scale"].lines)
    assert desk.text("sums") == before.replace(stub, reference)
    assert catchup(desk.root, 2) == ([], ["01-one/double", "01-one/scale"])


def test_catchup_on_a_right_answer_and_the_first_chapter(desk):
    """Nothing is before chapter 1, and nothing is changed."""
    before = desk.files()
    assert catchup(desk.root, 1) == ([], [])
    assert catchup(desk.root, 1, replace_failing=True) == ([], [])
    assert desk.files() == before


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_catchup_keeps_the_line_ends(desk, end):
    """Not a byte of what is not filled changes, on Windows too."""
    text = desk.text("sums").replace("TOL = 1e-9", "TOL = 1e-9  # \u2028 mine").replace("\n", end)
    desk.file("sums").write_bytes(text.encode())
    catchup(desk.root, 2)
    expected = LIBRARY["sums.py"].replace("TOL = 1e-9", "TOL = 1e-9  # \u2028 mine").replace("\n", end)
    assert desk.text("sums") == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_catchup_adds_a_function_that_was_deleted(desk, end):
    """At the end of the file, in its line ends."""
    text = desk.text("sums")
    text = text[: text.index("\n\n\ndef scale")].replace("\n", end) + end
    desk.file("sums").write_bytes(text.encode())
    catchup(desk.root, 2)
    assert desk.text("sums").startswith(text[: text.index("def double")])
    assert functions(desk.text("sums"))["scale"].lines == functions(LIBRARY["sums.py"])["scale"].lines
    assert (desk.text("sums").count("\r\n") > 0) == (end == "\r\n")
    assert desk.text("sums").replace("\r\n", "").count("\n") == (0 if end == "\r\n" else desk.text("sums").count("\n"))


def test_catchup_replaces_failing_answers_when_asked_and_keeps_them(desk):
    """A wrong one goes to `.history` with its helpers, a right one stays."""
    wrong = "# about it\ndef double(x):\n    return 3 * x\n"
    desk.implement("sums.double", wrong)
    desk.implement("sums.scale", ANSWERS["scale"])
    filled, left = catchup(desk.root, 2, replace_failing=True)
    assert (filled, left) == (["01-one/double"], ["01-one/scale"])
    assert [p.read_text() for p in (desk.root / ".history").iterdir()] == [wrong]
    assert ANSWERS["scale"] in desk.text("sums")
    assert all(row.done for row in rows(desk.root, "double", "scale").values())


@pytest.mark.parametrize("damage", ["syntax", "gone"])
def test_catchup_says_which_file_is_in_the_way(desk, damage):
    """A module that cannot be read is not written over, nor is any other."""
    if damage == "gone":
        desk.file("cells").unlink()
    else:
        desk.file("cells").write_text("def (\n")
    before = desk.files()
    with pytest.raises(WorkspaceError, match=r"rnnlib/cells\.py"):
        catchup(desk.root, 3)
    assert desk.files() == before


# --- progress


def test_an_untouched_workspace(desk):
    """Every exercise is there, none is written, no points, and nothing in the folder changes."""
    before = desk.files()
    found = rows(desk.root)
    assert list(found) == ["double", "scale", "count", "cell_init", "cell_step", "chain"]
    assert not any(row.done or row.written or row.points or row.problem for row in found.values())
    assert desk.files() == before


def test_right_and_wrong_answers(desk):
    """Points for what passes; for what does not, the message of the check."""
    desk.implement("sums.double", ANSWERS["double"])
    desk.implement("sums.scale", "def scale(x, factor=2.0):\n    return x + factor\n")
    write_in_notebook(desk.root, COUNT)
    found = rows(desk.root, "double", "scale", "count", "cell_step")
    assert [(row.done, row.written, row.points) for row in found.values()] == [
        (True, True, 2), (False, True, 0), (True, True, 1), (False, False, 0),
    ]  # fmt: skip
    assert "y is wrong in" in found["scale"].results[0][2]


def test_a_syntax_error_spoils_only_its_module(desk):
    """File and line are told; exercises of other modules are checked."""
    catchup(desk.root, 2)
    desk.file("cells").write_text(desk.text("cells") + "def broken(:\n")
    line = len(desk.text("cells").splitlines())
    found = rows(desk.root)
    for name in ("cell_init", "cell_step"):
        assert re.fullmatch(rf"cells\.py, line {line}: .+", found[name].problem)
    assert found["chain"].problem.startswith("cells.py, line")  # it imports the broken one
    assert found["double"].done
    assert found["scale"].done


def test_an_exception_while_importing_spoils_only_its_module(desk):
    """Its type and message are told."""
    catchup(desk.root, 2)
    desk.file("chain").write_text(desk.text("chain") + "\nabove = below\n")
    found = rows(desk.root, "double", "chain")
    assert found["double"].done
    assert "NameError: name 'below' is not defined" in found["chain"].problem
    assert "chain.py, line" in found["chain"].problem


def test_endless_loops_and_ends_of_the_process_spoil_only_their_exercise(desk):
    """The process is stopped, or is gone; a new one checks the rest."""
    catchup(desk.root, 3)
    write(desk.root, "double", "def double(x):\n    while True:\n        pass\n")
    write(desk.root, "scale", "def scale(x, factor=2.0):\n    import os\n    os._exit(0)\n")
    write(desk.root, "cell_init", "def cell_init(rng, size, dtype=np.float64):\n    raise SystemExit(3)\n")
    write_in_notebook(desk.root, COUNT)
    found = rows(desk.root, "double", "scale", "cell_init", "count", seconds=4)
    assert found["double"].problem == "no answer within 4 s: is there an endless loop?"
    assert found["scale"].problem == "the check's process ended by itself"
    assert not found["cell_init"].done
    assert found["cell_init"].problem
    assert found["count"].done


def test_what_the_code_prints_or_asks_does_not_disturb(desk):
    """Neither at import nor in a call, neither from Python nor past it, is output taken for an answer."""
    noise = [
        "import os, sys",
        "os.write(1, b'{}\\n')",
        "print('{}', file=sys.__stdout__, flush=True)",
        "os.system('echo {}')",
    ]
    body = "".join(f"    {line}\n" for line in noise)
    text = f"def double(x):\n{body}    print('x' * 100000)\n    return x + x\n"
    write(desk.root, "double", text)
    desk.file("sums").write_text(desk.text("sums") + "\n".join(noise))
    write_in_notebook(desk.root, "def count(x):\n    input('how many?')\n    return int((x > 0).sum())\n")
    found = rows(desk.root, "double", "count")
    assert found["double"].done, found["double"]
    assert "EOFError" in found["count"].results[0][2]


# --- answers in notebooks


def test_an_answer_in_a_notebook(desk):
    """The cell's function, with NumPy and what the notebook's first cell imports."""
    write_in_notebook(desk.root, COUNT.replace("np.sum", "math.fsum"))
    path = desk.root / "01-one.ipynb"
    path.write_text(path.read_text().replace("import numpy as np", "import numpy as np\\nimport math"))
    assert answer(find("count"), desk.root)(np.array([1.0, -1.0])) == 1


FAULTS = {
    "cell deleted": (None, r"01-one\.ipynb has no cell 01-one--count; was it deleted\?"),
    "syntax error": ("def count(x):\n    return (\n", r"01-one\.ipynb.*, line 2"),
    "other name": ("def number(x):\n    return 1\n", r"01-one\.ipynb.*does not define count"),
    "error in the cell": ("1 / 0\n", "ZeroDivisionError"),
}


@pytest.mark.parametrize(("text", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_notebooks_cell_is_told(desk, text, words):
    """What is wrong, and in which notebook."""
    write_in_notebook(desk.root, text)
    assert re.search(words, rows(desk.root, "count")["count"].problem)


@pytest.mark.parametrize("damage", ["gone", "not a notebook", "empty"])
def test_a_notebook_that_cannot_be_read_is_told(desk, damage):
    """By its name, with what to do."""
    path = desk.root / "01-one.ipynb"
    if damage == "gone":
        path.unlink()
    else:
        path.write_text({"not a notebook": json.dumps([1]), "empty": ""}[damage])
    problem = rows(desk.root, "count")["count"].problem
    assert "01-one.ipynb" in problem
    assert "course start" in problem
    assert ("is missing" if damage == "gone" else "cannot be read as a notebook") in problem
