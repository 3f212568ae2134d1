"""`course grade` killed at any moment, or out of space at any write: the next run goes on; nothing is lost or twice.

What may repeat is work that was under way: a submission that a worker had, or whose result was not yet a whole line
of the journal. What may not: a submission with a finished line is never given to a worker again.
"""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import made_runs as runs
import made_submissions as made
import pytest
from made_runs import BUNDLE, ENTERED, HERE
from made_submissions import SLUG
from nbgrader.api import Gradebook
from nbgrader.preprocessors import SaveCells

from course.grading import batch
from course.grading import gradebook as gradebook_module
from course.grading import journal as journal_module
from course.grading.batch import AHEAD, grade_all
from course.grading.errors import GRADEBOOK, Stopped
from course.grading.gradebook import Writer, database_url
from course.grading.journal import Journal
from course.grading.task import GRADED, Outcome

CLASS, KILLS, WORKERS, SEED = 60, 10, 2, 20261122
ENDED = 87  # exit code of a process that ended itself in the middle


# --- SIGKILL at random moments


@pytest.mark.timeout(600)
def test_killed_ten_times_it_goes_on(tmp_path: Path) -> None:
    """SIGKILL to the command, or to its whole group, in turn; at the end all are there, once, as they deserve."""
    root, folder = tmp_path / "course", runs.class_of(tmp_path / "in", CLASS)
    rng = random.Random(SEED)
    database = f"sqlite:///{root / 'gradebook.db'}"
    with _place() as place:
        print(f"\nkill  to       after  finished before -> at the kill, given to workers (seed {SEED})")
        for number in range(1, KILLS + 1):
            before = runs.finished(root)
            run = _Run(folder, root, place)
            more = min(rng.randrange(7), CLASS - 4 * (KILLS - number + 1) - len(before))
            # Where no result is waited for, it ends somewhere between its first import and its first worker.
            run.kill_at(len(before) + more, (0.2 if more > 0 else 2.0) * rng.random(), whole_group=number % 2 == 0)
            after, given = runs.finished(root), run.given()
            to = "group" if number % 2 == 0 else "process"
            print(f"{number:4}  {to:8}{run.seconds:5.1f} s  {len(before):2} -> {len(after):2}, {len(given)} given")
            assert not set(given) & set(before), "a finished submission was graded again"
            assert len(given) == len(set(given))
            assert len(given) - (len(after) - len(before)) <= WORKERS * AHEAD
            assert run.left_alive() == []
            if (root / "gradebook.db").exists():
                runs.grades(root)  # looks at the gradebook's integrity
            if number == 4:
                _tear(root / "grading" / f"{SLUG}.jsonl")
            if number == 6:
                runs.enter_by_hand(database, "s00")
        before = runs.finished(root)
        assert 10 < len(before) < CLASS, "the kills came too early or too late to show anything"
        _age(place)
        run = _Run(folder, root, place)
        said, _ = run.process.communicate(timeout=300)
        assert run.process.returncode == 0, said
        assert f"; {len(set(before))} had their result before" in said
        assert not set(run.given()) & set(before)
        assert list(Path(place).glob("rnn-grading-*")) == []
        assert runs.finished(root) == sorted(set(runs.finished(root)), key=runs.finished(root).index)
        assert sorted(runs.finished(root)) == sorted(runs.deserved(CLASS))
        assert runs.scores(runs.grades(root)) == runs.deserved(CLASS)
        assert set(runs.notebooks(root)) == set(runs.deserved(CLASS))
        assert runs.by_hand(database, "s00") == ENTERED
        print(f"then to the end: {len(before)} -> {len(runs.finished(root))}, {len(run.given())} given")


