"""Rules that rnnlib's own text keeps: types, docstrings, chapters, imports, randomness. Each rule is seen to fail."""

import ast
import doctest
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from rnnlib_checks import PACKAGE, modules, public_functions

FILES = sorted(PACKAGE.glob("**/*.py"))
MODULES = {module.__name__: module for module in modules()}
FUNCTIONS = public_functions()
CHAPTER = re.compile(r"^Chapter: (?P<number>\d\d)-(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)\b", re.MULTILINE)
MOST_LINES = 24  # "under 25 lines"
ALLOWED = {"numpy", "rnnlib", *sys.stdlib_module_names}

every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_module = pytest.mark.parametrize("name", MODULES)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


# --- the rules, as functions from what is looked at to what is wrong with it


def untyped(function: Callable[..., Any]) -> list[str]:
    """The parameters, and `return`, that have no type hint."""
    hints = get_type_hints(function)
    return [name for name in (*inspect.signature(function).parameters, "return") if name not in hints]


def documented_parameters(doc: str) -> list[str] | None:
    """The names that a docstring's Parameters section describes, or None where there is no such section."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    if section is None:
        return None
    return [line.split()[0] for line in section[1].splitlines() if not line.startswith(" ")]


def foreign_imports(source: str) -> list[str]:
    """Every import, at any depth, of something else than NumPy, the standard library and rnnlib; computed ones too."""
    names, computed = [], []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            computed.append(ast.unparse(node))
    return [name for name in names if name.partition(".")[0] not in ALLOWED] + computed


def hidden_randomness(source: str) -> list[str]:
    """Every use of np.random other than the type Generator, and of the standard library's random and secrets."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            found += [ast.unparse(node)] if node.attr != "Generator" else []
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name in ("random", "secrets", "numpy.random")]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            suspects = ("random.", "secrets.", "numpy.random.")
            found += [n for n in names if n == "numpy.random" or n.startswith(suspects)]
    return [name for name in found if name != "numpy.random.Generator"]


# --- the rules, on rnnlib


@every_module
def test_a_module_exports_what_it_defines(name: str) -> None:
    """__all__ is sorted as ruff sorts it, exists in the module, and lists every function without an underscore."""
    module = MODULES[name]
    defined = {
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == name and not key.startswith("_")
    }
    assert defined <= set(module.__all__), f"not in {name}.__all__: {sorted(defined - set(module.__all__))}"
    gone = [key for key in module.__all__ if not hasattr(module, key)]
    assert not gone, f"in {name}.__all__ but not in the module: {gone}"


@every_function
def test_a_public_function_has_type_hints_throughout(name: str) -> None:
    """Every parameter and the result have a type, and the types can be resolved."""
    assert not untyped(FUNCTIONS[name]), f"{name} lacks types for {untyped(FUNCTIONS[name])}"


@every_function
def test_a_docstring_is_short_and_starts_with_a_sentence(name: str) -> None:
    """A public docstring has a first line that ends a sentence, and fits in 24 lines."""
    lines = (inspect.getdoc(FUNCTIONS[name]) or "").splitlines()
    assert lines, f"{name} has no docstring"
    assert lines[0].endswith((".", "?")), f"{name}: the first line is no sentence: {lines[0]!r}"
    assert len(lines) <= MOST_LINES, f"{name}: {len(lines)} lines of docstring, expected at most {MOST_LINES}"


@every_function
def test_a_function_names_its_chapter_or_its_module_does(name: str) -> None:
    """A line `Chapter: NN-slug` stands in the function's docstring, or else in its module's."""
    function = FUNCTIONS[name]
    texts = (inspect.getdoc(function) or "", inspect.getdoc(inspect.getmodule(function)) or "")
    assert any(CHAPTER.search(text) for text in texts), f"{name}: no line `Chapter: NN-slug`, in its module neither"


@every_module
def test_a_module_names_its_chapter(name: str) -> None:
    """Each module's docstring has a line `Chapter: NN-slug`."""
    assert CHAPTER.search(MODULES[name].__doc__ or ""), f"{name} has no line `Chapter: NN-slug`"


def test_a_chapter_number_has_one_slug() -> None:
    """Wherever chapter NN is named it has the same name, so that a typing error is seen."""
    slugs: dict[str, set[str]] = {}
    for path in FILES:
        for found in re.finditer(CHAPTER.pattern.replace("^", r"^\s*"), path.read_text("utf-8"), re.MULTILINE):
            slugs.setdefault(found["number"], set()).add(found["slug"])
    assert slugs, "no chapter found: the pattern does not fit the files"
    assert not {number: names for number, names in slugs.items() if len(names) > 1}


