"""The checks of an exercise: what a learner is told about a function that is right, wrong, unwritten, or broken."""

import ast
import builtins
import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_course import ANSWERS, ROOT, SAYS, exercises, library_at

import course.checks.data_file
import course.exercises
from course.checks import CheckFailed, check, check_names, compare_all, run, run_checks
from course.checks.data_file import CheckData, Misconception, load, write
from course.checks.run import _shapes, refused, refuses_float32
from course.exercises import find

GENERAL = ["gives the expected answers", "leaves its inputs as they were", "answers the same when asked again"]


def right(x):
    return x + x


def outcome(function, exercise="double"):
    return {result.name: result for result in run_checks(find(exercise), function)}


def told(function, exercise="double") -> str:
    """The whole message of the failure."""
    with pytest.raises(CheckFailed) as failure:
        check(find(exercise).id, function)
    return str(failure.value)


# --- right, and not written


def test_the_reference_passes_every_check(toy, monkeypatch):
    """Of every exercise of the toy course, those with functions as arguments included."""
    monkeypatch.syspath_prepend(str(toy))
    for exercise in exercises():
        if exercise.implements:
            function = getattr(importlib.import_module(exercise.module), exercise.name)
            assert [(r.name, r.message) for r in run_checks(exercise, function) if not r.passed] == []


def test_what_a_right_answer_prints(toy, capsys):
    """The id and a line for each check."""
    check("01-one/double", right)
    names = [*GENERAL, "keeps float32", "is linear"]
    assert capsys.readouterr().out == "\n".join(["01-one/double", *(f"  ✓ {name}" for name in names)]) + "\n"
    assert check_names(find("double")) == names


def test_the_stub_gets_one_line(toy):
    """Nothing to read about five checks when nothing is written."""

    def double(x):
        raise NotImplementedError("Exercise 01-one/double is not written yet")

    assert told(double) == (
        "01-one/double\n  ✗ not written yet\n"
        "      Only the stub is there: write the function's body, then run this again."
    )


def test_the_stub_of_an_exercise_with_properties_alone_gets_one_line(toy):
    """Also where there are no worked examples."""

    def cell_init(rng, size, dtype=float):
        raise NotImplementedError("Exercise 02-two/cell_init is not written yet")

    assert list(outcome(cell_init, "cell_init")) == ["not written yet"]


@pytest.mark.parametrize(
    ("name", "stub", "how"),
    [
        ("double", "01-one/scale", "Write that one first; it is in the same notebook."),
        ("cell_init", "01-one/scale", "`course catchup 2` fills it in."),
    ],
)
def test_a_stub_that_the_answer_calls_is_named(toy, name, stub, how):
    """An answer that needs an exercise not done yet is told which, and what to do, by every check."""

    def answer(*arguments):
        raise NotImplementedError(f"Exercise {stub} is not written yet")

    text = told(answer, name)
    assert text.count(f"Exercise {stub} is not written yet, and this check runs it. {how}") == len(
        outcome(answer, name)
    )
    assert "Only the stub is there" not in text


# --- wrong answers


def test_where_and_by_how_much(toy):
    """Which example, the shapes that went in, the entry that is most wrong."""
    text = told(lambda x: x + x + (x > 2.5))
    assert "  ✗ gives the expected answers\n      example 1 of 2 (array (3,)):\n" in text
    assert "      y is wrong in 1 of 3 entries; most at [2]: got 7, expected 6" in text


def test_only_the_wrong_example_is_shown(toy):
    """The first example that fails, not the ones that pass."""
    assert "example 2 of 2 (array (2, 3)):" in told(lambda x: x + x if x.ndim == 1 else x)


def test_shapes_of_nested_arguments(toy):
    """Parameters with their names and shapes."""
    text = told(lambda params, x, state, *, phi="tanh": None, "cell_step")
    assert "example 1 of 1 ({W (3, 3)}, array (2, 3), (array (2, 3))):" in text
    assert "the result is None (is a `return` missing?), expected a tuple of 2: ((h,), (x, h_prev, h))" in text


