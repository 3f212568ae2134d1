"""Faults that a person meets: what came, what to do, the exit code that `--help` names; never a traceback."""

import contextlib
import errno
import os
import re
import socket
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import made_runs as runs
import pytest
import typer
from made_submissions import SLUG
from sqlalchemy import create_engine
from typer.testing import CliRunner

from course.grading import batch, errors
from course.grading import gradebook as gradebook_module
from course.grading import sandbox as sandbox_module
from course.grading.batch import grade_all
from course.grading.errors import GRADEBOOK, MISUSED, UNSAFE, WORKERS
from course.grading.run import grade_command

SECRET = "hunter2"
app = typer.Typer()
app.command("grade")(grade_command)


class Place:
    """A class that handed in, and a course folder: what goes wrong is made here."""

    def __init__(self, where: Path, public: Path, stack: contextlib.ExitStack, patch: pytest.MonkeyPatch) -> None:
        self.root, self.submitted, self.public = where / "course", where / "in", public
        self.stack, self.patch = stack, patch
        runs.class_of(self.submitted, 1)
        self.slug = SLUG

    @property
    def gradebook(self) -> Path:
        self.root.mkdir(exist_ok=True)
        return self.root / "gradebook.db"


Fault = Callable[[Place], list[str]]
FAULTS: dict[str, tuple[Fault, int, list[str]]] = {}


def fault(name: str, code: int, *said: str) -> Callable[[Fault], Fault]:
    """What goes wrong, the exit code, and what the message must say: first what came, last what to do."""

    def keep(make: Fault) -> Fault:
        FAULTS[name] = (make, code, list(said))
        return make

    return keep


# --- the call


@fault("no such assignment", MISUSED, "there is no assignment '99-nothing'", "there are: ", SLUG)
def _(place: Place) -> list[str]:
    place.slug = "99-nothing"
    return []


@fault("nothing there", MISUSED, "elsewhere does not exist", "name the folder or the zip")
def _(place: Place) -> list[str]:
    place.submitted = place.submitted / "elsewhere"
    return []


@fault("empty folder", MISUSED, f"no submission of {SLUG} in ", "(0 files)", "Expected STUDENT/")
def _(place: Place) -> list[str]:
    place.submitted = place.submitted / "empty"
    place.submitted.mkdir()
    return []


@fault("another assignment", MISUSED, f"no submission of {SLUG} in ", "(1 files)", "Expected STUDENT/")
def _(place: Place) -> list[str]:
    (place.submitted / "s00" / SLUG).rename(place.submitted / "s00" / "04-elman")
    (place.submitted / "s00" / "04-elman" / f"{SLUG}.ipynb").rename(place.submitted / "s00" / "04-elman" / "a.ipynb")
    return []


