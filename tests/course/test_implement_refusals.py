"""What `%%implement` refuses: each is told in words a beginner understands, and nothing has changed."""

import re
import sys

import pytest

from course.implement import Refused, implement, use_chapter

GOOD = "def double(x):\n    return 2 * x\n"
D, S, C = "sums.double", "sums.scale", "cells.cell_step"

CELLS = {
    "syntax error": (D, "def double(x):\n    return x +\n", ["line 2 is not Python", "return x +"]),
    "return outside the function": (D, "def double(x):\n    y = x + x\nreturn y\n", ["line 3", "outside", "return y"]),
    "nothing under def": (D, "def double(x):\nreturn x\n", ["line 2", "expected an indented block"]),
    "same argument twice": (D, GOOD + "\ndef _help(a, a):\n    return a\n", ["line 4", "argument 'a'"]),
    "no function": (D, "y = 3\n", ["defines no function", "double"]),
    "name misspelt": (D, GOOD.replace("double", "duoble"), ["defines duoble, not double"]),
    "a lambda": (D, "double = lambda x: 2 * x\n", ["defines no function", "double"]),
    "inside another function": (
        D,
        "def outer():\n    def double(x):\n        return x\n",
        ["defines outer, not double"],
    ),
    "defined twice": (D, GOOD + "\n" + GOOD, ["double 2 times", "once"]),
    "async": (D, "async " + GOOD, ["async", "plain `def`"]),
    "argument renamed": (D, "def double(y):\n    return y\n", ["takes (y)", "must take (x)"]),
    "argument too many": (D, "def double(x, y):\n    return x\n", ["takes (x, y)", "must take (x)"]),
    "order of arguments": (S, "def scale(factor, x=2.0):\n    return x\n", ["(factor, x=...)", "(x, factor=...)"]),
    "default missing": (S, "def scale(x, factor):\n    return x\n", ["takes (x, factor)", "take (x, factor=...)"]),
    "star missing": (
        C,
        "def cell_step(params, x, state, phi='tanh'):\n    return x\n",
        ["takes (params, x, state, phi=...)", "must take (params, x, state, *, phi=...)"],
    ),
    "star arguments": (D, "def double(*x):\n    return x\n", ["takes (*x)", "must take (x)"]),
    "another exercise's function": (
        D,
        GOOD + "\ndef scale(x, factor=2.0):\n    return x\n",
        ["also defines scale", "a cell of its own", "01-one/scale"],
    ),
    "another exercise's function beside the stub": (
        D,
        "def double(x):\n    raise NotImplementedError\n\ndef scale(x, factor=2.0):\n    return x\n",
        ["also defines scale", "a cell of its own"],
    ),
    "helper with a name of the module": (
        D,
        GOOD + "\ndef _check(x):\n    return x\n",
        ["also defines _check", "rnnlib.sums already has", "another name"],
    ),
    "constant with a name of the module": (D, "TOL = 3\n" + GOOD, ["TOL", "rnnlib.sums already has", "another name"]),
    "import under a name of the module": (D, "import math as np\n" + GOOD, ["np", "already has", "another name"]),
    "helper with a name that the module imports": (
        C,
        "def double(x):\n    return x\n\ndef cell_step(params, x, state, *, phi='tanh'):\n    return double(x)\n",
        ["also defines double", "rnnlib.cells already has", "another name"],
    ),
    "helper with a name of Python's own": (
        D,
        "def isinstance(a, b):\n    return True\n\n" + GOOD,
        ["isinstance", "Python's own", "another name"],
    ),
    "a name of the notebook": (D, "def double(x):\n    return two * x\n", ["double uses two", "Names of the note"]),
    "two names of the notebook": (D, "def double(x):\n    return two * x + one\n", ["double uses one, two"]),
    "a name of the notebook in a helper": (
        D,
        "def _h(x):\n    return two * x\n\n" + GOOD,
        ["two", "Names of the notebook"],
    ),
    "a name of the notebook in an inner function": (
        D,
        "def double(x):\n    return [two * y for y in (lambda: x)()]\n",
        ["double uses two", "as an argument"],
    ),
    "a small name of this cell": (
        D,
        "two = 2\ndef double(x):\n    return two * x\n",
        ["uses two", "CAPITALS", "this cell"],
    ),
    "a class of this cell": (
        D,
        "class Helper:\n    pass\n\ndef double(x):\n    return Helper\n",
        ["uses Helper", "functions, imports", "this cell"],
    ),
    "an import that there is not": (D, "import no_such_module\n" + GOOD, ["ModuleNotFoundError", "no_such_module"]),
    "a name that is not in the import": (D, "from math import doubled\n" + GOOD, ["ImportError", "doubled"]),
    "star import": (D, "from math import *\n" + GOOD, ["import *", "names"]),
    "an unknown decorator": (D, "@swift\n" + GOOD, ["NameError", "swift"]),
    "an unknown type": (D, "def double(x: Array):\n    return x\n", ["NameError", "Array"]),
    "a default that fails": (S, "def scale(x, factor=1 / 0):\n    return x\n", ["ZeroDivisionError"]),
    "a later name of the same module": (
        D,
        "from rnnlib.sums import scale\n" + GOOD,
        ["imports from rnnlib.sums", "without importing it"],
    ),
    "modules that import each other": (
        D,
        "from rnnlib.cells import cell_step\n" + GOOD,
        ["imports rnnlib.cells", "needs rnnlib.sums", "inside the function"],
    ),
    "modules that import each other by way of a third": (
        S,
        "from rnnlib import chain\n\ndef scale(x, factor=2.0):\n    return chain, x\n",
        ["imports rnnlib.chain", "needs rnnlib.sums", "inside the function"],
    ),
    "a line magic": (D, "%matplotlib inline\n" + GOOD, ["line 1", "%matplotlib", "a cell of its own"]),
    "a shell command": (D, GOOD + "!ls\n", ["line 3", "!ls", "a cell of its own"]),
    "a question mark": (D, GOOD + "double?\n", ["line 3", "double?"]),
    "a null byte": (D, GOOD + "\0", ["not Python"]),
}


