"""What is already graded, so that a run that was killed goes on where it stopped.

One line of JSON for each finished submission, written and flushed before the gradebook is touched, and a line
for each batch that is in the gradebook. A torn last line, as a kill leaves it, is not a line.
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
        self._gradebook = hashlib.sha256(gradebook.encode()).hexdigest()[:16]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
        except OSError as error:
            raise Stopped(f"the journal {path} cannot be opened: {error.strerror}", GRADEBOOK) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            message = f"another `course grade` is at work here (it holds {path}); wait for it, or stop it first"
            raise Stopped(message, GRADEBOOK) from None
        self._load()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finish(self, of: str, digest: str, outcome: Outcome) -> None:
        """A result that is final, without its notebook; after this no kill can lose it."""
        self._append({"of": of, "bundle": digest, "result": asdict(outcome) | {"notebook": ""}})

    def written(self, students: Iterable[str]) -> None:
        """These are in the gradebook now."""
        self._append({"gradebook": self._gradebook, "written": list(students)})

    def outcomes(self, students: Iterable[str]) -> Iterator[Outcome]:
        """Their results, read again from the file."""
        for student in students:
            self._file.seek(self.finished[student].offset)
            yield Outcome(**json.loads(self._file.readline())["result"])

    def _load(self) -> None:
        self._file.seek(0)
        offset, line = 0, b"\n"
        for line in self._file:
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
        elif entry["gradebook"] == self._gradebook:
            self.unwritten.difference_update(entry["written"])

    def _append(self, entry: dict[str, Any]) -> None:
        offset = self._file.seek(0, os.SEEK_END)
        self._write(json.dumps(entry).encode() + b"\n")
        self._take(entry, offset)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise Stopped(f"the journal {self._file.name} cannot be written: {error.strerror}", GRADEBOOK) from None