@fault("a folder that is closed", MISUSED, "s00 cannot be read: Permission denied", "Give yourself the right")
def _(place: Place) -> list[str]:
    scandir = os.scandir

    def closed(path: str) -> object:  # root, who may run this, may read everything
        if str(path).endswith("s00"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    place.patch.setattr(os, "scandir", closed)
    return []


@fault("a file that is no zip", MISUSED, "class.rar is not a zip", "export it again, or name a folder")
def _(place: Place) -> list[str]:
    place.submitted = place.submitted / "class.rar"
    place.submitted.write_bytes(b"Rar!\x1a\x07" + bytes(1000))
    return []


@fault("a zip of something else", MISUSED, f"no submission of {SLUG} in ", "(1 files)", "Expected STUDENT/")
def _(place: Place) -> list[str]:
    place.submitted = place.submitted / "photos.zip"
    with zipfile.ZipFile(place.submitted, "w") as archive:
        archive.writestr("beach.jpeg", b"")
    return []


@fault("nobody of that name", MISUSED, "no submission of nobody, nowhere in ")
def _(place: Place) -> list[str]:
    return ["--only", "nobody", "--only", "nowhere"]


@fault("no workers", MISUSED, "Invalid value for '--workers'", "greater than or equal to 1")
def _(place: Place) -> list[str]:
    return ["--workers", "0"]


# --- the sandbox


@fault("no bubblewrap", UNSAFE, "bubblewrap is not installed", "apt install bubblewrap", "--no-sandbox")
def _(place: Place) -> list[str]:
    which = sandbox_module.shutil.which
    place.patch.setattr(sandbox_module.shutil, "which", lambda name: None if name == "bwrap" else which(name))
    return []


@fault(
    "no namespaces", UNSAFE, "No permissions to create a new namespace", "In a container, allow them", "--no-sandbox"
)
def _(place: Place) -> list[str]:
    fake = place.public / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    place.patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return []


# --- the gradebook


@fault(
    "locked", GRADEBOOK, "database is locked", "Another program holds the gradebook. Close it", "run the same command"
)
def _(place: Place) -> list[str]:
    place.patch.setattr(gradebook_module, "LOCK_SECONDS", 0)
    connection = sqlite3.connect(place.gradebook, isolation_level=None)
    place.stack.callback(connection.close)
    connection.execute("begin exclusive")
    return []


@fault("no server", GRADEBOOK, "course:***@127.0.0.1:1/g", "refused", "database is running", "run the same command")
def _(place: Place) -> list[str]:
    return ["--db", f"postgresql://course:{SECRET}@127.0.0.1:1/g"]


def _version(place: Place, version: str) -> None:
    grade_all(runs.order(place.submitted, place.root))
    with contextlib.closing(sqlite3.connect(place.gradebook)) as connection:
        connection.execute("update alembic_version set version_num = ?", (version,))
        connection.commit()


@fault(
    "older tables", GRADEBOOK, "has tables of version 167914646830", "expects e43177bfe90b", "nbgrader db upgrade --db"
)
def _(place: Place) -> list[str]:
    _version(place, "167914646830")
    return []


@fault("newer tables", GRADEBOOK, "has tables of version 123456789abc", "Install the nbgrader that made it")
def _(place: Place) -> list[str]:
    _version(place, "123456789abc")
    return []


@fault("tables of something else", GRADEBOOK, "no gradebook of nbgrader's (invoices)", "Name another database")
def _(place: Place) -> list[str]:
    with create_engine(f"sqlite:///{place.gradebook}").begin() as connection:
        connection.exec_driver_sql("create table invoices (id int)")
    return []


@fault("no database", GRADEBOOK, "file is not a database", "Put a copy of it in its place", "--db")
def _(place: Place) -> list[str]:
    place.gradebook.write_text("these are my grades: ann 3, bob 5. " * 100)
    return []


@fault("a folder for a gradebook", GRADEBOOK, "unable to open database file", "You may not write there", "run the same")
def _(place: Place) -> list[str]:
    place.gradebook.mkdir()
    return []


@fault("a gradebook nowhere", GRADEBOOK, "/dev/null cannot be made", "name another place", "--db")
def _(place: Place) -> list[str]:
    return ["--db", "/dev/null/g.db"]


@fault("no such kind", MISUSED, "'nosuchkind://***@x/y' is not a database", "Expected the path of a file, or a URL")
def _(place: Place) -> list[str]:
    return ["--db", f"nosuchkind://me:{SECRET}@x/y"]


@fault(
    "a port that is none", MISUSED, "'postgresql://***@host:port/y' is not a database", "Expected the path of a file"
)
def _(place: Place) -> list[str]:
    return ["--db", f"postgresql://me:{SECRET}@host:port/y"]


@fault("no driver", MISUSED, "mysql databases need a Python package that is not here", "pip install 'MySQLdb'")
def _(place: Place) -> list[str]:
    return ["--db", f"mysql://me:{SECRET}@host/y"]


@fault(
    "no space",
    GRADEBOOK,
    "cannot be written: No space left on device",
    "run the same command: what is finished is kept",
)
def _(place: Place) -> list[str]:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.patch.setattr(gradebook_module.os, "replace", full)
    return []


@fault(
    "a file for a course folder", GRADEBOOK, "course cannot be made", "Mend that, or name another place with --course"
)
def _(place: Place) -> list[str]:
    place.root.write_text("")
    return []


@fault("a journal that is none", GRADEBOOK, ".jsonl cannot be opened: Is a directory", "name another course folder")
def _(place: Place) -> list[str]:
    (place.root / "grading" / f"{SLUG}.jsonl").mkdir(parents=True)
    return []


@fault("two commands", GRADEBOOK, "another `course grade` is at work here (it holds ", "wait for it, or stop it first")
def _(place: Place) -> list[str]:
    place.stack.enter_context(batch.Journal(place.root / "grading" / f"{SLUG}.jsonl", "another"))
    return []


# --- the cluster


@fault(
    "no scheduler",
    WORKERS,
    "no Dask scheduler answers at tcp://127.0.0.1:1",
    "Look at the scheduler",
    "no result is lost",
)
def _(place: Place) -> list[str]:
    return ["--scheduler", "tcp://127.0.0.1:1"]


@fault("a silent scheduler", WORKERS, "no Dask scheduler answers at tcp://127.0.0.1:", "Look at the scheduler")
def _(place: Place) -> list[str]:
    silent = place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return ["--scheduler", f"tcp://127.0.0.1:{silent.getsockname()[1]}"]


@fault("no address", WORKERS, "no Dask scheduler answers at somewhere", "Look at the scheduler")
def _(place: Place) -> list[str]:
    return ["--scheduler", "somewhere"]


@pytest.fixture
def place(tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(batch, "SCHEDULER_SECONDS", 1)
    sandbox_module.Sandbox.available.cache_clear()
    with contextlib.ExitStack() as stack:
        yield Place(tmp_path, public_folder, stack, monkeypatch)
    sandbox_module.Sandbox.available.cache_clear()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_in_words(name: str, small: None, place: Place) -> None:
    """In this order: what came, what was expected, what to do. No password, no traceback."""
    make, code, said = FAULTS[name]
    arguments = [SLUG, "--course", str(place.root), *make(place)]
    arguments[0] = place.slug
    sandboxed = code == UNSAFE or not runs.made.NO_SANDBOX
    result = CliRunner().invoke(
        app,
        [*arguments, "--submitted", str(place.submitted), *([] if sandboxed else ["--no-sandbox"])],
        catch_exceptions=False,
    )
    words = " ".join(result.output.split())
    print(result.output)
    assert result.exit_code == code, words
    position = 0
    for part in said:
        assert part in words[position:], f"{part!r} is not said there: {words}"
        position = words.index(part, position) + len(part)
    assert "Traceback" not in words
    assert SECRET not in words


def test_help_names_every_exit_code() -> None:
    """The numbers of errors.py, each with its words, and none that is not there."""
    codes = {getattr(errors, name) for name in errors.__all__ if name != "Stopped"}
    told = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output.replace("│", " ").split())
    told = told[told.index("Exit codes: ") + len("Exit codes: ") :].split(". ")[0]
    assert {int(number) for number in re.findall(r"(?:^|, )(\d+) [a-z]", told)} == codes | {0}
    assert errors.__doc__ is not None
    assert {int(number) for number in re.findall(r"^(\d+)  [a-z]", errors.__doc__, re.MULTILINE)} == codes | {0}
