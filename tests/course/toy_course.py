"""A course of its own for the tests of the tooling: three small chapters, so that they hang on no real one.

`make_repository` writes it as a checkout: a copy of the `course` package with the toy's check data in it, the
toy's `rnnlib` beside it, and notebooks. Put it on PYTHONPATH and a subprocess stands in the toy course.
"""

import contextlib
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np

from course.checks import toys
from course.checks.data_file import CheckData, Misconception, write
from course.exercises import Exercise
from course.library import functions

ROOT = Path(__file__).resolve().parent.parent.parent
CORE = {"__init__.py", "compare.py", "data_file.py", "run.py", "toys.py", "worker.py"}  # of course/checks

SUMS = '''"""Sums of things.

Chapter: 01-one
"""

import numpy as np

__all__ = ["double", "scale"]

TOL = 1e-9


# The least that is more than once.
def double(x):
    """Twice each entry.

    Chapter: 01-one.
    """
    # a remark inside
    y = x + x
    return y


def _check(x):
    if not isinstance(x, np.ndarray):
        raise TypeError(f"expected an array within {TOL}")


def scale(x, factor=2.0):
    """Each entry times a factor.

    Chapter: 01-one.
    """
    _check(x)
    return factor * x
'''

CELLS = '''"""A cell.

Chapter: 02-two
"""

import numpy as np

from rnnlib.sums import double

__all__ = ["cell_init", "cell_step"]


def cell_init(rng, size, dtype=np.float64):
    """Random weights.

    Chapter: 02-two.
    """
    return {"W": rng.standard_normal((size, size)).astype(dtype)}


def cell_step(params, x, state, *, phi="tanh"):
    """One step.

    Chapter: 02-two.
    """
    (h_prev,) = state
    h = np.tanh(double(x) @ params["W"] + h_prev)
    return (h,), (x, h_prev, h)
'''

CHAIN = '''"""A chain of cells, and a name from two modules away.

Chapter: 03-three
"""

import rnnlib.sums
from rnnlib.cells import cell_step
from rnnlib.sums import double as twice

__all__ = ["chain"]


def chain(step, params, xs, state):
    """Apply a cell at every step.

    Chapter: 03-three.
    """
    hs = []
    for x in xs:
        state, _ = step(params, x, state)
        hs.append(state[0])
    return hs, state


def use_them_all(x):
    return twice(x) + rnnlib.sums.double(x), cell_step
'''

LIBRARY = {"__init__.py": '"""A toy library."""\n', "sums.py": SUMS, "cells.py": CELLS, "chain.py": CHAIN}

COUNT = '''def count(x):
    """How many entries are above zero."""
    return int(np.sum(x > 0))
'''

PROPERTIES = '''"""Properties of the toy exercises."""

import numpy as np

from course.checks.run import expect, holds


@holds("01-one/double", "is linear")
def _(double):
    both = double(np.array([3.0]))[0]
    expect(both == 6, f"double of 3 is {both:.4g}, expected 6")


@holds("02-two/cell_init", "makes a square")
def _(cell_init):
    shape = cell_init(np.random.default_rng(0), 3)["W"].shape
    expect(shape == (3, 3), f"W has shape {shape}, expected (3, 3)")
'''

ANSWERS = {
    "double": "def double(x):\n    return 2 * x\n",
    "scale": "def scale(x, factor=2.0):\n    return x * factor\n",
    "count": COUNT,
    "cell_step": (
        "def cell_step(params, x, state, *, phi='tanh'):\n"
        "    h = np.tanh(2 * x @ params['W'] + state[0])\n"
        "    return (h,), (x, state[0], h)\n"
    ),
}
SAYS = {"square": "This squares: add x to itself.", "sign": "The sign is turned around."}


def exercises() -> list[Exercise]:
    """The toy's exercises, in the order of the course."""

    def of(exercise_id: str, module: str | None, text: str, **fields) -> Exercise:
        name = exercise_id.partition("/")[2]
        return Exercise(
            id=exercise_id,
            title=name,
            purpose="A toy.",
            minutes=1,
            difficulty=1,
            implements=f"rnnlib.{module}.{name}" if module else None,
            signature=functions(text)[name].signature,
            **({"points": {"check": 2, "hidden": 1}} | fields),
        )

    return [
        of("01-one/double", "sums", SUMS),
        of("01-one/scale", "sums", SUMS, points={"check": 3}),
        of("01-one/count", None, COUNT, points={"check": 1}),
        of("02-two/cell_init", "cells", CELLS),
        of("02-two/cell_step", "cells", CELLS),
        of("03-three/chain", "chain", CHAIN),
    ]


