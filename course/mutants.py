"""Every known wrong version, run through the checks that are meant to catch it: tests of the tests.

For each exercise the rows are the reference (must pass), the stub (must fail) and each wrong version
(must fail, and be told its cause where its answers differ from the right ones on the examples). The columns
are the visible cell, the hidden cell, and pytest in a learner's workspace.

`course mutants --write` stores which checks catch which version in `book/instructors/_data/kill_matrix.json`, for the
page of the instructor's guide. Sources of wrong versions stay out of it: the book is public.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from course.build import source_notebook
from course.checks.data_file import load
from course.checks.run import check_files, check_names
from course.exercises import DATA, Exercise, catalogue, chapter_number
from course.library import functions, replace_lines, stage
from course.rig import graded_cells, run_jobs
from course.sources import ROOT, Chapter
from course.workspace import start

__all__ = ["MATRIX", "Row", "kill_matrix", "needed", "notebook_rows", "pytest_rows", "stamp", "store", "variants"]

MATRIX = ROOT / "book" / "instructors" / "_data" / "kill_matrix.json"

# As a learner has it: no plugins of ours (Hypothesis alone takes longer to import than the checks to run).
PYTEST_ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
REFERENCE, STUB = "(reference)", "(stub)"


@dataclass(frozen=True)
class Variant:
    """One version of one answer."""

    chapter: Chapter
    exercise: Exercise
    name: str  # of the wrong version; or REFERENCE, STUB
    source: str
    says: str = ""  # the diagnosis that a learner must be told; empty if no worked example can tell

    @property
    def id(self) -> str:
        return f"{self.exercise.id}:{self.name}"


@dataclass(frozen=True)
class Row:
    """What became of one version: the error of each cell and of pytest, None where it passed."""

    variant: Variant
    visible: str | None = None
    hidden: str | None = None
    pytest: str | None = None

    @property
    def faults(self) -> list[str]:
        """What is wrong with the checks, by this row; empty if they do what they must."""
        checks = {"visible cell": self.visible, "hidden cell": self.hidden, "pytest": self.pytest}
        if "hidden" not in self.variant.exercise.points:
            del checks["hidden cell"]
        if self.variant.name == REFERENCE:
            return [f"the reference fails the {name}: {error}" for name, error in checks.items() if error is not None]
        if self.variant.name == STUB:
            return [f"the stub passes the {name}" for name, error in checks.items() if error is None]
        found = [f"survives the {name}" for name in ("visible cell", "pytest") if checks[name] is None]
        if self.visible is not None and self.variant.says and _flat(self.variant.says) not in _flat(self.visible):
            found.append(f"caught, but its cause is not named: {_flat(self.visible)[:200]}")
        return found


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def variants(chapter: Chapter) -> list[Variant]:
    """All versions of all answers of a chapter."""
    found = []
    checks = load(chapter.slug)
    for exercise in chapter.exercises:
        header, _ = chapter.header_and_body(exercise)
        stub = "\n".join([*header, f"    {exercise.stub}"])
        found += [
            Variant(chapter, exercise, REFERENCE, chapter.answer(exercise)),
            Variant(chapter, exercise, STUB, stub),
        ]
        telling = {m.says for m in checks[exercise.id].misconceptions}
        for mutant in (m for m in chapter.mutants if m.exercise.id == exercise.id):
            says = mutant.says if mutant.says in telling else ""
            found.append(Variant(chapter, exercise, mutant.name, mutant.source, says))
    return found


def notebook_rows(chapter: Chapter, wanted: Iterable[Variant]) -> Iterator[Row]:
    """Run versions through the graded cells, hidden tests included, as grading does."""
    notebook, wanted = source_notebook(chapter), list(wanted)
    with tempfile.TemporaryDirectory() as folder:
        stage(chapter_number(chapter.slug), Path(folder), catalogue().values())  # once, and not by every `%chapter`
        jobs = (graded_cells(notebook, v.exercise.token, _cell(v), needed(v)) for v in wanted)
        for variant, outcome in zip(wanted, run_jobs(jobs, Path(folder)), strict=True):
            token = variant.exercise.token
            answer_error = outcome[token]
            yield Row(
                variant,
                visible=outcome.get(f"{token}--check") or answer_error,
                hidden=outcome.get(f"{token}--hidden") or answer_error,
            )


def needed(variant: Variant) -> set[str]:
    """The exercises of the same chapter that this one builds on, and what those build on."""
    own = {exercise.id: exercise for exercise in variant.chapter.exercises}
    found: set[str] = set()
    todo = list(variant.exercise.needs)
    while todo:
        exercise = own.get(todo.pop())
        if exercise and exercise.token not in found:
            found.add(exercise.token)
            todo += exercise.needs
    return found


def _cell(variant: Variant) -> str:
    if variant.exercise.implements:
        return f"%%implement {variant.exercise.implements}\n{variant.source}"
    return variant.source


def pytest_rows(chapter: Chapter, wanted: Iterable[Variant]) -> Iterator[str | None]:
    """For each version, what pytest says in a workspace whose library is the reference but for this function."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "work"
        start(root)
        stage(99, root, catalogue().values())
        notebook_path = root / f"{chapter.slug}.ipynb"
        notebook_path.write_text(nbformat.writes(source_notebook(chapter)), encoding="utf-8")
        with _pytest_in(root) as pytest:
            for variant in wanted:
                path, before = _put(variant, root, notebook_path)
                code, said = pytest(variant.exercise)
                path.write_text(before, encoding="utf-8")
                if code not in (0, 1):
                    raise RuntimeError(f"pytest could not run on {variant.id}:\n{said}")
                yield None if code == 0 else said


