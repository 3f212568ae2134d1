"""The toy course in the place of the real one for a test; a learner's workspace in it; a shell as in a notebook."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import toy_course
from hypothesis import settings
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import course.checks.data_file
import course.exercises
import course.implement
import course.library
import course.workspace
from course.checks import run
from course.implement import implement, use_chapter
from course.workspace import start

settings.register_profile("course", derandomize=True, database=None, deadline=None, max_examples=40)
settings.load_profile("course")


@pytest.fixture(scope="session")
def toy_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy course as a checkout, written once."""
    return toy_course.make_repository(tmp_path_factory.mktemp("toy") / "repository")


def _forget() -> None:
    course.exercises.catalogue.cache_clear()
    course.checks.data_file._stored.cache_clear()


@pytest.fixture
def toy(toy_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Everything in this process, and in processes it starts, works on the toy course; the current folder is new."""
    data = toy_repository / "course" / "checks" / "data"
    monkeypatch.setattr(course.exercises, "DATA", data)
    monkeypatch.setattr(course.checks.data_file, "DATA", data)
    for module in (course.library, course.implement, course.workspace):
        monkeypatch.setattr(module, "reference", lambda: toy_repository / "rnnlib")
    run._load_properties()
    monkeypatch.setattr(run, "_PROPERTIES", {})
    exec(compile(toy_course.PROPERTIES, "toy_properties.py", "exec"), {})
    for name, value in {
        "PYTHONPATH": str(toy_repository),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    _forget()
    with toy_course.library_at(tmp_path):
        yield toy_repository
    _forget()


@dataclass
class Desk:
    """A learner at work: her workspace, her notebook's names, and what she can do."""

    root: Path
    names: dict[str, Any]

    def implement(self, name: str, cell: str) -> str:
        return implement(f"rnnlib.{name}", cell, self.names)

    def module(self, name: str) -> ModuleType:
        __import__(f"rnnlib.{name}")
        return sys.modules[f"rnnlib.{name}"]

    def file(self, name: str) -> Path:
        return self.root / "rnnlib" / f"{name}.py"

    def text(self, name: str) -> str:
        return self.file(name).read_bytes().decode()

    def files(self) -> dict[str, bytes]:
        """Every file of the workspace, caches left out."""
        return files_of(self.root)

    def session(self) -> dict[str, dict[str, Any]]:
        """What every module of `rnnlib` and the notebook hold now."""
        modules = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "rnnlib"}
        return {"notebook": dict(self.names)} | {n: dict(vars(m)) for n, m in modules.items()}


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def desk(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A fresh workspace with the first chapter's notebook open: all of `rnnlib` imported, nothing written yet."""
    root = tmp_path / "my-rnn"
    start(root)
    monkeypatch.chdir(root)
    use_chapter("01-one")
    capsys.readouterr()
    desk = Desk(root, {"np": __import__("numpy")})
    desk.module("chain")
    return desk


@pytest.fixture(scope="session")
def _shell(tmp_path_factory: pytest.TempPathFactory) -> InteractiveShell:
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    folder = str(tmp_path_factory.mktemp("ipython"))
    shell = InteractiveShell(config=config, ipython_dir=folder, user_module=ModuleType("a_notebook"))
    shell.run_line_magic("load_ext", "course")
    return shell


@pytest.fixture
def shell(_shell: InteractiveShell) -> InteractiveShell:
    """IPython, as a notebook's kernel runs it, with nothing defined yet."""
    _shell.reset(new_session=False)
    return _shell
