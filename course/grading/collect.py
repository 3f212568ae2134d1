"""Find submissions: nbgrader's folders, a flat folder of notebooks, or the zip that a learning platform exports.

    submitted/STUDENT/04-elman/04-elman.ipynb               nbgrader
    STUDENT_04-elman.ipynb                                  a flat folder
    NAME_12345_67890_04-elman.ipynb                         Canvas's zip, or the folder it was unpacked to
    NAME_12345_assignsubmission_file/04-elman.ipynb         Moodle's

Nothing is unpacked, nothing but plain files is opened, and no name from a submission becomes a path unchecked.
"""

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from nbgrader.utils import parse_utc

from course.grading.errors import Stopped
from course.grading.rebuild import MAX_BYTES, Unreadable

MAX_FILES = 500_000  # in one folder or zip
_EMPTY = "(empty)"  # stands for the files of a folder that has none
MAX_NAME = 100  # characters of a student's name; nbgrader's database holds 128
_CANVAS = re.compile(r"(?P<student>[^_/]+_(LATE_)?(?P<lms>\d+))_\d+_.+", re.DOTALL)
_MOODLE_FOLDER = re.compile(r"(?P<student>.+_(?P<lms>\d+))_assignsubmission_(file|onlinetext)_*", re.DOTALL)
_MOODLE_FILE = re.compile(r"(?P<student>.+?_(?P<lms>\d+))_assignsubmission_(file|onlinetext)_.*", re.DOTALL)
_ASSIGNMENT = re.compile(r"(?:^|[_/])(\d\d-[a-z][a-z0-9-]*?)(?:-\d+)?(?=/|\.ipynb$)", re.IGNORECASE)

__all__ = ["Submission", "collect"]


@dataclass(frozen=True)
class Submission:
    """Where one student's work lies; it is read when its turn comes."""

    student: str
    files: tuple[str, ...]  # her notebooks, best first; none: she handed in something else
    source: Path  # the folder or zip that they are in
    slug: str
    timestamp: datetime | None = None
    lms_user_id: str | None = None  # her number on the learning platform
    notes: tuple[str, ...] = ()

    def read(self) -> bytes:
        """The bytes to grade; Unreadable where it is not clear which they are."""
        if not self.files:
            raise Unreadable("no notebook was handed in (no file that ends in .ipynb)")
        rivals = [name for name in self.files if _rank(name, self.slug) == _rank(self.files[0], self.slug)]
        if len(rivals) > 1:
            listed = ", ".join(sorted(PurePosixPath(name).name[:80] for name in rivals)[:5])
            raise Unreadable(
                f"{len(rivals)} notebooks were handed in ({listed}); keep one, or name it {self.slug}.ipynb"
            )
        return _read(self.source, self.files[0])


def collect(source: Path, slug: str) -> tuple[list[Submission], list[str]]:
    """All submissions of an assignment below a folder or in a zip, by student; and notebooks that are nobody's."""
    if not source.exists():
        raise Stopped(f"{source} does not exist; name the folder or the zip that the submissions are in")
    names = _zip_names(source) if source.is_file() else _folder_names(source)
    submissions, strays = _by_student(names, source, slug)
    if not submissions:
        raise Stopped(
            f"no submission of {slug} in {source} ({len(names)} files). Expected STUDENT/{slug}/{slug}.ipynb, or\n"
            f"STUDENT_{slug}.ipynb, or the zip that Canvas or Moodle exports."
        )
    return submissions, strays


# --- files


def _folder_names(folder: Path) -> list[str]:
    """Every plain file below a folder; links and devices that a student may have made are not followed."""
    names: list[str] = []
    for where, folders, files in os.walk(folder, onerror=_not_readable):
        folders[:] = [n for n in folders if not n.startswith(".") and not (Path(where) / n).is_symlink()]
        below = Path(where).relative_to(folder)
        plain = [n for n in files if not n.startswith(".") and stat.S_ISREG((Path(where) / n).lstat().st_mode)]
        if not plain and not folders and below.parts:
            plain = [_EMPTY]  # who hands in an empty folder is told so, and not left out
        names += [(below / name).as_posix() for name in plain]
        if len(names) > MAX_FILES:
            raise Stopped(f"there are more than {MAX_FILES} files in {folder}; is it the right folder?")
    return names


def _not_readable(error: OSError) -> None:
    """A folder that is left out would be a student who is left out."""
    raise Stopped(
        f"{error.filename} cannot be read: {error.strerror}. Give yourself the right to, then run the same command."
    ) from None


def _zip_names(path: Path) -> list[str]:
    try:
        names = dict.fromkeys(member.filename for member in _archive(path).infolist())  # each name once
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise Stopped(f"{path} is not a zip that can be read ({error}); export it again, or name a folder") from None
    if len(names) > MAX_FILES:
        raise Stopped(f"there are more than {MAX_FILES} files in {path}; is it the right zip?")
    return list(dict.fromkeys(map(_visible, names)))


def _visible(name: str) -> str:
    """A member's name; of a folder or a hidden file, that something empty lies there."""
    parts = name.replace("\\", "/").split("/")
    hidden = (i for i, part in enumerate(parts) if part.startswith((".", "__MACOSX")) and part not in (".", ".."))
    end = next(hidden, None if parts[-1] else len(parts) - 1)
    return name if end is None else "/".join([*parts[:end], _EMPTY])