@contextlib.contextmanager
def _place() -> Iterator[str]:
    """A folder for sandboxes, where those of other tests are not in the way; its path is short."""
    place = tempfile.mkdtemp(prefix="kills-", dir="/tmp")
    os.chmod(place, 0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _age(place: str) -> None:
    """As if a minute had passed: younger folders may be about to be used."""
    left = list(Path(place).glob("rnn-grading-*"))
    assert left or made.NO_SANDBOX, "the killed runs left no sandbox: nothing to clear up"
    for folder in left:
        os.utime(folder, (0, 0))


def _tear(journal: Path) -> None:
    """Half a line at the end, as a kill in the middle of a write can leave it."""
    with journal.open("ab") as file:
        file.write(journal.read_bytes().splitlines()[-1][:40])


class _Run:
    """The command at work."""

    def __init__(self, folder: Path, root: Path, place: str) -> None:
        self.root, self.log = root, folder.parent / f"given-{time.monotonic_ns()}"
        self.began = time.monotonic()
        more = {"GRADING_PLACE": place, "GRADING_LOG": str(self.log)}
        self.process = runs.command(BUNDLE, folder, root, "--workers", str(WORKERS), "--no-pages", **more)
        self.family: dict[int, str] = {}

    def kill_at(self, results: int, later: float, whole_group: bool) -> None:
        """When so many results are finished, and a little later."""
        while len(runs.finished(self.root)) < results and self.process.poll() is None:
            time.sleep(0.02)
        time.sleep(later)
        self.family = _below(self.process.pid)
        assert self.process.poll() is None, self.process.communicate()[0]
        (os.killpg if whole_group else os.kill)(self.process.pid, signal.SIGKILL)
        self.seconds = time.monotonic() - self.began
        assert self.process.wait() == -signal.SIGKILL

    def given(self) -> list[str]:
        """The students whose submissions went to a worker."""
        names = self.log.read_text().splitlines() if self.log.exists() else []
        return [name for name in names if name in runs.deserved(CLASS)]

    def left_alive(self) -> list[str]:
        """Processes of the killed command that are still there after a while."""
        deadline = time.monotonic() + 30
        while (left := [pid for pid in self.family if _alive(pid)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [self.family[pid] for pid in left]


def _below(pid: int) -> dict[int, str]:
    """Every process below one, with its command line."""
    found = {}
    with contextlib.suppress(OSError):  # it ended meanwhile
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found |= _below(int(child))
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


# --- at every write


def _canned(name: str, data: bytes, *_: Any, more: float = 0.0) -> Outcome:
    """A result without grading: these tests are about where results go."""
    points = 2.0 if data.startswith(b"{") else float(data) + more  # the course's own answers are tried first
    return Outcome(name, GRADED, {runs.CHECK: points, runs.HIDDEN: 1.0}, notebook=_notebook(name))


def _notebook(name: str) -> str:
    return f'{{"cells": [], "of": "{name}"}}'


def _small_class(folder: Path) -> Path:
    for i in range(6):
        runs.hand_in(folder, f"s{i}", f"{i / 4}".encode())
    return folder


WANTED = {f"s{i}": [i / 4, 1.0] for i in range(6)}


@pytest.fixture
def writes_only(one_exercise: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that do all but grade, in this process, with three transactions for six students."""
    monkeypatch.setattr(batch, "grade", _canned)
    monkeypatch.setattr(batch, "BATCH", 2)
    runs.work_here(monkeypatch)


def _at(patch: pytest.MonkeyPatch, owner: Any, name: str, then: Callable[[], Any], *, call: int, before: bool) -> None:
    """Let something happen just before or after the n-th call of a function."""
    original, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        now = next(calls) == call
        if now and before:
            then()
        result = original(*args, **kwargs)
        if now and not before:
            then()
        return result

    patch.setattr(owner, name, wrapped)


def _torn(patch: pytest.MonkeyPatch, call: int) -> None:
    """The n-th write to the journal ends in its middle, and so does the process."""
    original, calls = Journal._write, iter(range(1, 1_000_000))

    def write(self: Journal, data: bytes) -> None:
        if next(calls) == call:
            os.write(self._file.fileno(), data[: len(data) // 2])
            os._exit(ENDED)
        original(self, data)

    patch.setattr(Journal, "_write", write)


POINTS: dict[str, tuple[Any, str, int, bool]] = {  # what is called, its name, which call, before it or after
    "before the tables": (gradebook_module.Base.metadata, "create_all", 1, True),
    "tables half made": (gradebook_module.Base.metadata, "create_all", 1, False),
    "before the cells": (SaveCells, "_create_notebook", 1, True),
    "cells half saved": (Gradebook, "update_or_create_grade_cell", 2, False),
    "cells saved": (Writer, "_prepare", 1, False),
    "source half written": (gradebook_module.os, "replace", 1, True),
    "before a notebook": (batch, "save_notebook", 4, True),
    "notebook half written": (gradebook_module.os, "replace", 5, True),
    "after a notebook": (batch, "save_notebook", 4, False),
    "before the journal": (Journal, "finish", 4, True),
    "after the journal": (Journal, "finish", 4, False),
    "before a transaction": (Writer, "write", 2, True),
    "students added": (Writer, "_add_students", 2, False),
    "grades put": (Writer, "_put_grades", 2, False),
    "before a commit": (Writer, "_put_comments", 2, False),
    "after a transaction": (Writer, "write", 2, False),
    "before it is noted": (Journal, "written", 2, True),
    "after it is noted": (Journal, "written", 2, False),
}


def _in_a_process(work: Callable[[], Any]) -> int:
    """Do it in a copy of this process; its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except Stopped as stopped:
            os.write(2, f"{stopped}\n".encode())
            code = stopped.code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("point", [*POINTS, *(f"line {number} of the journal half written" for number in (1, 2, 3, 9))])
def test_ended_at_a_write_it_goes_on(
    point: str, writes_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends there; the gradebook is sound, the next run finishes, what has a journal line is not graded."""
    root, folder = tmp_path / "course", _small_class(tmp_path / "in")
    with monkeypatch.context() as patch:
        if point in POINTS:
            owner, name, call, before = POINTS[point]
            _at(patch, owner, name, lambda: os._exit(ENDED), call=call, before=before)
        else:
            _torn(patch, int(point.split()[1]))
        assert _in_a_process(lambda: grade_all(runs.order(folder, root))) == ENDED
    done = runs.finished(root)
    tally = grade_all(runs.order(folder, root))
    assert (tally.graded, tally.skipped) == (6 - len(done), len(done))
    _all_is_well(root, folder)


def _all_is_well(root: Path, folder: Path) -> None:
    """Every student once, with her score and her notebook, in a gradebook that is as if nothing had happened."""
    assert sorted(runs.finished(root)) == sorted(WANTED)
    assert runs.scores(runs.grades(root)) == WANTED
    assert (root / "source" / SLUG / f"{SLUG}.ipynb").exists()
    assert runs.notebooks(root) == {name: _notebook(name) for name in WANTED}
    assert [path.name for path in root.rglob("*.new")] == []
    with Writer(database_url(str(root / "gradebook.db")), BUNDLE) as writer:
        assert writer.missing(WANTED) == set()
    with Journal(root / "grading" / f"{SLUG}.jsonl", str(database_url(str(root / "gradebook.db")))) as journal:
        assert journal.unwritten == set()
    assert grade_all(runs.order(folder, root)).skipped == 6


def test_a_regrade_ended_at_a_write_goes_on_and_keeps_what_people_entered(
    writes_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes to other scores than the first time; none of the old ones stays, and all that a person entered does."""
    root, folder = tmp_path / "course", _small_class(tmp_path / "in")
    grade_all(runs.order(folder, root))
    database = f"sqlite:///{root / 'gradebook.db'}"
    runs.enter_by_hand(database, "s3")
    points = ("before a transaction", "students added", "grades put", "before a commit", "after a transaction")
    for more, point in enumerate(points, 1):
        monkeypatch.setattr(batch, "grade", partial(_canned, more=more / 100))
        owner, name, call, before = POINTS[point]
        with monkeypatch.context() as patch:
            _at(patch, owner, name, lambda: os._exit(ENDED), call=call, before=before)
            assert _in_a_process(lambda: grade_all(runs.order(folder, root, regrade=True))) == ENDED
        assert runs.by_hand(database, "s3") == ENTERED
        assert grade_all(runs.order(folder, root)).graded == 2  # four had a line of the journal
        assert runs.scores(runs.grades(root)) == {name: [c + more / 100, h] for name, (c, h) in WANTED.items()}
        assert runs.by_hand(database, "s3") == ENTERED


# --- no space


def _full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


NO_SPACE: dict[str, tuple[Any, str, int]] = {
    "folder of the course": (Path, "mkdir", 1),
    "journal opened": (Path, "open", 1),
    "folder of a notebook": (Path, "mkdir", 8),
    "notebook": (Path, "write_text", 4),
    "notebook renamed": (gradebook_module.os, "replace", 4),
    "journal on the disk": (journal_module.os, "fsync", 4),
}


@pytest.mark.parametrize("place", NO_SPACE)
def test_no_space_is_said_and_costs_nothing(
    place: str, writes_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 and where; with space again the next run goes on."""
    root, folder = tmp_path / "course", _small_class(tmp_path / "in")
    owner, name, call = NO_SPACE[place]
    with monkeypatch.context() as patch:
        _at(patch, owner, name, _full, call=call, before=True)
        with pytest.raises(Stopped, match="No space left on device") as stopped:
            grade_all(runs.order(folder, root))
    assert stopped.value.code == GRADEBOOK
    assert str(root) in str(stopped.value)
    grade_all(runs.order(folder, root))
    _all_is_well(root, folder)


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_a_journal_line_that_does_not_fit_is_taken_back(
    call: int, writes_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it went to the disk, then there was no space: no half line stays."""
    root, folder = tmp_path / "course", _small_class(tmp_path / "in")
    original, calls = Journal._write, iter(range(1, 1_000_000))

    class Full:
        """The journal's file on a full disk."""

        def __init__(self, file: Any) -> None:
            self.file = file
            self.name = file.name

        def write(self, data: Any) -> int:
            if len(data) < 20:
                _full()
            return int(self.file.write(data[: len(data) // 2]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def write(self: Journal, data: bytes) -> None:
        if next(calls) == call:
            self._file = Full(self._file)  # type: ignore[assignment]
        original(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_write", write)
        with pytest.raises(Stopped, match="No space left on device"):
            grade_all(runs.order(folder, root))
    assert (root / "grading" / f"{SLUG}.jsonl").read_bytes()[-1:] in (b"\n", b"")
    grade_all(runs.order(folder, root))
    _all_is_well(root, folder)


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The command on a file system of 1.5 MB: exit code 4 with words; with space made, it finishes."""
    if made.NO_SANDBOX:
        pytest.skip("a small file system needs bubblewrap: apt install bubblewrap")
    _small_class(tmp_path / "in")
    program = f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent.parent)!r}]; import test_resume as t"
    program += f"; t.on_a_small_disk({str(tmp_path)!r})"
    (tmp_path / "disk").mkdir()
    small = ["--size", "1500000", "--tmpfs", str(tmp_path / "disk")]
    command = ["bwrap", "--dev-bind", "/", "/", *small, "--", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def on_a_small_disk(place: str) -> None:
    """In a process of its own, since the file system is its own: fill it to different heights, run, make space, run."""
    folder, patch = Path(place) / "in", pytest.MonkeyPatch()
    patch.setattr(batch, "make_bundle", lambda chapter: BUNDLE)
    patch.setattr(batch, "grade", _canned)
    patch.setattr(batch, "BATCH", 2)
    runs.work_here(patch)
    said = set()
    for left in (0, 4, 20, 60, 130, 160, 180, 188, 196, 204, 220, 260):  # kilobytes
        root = Path(place) / "disk" / "course"
        root.mkdir()
        free = shutil.disk_usage(place + "/disk").free
        ballast = Path(place) / "disk" / "ballast"
        ballast.write_bytes(bytes(max(0, free - left * 1024)))
        try:
            grade_all(runs.order(folder, root))
        except Stopped as stopped:
            said.add((stopped.code, str(stopped).replace(str(root), "COURSE").splitlines()[0]))
        ballast.unlink()
        grade_all(runs.order(folder, root))
        _all_is_well(root, folder)
        shutil.rmtree(root)
    print(*sorted(said), sep="\n")
    assert len(said) >= 3, said  # at different writes
    assert {code for code, _ in said} == {GRADEBOOK}
    assert all("space" in line or "disk is full" in line or "disk I/O" in line for _, line in said), said
