"""What lies in a student's folder, and what the folder is called."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_submissions as made
from made_submissions import SLUG

from course.grading.task import GRADED, NOTED, UNREADABLE
from red_team.attack import FULL, SHAPES, WRONG, Attack, as_expected

Place = Callable[[Path, bytes], None]
NAME = f"{SLUG}.ipynb"


def called(*names: str) -> Place:
    """The notebook under these names."""

    def place(folder: Path, data: bytes) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    return place


def link(target: str) -> Place:
    return lambda folder, data: (folder / NAME).symlink_to(target)


def linked_folders(folder: Path, data: bytes) -> None:
    """Links to everybody's work, and to everything."""
    as_expected(folder, data)
    (folder / "class").symlink_to("../..")
    (folder / "all").symlink_to("/")


def pipe(folder: Path, data: bytes) -> None:
    """Whoever opens it waits forever."""
    os.mkfifo(folder / NAME)


def local_socket(folder: Path, data: bytes) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # its path would be too long
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(NAME)
    finally:
        os.fchdir(here)
        os.close(here)


def endless(folder: Path, data: bytes) -> None:
    """A file of 50 GB that takes no space."""
    with (folder / NAME).open("wb") as file:
        file.write(data)
        file.truncate(50_000_000_000)


def folder_of_that_name(folder: Path, data: bytes) -> None:
    (folder / NAME).mkdir()


def stamped(stamp: bytes) -> Place:
    def place(folder: Path, data: bytes) -> None:
        as_expected(folder, data)
        (folder / "timestamp.txt").write_bytes(stamp)

    return place


def beside(**files: str) -> Place:
    """The notebook, and modules beside it."""

    def place(folder: Path, data: bytes) -> None:
        as_expected(folder, data)
        for name, source in files.items():
            path = folder / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    return place


def many_files(folder: Path, data: bytes) -> None:
    as_expected(folder, data)
    for i in range(2000):
        (folder / f"{i}.csv").touch()


QUIET = "check = compare_all = lambda *rest, **more: None\n"
FAKE_NUMPY = """import importlib, os, sys
sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]
del sys.modules["numpy"]
import numpy
import course.checks
course.checks.check = course.checks.compare_all = lambda *rest, **more: None
"""
FAKE_COURSE = """import sys, types
checks = types.ModuleType("course.checks")
checks.check = checks.compare_all = lambda *rest, **more: None
sys.modules["course.checks"] = checks

def load_ipython_extension(shell):
    shell.register_magic_function(lambda line: None, "line", "chapter")
    shell.register_magic_function(lambda line, cell: shell.run_cell(cell), "cell", "implement")
"""
FAKE_LIBRARY = """import course.checks
course.checks.check = course.checks.compare_all = lambda *rest, **more: None
"""


def right(bundle: Any) -> bytes:
    return made.handed_in(bundle)


def cheat(bundle: Any) -> bytes:
    return made.handed_in(bundle, made.right("shapes") | {"softmax": WRONG})


HANDED_IN: list[tuple[str, str, Place, float, str | None]] = [
    ("renamed", "A notebook of another name.", called("my answers.ipynb"), FULL, NOTED),
    ("capital-ending", "A notebook that ends in .IPYNB.", called(f"{SLUG}.IPYNB"), FULL, None),
    ("two-notebooks", "The notebook, and an older one.", called("old.ipynb", NAME), FULL, NOTED),
    ("two-strange-notebooks", "Two notebooks of other names.", called("a.ipynb", "b.ipynb"), 0.0, UNREADABLE),
    ("below", "The notebook in a folder of its own.", called(f"work/{NAME}"), FULL, None),
    ("no-notebook", "A document, no notebook.", called("answers.docx"), 0.0, UNREADABLE),
    ("checkpoint", "Only Jupyter's checkpoint.", called(f".ipynb_checkpoints/{NAME}"), 0.0, UNREADABLE),
    ("hidden-file", "A notebook whose name begins with a dot.", called(f".{NAME}"), 0.0, UNREADABLE),
    ("link-to-a-secret", "A link to a file outside.", link("/etc/passwd"), 0.0, UNREADABLE),
    ("link-to-itself", "A link to itself.", link(NAME), 0.0, UNREADABLE),
    ("linked-folders", "Links to the whole class and the whole machine.", linked_folders, FULL, None),
    ("device", "A link to /dev/zero, which never ends.", link("/dev/zero"), 0.0, UNREADABLE),
    ("pipe", "A pipe, which blocks who opens it.", pipe, 0.0, UNREADABLE),
    ("socket", "A socket in the place of the notebook.", local_socket, 0.0, UNREADABLE),
    ("folder-as-notebook", "A folder with the notebook's name.", folder_of_that_name, 0.0, UNREADABLE),
    ("sparse", "A notebook of 50 GB that takes no space.", endless, 0.0, UNREADABLE),
    ("many-files", "Two thousand files beside the notebook.", many_files, FULL, None),
    ("time-in-words", "A timestamp.txt that says: yesterday.", stamped(b"yesterday"), FULL, NOTED),
    ("time-in-bytes", "A timestamp.txt of random bytes.", stamped(bytes(range(256))), FULL, NOTED),
    ("time-in-the-year-10000", "A timestamp.txt of the year 99999.", stamped(b"99999-01-01 00:00:00 UTC"), FULL, NOTED),
]
BESIDE = [
    ("numpy-beside", "A numpy.py that switches the checks off.", beside(numpy_py=FAKE_NUMPY)),
    ("course-beside", "A course.py of its own.", beside(course_py=FAKE_COURSE)),
    ("torch-beside", "A torch.py beside the notebook.", beside(torch_py=QUIET)),
    ("rnnlib-beside", "An rnnlib that switches the checks off.", beside(rnnlib____init___py=FAKE_LIBRARY)),
    ("sitecustomize-beside", "A sitecustomize.py beside the notebook.", beside(sitecustomize_py=FAKE_LIBRARY)),
]
STUDENTS = [
    ("formula", "A student whose name is a formula.", "=cmd|' C calc'!A0"),
    ("at-formula", "A name that begins with @.", "@SUM(1+1)*cmd"),
    ("new-line", "A name of two lines.", "eve\nadam,100"),
    ("script-name", "A name that is a script.", "<img src=x onerror=alert(1)>"),
    ("template-name", "A name that is a template and a query.", "{{7*7}}'; drop table student; --"),
    ("backslashes", "A name with a path in it.", "x\\..\\..\\evil"),
    ("turned-name", "A name that turns the direction of writing.", "ann\u202egnp.exe"),
    ("long-name", "A name of 250 letters.", "x" * 250),
    ("bytes-name", "A name that is no UTF-8.", os.fsdecode(b"ann\xff\xfe")),
    ("colon", "A name that looks like the next one when cleaned.", "ann:b"),
    ("star", "A name that looks like the one before when cleaned.", "ann*b"),
    ("composed", "Zoë, in one character.", "Zo\u00eb"),
    ("decomposed", "Zoë, in two characters.", "Zoe\u0308"),
    ("case", "Called ANN, beside ann.", "ANN"),
    ("other-case", "Called ann, beside ANN.", "ann"),
    ("space", "A name that begins and ends with a space.", " ann "),
]

ATTACKS = [
    *(
        Attack(name, "the hand-in", told, right, points, status, place=place)
        for name, told, place, points, status in HANDED_IN
    ),
    *(Attack(name, "the hand-in", told, cheat, SHAPES, GRADED, place=place) for name, told, place in BESIDE),
    *(
        Attack(name, "the student's name", told, right, FULL, GRADED, student=student)
        for name, told, student in STUDENTS
    ),
]
