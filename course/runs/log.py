"""Logs of long runs: what a chapter cannot train while it is built is trained once, and its numbers are kept.

A module of this package describes one experiment: a dataclass `Setting` for what is varied, a dataclass `Run` that adds
the numbers that came out, and `LOG`. `course train` (or `make train`) makes one run after the other and keeps them in
`book/_data/NAME.json`, from which the chapter draws. What is there stays there: stopped in the middle, it goes on where
it was. A log carries a stamp of the code and the settings that it came from, so that a test can say when it is stale.
"""

import ast
import hashlib
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from course import runs

__all__ = ["FOLDER", "Log", "logs"]

FOLDER = Path(__file__).resolve().parents[2] / "book" / "_data"


@dataclass(frozen=True)
class Log:
    """The long runs of one experiment.

    name       of the file: `book/_data/NAME.json`.
    chapter    the chapter that draws from it.
    settings   every run, in the order in which they are made.
    train_one  makes one run; its module counts as code.
    setting    the dataclass of what is varied.
    run        the dataclass of what came out: the fields of `setting`, then plain numbers, texts, lists of these.
    code       functions and modules, beside that module, that a run's outcome depends on.
    tell       a run in a few words, for the progress bar.
    """

    name: str
    chapter: str
    settings: Callable[[], Iterable[Any]]
    train_one: Callable[[Any], Any]
    setting: type
    run: type
    code: tuple[Any, ...]
    tell: Callable[[Any], str] = str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def stamp(self) -> str:
        """A hash of the settings and of all code that a run's outcome depends on, but for comments and docstrings."""
        trees = [
            ast.parse(inspect.getsource(source)) for source in (sys.modules[self.train_one.__module__], *self.code)
        ]
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:] or [ast.Pass()]
        return hashlib.sha256("\n".join(map(ast.dump, trees)).encode()).hexdigest()[:12]

    def read(self) -> tuple[str, list[Any]]:
        """The stamp of the log and its runs; an empty stamp and no runs where there is no log."""
        if not self.path.exists():
            return "", []
        data = json.loads(self.path.read_text("utf-8"))
        return data["stamp"], [self.run(**dict(zip(data["columns"], row, strict=True))) for row in data["runs"]]

    def runs(self) -> list[Any]:
        """The runs that are there, for a chapter to draw from."""
        return self.read()[1]

    def setting_of(self, run: Any) -> Any:
        """What was varied in a run."""
        return self.setting(**{field.name: getattr(run, field.name) for field in fields(self.setting)})

    def missing(self) -> list[Any]:
        """The runs that the log does not hold yet: all of them, if it comes from other code or settings."""
        old, found = self.read()
        done = {self.setting_of(run) for run in found} if old == self.stamp() else set()
        return [setting for setting in self.settings() if setting not in done]

    def make(self) -> Iterator[Any]:
        """Make every run that the log does not hold yet, and hand out each when it has been written there."""
        old, found = self.read()
        todo, found = self.missing(), found if old == self.stamp() else []
        for setting in todo:
            run = self.train_one(setting)
            found.append(run)
            self._write(found)
            yield run

    def _write(self, found: list[Any]) -> None:
        rows = ",\n".join("  " + json.dumps(list(asdict(run).values())) for run in found)
        columns = json.dumps(list(asdict(found[0])))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(f'{{"stamp": "{self.stamp()}", "columns": {columns}, "runs": [\n{rows}\n]}}\n', "utf-8")
        fresh.replace(self.path)


def logs() -> dict[str, Log]:
    """All logs by name, in the order of their chapters."""
    names = (f"{runs.__name__}.{module.name}" for module in pkgutil.iter_modules(runs.__path__))
    found = [module.LOG for module in map(importlib.import_module, names) if hasattr(module, "LOG")]
    return {log.name: log for log in sorted(found, key=lambda log: (log.chapter, log.name))}