def _archive(path: Path) -> zipfile.ZipFile:
    """The open zip: reading its directory anew for each of thousands of members would take hours."""
    found = path.stat()
    return _open_archive(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1)
def _open_archive(path: Path, modified: int, size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _read(source: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """At most one byte more than a submission may have, whatever a zip's directory says."""
    try:
        if source.is_file():
            with _archive(source).open(name) as member:
                return member.read(limit + 1)
        with open(os.open(source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(limit + 1)
    except (OSError, RuntimeError, NotImplementedError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Unreadable(f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except Exception as error:  # each way of compressing has errors of its own, such as zlib.error
        raise Unreadable(f"the file cannot be unpacked: {error}") from None


# --- whose they are


class _Owner(NamedTuple):
    """Whose a file is."""

    student: str
    number: str | None = None  # on the learning platform
    by_folder: bool = False  # a folder says so, not only the file's own name, which its student may have chosen


def _by_student(names: Iterable[str], source: Path, slug: str) -> tuple[list[Submission], list[str]]:
    found: dict[str, dict[str, _Owner]] = {}
    strays = []
    for name in sorted(names):
        path = name.replace("\\", "/") if source.is_file() else name
        owner = _owner(path, slug)
        if owner is not None:
            found.setdefault(owner.student, {})[name] = owner
        elif name.lower().endswith(".ipynb") and not _is_of_another(path, slug):
            strays.append(name)
    submissions = []
    for student, files in sorted(found.items()):
        hers = {name for name, owner in files.items() if owner.by_folder} or set(files)
        strays += sorted(set(files) - hers)  # in somebody else's folder, called as if it were hers
        number = next((files[name].number for name in sorted(hers) if files[name].number), None)
        submissions.append(_submission(student, number, sorted(hers), source, slug))
    return submissions, strays


def _owner(path: str, slug: str) -> _Owner | None:
    """Who handed a file in; None if it is not of this assignment.

    The outermost name that tells counts: below it stands what a student has named as she likes.
    """
    *folders, file = path.split("/")
    for outer, folder in zip(["", *folders], folders, strict=False):
        if folder == slug and outer:  # nbgrader
            return _Owner(_student(outer), None, True)
        if match := _MOODLE_FOLDER.fullmatch(folder):
            return _Owner(_student(match["student"]), match["lms"], True)
    if match := _MOODLE_FILE.fullmatch(file) or _CANVAS.fullmatch(file):
        return _Owner(_student(match["student"].replace("_LATE_", "_")), match["lms"])
    stem, dot, ending = file.rpartition(".")
    if not dot or ending.lower() != "ipynb" or _is_of_another(path, slug):
        return None
    if folders and stem.lower() == slug:  # a folder for each student
        return _Owner(_student(folders[-1]), None, True)
    match = re.fullmatch(rf"(.+)_{re.escape(slug)}(-\d+)?", stem, re.IGNORECASE | re.DOTALL)
    if match:
        return _Owner(_student(match[1]))
    return None if folders else _Owner(_student(stem))


def _is_of_another(name: str, slug: str) -> bool:
    """Whether a file says of itself that it belongs to another assignment."""
    named = {found.lower() for found in _ASSIGNMENT.findall(name)}
    return bool(named) and slug not in named


def _student(name: str) -> str:
    """A name that may stand in a path and in the gradebook."""
    clean = "".join(c if c.isprintable() and c not in '/\\:*?"<>|+' else "_" for c in name).strip(" .")
    if clean == name and 0 < len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{clean[: MAX_NAME - 9] or 'student'}-{mark}"  # two strange names never become the same one


def _submission(student: str, number: str | None, files: list[str], source: Path, slug: str) -> Submission:
    notebooks = sorted((name for name in files if name.lower().endswith(".ipynb")), key=lambda n: _rank(n, slug))
    timestamp, notes = _timestamp(files, source)
    if len(notebooks) == 1 and _rank(notebooks[0], slug)[0] > 0:
        notes.append(f"The notebook is not called {slug}.ipynb: the only one there was taken.")
    elif len(notebooks) > 1:
        notes.append(f"There are {len(notebooks)} notebooks: {PurePosixPath(notebooks[0]).name[:80]} was taken.")
    return Submission(student, tuple(notebooks), source, slug, timestamp, number, tuple(notes))


def _rank(name: str, slug: str) -> tuple[int, int]:
    """How sure it is that this is the notebook: its own name first (the latest try of Canvas's), then any other."""
    stem = PurePosixPath(name.replace("\\", "/")).name[: -len(".ipynb")]
    match = re.fullmatch(rf"(.*_)?{re.escape(slug)}(-(?P<again>\d+))?", stem, re.IGNORECASE)
    return (0, -int(match["again"] or 0)) if match else (1, 0)


def _timestamp(files: list[str], source: Path) -> tuple[datetime | None, list[str]]:
    """When it was handed in, from nbgrader's `timestamp.txt`."""
    for name in files:
        if PurePosixPath(name).name == "timestamp.txt":
            try:
                return parse_utc(_read(source, name, 200).decode().strip()), []
            except (Unreadable, ValueError, OverflowError, TypeError, AttributeError):
                return None, ["The time of handing in (timestamp.txt) cannot be read: it is left out."]
    return None, []
