"""The instructor's side of a chapter: `solutions/NN-slug/`, read into records, notebooks and wrong versions.

NN-slug.md           the notebook: MyST text, exercises described in its front matter
FUNCTION.py          inputs for one exercise and an independent answer (`inputs`, `oracle`, `RETURNS`)
misconceptions.toml  realistic wrong versions of each answer, as small edits, each with its diagnosis
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import nbformat

from course.exercises import Exercise
from course.library import Function, functions, reference

ROOT = Path(__file__).resolve().parent.parent
SOLUTIONS = ROOT / "solutions"
_BARE = re.compile(r"%%implement\s+(rnnlib\.[\w.]+)\s*")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

__all__ = ["BEGIN", "END", "ROOT", "Chapter", "Mutant", "chapters", "implemented_by"]


@dataclass(frozen=True)
class Mutant:
    """A wrong version of an answer: its source, and the sentence that says what is wrong with it."""

    exercise: Exercise
    name: str
    says: str
    source: str  # the function, whole

    @property
    def id(self) -> str:
        return f"{self.exercise.id}:{self.name}"


@dataclass(frozen=True)
class Chapter:
    """One folder of `solutions/`."""

    folder: Path

    @property
    def slug(self) -> str:
        return self.folder.name

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The source notebook as Jupytext reads it, nothing expanded."""
        return jupytext.read(self.folder / f"{self.slug}.md")

    @cached_property
    def exercises(self) -> list[Exercise]:
        """The records of the front matter, with the signatures that the answers have."""
        records = []
        for name, entry in self.notebook.metadata["course"]["exercises"].items():
            exercise = Exercise(id=f"{self.slug}/{name}", **entry)
            if exercise.implements and exercise.implements.rpartition(".")[2] != name:
                raise ValueError(f"{exercise.id} implements {exercise.implements}; the two names must be the same")
            signature = self._answer(exercise).signature
            records.append(Exercise(**(exercise.as_dict() | {"signature": signature})))
        return records

    def exercise(self, name: str) -> Exercise:
        return next(e for e in self.exercises if e.name == name)

    def _answer(self, exercise: Exercise) -> Function:
        if exercise.implements:
            return reference_function(exercise.implements)
        cell = tagged(self.notebook, f"answer:{exercise.name}")
        return functions(cell.source)[exercise.name]

    def answer(self, exercise: Exercise) -> str:
        """The source of the right answer: the reference function, or what the notebook's cell defines."""
        return "\n".join(self._answer(exercise).lines)

    def header_and_body(self, exercise: Exercise) -> tuple[list[str], list[str]]:
        """The answer's signature with docstring, and its body without the marks around it."""
        function = self._answer(exercise)
        return function.header, [line for line in function.body if line.strip() not in (BEGIN, END)]

    def oracle_source(self, exercise: Exercise) -> str | None:
        path = self.folder / f"{exercise.name}.py"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def oracle(self, exercise: Exercise) -> ModuleType | None:
        """The exercise's `inputs`, `oracle` and `RETURNS`; None if it is checked by properties alone."""
        source = self.oracle_source(exercise)
        if source is None:
            return None
        module = ModuleType(exercise.token)
        exec(compile(source, str(self.folder / f"{exercise.name}.py"), "exec"), module.__dict__)
        return module

    @cached_property
    def mutants(self) -> list[Mutant]:
        """All wrong versions, in the order of the file."""
        path = self.folder / "misconceptions.toml"
        entries = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return [self._mutant(self.exercise(name), entry) for name, found in entries.items() for entry in found]

    def _mutant(self, exercise: Exercise, entry: dict[str, Any]) -> Mutant:
        header, body = self.header_and_body(exercise)
        text = "\n".join(body)
        if "body" in entry:
            text = entry["body"].strip("\n")
        for old, new in entry.get("edits", []):
            if text.count(old) != 1:
                raise ValueError(
                    f"{exercise.id}:{entry['name']}: {old!r} stands {text.count(old)} times, expected once"
                )
            text = text.replace(old, new)
        if text == "\n".join(body):
            raise ValueError(f"{exercise.id}:{entry['name']} changes nothing")
        return Mutant(exercise, entry["name"], entry["says"], "\n".join([*header, text]))


def chapters() -> list[Chapter]:
    """All chapters that have a notebook, in order."""
    return [Chapter(path.parent) for path in sorted(SOLUTIONS.glob("[0-9][0-9]-*/[0-9][0-9]-*.md"))]


def implemented_by(source: str) -> str | None:
    """The function that a cell `%%implement rnnlib.module.function` quotes."""
    match = _BARE.fullmatch(source.strip())
    return match.group(1) if match else None


def reference_function(full_name: str) -> Function:
    """A function of the reference library by its full name."""
    _, *path, name = full_name.split(".")
    file = reference().joinpath(*path).with_suffix(".py")
    found = functions(file.read_text(encoding="utf-8"))
    if name not in found:
        raise KeyError(f"{file.name} has no function {name}; it has {', '.join(found)}")
    return found[name]


def tags(cell: nbformat.NotebookNode) -> dict[str, str]:
    """A cell's tags; `check:softmax` becomes {"check": "softmax"}."""
    return {kind: name for kind, _, name in (tag.partition(":") for tag in cell.metadata.get("tags", []))}


def tagged(notebook: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode:
    """The one cell with this tag."""
    found = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    if len(found) != 1:
        raise ValueError(f"{len(found)} cells have the tag {tag!r}, expected one")
    return found[0]