@pytest.mark.parametrize(("name", "cell", "words"), CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("written", [False, True], ids=["over the stub", "over an answer"])
def test_refused_and_nothing_changed(desk, name, cell, words, written, capsys):
    """The sentence has the words that matter; file, session and notebook are as they were."""
    if written:
        desk.implement("sums.double", "FACTOR = 2\n" + GOOD.replace("2", "FACTOR"))
    files, session = desk.files(), desk.session()
    with pytest.raises(Refused) as refusal:
        desk.implement(name, cell + "\nprint('trial code ran')\n")
    for word in words:
        assert word in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert desk.files() == files
    assert desk.session() == session
    assert capsys.readouterr().out == ""


NAMES = {
    "rnnlib.sums._check": "not a function that an exercise asks for",
    "rnnlib.sums.dbl": "rnnlib.sums.dbl is not a function",
    "sums.double": "Did you mean rnnlib.sums.double?",
    "double": "Did you mean rnnlib.sums.double?",
    "rnnlib.cells.double": "Did you mean rnnlib.sums.double?",
    "": r"\(no name\) is not a function",
    "rnnlib.sums": "not a function",
    "os.system": "not a function",
    "../rnnlib/sums.double": "not a function",
    "rnnlib..sums.double": "not a function",
    "rnnlib.sums.double.deeper": "not a function",
    "/etc/passwd.double": "not a function",
    "rnnlib.sums.double rnnlib.sums.scale": "not a function",
    "count": "not a function",
}


@pytest.mark.parametrize(("name", "words"), NAMES.items(), ids=[f"<{name}>" for name in NAMES])
@pytest.mark.parametrize("cell", [GOOD, ""], ids=["with a body", "bare"])
def test_only_an_exercises_function_can_be_implemented(desk, name, words, cell):
    """Anything else, in or out of rnnlib, is refused before any of it runs."""
    files, session = desk.files(), desk.session()
    with pytest.raises(Refused, match=words):
        implement(name, cell, desk.names)
    assert desk.files() == files
    assert desk.session() == session


# --- a file that is broken

BROKEN = {
    "syntax error": ("def double(x:\n", r"rnnlib/sums.py cannot be read, line \d+: .*Mend that line first"),
    "not UTF-8": (b"\xff\xfe = 3\n", "rnnlib/sums.py cannot be read"),
    "null bytes": (b"x = 3\0\n", "rnnlib/sums.py cannot be read"),
}


@pytest.mark.parametrize("loaded", [True, False], ids=["after it was imported", "before it was imported"])
@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_is_left_alone(desk, content, words, loaded):
    """A half-finished edit by hand is not written over; the sentence says where it is."""
    content = content if isinstance(content, bytes) else desk.text("sums").encode() + content.encode()
    desk.file("sums").write_bytes(content)
    if not loaded:
        use_chapter("01-one")
    files, session = desk.files(), desk.session()
    with pytest.raises(Refused, match=words):
        desk.implement("sums.double", GOOD)
    assert desk.files() == files
    if loaded:
        assert desk.session() == session


@pytest.mark.parametrize("name", ["sums.double", "cells.cell_step"])
def test_a_module_that_fails_while_it_is_imported_is_told(desk, name):
    """Not a page of traceback: the file, the error."""
    desk.file("sums").write_text(desk.text("sums") + "\nbelow = above + 1\n")
    use_chapter("01-one")
    with pytest.raises(Refused, match=r"rnnlib/sums\.py.*NameError.*above"):
        desk.implement(name, GOOD)
    assert [n for n in sys.modules if n.startswith("rnnlib.")] == []


def test_a_module_that_is_gone_is_told(desk):
    """And how to get it back."""
    desk.file("sums").unlink()
    use_chapter("01-one")
    with pytest.raises(Refused, match="course start"):
        desk.implement("sums.double", GOOD)


def test_a_refused_save_takes_back_what_other_modules_were_given(desk):
    """The new function does not linger in a module that had imported the old one."""
    old = desk.module("chain").twice
    desk.file("sums").write_text("def double(x:\n")
    with pytest.raises(Refused):
        desk.implement("sums.double", GOOD)
    assert desk.module("chain").twice is old
    assert desk.module("cells").double is old


def test_what_works_only_in_this_session_is_not_saved(desk):
    """A decorator that stands further down in the file would make the whole module fail at the next import."""
    desk.implement("sums.scale", "def _swift(f):\n    return f\n\ndef scale(x, factor=2.0):\n    return x * factor\n")
    files, session = desk.files(), desk.session()
    with pytest.raises(Refused, match=r"rnnlib/sums\.py could not be imported any more: NameError.*_swift"):
        desk.implement("sums.double", "@_swift\n" + GOOD)
    assert desk.files() == files
    assert desk.session() == session


# --- in a notebook


def run(shell, text, capsys):
    """What a cell shows, and the error it ended with."""
    capsys.readouterr()
    result = shell.run_cell(text)
    shown = capsys.readouterr()
    return shown.out + shown.err, result.error_before_exec or result.error_in_exec


def test_a_notebook_cell_implements(desk, shell, capsys):
    """The magic does what the function does, and says so."""
    shown, error = run(shell, "%%implement rnnlib.sums.double\n" + GOOD + "print('trial', double(4))", capsys)
    assert error is None
    assert shown == "trial 8\nrnnlib.sums.double is yours now and saved in rnnlib/sums.py.\n"
    assert GOOD in desk.text("sums")
    assert run(shell, "print(double(5))", capsys)[0] == "10\n"


@pytest.mark.parametrize("magic", ["%%implement {}", "%%implement {}\n\n  \n", "%implement {}"])
def test_a_bare_notebook_cell(desk, shell, capsys, magic):
    """IPython has no cell magic without a cell; ours works all the same."""
    shown, error = run(shell, magic.format("rnnlib.sums.double"), capsys)
    assert (shown, error) == ("rnnlib.sums.double as it is.\n", None)
    assert shell.user_ns["double"] is desk.module("sums").double


def test_a_refusal_is_shown_without_traceback(desk, shell, capsys):
    """One sentence; lines are counted as the notebook counts them, with the magic's line as the first."""
    shown, error = run(shell, "%%implement rnnlib.sums.double\ndef double(x):\n    return x +\n", capsys)
    assert isinstance(error, Refused)
    assert re.fullmatch(r"Not implemented: line 3 is not Python: invalid syntax\n\s+return x \+\n", shown)


def test_an_error_of_the_function_points_at_its_line(desk, shell, capsys):
    """A traceback of the learner's function shows her source."""
    run(shell, "%%implement rnnlib.sums.double\ndef double(x):\n    return x / 0\n", capsys)
    shown, error = run(shell, "double(1)", capsys)
    assert isinstance(error, ZeroDivisionError)
    assert "----> 3     return x / 0" in shown


def test_an_error_of_trial_code_is_shown_as_usual(desk, shell, capsys):
    """With its traceback, in the notebook's cell; the function is saved."""
    shown, error = run(shell, "%%implement rnnlib.sums.double\n" + GOOD + "undefined_name\n", capsys)
    assert isinstance(error, NameError)
    assert "undefined_name" in shown
    assert "is yours now and saved" in shown
    assert GOOD in desk.text("sums")


def test_magics_in_the_cell_are_told_from_wrong_python(desk, shell, capsys):
    """A `%time` in an answer is refused with the reason."""
    shown, error = run(shell, "%%implement rnnlib.sums.double\n" + GOOD + "%time double(1)\n", capsys)
    assert isinstance(error, Refused)
    assert "%time double(1)" in shown
    assert "a cell of its own" in shown