def check_data(slug: str) -> dict[str, CheckData]:
    """Examples with the right answers; stands on the toy's `rnnlib` being the one that is imported."""
    if slug == "01-one":
        xs = [np.array([1.5, -2.0, 3.0]), np.arange(6.0).reshape(2, 3) + 0.5]
        squares, turned = [x * x for x in xs], [-2 * x for x in xs]
        return {
            "01-one/double": CheckData(
                [(x,) for x in xs],
                [2 * x for x in xs],
                "y",
                [Misconception(SAYS["square"], squares), Misconception(SAYS["sign"], turned)],
            ),
            "01-one/scale": CheckData([(xs[0],), (xs[1], 3.0)], [2 * xs[0], 3.0 * xs[1]], "y"),
            "01-one/count": CheckData([(x,) for x in xs], [2, 6], "number"),
        }
    rng = np.random.default_rng(0)
    params, x, state = {"W": rng.standard_normal((3, 3))}, rng.standard_normal((2, 3)), (np.ones((2, 3)),)
    cells = importlib.import_module("rnnlib.cells")
    chain = importlib.import_module("rnnlib.chain")
    if slug == "02-two":
        step = CheckData([(params, x, state)], [cells.cell_step(params, x, state)], (("h",), ("x", "h_prev", "h")))
        return {"02-two/cell_init": CheckData(), "02-two/cell_step": step}
    calls = [
        (toys.leaky_step, {"keep": np.array(0.5)}, rng.standard_normal((4, 2, 3)), (np.zeros((2, 3)),)),
        (cells.cell_step, params, rng.standard_normal((2, 2, 3)), state),
    ]
    return {"03-three/chain": CheckData(calls, [chain.chain(*call) for call in calls], ("hs", ("h",)))}


def notebook(slug: str) -> nbformat.NotebookNode:
    """A released notebook, as nbgrader leaves it: a given cell, then a stub and a check for each exercise."""
    cells = [_cell(f"%load_ext course\n%chapter {slug}\nimport numpy as np", f"{slug}--setup")]
    for exercise in exercises():
        if exercise.slug != slug:
            continue
        stub = f"# Your code here.\n    {exercise.stub}\n"
        if exercise.implements:
            source = _module_text(exercise)
            header = "\n".join(functions(source)[exercise.name].header)
            text = f"%%implement {exercise.implements}\n{header}\n    {stub}"
        else:
            text = "\n".join(functions(COUNT)[exercise.name].header) + f"\n    {stub}"
        cells.append(_cell(text, exercise.token, solution=True, locked=False))
        test = f'from course.checks import check\n\ncheck("{exercise.id}", {exercise.name})'
        cells.append(_cell(test, f"{exercise.token}--check", grade=True, points=exercise.points["check"]))
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


def _module_text(exercise: Exercise) -> str:
    return LIBRARY[f"{(exercise.module or '').partition('.')[2]}.py"]


def _cell(source: str, grade_id: str, **fields) -> nbformat.NotebookNode:
    base = {"schema_version": 3, "grade_id": grade_id, "grade": False, "locked": True, "solution": False, "task": False}
    cell = nbformat.v4.new_code_cell(source, metadata={"nbgrader": base | fields})
    cell.id = grade_id
    return cell


@contextlib.contextmanager
def library_at(folder: Path) -> Iterator[None]:
    """For a while, `import rnnlib` means the one in this folder; then everything is as it was."""
    before, path = {n: m for n, m in sys.modules.items() if _ours(n)}, list(sys.path)
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for name in [n for n in sys.modules if _ours(n)]:
            del sys.modules[name]
        sys.modules.update(before)
        sys.path[:] = path


def _ours(name: str) -> bool:
    return name == "rnnlib" or name.startswith("rnnlib.")


def make_repository(root: Path) -> Path:
    """Write the toy course as a checkout."""
    shutil.copytree(ROOT / "course", root / "course", ignore=_only_the_core)
    data = root / "course" / "checks" / "data"
    data.mkdir()
    (root / "course" / "checks" / "toy_properties.py").write_text(PROPERTIES, encoding="utf-8")
    (root / "rnnlib").mkdir()
    for name, text in LIBRARY.items():
        (root / "rnnlib" / name).write_text(text, encoding="utf-8", newline="")
    with library_at(root):
        for slug in ("01-one", "02-two", "03-three"):
            own = [exercise for exercise in exercises() if exercise.slug == slug]
            for name, content in write(slug, own, check_data(slug)).items():
                (data / name).write_bytes(content)
            folder = root / "exercises" / slug
            folder.mkdir(parents=True)
            nbformat.write(notebook(slug), folder / f"{slug}.ipynb")
    return root


def _only_the_core(folder: str, names: list[str]) -> set[str]:
    unwanted = {name for name in names if name in ("__pycache__", "data")}
    return unwanted | ({name for name in names if name not in CORE} if Path(folder).name == "checks" else set())