def test_arguments_of_arguments_are_told_by_their_shapes():
    """Pairs of parameters, pairs of states and lists of caches: shapes, not the first digits of their numbers."""
    W, h = np.ones((2, 3)), np.ones((4, 3))
    caches = ([(h, h)] * 5, [(h, h)])
    assert _shapes((len, ({"W": W}, {"W": W}), ((h,), (h,)))) == (
        "len, ({W (2, 3)}, {W (2, 3)}), ((array (4, 3)), (array (4, 3)))"
    )
    told_of = "((a tuple of 2, a tuple of 2, a tuple of 2, a tuple of 2, ...), (a tuple of 2))"
    assert _shapes((caches, 0.5, None)) == f"{told_of}, 0.5, None"


def test_parameters_in_parameters_are_told_by_their_shapes():
    """A net of several parts, each with its own arrays, is not printed number by number."""
    net = {"cell": {"W": np.ones((2, 3)), "keep": 0.5}, "out": (np.ones(4), {"b": np.ones(5)})}
    assert _shapes((net,)) == "{cell {W (2, 3), keep 0.5}, out (array (4,), {b (5,)})}"


@pytest.mark.parametrize(("function", "cause"), [(lambda x: x * x, "square"), (lambda x: -x - x, "sign")])
def test_a_known_misconception_is_named(toy, function, cause):
    """Its answers on all examples are the fingerprint's: this cause, and no other."""
    text = told(function)
    assert f"Likely cause: {SAYS[cause]}" in text
    assert text.count("Likely cause") == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x + 1e-3,
        lambda x: x * x if x.ndim == 1 else -2 * x,
        lambda x: x,
        lambda x: None,
        lambda x: (x * x).tolist(),
        lambda x: 1 / 0,
    ],
)
def test_no_cause_is_named_where_none_matches(toy, function):
    """Near a fingerprint, or on one example alone, is not it."""
    assert "Likely cause" not in told(function)


def test_a_misconception_may_be_an_exception(toy, monkeypatch):
    """Wrong versions that raise are known by the exception's name."""
    data = load("01-one")
    data["01-one/double"].misconceptions = [Misconception("You divide.", [{"raises": "ZeroDivisionError"}] * 2)]
    monkeypatch.setattr("course.checks.run.load_one", lambda exercise: data[exercise.id])
    assert "Likely cause: You divide." in told(lambda x: 1 / 0)
    assert "Likely cause" not in told(lambda x: [][1])
    assert "Likely cause" not in told(lambda x: {"raises": "ZeroDivisionError"}["no"])


WRONG = {
    "nan": (lambda x: x * np.nan, "y has 3 nan among its 3 entries"),
    "None": (lambda x: None, "y is None (is a `return` missing?)"),
    "list": (lambda x: (x + x).tolist(), "y is a list of 3"),
    "shape": (lambda x: (x + x)[..., None], "y has shape (3, 1), expected (3,)"),
    "number": (lambda x: 2.0, "y is float 2.0"),
}


@pytest.mark.parametrize(("function", "words"), WRONG.values(), ids=WRONG)
def test_an_answer_of_the_wrong_kind(toy, function, words):
    """It is told what came."""
    result = outcome(function)["gives the expected answers"]
    assert not result.passed
    assert words in result.message


@pytest.mark.parametrize("drop", ["x", "h_prev", "everything"])
def test_a_part_that_is_missing(toy, drop):
    """Of a tuple of tuples."""

    def cell_step(params, x, state, *, phi="tanh"):
        h = np.tanh(2 * x @ params["W"] + state[0])
        return {"x": ((h,), (state[0], h)), "h_prev": ((h,), (x, h)), "everything": ()}[drop]

    assert "expected a tuple of" in outcome(cell_step, "cell_step")["gives the expected answers"].message


# --- functions that raise


def test_an_error_points_at_the_learners_own_line(desk):
    """Not at NumPy's, not at ours."""
    desk.implement("sums.double", "def double(x):\n    y = x + x\n    return y @ np.ones((9, 9))\n")
    desk.module("sums")
    importlib.invalidate_caches()
    from course.implement import use_chapter

    use_chapter("01-one")
    message = outcome(desk.module("sums").double)["gives the expected answers"].message
    number = desk.text("sums").splitlines().index("    return y @ np.ones((9, 9))") + 1
    assert "ValueError: matmul" in message
    assert message.endswith(f"in double, line {number}: return y @ np.ones((9, 9))")


def test_an_error_in_a_notebook_points_at_its_line(desk, shell):
    """A function that lives in the notebook, too."""
    shell.run_cell("def count(x):\n    n = len(x)\n    return n + undefined\n")
    message = outcome(shell.user_ns["count"], "count")["gives the expected answers"].message
    assert "NameError: name 'undefined' is not defined" in message
    assert message.endswith("in count, line 3: return n + undefined")


