"""Two promises that the whole course keeps: no name before its chapter, and no answer where learners look."""

import ast
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
from bs4 import BeautifulSoup

from course.exercises import chapter_number
from course.library import public_names, reference
from course.sources import Chapter

LONG_ENOUGH = 20  # a shorter line says little: `return loss` may stand anywhere
TEXT_SUFFIXES = {".html", ".js", ".json", ".md", ".ipynb", ".txt", ".py", ".xml", ".svg", ".toml", ".ini", ".yml"}

__all__ = ["EarlyName", "answer_lines", "early_names", "leaks", "names_used", "page_text"]


# --- no name before its chapter


@dataclass(frozen=True)
class EarlyName:
    """A name of `rnnlib` that a chapter uses before it is introduced."""

    where: str
    name: str
    introduced: str

    def __str__(self) -> str:
        return f"{self.where} uses {self.name}, which chapter {self.introduced} introduces"


def early_names(path: Path, slug: str) -> list[EarlyName]:
    """The names that a chapter's page or notebook, or a module of its checks, uses too early."""
    known = public_names(reference())
    sources = [path.read_text(encoding="utf-8")]
    if path.suffix != ".py":
        sources = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    found = []
    for name in sorted({name for source in sources for name in names_used(source)}):
        if name.endswith(".*"):
            raise ValueError(f"{path.name}: `from {name[:-2]} import *` hides which names it uses")
        introduced = known.get(name)
        if introduced and chapter_number(introduced) > chapter_number(slug):
            found.append(EarlyName(path.name, name, introduced))
    return found


def names_used(source: str) -> Iterator[str]:
    """Full names of what a cell takes from `rnnlib`: imports, dotted uses, and what it implements."""
    lines = source.splitlines()
    for line in lines:
        match = re.match(r"%%?implement\s+(rnnlib[\w.]*)", line)
        if match:
            yield from _with_module(match.group(1))
    plain = "\n".join("pass" if re.match(r"\s*[%!]", line) else line for line in lines)
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "rnnlib":
                    yield from _with_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rnnlib":
            for alias in node.names:
                yield from _with_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute):
            dotted = _dotted(node)
            if dotted and dotted.partition(".")[0] == "rnnlib":
                yield from _with_module(dotted)


def _with_module(name: str) -> Iterator[str]:
    yield name
    module = name.rpartition(".")[0]
    if "." in module and name.rpartition(".")[2] == "*":
        yield module


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = _dotted(node.value)
        return front and f"{front}.{node.attr}"
    return None


# --- no answer where learners look


def answer_lines(chapters: Iterable[Chapter]) -> dict[str, str]:
    """Each line of a graded body that is long enough to give something away, to its exercise's id."""
    found = {}
    for chapter in chapters:
        for exercise in chapter.exercises:
            for line in chapter.header_and_body(exercise)[1]:
                text = line.strip()
                if len(text) > LONG_ENOUGH and not text.startswith("#"):
                    found[text] = exercise.id
    return found


def leaks(paths: Iterable[Path], lines: dict[str, str]) -> list[str]:
    """Where a line of an answer stands in one of the files, or in a file of one of the folders."""
    pattern = re.compile("|".join(re.escape(line) for line in sorted(lines, key=len, reverse=True)))
    found = []
    for path in sorted(file for top in paths for file in _files(top)):
        for match in {m.group() for m in pattern.finditer(page_text(path))} if lines else ():
            found.append(f"{path.name}: a line of {lines[match]}: {match}")
    return found


def _files(top: Path) -> Iterator[Path]:
    inside = top.rglob("*") if top.is_dir() else [top]
    yield from (path for path in inside if path.is_file() and path.suffix in TEXT_SUFFIXES)


def page_text(path: Path) -> str:
    """What a file says: notebooks as their cells, pages without tags, everything with entities undone."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n".join(part for cell in cells for part in [*_joined(cell["source"]), *_outputs(cell)])
    if path.suffix == ".html":
        return text + "\n" + BeautifulSoup(text, "html.parser").get_text()
    return html.unescape(text.replace('\\"', '"').replace("\\n", "\n"))


def _joined(source: str | list[str]) -> list[str]:
    return ["".join(source)]


def _outputs(cell: dict) -> Iterator[str]:
    for output in cell.get("outputs", []):
        yield from _joined(output.get("text", ""))
        for content in output.get("data", {}).values():
            yield json.dumps(content).replace('\\"', '"').replace("\\n", "\n")
