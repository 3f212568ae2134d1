"""`rnnlib` as text: where each function stands, which chapter it belongs to, and staged copies of it.

A staged library is the reference with the bodies of graded functions taken out, from some chapter on.
It is what a learner starts from, what catching up fills, and what a submission is graded on.
"""

import ast
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course.exercises import Exercise, chapter_number

__all__ = [
    "Function",
    "append_lines",
    "functions",
    "is_stub",
    "line_end",
    "public_names",
    "reference",
    "replace_lines",
    "split_lines",
    "stage",
    "stage_source",
]

_CHAPTER = re.compile(r"Chapter: (\d\d-[a-z0-9-]+)")


@dataclass(frozen=True)
class Function:
    """A top-level function in a source text; line numbers count from 1, ends included."""

    name: str
    node: ast.FunctionDef
    source: str  # of the whole file
    first: int  # of the decorators, or of `def`
    last: int

    @property
    def body_first(self) -> int:
        """The line after the docstring, or after the signature where there is none."""
        body = self.node.body
        if ast.get_docstring(self.node, clean=False) is not None:
            return (body[0].end_lineno or 0) + 1
        return body[0].lineno

    @property
    def lines(self) -> list[str]:
        return split_lines(self.source)[self.first - 1 : self.last]

    @property
    def header(self) -> list[str]:
        """Signature and docstring."""
        return split_lines(self.source)[self.first - 1 : self.body_first - 1]

    @property
    def body(self) -> list[str]:
        return split_lines(self.source)[self.body_first - 1 : self.last]

    @property
    def signature(self) -> list[str]:
        return signature_of(self.node)


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Parameter names in order, a trailing "=" where there is a default, stars kept; annotations do not count."""
    a = node.args
    positional = [*a.posonlyargs, *a.args]
    plain = len(positional) - len(a.defaults)
    names = [arg.arg + ("=" if i >= plain else "") for i, arg in enumerate(positional)]
    if a.vararg:
        names.append("*" + a.vararg.arg)
    elif a.kwonlyargs:
        names.append("*")
    names += [arg.arg + ("=" if default else "") for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [*names, *(["**" + a.kwarg.arg] if a.kwarg else [])]


def reference() -> Path:
    """The folder of the reference library, in the checkout that `course` runs from."""
    folder = Path(__file__).resolve().parent.parent / "rnnlib"
    if not folder.is_dir():
        raise FileNotFoundError(
            "the reference library is not beside the `course` package; install from a clone with `pip install -e .`"
        )
    return folder


def functions(source: str) -> dict[str, Function]:
    """The top-level functions of a source text, by name."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = Function(node.name, node, source, first, node.end_lineno or node.lineno)
    return found


def is_stub(node: ast.FunctionDef) -> bool:
    """Whether nothing but `raise NotImplementedError` follows the docstring."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    exc = body[0].exc
    called = exc.func if isinstance(exc, ast.Call) else exc
    return isinstance(called, ast.Name) and called.id == "NotImplementedError"


def public_names(folder: Path) -> dict[str, str]:
    """Full name of every public name of a library folder, and of its modules, to the chapter that introduces it."""
    chapters = {}
    for path in sorted(folder.glob("*.py")):
        if path.stem == "__init__":
            continue
        source = path.read_text(encoding="utf-8")
        module, tree = f"{folder.name}.{path.stem}", ast.parse(source)
        own = _chapter(ast.get_docstring(tree))
        if own is None:
            raise ValueError(f"{path.name}: its docstring has no line 'Chapter: NN-slug'")
        chapters[module] = own
        docs = {
            node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        for name in _all_of(tree):
            chapters[f"{module}.{name}"] = _chapter(docs.get(name)) or own
    return chapters


def _chapter(doc: str | None) -> str | None:
    match = _CHAPTER.search(doc or "")
    return match.group(1) if match else None


def _all_of(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return ast.literal_eval(node.value)
    return []


def split_lines(source: str, keepends: bool = False) -> list[str]:
    """The lines as Python counts them: `str.splitlines` also breaks at form feeds and the like."""
    lines = list(io.StringIO(source, newline=""))
    return lines if keepends else [line.rstrip("\r\n") for line in lines]


def line_end(source: str) -> str:
    """What the lines of a text end with."""
    return "\r\n" if next(io.StringIO(source, newline=""), "").endswith("\r\n") else "\n"


def replace_lines(source: str, first: int, last: int, new: Iterable[str]) -> str:
    """The text with lines `first` to `last` (from 1, included) replaced; all else stays to the letter."""
    lines, end = split_lines(source, keepends=True), line_end(source)
    return "".join([*lines[: first - 1], *(line + end for line in new), *lines[last:]])


def append_lines(source: str, new: Iterable[str]) -> str:
    """The text with lines added below two empty ones, in its own line ends."""
    missing = "" if source.endswith("\n") else "\n"
    return source + "\n".join([missing, "", *new, ""]).replace("\n", line_end(source))


def stage_source(source: str, stubs: dict[str, Exercise]) -> str:
    """The text of a module with the bodies of the named functions replaced by their exercises' stubs."""
    for name, exercise in stubs.items():
        function = functions(source)[name]
        source = replace_lines(source, function.body_first, function.last, [f"    {exercise.stub}"])
    return source


def stage(chapter: int, target: Path, exercises: Iterable[Exercise], library: Path | None = None) -> Path:
    """Write a library to `target/rnnlib` in which graded functions from `chapter` on are stubs; return its folder."""
    folder = target / "rnnlib"
    for relative, text in staged_files(chapter, exercises, library):
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_text(text, encoding="utf-8")
    return folder


def staged_files(
    chapter: int, exercises: Iterable[Exercise], library: Path | None = None
) -> Iterator[tuple[Path, str]]:
    """Each file of the staged library: its path below `rnnlib`, and its text.

    A module of a chapter that has no exercises yet is left out: nothing asks for it, and what stands in it
    would give away answers of the chapters that have.
    """
    library = library or reference()
    todo: dict[str, dict[str, Exercise]] = {}
    exercises = list(exercises)
    there = {exercise.slug for exercise in exercises}
    for exercise in exercises:
        if exercise.implements and chapter_number(exercise.slug) >= chapter:
            todo.setdefault(exercise.module or "", {})[exercise.name] = exercise
    for path in sorted(library.rglob("*.py")):
        relative = path.relative_to(library)
        module = ".".join(["rnnlib", *relative.with_suffix("").parts])
        source = path.read_text(encoding="utf-8")
        if _chapter(ast.get_docstring(ast.parse(source))) in there | {None}:
            yield relative, stage_source(source, todo.get(module, {}))