def test_every_check_reports_the_error_by_itself(toy):
    """A function that raises passes nothing."""
    results = outcome(lambda x: x.nothing)
    assert not any(result.passed for result in results.values())
    assert all("AttributeError" in result.message for result in results.values())


def test_warnings_of_numpy_are_kept_quiet(toy, recwarn):
    """Division by zero in a wrong answer is told as a wrong answer."""
    assert "y has 3 nan" in told(lambda x: (x - x) / (x - x))
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


# --- inputs, state, dtype


def in_place(x):
    x += x
    return x


def test_writing_into_the_input_is_caught(toy):
    """The answer is right; the caller's array is not what it was."""
    results = outcome(in_place)
    assert results["gives the expected answers"].passed
    failed = results["leaves its inputs as they were"]
    assert not failed.passed
    assert "on example 1 the function writes into what it was given:\nargument 1 is wrong in 3 of 3" in failed.message
    assert "(a = a + b)" in failed.message


@pytest.mark.parametrize(
    "spoil",
    [lambda p, s: p.pop("W"), lambda p, s: p.update(extra=1), lambda p, s: s[0].fill(0), lambda p, s: p["W"].sort()],
    ids=["key taken out", "key put in", "state overwritten", "weights sorted"],
)
def test_any_change_deep_in_the_inputs_is_caught(toy, spoil):
    """Dictionaries and the arrays in them, tuples and the arrays in them."""

    def cell_step(params, x, state, *, phi="tanh"):
        h_prev = state[0].copy()
        h = np.tanh(2 * x @ params["W"] + h_prev)
        spoil(params, state)
        return (h,), (x, h_prev, h)

    results = outcome(cell_step, "cell_step")
    assert results["gives the expected answers"].passed
    assert not results["leaves its inputs as they were"].passed


def test_a_function_as_argument_is_no_change(toy, monkeypatch):
    """What takes a cell can pass."""
    monkeypatch.syspath_prepend(str(toy))
    chain = importlib.import_module("rnnlib.chain").chain
    assert outcome(chain, "chain")["leaves its inputs as they were"].passed


def test_state_between_calls_is_caught(toy):
    """Right the first time, wrong the second."""
    seen = []

    def double(x):
        seen.append(x)
        return x + x + max(0, len(seen) - 4)

    results = outcome(double)
    assert results["gives the expected answers"].passed
    assert "the same arguments give another answer the second time" in results[GENERAL[2]].message


