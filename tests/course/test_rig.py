"""The rig: cells run as in a kernel, jobs that know nothing of each other, and no job that can stop the rest."""

import textwrap
import time

import nbformat
import pytest
from toy_course import ANSWERS, SAYS

from course.rig import graded_cells, run_jobs


def outcomes(jobs, folder):
    return list(run_jobs(jobs, folder))


def job(*sources):
    return [(f"cell-{i}", source) for i, source in enumerate(sources)]


def notebook(toy, slug="01-one"):
    return nbformat.read(toy / "exercises" / slug / f"{slug}.ipynb", as_version=4)


def test_graded_cells_are_the_given_ones_the_answer_and_its_tests(toy):
    """In the notebook's order, with the answer in place of the stub, and no other exercise's cells."""
    cells = graded_cells(notebook(toy), "01-one--double", "the answer")
    assert [name for name, _ in cells] == ["01-one--setup", "01-one--double", "01-one--double--check"]
    assert cells[1][1] == "the answer"
    assert "%chapter 01-one" in cells[0][1]


def test_what_an_exercise_needs_is_answered_before_it(toy):
    """A gate that uses an earlier function of its notebook finds the notebook's own answer to it."""
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id", "") for cell in notebook(toy).cells]
    other = next(i for i in ids if i.count("--") == 1 and i not in ("01-one--setup", "01-one--double"))
    with_need = graded_cells(notebook(toy), "01-one--double", "the answer", {other})
    assert set(dict(with_need)) == {*dict(graded_cells(notebook(toy), "01-one--double", "the answer")), other}


def test_right_wrong_and_unwritten_answers(toy, tmp_path):
    """What a student's notebook would get, each from a fresh start."""
    magic = "%%implement rnnlib.sums.double\n"
    answers = [
        magic + ANSWERS["double"],
        magic + "def double(x):\n    return x * x\n",
        magic + 'def double(x):\n    raise NotImplementedError("Exercise 01-one/double is not written yet")\n',
        magic + "def double(x:\n",
        magic.strip(),
    ]
    book = notebook(toy)
    right, square, stub, broken, bare = outcomes([graded_cells(book, "01-one--double", a) for a in answers], tmp_path)
    assert set(right.values()) == {None}
    assert square["01-one--double"] is None
    assert square["01-one--double--check"].startswith("CheckFailed: 01-one/double\n")
    assert SAYS["square"] in square["01-one--double--check"]
    assert "Only the stub is there" in stub["01-one--double--check"]
    assert broken["01-one--double"].startswith("Refused: line 2 is not Python")
    assert broken["01-one--double--check"].startswith("NameError")
    assert bare["01-one--double"] is None
    assert "Only the stub is there" in bare["01-one--double--check"]


def test_jobs_know_nothing_of_each_other(toy, tmp_path):
    """Names, rnnlib, the current folder and the search path are as at the start."""
    (tmp_path / "elsewhere").mkdir()
    spoil = job(
        "%load_ext course",
        "%chapter 01-one",
        "%%implement rnnlib.sums.double\ndef double(x):\n    return 99\n",
        "import os, sys, rnnlib.sums\nleft = 1\nsys.path.insert(0, 'nowhere')\nos.chdir('elsewhere')",
        "assert rnnlib.sums.double(0) == 99",
    )
    look = job(
        "left",
        "import os, sys\nassert 'nowhere' not in sys.path",
        f"assert os.getcwd() == {str(tmp_path)!r}",
        "assert not [name for name in sys.modules if name.startswith('rnnlib')]",
        "import rnnlib.sums\nassert rnnlib.sums.double(1) == 2",
        f"assert rnnlib.__file__.startswith({str(toy)!r}), rnnlib.__file__",
    )
    first, second, again = outcomes([spoil, look, look], tmp_path)
    assert set(first.values()) == {None}
    assert second["cell-0"] == "NameError: name 'left' is not defined"
    assert set(list(second.values())[1:]) == {None}
    assert again == second


def test_what_a_job_leaves_is_gone_when_the_next_begins(toy, tmp_path):
    """Objects that hold each other, in the notebook or in a module of the library: none of it piles up."""
    leave = """
        import rnnlib.sums
        class Trace:
            def __init__(self, name):
                self.itself, self.name = self, name
            def __del__(self, told=open("gone", "a")):
                told.write(self.name + "\\n"), told.flush()
        mine = Trace("notebook")
        rnnlib.sums.mine = Trace("library")
    """
    look = "assert sorted(open('gone')) == ['library\\n', 'notebook\\n'], open('gone').read()"
    spoil = job("%load_ext course", "%chapter 01-one", textwrap.dedent(leave))
    for outcome in outcomes([job("1"), spoil, job(look), job(look)], tmp_path):
        assert set(outcome.values()) == {None}


def test_a_job_that_prints_a_lot(toy, tmp_path):
    """By print, past Python, by another process, as the value of a cell: none of it is taken for an answer."""
    loud = job(
        "print('x' * 5_000_000)",
        "import os, sys\nos.write(1, b'{}\\n')",
        "print('{}', file=sys.__stdout__, flush=True)",
        "!echo '{}'",
        "os.system('echo {}')",
        "'y' * 1_000_000",
        "print('z' * 1_000_000, file=sys.stderr)",
    )
    first, second = outcomes([loud, job("1 + 1")], tmp_path)
    assert set(first.values()) == {None}
    assert second == {"cell-0": None}


def test_a_job_that_asks_for_input_gets_none(toy, tmp_path):
    """It must not wait, and must not swallow the next job."""
    first, second = outcomes([job("input('your name?')", "import sys\nsys.stdin.read()"), job("1 + 1")], tmp_path)
    assert first["cell-0"].startswith("EOFError")
    assert second == {"cell-0": None}


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import sys\nsys.exit('end')", "raise KeyboardInterrupt"])
def test_a_job_that_wants_to_end_the_session_is_an_error_like_others(toy, tmp_path, source):
    """The cells after it, and the jobs after it, are run."""
    first, second = outcomes([job(source, "1"), job("1")], tmp_path)
    assert first["cell-0"] is not None
    assert first["cell-1"] is None
    assert second == {"cell-0": None}


def test_errors_are_told_by_cell(toy, tmp_path):
    """Before a cell runs and while it runs; the cells below run all the same."""
    [found] = outcomes([job("1 +", "1 / 0", "x = 2", "x")], tmp_path)
    assert found["cell-0"].startswith("SyntaxError: ")
    assert found["cell-1"] == "ZeroDivisionError: division by zero"
    assert (found["cell-2"], found["cell-3"]) == (None, None)


def test_a_shell_that_dies_is_told_with_the_cells_it_ran(toy, tmp_path):
    """No endless wait, no puzzle."""
    with pytest.raises(RuntimeError, match=r"the shell process ended while running \['cell-0'\]"):
        outcomes([job("import os\nos._exit(3)"), job("1")], tmp_path)


def test_a_shell_that_dies_between_jobs_is_told_too(toy, tmp_path):
    """The next job cannot be handed over."""
    running = run_jobs(
        [job("import os, threading\nthreading.Timer(0.05, os._exit, [3]).start()"), job("1", "2")], tmp_path
    )
    next(running)
    time.sleep(1)
    with pytest.raises(RuntimeError, match=r"the shell process ended while running \['cell-0', 'cell-1'\]"):
        next(running)


def test_no_jobs(toy, tmp_path):
    """Nothing to run is nothing."""
    assert outcomes([], tmp_path) == []
