"""The `course` command: what it prints, and the exit codes that scripts rely on."""

import subprocess
import sys

import pytest
from conftest import files_of
from test_workspace import write_in_notebook
from toy_course import ANSWERS, COUNT, LIBRARY
from typer.testing import CliRunner

from course import workspace
from course.cli import app, console


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """Lines are not broken at 80 columns."""
    monkeypatch.setattr(console, "width", 200)
    monkeypatch.setattr(workspace, "CHECK_SECONDS", 20.0)


def course(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == code, result.output
    return result.output


def test_start_says_what_to_do_next(toy, tmp_path):
    """A new folder, again, and a folder of somebody else's."""
    shown = course("start", "my-rnn")
    assert "11 files written to my-rnn." in shown
    assert "cd my-rnn" in shown
    assert "jupyter lab 01-one.ipynb" in shown
    (tmp_path / "my-rnn" / "README.md").write_text("mine")
    shown = course("start", "my-rnn")
    assert "0 files written" in shown
    assert "1 files that you have changed stay as they are: README.md" in shown
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    assert "already holds other files" in course("start", "other", code=2)
    (tmp_path / "file").write_text("")
    assert "file" in course("start", "file", code=2)


def test_a_folder_may_have_any_name(toy):
    """Also one that looks like markup."""
    assert "11 files written to a [/b] [c]." in course("start", "a [/b] [c]")


@pytest.mark.parametrize("command", [["status"], ["check"], ["check", "double"], ["catchup", "2"]])
def test_outside_a_workspace_the_commands_say_so(toy, command):
    """Exit code 2: the call cannot be carried out here."""
    assert "Make one with `course start my-rnn`" in course(*command, code=2)


def test_status_counts_what_passes(desk):
    """A row per exercise with points and state, the sum, and what comes next."""
    desk.implement("sums.double", ANSWERS["double"])
    desk.implement("sums.scale", "def scale(x, factor=2.0):\n    return x\n")
    desk.file("chain").write_text("def (\n")
    shown = course("status")
    rows = {line.split()[1]: line for line in shown.splitlines() if line.startswith("│")}
    assert "2/2" in rows["01-one/double"]
    assert "done" in rows["01-one/double"]
    assert "0/3" in rows["01-one/scale"]
    assert "3 of 4 checks" in rows["01-one/scale"]
    assert "0/1" in rows["01-one/count"]
    assert "not written yet" in rows["01-one/count"]
    assert "chain.py, line 1: invalid syntax" in rows["03-three/chain"]
    assert "1 of 6 exercises, 2 of 12 points." in shown
    assert "Next: 01-one/scale in 01-one.ipynb" in shown


def test_check_one_exercise(desk):
    """0 if it passes, 1 if not, with the checks' own words; by id, by name, several."""
    desk.implement("sums.double", ANSWERS["double"])
    desk.implement("sums.scale", "def scale(x, factor=2.0):\n    return None\n")
    assert "✓ gives the expected answers" in course("check", "double")
    assert "✓ is linear" in course("check", "01-one/double")
    shown = course("check", "rnnlib.sums.scale", code=1)
    assert "✗ gives the expected answers" in shown
    assert "y is None (is a `return` missing?)" in shown
    assert "01-one/double" in course("check", "double", "scale", code=1)


def test_check_without_a_name_is_about_what_is_written(desk):
    """Stubs are passed over; with nothing written, that is said."""
    shown = course("check")
    assert "Nothing is written yet" in shown
    write_in_notebook(desk.root, COUNT)
    shown = course("check")
    assert "01-one/count" in shown
    assert "double" not in shown
    assert "not written yet" in course("check", "double", code=1)


def test_check_nosuch(desk):
    """Exit code 2, and the names that there are."""
    shown = course("check", "nosuch", code=2)
    assert "no exercise is called 'nosuch'; there are: 01-one/double, " in shown


def test_check_from_a_folder_inside_the_workspace(desk, monkeypatch):
    """Any folder of the workspace will do."""
    desk.implement("sums.double", ANSWERS["double"])
    monkeypatch.chdir(desk.root / "rnnlib")
    assert "✓" in course("check", "double")


def test_catchup(desk):
    """By number or by name; what is hers is said to be left."""
    desk.implement("sums.double", ANSWERS["double"])
    shown = course("catchup", "02-two")
    assert "Filled in: 01-one/scale." in shown
    assert "Yours, not touched: 01-one/double." in shown
    assert "Filled in: nothing, all of it was there." in course("catchup", "2")
    assert LIBRARY["sums.py"][-100:] == desk.text("sums")[-100:]


@pytest.mark.parametrize("chapter", ["two", "4x", "-1", ""])
def test_catchup_to_no_chapter(desk, chapter):
    """Exit code 2, nothing changed."""
    before = desk.files()
    course("catchup", "--", chapter, code=2)
    assert files_of(desk.root) == before


def test_catchup_with_a_broken_module(desk):
    """Exit code 2, the file named, nothing changed."""
    desk.file("sums").write_text("def (\n")
    before = desk.files()
    assert "rnnlib/sums.py cannot be read, line 1: invalid syntax" in course("catchup", "2", code=2)
    assert files_of(desk.root) == before


def test_the_command_as_a_process(desk):
    """`python -m course` is the command, with its exit codes and no traceback."""
    run = subprocess.run(
        [sys.executable, "-m", "course", "check", "nosuch"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "no exercise is called 'nosuch'" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("command", ["start", "status", "check", "catchup", "doctor", "build", "mutants", "demo"])
def test_help_says_what_a_command_does(command):
    """Every command has a line of its own."""
    shown = course(command, "--help")
    assert len(shown.splitlines()) > 5
    assert "Usage" in shown