def test_a_cache_keyed_by_shape_is_caught(toy):
    """The answer of the first call is handed out again for other numbers of the same shape."""
    xs = CheckData([(np.ones(2),), (np.zeros(2),)], [2 * np.ones(2), np.zeros(2)])
    store = {}
    data = {"01-one/double": xs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course.checks.run.load_one", lambda exercise: data[exercise.id])
        assert not outcome(lambda x: store.setdefault(x.shape, x + x))["gives the expected answers"].passed


def test_an_answer_that_is_changed_later_is_caught(toy):
    """One buffer for all answers: the first is overwritten by the second."""
    buffer = {}

    def double(x):
        out = buffer.setdefault("y", np.zeros(6))[: x.size].reshape(x.shape)
        np.add(x, x, out=out)
        return out

    assert not all(result.passed for result in outcome(double).values())


@pytest.mark.parametrize(
    "leak",
    [lambda x: x.astype(float) + x, lambda x: x + x + np.zeros(1), lambda x: np.float64(2) * x],
    ids=["cast", "array of zeros", "NumPy number"],
)
def test_float64_that_leaks_in_is_caught(toy, leak):
    """float32 in, float32 out."""
    result = outcome(leak)["keeps float32"]
    assert not result.passed
    assert result.message == "from float32 inputs come arrays of float64; expected float32 only"


def test_a_function_that_refuses_float32_is_not_asked_to_keep_it(toy, monkeypatch):
    """`refuses_float32` takes the check away from one exercise, and from no other."""
    monkeypatch.setattr(run, "_FLOAT64_ALONE", set())
    assert "keeps float32" in outcome(right)
    refuses_float32("02-two/cell_step")
    assert "keeps float32" in outcome(right)
    refuses_float32("01-one/double")
    assert "keeps float32" not in outcome(right)
    assert "keeps float32" not in check_names(find("double"))


def test_float64_in_one_of_many_parts_is_caught(toy):
    """Every array of the answer counts."""

    def cell_step(params, x, state, *, phi="tanh"):
        h = np.tanh(2 * x @ params["W"] + state[0])
        return (h,), (x, state[0], h.astype(float))

    assert "come arrays of float32, float64" in outcome(cell_step, "cell_step")["keeps float32"].message


def test_a_property_says_which_broke(toy):
    """Its name, and its own sentence."""
    text = told(lambda x: x + x if x.size > 1 else x)
    assert "✗ is linear\n      double of 3 is 3, expected 6" in text
    assert "✓ gives the expected answers" in text


# --- objects that lie


def test_answers_that_lie_never_pass(toy):
    """Each kind of pretender, as the answer of a graded function."""
    from test_compare import LIARS

    for liar in LIARS:
        assert not outcome(lambda x, liar=liar: liar)["gives the expected answers"].passed


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")


def _raiser(error):
    def double(x):
        raise error

    return double


@pytest.mark.parametrize("error", [Unprintable(), CheckFailed(""), AssertionError(), StopIteration(), RecursionError()])
def test_strange_exceptions_are_failures(toy, error):
    """Even one that cannot be printed, and one of our own."""
    assert not any(result.passed for result in outcome(_raiser(error)).values())


def test_builtins_changed_by_the_function_do_not_make_it_pass(toy, monkeypatch):
    """A wrong answer stays wrong if the function has put `all` and `any` out of order."""
    monkeypatch.setattr(builtins, "all", all)

    def double(x):
        builtins.all = lambda _: True
        return x

    assert not outcome(double)["gives the expected answers"].passed


# --- hidden tests


def _inputs(rng):
    yield (rng.standard_normal(3),)


def test_fresh_inputs(toy, capsys):
    """The right function is told how many inputs it passed; a wrong one where it differs."""
    compare_all("01-one/double", right, _inputs, lambda x: 2 * x, seeds=[1, 2])
    assert capsys.readouterr().out == "01-one/double: 2 fresh inputs, all as expected\n"
    with pytest.raises(CheckFailed, match=r"01-one/double: on fresh inputs \(array \(3,\)\):\ny is wrong in 3 of 3"):
        compare_all("01-one/double", lambda x: x, _inputs, lambda x: 2 * x, seeds=[1])


def test_hidden_tests_on_nothing_fail(toy):
    """No inputs, or no seeds, is not a pass."""
    with pytest.raises(CheckFailed, match="nothing was compared"):
        compare_all("01-one/double", right, _inputs, lambda x: 2 * x, seeds=[])
    with pytest.raises(CheckFailed, match="nothing was compared"):
        compare_all("01-one/double", right, lambda rng: [], lambda x: 2 * x, seeds=[1])


def test_the_function_cannot_spoil_the_oracles_inputs(toy):
    """A function that writes into its arguments is compared on what was drawn."""
    with pytest.raises(CheckFailed):
        compare_all("01-one/double", lambda x: x.fill(0) or x, _inputs, lambda x: 2 * x, seeds=[1])


# --- the data


def test_data_are_what_was_written(toy):
    """Examples, answers and fingerprints of a chapter, as often as they are read."""
    data = load("01-one")
    assert list(data) == ["01-one/double", "01-one/scale", "01-one/count"]
    assert data["01-one/double"].returns == "y"
    assert [m.says for m in data["01-one/double"].misconceptions] == list(SAYS.values())
    data["01-one/double"].examples[0][0][:] = 0
    assert load("01-one")["01-one/double"].examples[0][0].tolist() == [1.5, -2, 3]


def test_writing_data_twice_gives_the_same_bytes(toy):
    """Read and written again, too."""
    own = [e for e in exercises() if e.slug == "01-one"]
    first = write("01-one", own, load("01-one"))
    assert first == write("01-one", own, load("01-one"))
    folder = toy / "course" / "checks" / "data"
    assert {name: (folder / name).read_bytes() for name in first} == first


def test_answers_of_wrong_versions_are_unpacked_by_who_needs_them(toy):
    """Listing the checks takes the right answers; the rest of the file waits until it is asked for."""
    check_names(find("01-one/double"))
    _, arrays = course.checks.data_file._stored("01-one")
    assert 0 < len(arrays._unpacked) < len(arrays)
    load("01-one")
    assert len(arrays._unpacked) == len(arrays)


def test_a_broken_module_spoils_only_the_checks_that_need_it(desk, tmp_path, monkeypatch):
    """Examples that hand over a function of `rnnlib` are put together when they are needed, exercise by exercise."""
    other = replace(find("count"), id="03-three/number")
    checks = load("03-three") | {other.id: load("01-one")["01-one/count"]}
    for name, content in write("03-three", [find("chain"), other], checks).items():
        (tmp_path / name).write_bytes(content)
    for module in (course.exercises, course.checks.data_file):
        monkeypatch.setattr(module, "DATA", tmp_path)
    course.exercises.catalogue.cache_clear()
    course.checks.data_file._stored.cache_clear()
    desk.file("cells").write_text("def (\n")
    with library_at(desk.root):
        assert all(result.passed for result in outcome(lambda x: int((x > 0).sum()), "number").values())
        assert len(check_names(find("chain"))) == 4
        failed = outcome(lambda *a: None, "chain")[GENERAL[0]]
    assert failed.message == "SyntaxError: invalid syntax (cells.py, line 1)"


@pytest.mark.parametrize("path", sorted((ROOT / "course" / "checks").glob("*.py")), ids=lambda p: p.name)
def test_no_module_of_the_checks_imports_the_library_when_it_is_imported(path):
    """It would hold yesterday's function when the learner has written another; and torch is not in a learner's kit."""
    banned = {"rnnlib", "torch", "solutions"}
    for node in at_import(ast.parse(path.read_text(encoding="utf-8"))):
        assert not banned & set(roots(node)), f"line {node.lineno}"


def at_import(node: ast.AST):
    """The import statements that run when the module is imported: not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_import(child)


def roots(node):
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import rnnlib.sums", 1),
        ("from rnnlib.sums import double", 1),
        ("try:\n    import torch\nexcept ImportError:\n    pass", 1),
        ("class A:\n    import rnnlib", 1),
        ("if 1:\n    from torch import nn as n", 1),
        ("def f():\n    import torch", 0),
        ("import numpy", 0),
    ],
)
def test_the_test_above_sees_imports(text, found):
    """Wherever they hide at the top level."""
    assert sum(bool({"rnnlib", "torch"} & set(roots(node))) for node in at_import(ast.parse(text))) == found


def test_checks_work_without_torch_and_reference():
    """What a browser kernel has: NumPy, the course, no torch, no nbformat."""
    import subprocess
    import sys

    script = (
        "import sys\n"
        "for name in ('torch', 'nbformat', 'IPython', 'rich', 'typer', 'scipy'): sys.modules[name] = None\n"
        "import course.checks, course.implement\n"
        "print('torch' in sys.modules, [n for n in sys.modules if n.startswith('rnnlib')])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "True []\n"


def test_ids_and_names_find_exercises(toy):
    """An exercise is found by id, by name, by the function it implements; others are told what there is."""
    assert find("double") is find("01-one/double") is find("rnnlib.sums.double")
    with pytest.raises(KeyError, match=re.escape("no exercise is called 'nosuch'; there are: 01-one/double, ")):
        find("nosuch")


def test_answers_of_the_fixture_are_right(toy):
    """The tests that rely on them rely on something."""
    for name, text in ANSWERS.items():
        names = {"np": np, "_check": lambda x: None}
        exec(text, names)
        assert all(result.passed for result in outcome(names[name], name).values()), name
    assert Path(toy).name == "repository"


# --- refusals


def _raises(error):
    def function(x):
        raise error

    return function


REFUSED = {
    "goes through": (lambda x: x, "x = -1 goes through; expected a ValueError that says '-1'"),
    "other words": (_raises(ValueError("bad input")), "x = -1: the message should say '-1'; it is: bad input"),
    "another kind": (_raises(KeyError("-1")), "x = -1 ends in KeyError: '-1'; expected a ValueError that says '-1'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_should_be_refused_is_told_how(case):
    """Nothing raised, the wrong words, the wrong exception: each says what came and what was expected."""
    function, told = REFUSED[case]
    with pytest.raises(CheckFailed) as failed:
        refused("x = -1", "-1", function, -1)
    assert str(failed.value) == told


def test_a_refusal_in_the_right_words_passes():
    refused("x = -1", "-1", _raises(ValueError("x must be 0 or more, got -1")), -1)
    refused("x = -1", "", _raises(TypeError("no")), -1)
