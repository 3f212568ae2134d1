"""The same class gets the same scores on 1, 2 and 8 workers, on a Dask cluster, and from stock nbgrader."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_runs as runs
import made_submissions as made
import pytest
from dask_cluster import Cluster, cluster
from made_submissions import SLUG

from course.build import released
from course.grading import batch
from course.grading.batch import grade_all
from course.grading.errors import WORKERS, Stopped
from course.grading.task import GRADED, NOTED, UNREADABLE, Outcome

ROOT = runs.HERE.parent.parent
HONEST = ("right", "half", "untouched", "no-shift", "syntax", "raises", "muddled")
TOTALS = {
    "right": 44.0,
    "half": 24.0,
    "untouched": 0.0,
    "no-shift": 40.0,
    "syntax": 41.0,
    "raises": 38.0,
    "muddled": 31.0,
    "renamed": 44.0,
    "unreadable": 0.0,
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a class of chapter 03 hands in, right, half, wrong in known ways, broken; as nbgrader lays it out."""
    bundle, right = made.whole(), made.right()

    def helped(notebook: Any) -> None:
        notebook.cells.insert(2, made.code("def helper():\n    return 1"))

    folder = tmp_path_factory.mktemp("mixed") / "submitted"
    stories = {
        "right": made.handed_in(bundle, change=helped),
        "half": made.handed_in(bundle, dict(list(right.items())[:5])),
        "untouched": made.handed_in(bundle, {}),
        "no-shift": made.handed_in(bundle, right | {"softmax": made.mutant("softmax", "no-shift")}),
        "syntax": made.handed_in(bundle, right | {"shapes": "def shapes("}),
        "raises": made.handed_in(bundle, right | {"elman_step": _raising("elman_step")}),
        "muddled": made.handed_in(bundle, right | _first_mistakes("shapes", "softmax", "elman_step")),
        "renamed": made.handed_in(bundle),
        "unreadable": b"this is no notebook",
    }
    for name, data in stories.items():
        runs.hand_in(folder, name, data)
    (folder / "renamed" / SLUG / f"{SLUG}.ipynb").rename(folder / "renamed" / SLUG / "my homework.ipynb")
    return folder


def _raising(name: str) -> str:
    header, _ = made.chapter().header_and_body(made.chapter().exercise(name))
    return "\n".join([*header, "    return 1 / 0"])


def _first_mistakes(*names: str) -> dict[str, str]:
    return {name: next(m.source for m in made.chapter().mutants if m.exercise.name == name) for name in names}


@pytest.fixture(scope="module")
def dask() -> Iterator[Cluster]:
    with cluster(2) as found:
        yield found


