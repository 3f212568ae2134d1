"""The checks that a learner runs with pytest in her folder."""

import subprocess
import sys

import pytest
from test_workspace import write_in_notebook
from toy_course import ANSWERS, COUNT, SAYS

from course.checks import check_names
from course.exercises import find
from course.workspace import catchup

NOISE = (
    "Traceback",
    "test_exercises.py:1",
    "test_exercises.py:2",
    "test_exercises.py:3",
    "def test_",
    "assert ",
    "pytest.fail",
    "\nE  ",
    "site-packages",
)


def pytest_in(root, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr


def only(name: str) -> tuple[str, str]:
    return "-m", f"exercise(id='{find(name).id}')"


def test_the_marker_runs_the_checks_of_one_exercise(desk):
    """As many tests as it has checks; the others are put aside, whether they are written or not."""
    desk.implement("sums.double", ANSWERS["double"])
    code, shown = pytest_in(desk.root, "-vv", *only("double"))
    names = check_names(find("double"))
    assert code == 0
    for name in names:
        assert f"[01-one/double: {name}] PASSED" in shown
    assert f"{len(names)} passed" in shown
    assert "scale" not in shown


def test_a_failure_is_the_message_and_no_more(desk):
    """What a notebook says, without pytest's traceback around it."""
    desk.implement("sums.double", "def double(x):\n    return x * x\n")
    code, shown = pytest_in(desk.root, *only("double"))
    assert code == 1
    assert f"Likely cause: {SAYS['square']}" in shown
    assert "y is wrong in" in shown
    assert not [word for word in NOISE if word in shown]


def test_the_stub_is_a_few_words(desk):
    """Not written yet is all there is to say."""
    code, shown = pytest_in(desk.root, *only("scale"))
    assert code == 1
    assert "not written yet" in shown
    assert not [word for word in NOISE if word in shown]


def test_everything_can_be_done(desk):
    """With all answers there, all tests pass, also with a cell as argument and with properties alone."""
    catchup(desk.root, 99)
    write_in_notebook(desk.root, COUNT)
    code, shown = pytest_in(desk.root)
    assert code == 0, shown
    total = sum(
        len(check_names(find(name))) for name in ("double", "scale", "count", "cell_init", "cell_step", "chain")
    )
    assert f"{total} passed" in shown


def test_a_broken_module_fails_its_own_exercises_in_a_line(desk):
    """The file and the line are told, the other modules' exercises are run."""
    desk.implement("sums.double", ANSWERS["double"])
    desk.file("cells").write_text("def (\n")
    write_in_notebook(desk.root, None)
    code, shown = pytest_in(desk.root)
    assert code == 1
    assert "cells.py, line 1" in shown
    assert "has no cell 01-one--count" in shown
    assert f"{len(check_names(find('double')))} passed" in shown
    assert not [word for word in NOISE if word in shown]


@pytest.mark.parametrize(("arguments", "code"), [(("-k", "03-three"), 1), (("-m", "exercise(id='no/such')"), 5)])
def test_other_selections(desk, arguments, code):
    """A chapter by -k; an id that there is not selects nothing."""
    found, shown = pytest_in(desk.root, *arguments)
    assert found == code
    assert "double" not in shown