@contextmanager
def _pytest_in(root: Path) -> Iterator[Callable[[Exercise], tuple[int, str]]]:
    """A function that runs a workspace's checks of an exercise: exit code, output."""
    command, pipe = [sys.executable, "-m", "course.pytest_forks"], subprocess.PIPE
    environment = os.environ | PYTEST_ENVIRONMENT
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True) as server,
    ):
        asked, told, log = server.stdin, server.stdout, Path(folder) / "log"
        assert asked is not None
        assert told is not None

        def run(exercise: Exercise) -> tuple[int, str]:
            print(exercise.id, log, sep="\t", file=asked, flush=True)
            code = told.readline()
            if not code:
                raise RuntimeError("the process that runs pytest has ended")
            return int(code), log.read_text(encoding="utf-8")

        yield run


def _put(variant: Variant, root: Path, notebook_path: Path) -> tuple[Path, str]:
    """Write the version into the workspace; return the file and its text before."""
    exercise = variant.exercise
    if exercise.module:
        path = root.joinpath(*exercise.module.split(".")).with_suffix(".py")
        before = path.read_text(encoding="utf-8")
        function = functions(before)[exercise.name]
        text = replace_lines(before, function.first, function.last, variant.source.splitlines())
    else:
        path, before = notebook_path, notebook_path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        cell = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == exercise.token)
        cell.source = variant.source
        text = nbformat.writes(notebook)
    path.write_text(text, encoding="utf-8")
    return path, before


def kill_matrix(chapter: Chapter) -> Iterator[Row]:
    """Every version of a chapter's answers through all three."""
    wanted = variants(chapter)
    for row, error in zip(notebook_rows(chapter, wanted), pytest_rows(chapter, wanted), strict=True):
        yield Row(row.variant, row.visible, row.hidden, error)


# --- what is stored for the instructor's guide


def store(path: Path, chapter: Chapter, rows: Iterable[Row]) -> None:
    """Put a chapter's kill matrix into the file; what it holds of other chapters stays."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found[chapter.slug] = stamp(chapter) | {"versions": [_entry(row) for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_lines(found), encoding="utf-8")


def stamp(chapter: Chapter) -> dict[str, str]:
    """Fingerprints of what a chapter's matrix hangs on: its versions, and the checks that they went through.

    Not of the machinery that runs checks: where that is at fault, the tests that run every version find it.
    """
    sources = [(v.id, v.source, v.says) for v in variants(chapter)]
    files = [*check_files(chapter.exercises), *sorted(DATA.glob(f"{chapter.slug}.*"))]
    checks = [*((p.name, p.read_bytes()) for p in files), *(check_names(e) for e in chapter.exercises)]
    cells = [c.source for c in source_notebook(chapter).cells if c.metadata.get("nbgrader", {}).get("grade")]
    return {"versions_digest": _digest(sources), "checks_digest": _digest([checks, cells])}


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _entry(row: Row) -> dict[str, Any]:
    """What is public of a row: names, and who caught it; never a source."""
    return {
        "exercise": row.variant.exercise.id,
        "version": row.variant.name,
        "visible": _checks_named(row.visible),
        "hidden": row.hidden is not None if "hidden" in row.variant.exercise.points else None,
        "pytest": row.pytest is not None,
        "cause": bool(row.variant.says),
    }


def _checks_named(error: str | None) -> list[str]:
    """The checks that a visible cell's error says are broken; the error's kind where it never came to checks."""
    if error is None:
        return []
    return re.findall(r"^  ✗ (.+)$", error, re.MULTILINE) or [error.partition(":")[0]]


def _lines(matrix: dict[str, Any]) -> str:
    """JSON with a line for each version, so that a diff shows which ones have changed."""
    text = []
    for slug, record in sorted(matrix.items()):
        rows = ",\n".join(f"   {json.dumps(row, ensure_ascii=False)}" for row in record["versions"])
        head = "".join(f"  {json.dumps(k)}: {json.dumps(v)},\n" for k, v in record.items() if k != "versions")
        text.append(f' {json.dumps(slug)}: {{\n{head}  "versions": [\n{rows}\n  ]\n }}')
    return "{\n" + ",\n".join(text) + "\n}\n"
