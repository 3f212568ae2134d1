"""Things that nobody may read or change, and a look at whether somebody did."""

import ctypes
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import psutil
from made_submissions import SLUG

from course.grading import confine
from course.grading.task import Outcome
from red_team.attack import CANARIES, MARK

ENVIRONMENT = "RED_TEAM_SECRET"
_SYSTEM = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/etc", "/home", "/opt", "/usr/local")
PLACES = [*_SYSTEM, Path.cwd(), *filter(None, sys.path)]
ENDS_IN = 3.0  # seconds that a killed process has until it is gone
_OPEN, _ACCESS, _MODIFY, _ATTRIB, _CREATE, _DELETE = 0x20, 0x1, 0x2, 0x4, 0x100, 0x200
_IS_FOLDER = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Canaries:
    """A gradebook, a source folder, a sibling's submission, a home and an environment variable, all with secrets.

    Everybody may read and write them: it is walls that are tried here, not permissions.
    """

    def __init__(self, places: Iterable[str | Path] = PLACES) -> None:
        """`places` are looked through for files that an attack has left."""
        self._places = {Path(place) for place in places}
        self.folder = Path(tempfile.mkdtemp(prefix=Path(CANARIES).name.rstrip("*"), dir="/tmp"))
        self.secret = secrets.token_hex(12)
        self._fill()
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o777)
        self.contents = self._contents()
        self._before = {name: os.environ.get(name) for name in ("HOME", ENVIRONMENT)}
        os.environ["HOME"], os.environ[ENVIRONMENT] = str(self.folder / "home"), self.secret
        confine.reap_orphans()  # what outlives its parent becomes a child of this process, and is seen
        self.processes = self._processes()
        self._watch()

    def _fill(self) -> None:
        test = f"def oracle(logits):\n    return {self.secret!r}"
        notebook = json.dumps({"cells": [{"cell_type": "code", "source": test}], "nbformat": 4, "nbformat_minor": 5})
        for name in (f"source/{SLUG}/{SLUG}.ipynb", f"submitted/ben/{SLUG}/{SLUG}.ipynb", "home/.secret"):
            (self.folder / name).parent.mkdir(parents=True)
            (self.folder / name).write_text(notebook)
        with closing(sqlite3.connect(self.folder / "gradebook.db")) as book, book:
            book.execute("create table grade (auto_score, extra_credit, secret)")
            book.execute("insert into grade values (1, 0, ?)", [self.secret])

    def close(self) -> None:
        os.close(self._events)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self.folder)
        for path in self._left():
            path.unlink()

    def started(self) -> None:
        """The processes of now are meant to stay."""
        self.processes = self._processes()

    def harm(self, *outcomes: Outcome) -> list[str]:
        """What has happened that must not: a sentence for each."""
        found = [f"{name} was {what}" for name, what in self._touched()]
        contents = self._contents()
        found += [f"{name} is another" for name in self.contents if contents.get(name) != self.contents[name]]
        found += [f"{name} is new" for name in contents if name not in self.contents]
        found += [f"{path} was left behind" for path in self._left()]
        found += [f"process {process} is still running" for process in self._running()]
        found += [
            f"the result of {o.name} has a secret in it" for o in outcomes if self.secret in json.dumps(asdict(o))
        ]
        self._touched()  # what was opened here
        return found

    # --- files

    def _watch(self) -> None:
        self._events = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._names = {}
        for folder in [self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())]:
            mask = _OPEN | _ACCESS | _MODIFY | _ATTRIB | _CREATE | _DELETE
            number = _libc.inotify_add_watch(self._events, os.fsencode(folder), mask)
            assert number > 0, os.strerror(ctypes.get_errno())
            self._names[number] = folder

    def _touched(self) -> set[tuple[str, str]]:
        """Files of the canaries that were opened or changed since the last look, by whomever."""
        words = {_CREATE: "made", _DELETE: "deleted", _MODIFY: "written", _ATTRIB: "changed"}
        found = set()
        try:
            data = os.read(self._events, 1 << 20)
        except BlockingIOError:
            return found
        while data:
            number, mask, _, length = struct.unpack_from("iIII", data)
            name, data = data[16 : 16 + length].rstrip(b"\0"), data[16 + length :]
            if number in self._names and not (mask & _IS_FOLDER and mask & (_OPEN | _ACCESS)):
                what = next((word for bit, word in words.items() if mask & bit), "opened")
                found.add((str((self._names[number] / os.fsdecode(name)).relative_to(self.folder)), what))
        return found

    def _contents(self) -> dict[str, str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}

    def _left(self) -> list[Path]:
        return [path for place in self._places for path in place.glob(f"*{MARK}*")]

    # --- processes

    def _processes(self) -> set[psutil.Process]:
        return {p for p in psutil.Process().children(recursive=True) if p.is_running() and p.status() != "zombie"}

    def _running(self) -> list[str]:
        """Processes below this one that were not there before, once the killed ones had time to end."""
        end = time.monotonic() + ENDS_IN
        while (left := self._processes() - self.processes) and time.monotonic() < end:
            time.sleep(0.02)
        return [f"{process.pid} ({process.name()})" for process in left]