@pytest.fixture(scope="module")
def on_one_worker(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course folder that all others are held against."""
    root = tmp_path_factory.mktemp("one")
    tally = grade_all(runs.order(mixed, root, workers=1))
    assert tally.statuses == {GRADED: 7, NOTED: 1, UNREADABLE: 1}
    return root


def test_everybody_gets_what_she_deserves(on_one_worker: Path) -> None:
    found = runs.grades(on_one_worker)
    assert {student: sum(auto for auto, _, _ in cells.values()) for student, cells in found.items()} == TOTALS
    assert {len(cells) for cells in found.values()} == {len(made.whole().points)}


@pytest.mark.parametrize("workers", [2, 8])
def test_any_number_of_workers_gives_the_same(workers: int, mixed: Path, on_one_worker: Path, tmp_path: Path) -> None:
    """Every cell of every student, and every notebook to the last character."""
    grade_all(runs.order(mixed, tmp_path, workers=workers))
    assert runs.grades(tmp_path) == runs.grades(on_one_worker)
    assert runs.notebooks(tmp_path) == runs.notebooks(on_one_worker)


def test_a_cluster_gives_the_same(mixed: Path, on_one_worker: Path, dask: Cluster, tmp_path: Path) -> None:
    """Two workers of a real scheduler."""
    grade_all(runs.order(mixed, tmp_path, scheduler=dask.address))
    assert runs.grades(tmp_path) == runs.grades(on_one_worker)
    assert runs.notebooks(tmp_path) == runs.notebooks(on_one_worker)


def test_stock_nbgrader_gives_honest_work_the_same(mixed: Path, on_one_worker: Path, tmp_path: Path) -> None:
    """Cell by cell, of the notebooks that it can read and find."""
    released(made.chapter(), tmp_path)
    for name in HONEST:
        shutil.copytree(mixed / name, tmp_path / "submitted" / name)
    command = [sys.executable, "-m", "nbgrader", "autograde", SLUG, f"--CourseDirectory.root={tmp_path}"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert runs.grades(tmp_path) == {name: runs.grades(on_one_worker)[name] for name in HONEST}


# --- clusters that change


def when(finished: int, act: Callable[[], Any]) -> Callable[[int, Outcome | None], None]:
    """Do something when so many submissions are graded."""
    heard = iter(range(1, 1_000_000))

    def tell(total: int, outcome: Outcome | None) -> None:
        if next(heard) == finished:
            act()

    return tell


def test_a_worker_that_dies_costs_nothing(one_exercise: None, tmp_path: Path) -> None:
    """One of two, with what watches over it, in the middle: the other one does its work."""
    folder = runs.class_of(tmp_path / "in", 16)
    with cluster(2) as mine:

        def kill_one() -> None:
            one = mine.workers.pop()
            os.killpg(one.pid, 9)
            one.wait()

        tally = grade_all(runs.order(folder, tmp_path / "course", scheduler=mine.address), when(4, kill_one))
        assert len(mine.workers) == 1
    assert tally.failures == []
    assert runs.scores(runs.grades(tmp_path / "course")) == runs.deserved(16)
    assert sorted(runs.finished(tmp_path / "course")) == sorted(runs.deserved(16))


def test_when_all_workers_are_gone_it_stops_and_goes_on_later(
    one_exercise: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 5 with what to do; with new workers the next run grades the rest."""
    folder, root = runs.class_of(tmp_path / "in", 12), tmp_path / "course"
    with cluster(2) as mine:

        def kill_all() -> None:
            mine.kill_workers()
            monkeypatch.setattr(batch, "SCHEDULER_SECONDS", 3)

        with pytest.raises(Stopped, match=f"no workers.*dask worker {mine.address}") as stopped:
            grade_all(runs.order(folder, root, scheduler=mine.address), when(4, kill_all))
        assert stopped.value.code == WORKERS
        before = runs.finished(root)
        assert 4 <= len(before) < 12
        assert set(runs.grades(root)) == set(before)
        monkeypatch.setattr(batch, "SCHEDULER_SECONDS", 60)
        mine.add(1)
        tally = grade_all(runs.order(folder, root, scheduler=mine.address))
    assert (tally.graded, tally.skipped) == (12 - len(before), len(before))
    assert runs.scores(runs.grades(root)) == runs.deserved(12)


def test_a_scheduler_that_dies_is_said(one_exercise: None, tmp_path: Path) -> None:
    """Exit code 5; what is graded is kept."""
    folder, root = runs.class_of(tmp_path / "in", 12), tmp_path / "course"
    with cluster(1) as mine:
        with pytest.raises(Stopped, match="run the same command: no result is lost") as stopped:
            grade_all(runs.order(folder, root, scheduler=mine.address), when(4, mine.scheduler.kill))
        assert stopped.value.code == WORKERS
        assert mine.scheduler.poll() is not None
    assert grade_all(runs.order(folder, root)).skipped >= 4
    assert runs.scores(runs.grades(root)) == runs.deserved(12)


def test_a_worker_with_another_course_is_refused(one_exercise: None, tmp_path: Path) -> None:
    """One whose code would decide otherwise grades nothing."""
    other = tmp_path / "other"
    for package in ("course", "rnnlib"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "course" / "grading" / "wire.py").open("a") as file:
        file.write("# another version\n")
    folder = runs.class_of(tmp_path / "in", 2)
    with cluster(0) as mine:
        mine.add(1, path=other)
        with pytest.raises(Stopped, match=r"a worker has another version of the course.*install") as stopped:
            grade_all(runs.order(folder, tmp_path / "course", scheduler=mine.address))
    assert stopped.value.code == WORKERS
    assert runs.finished(tmp_path / "course") == []


def test_workers_of_several_threads_are_refused(one_exercise: None, tmp_path: Path) -> None:
    """The sandbox belongs to a process that grades one submission at a time."""
    folder = runs.class_of(tmp_path / "in", 1)
    with cluster(0) as mine:
        mine.add(1, threads=2)
        with pytest.raises(Stopped, match=f"dask worker {mine.address} --nworkers 2 --nthreads 1") as stopped:
            grade_all(runs.order(folder, tmp_path / "course", scheduler=mine.address))
    assert stopped.value.code == WORKERS


def test_a_run_over_a_cluster_leaves_nothing_on_it(one_exercise: None, dask: Cluster, tmp_path: Path) -> None:
    """No task and no data stay behind on the scheduler, so one cluster serves many runs."""
    from distributed import Client

    grade_all(runs.order(runs.class_of(tmp_path / "in", 4), tmp_path / "course", scheduler=dask.address))
    with Client(dask.address, set_as_default=False) as client:

        def tasks() -> int:
            return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

        end = time.monotonic() + 20
        while tasks() and time.monotonic() < end:
            time.sleep(0.1)
        assert tasks() == 0
