"""What is already graded, so that a run that was killed goes on where it stopped.

One line of JSON for each finished submission, written and flushed before the gradebook is touched, a line for
each batch that is in the gradebook, one for tests that were tried, and one for those whom `--regrade` or `--failed`
asks for again. A torn last line, as a kill leaves it, is not a line.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from course.grading.errors import GRADEBOOK, Stopped
from course.grading.task import Outcome

__all__ = ["Finished", "Journal", "fingerprint"]


def fingerprint(data: bytes, digest: str) -> str:
    """What a result belongs to: this submission, graded with this bundle."""
    return hashlib.sha256(digest.encode() + b"\0" + data).hexdigest()


class Finished(NamedTuple):
    """What is kept in memory of a line, so that fifty thousand of them are little."""

    of: str  # fingerprint
    bundle: str  # digest of what it was graded with
    trouble: bool
    offset: int


class Journal:
    """The journal of one assignment, held by one run at a time."""

    def __init__(self, path: Path, gradebook: str) -> None:
        """`gradebook` says which database the lines about batches speak of."""
        self.finished: dict[str, Finished] = {}  # by student; the last line counts
        self.unwritten: set[str] = set()  # students whose result is not known to be in the gradebook
        self.asked: set[str] = set()  # students who are to be graded again, and are not yet
        self.tried = ""  # digest of the bundle whose tests were last tried, and found right
        self.last_asked: set[str] = set()  # all whom the last such run was about
        self._gradebook = hashlib.sha256(gradebook.encode()).hexdigest()[:16]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            self._lines = path.open("rb")
        except OSError as error:
            raise Stopped(
                f"the journal {path} cannot be opened: {error.strerror}.\n"
                "Mend that, or name another course folder with --course, then run the same command.",
                GRADEBOOK,
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._close()
            message = f"another `course grade` is at work here (it holds {path}); wait for it, or stop it first"
            raise Stopped(message, GRADEBOOK) from None
        self._load()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._lines.close()
        self._file.close()

    def finish(self, of: str, digest: str, outcome: Outcome) -> None:
        """A result that is final, without its notebook; after this no kill can lose it."""
        self._append({"of": of, "bundle": digest, "result": asdict(outcome) | {"notebook": ""}})

    def written(self, students: Iterable[str]) -> None:
        """These are in the gradebook now."""
        self._append({"gradebook": self._gradebook, "written": list(students)})

    def passed(self, digest: str) -> None:
        """The tests of this bundle give the course's own answers all points."""
        self._append({"tried": digest})

    def ask(self, students: Iterable[str]) -> None:
        """Their results are to be made anew; who is killed before that is done goes on with it."""
        self._append({"again": list(students)})

    def outcomes(self, students: Iterable[str]) -> Iterator[Outcome]:
        """Their results, read again from the file."""
        for student in students:
            self._lines.seek(self.finished[student].offset)
            yield Outcome(**json.loads(self._lines.readline())["result"])

    def _load(self) -> None:
        offset, line = 0, b"\n"
        for line in self._lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # torn by a kill: that result is not finished
                self._take(json.loads(line), offset)
            offset += len(line)
        if not line.endswith(b"\n"):
            self._write(b"\n")

    def _take(self, entry: dict[str, Any], offset: int) -> None:
        if "result" in entry:
            outcome = Outcome(**entry["result"])
            self.finished[outcome.name] = Finished(entry["of"], entry["bundle"], outcome.trouble, offset)
            self.unwritten.add(outcome.name)
            self.asked.discard(outcome.name)
        elif "tried" in entry:
            self.tried = entry["tried"]
        elif "again" in entry:
            self.last_asked = set(entry["again"])
            self.asked |= self.last_asked
        elif entry["gradebook"] == self._gradebook:
            self.unwritten.difference_update(entry["written"])

    def _append(self, entry: dict[str, Any]) -> None:
        offset = os.fstat(self._file.fileno()).st_size
        self._write(json.dumps(entry).encode() + b"\n")
        self._take(entry, offset)

    def _write(self, data: bytes) -> None:
        """All of it, on the disk; where there is no space, nothing of it."""
        before = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise Stopped(
                f"the journal {self._file.name} cannot be written: {error.strerror}.\n"
                "Make space there, then run the same command: what is finished is kept.",
                GRADEBOOK,
            ) from None