@every_function
def test_a_docstring_describes_the_parameters_that_there_are(name: str) -> None:
    """Where a docstring has a Parameters section it names the signature's parameters, in order."""
    described = documented_parameters(inspect.getdoc(FUNCTIONS[name]) or "")
    signature = list(inspect.signature(FUNCTIONS[name]).parameters)
    assert described in (None, signature), f"{name}: describes {described}, takes {signature}"


@every_module
def test_examples_in_docstrings_run(name: str) -> None:
    """Each `>>>` example prints what the docstring says it prints."""
    result = doctest.testmod(MODULES[name], report=True)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples of {name} fail; run python -m doctest"


def test_there_are_examples_to_run() -> None:
    """The examples are found at all: scan, softmax, match_shapes and take have one each."""
    finder = doctest.DocTestFinder()
    with_example = {t.name for m in MODULES.values() for t in finder.find(m) if t.examples}
    expected = {"scan.scan", "losses.softmax", "contracts.match_shapes", "contracts.take"}
    assert {f"rnnlib.{name}" for name in expected} <= with_example


@every_file
def test_a_file_imports_only_numpy_and_the_standard_library(path: Any) -> None:
    """No import of anything else, not inside a function either."""
    assert not foreign_imports(path.read_text("utf-8"))


@every_file
def test_a_file_draws_no_random_numbers_of_its_own(path: Any) -> None:
    """np.random appears as the type Generator only: no legacy function, no generator made in secret."""
    assert not hidden_randomness(path.read_text("utf-8"))


RUN_ALONE = """
import importlib, importlib.abc, pkgutil, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"refused: {name}")

allowed = {"numpy", "rnnlib", *sys.stdlib_module_names}
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
try:
    import torch
except ModuleNotFoundError as error:
    print(error)
import rnnlib
for info in pkgutil.iter_modules(rnnlib.__path__):
    importlib.import_module(f"rnnlib.{info.name}")

import numpy as np
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_init, elman_step, elman_step_backward
from rnnlib.sequence import rnn_forward

params = elman_init(np.random.default_rng(0), 2, 3)
hs, last, caches = rnn_forward(elman_step, params, np.ones((4, 5, 2)), (np.zeros((5, 3)),))
dxs, _, _ = backward_through_time(elman_step_backward, params, hs, last, caches)
print(rnnlib.__path__[0])
print(dxs.shape)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "scipy", "matplotlib", "course"}))
"""


def test_rnnlib_runs_where_nothing_else_can_be_imported() -> None:
    """In a fresh interpreter that refuses every other package, all modules import and a net runs forward and back."""
    command = [sys.executable, "-I", "-c", RUN_ALONE, str(PACKAGE.parent)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["refused: torch", str(PACKAGE), "(4, 5, 2)", "[]"]


# --- the rules, seen to fail


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "from scipy.special import expit",
        "def f():\n    import pandas as pd",
        "import numpy, jax.numpy",
        "__import__('torch')",
        "import importlib\nimportlib.import_module('torch')",
    ],
)
def test_a_foreign_import_is_found(source: str) -> None:
    """Each way to import something else is seen."""
    assert len(foreign_imports(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "np.random.seed(0)",
        "x = np.random.randn(3)",
        "rng = np.random.default_rng()",
        "def f(rng=np.random.RandomState(0)): ...",
        "import random",
        "import secrets",
        "from random import shuffle",
        "from numpy import random",
        "from numpy.random import default_rng",
    ],
)
def test_hidden_randomness_is_found(source: str) -> None:
    """Each way to a generator that was not handed in is seen."""
    assert len(hidden_randomness(source)) == 1


def test_honest_source_passes_the_rules() -> None:
    """What the library may do is not reported."""
    source = "import numpy as np\nfrom rnnlib.types import Array\ndef f(rng: np.random.Generator): rng.normal()"
    assert foreign_imports(source) == hidden_randomness(source) == []


def test_a_missing_type_and_a_missing_parameter_are_found() -> None:
    """The rules for types and for Parameters sections see a gap."""

    def gap(x, y: int = 0) -> int:
        """A sentence.

        Parameters
        ----------
        y  something,
           over two lines.

        Returns
        -------
        z
        """
        return x + y

    def no_result(x: int):
        return x

    assert untyped(gap) == ["x"]
    assert untyped(no_result) == ["return"]
    assert documented_parameters(inspect.getdoc(gap) or "") == ["y"]
    assert documented_parameters("A sentence.") is None


def test_a_chapter_line_is_recognized_only_as_such() -> None:
    """The pattern takes `Chapter: 04-elman.` at the start of a line, and nothing like it elsewhere."""
    assert CHAPTER.search("A sentence.\n\nChapter: 04-elman. Equation: x.")
    for text in ("see Chapter: 04-elman", "Chapter: elman", "Chapter 04-elman", "Chapter: 4-elman"):
        assert not CHAPTER.search(text), text
