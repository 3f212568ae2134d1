"""`course grade`: a class from hand-in to gradebook, on any number of workers, through kills, with words for faults."""

import json
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import made_submissions as made
import nbformat
import pytest
import typer
from made_submissions import SLUG
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from course.grading import batch
from course.grading.batch import Order, grade_all
from course.grading.errors import FAILED, GRADEBOOK, INTERRUPTED, MISUSED, UNSAFE, WORKERS, Stopped
from course.grading.run import grade_command
from course.grading.task import GRADED, NOTED, UNREADABLE, Outcome, grade

BUNDLE = made.small("shapes")
HERE = Path(__file__).parent
app = typer.Typer()
app.command("grade")(grade_command)


class Here(Executor):
    """Runs tasks in this process, and breaks as a pool does whose worker was killed."""

    def __init__(self, breaks: Callable[[str], bool]) -> None:
        self.breaks, self.broken = breaks, False

    def submit(self, fn: Any, /, name: str, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.broken = self.broken or self.breaks(name)
        if self.broken:
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(fn(name, *args, **kwargs))
        return future


def work_here(monkeypatch: pytest.MonkeyPatch, breaks: Callable[[str], bool], ahead: int = 1) -> None:
    @contextmanager
    def workers(count: int) -> Iterator[tuple[Executor, int]]:
        yield Here(breaks), ahead

    monkeypatch.setattr(batch, "_local_workers", workers)


@pytest.fixture
def one_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs grade a notebook of one exercise."""
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: BUNDLE)


@pytest.fixture
def small(one_exercise: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and in this process: starting workers takes seconds."""
    work_here(monkeypatch, lambda name: False)


def hand_in(folder: Path, name: str, data: bytes) -> None:
    path = folder / name / SLUG / f"{SLUG}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def class_of(folder: Path, count: int) -> Path:
    """Right, wrong, untouched and unreadable work in turn."""
    stories = [
        made.handed_in(BUNDLE),
        made.handed_in(BUNDLE, {"shapes": made.mutant("shapes", next(_versions("shapes")))}),
        made.handed_in(BUNDLE, {}),
        b"no notebook",
    ]
    for i in range(count):
        hand_in(folder, f"s{i:02d}", stories[i % 4] + b" " * i)
    return folder


def _versions(name: str) -> Iterator[str]:
    return (m.name for m in made.chapter().mutants if m.exercise.name == name)


def order(folder: Path, root: Path, **more: Any) -> Order:
    return Order(SLUG, folder, root, **({"no_sandbox": made.NO_SANDBOX} | more))


def grades(root: Path, database: str = "gradebook.db") -> dict[str, Any]:
    """Every student's scores by cell."""
    query = """select a.student_id, c.name, g.auto_score, g.manual_score, g.needs_manual_grade from grade g
               join base_cell c on g.cell_id = c.id join submitted_notebook n on g.notebook_id = n.id
               join submitted_assignment a on n.assignment_id = a.id"""
    with closing(sqlite3.connect(root / database)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        found: dict[str, Any] = {}
        for student, cell, *values in connection.execute(query):
            assert cell not in found.setdefault(student, {}), "two grades of one cell"
            found[student][cell] = values
    return found


def notebooks(root: Path) -> dict[str, str]:
    return {path.parent.parent.name: path.read_text() for path in root.glob(f"autograded/*/{SLUG}/{SLUG}.ipynb")}


# --- a class


def test_a_class_of_every_kind_of_work(small: None, tmp_path: Path) -> None:
    """Every submission has its result in the gradebook, its notebook, its line in the journal; none twice."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 8)
    (folder / "empty" / SLUG).mkdir(parents=True)
    heard: list[Outcome | None] = []
    tally = grade_all(order(folder, root), lambda total, outcome: heard.append(outcome))
    assert tally.statuses == {GRADED: 6, UNREADABLE: 3}
    assert (tally.failures, tally.skipped, len(heard)) == ([], 0, 9)
    found = grades(root)
    scores = {student: sum(auto for auto, _, _ in cells.values()) for student, cells in found.items()}
    zeros = ("s01", "s02", "s03", "s05", "s06", "s07", "empty")
    assert scores == {"s00": 3.0, "s04": 3.0, **dict.fromkeys(zeros, 0.0)}
    assert set(notebooks(root)) == set(found)
    assert "cannot be read" in notebooks(root)["s03"]


def test_what_is_graded_is_not_graded_again(small: None, tmp_path: Path) -> None:
    """Unless it was handed in anew, its notebook is gone, or somebody asks."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    assert grade_all(order(folder, root)).graded == 0
    (folder / "s02" / SLUG / f"{SLUG}.ipynb").write_bytes(made.handed_in(BUNDLE))
    (root / "autograded" / "s00" / SLUG / f"{SLUG}.ipynb").unlink()
    assert grade_all(order(folder, root)).graded == 2
    assert sum(auto for auto, _, _ in grades(root)["s02"].values()) == 3.0
    assert grade_all(order(folder, root, failed=True)).statuses == {UNREADABLE: 1}
    assert grade_all(order(folder, root, regrade=True, only=("s00", "s03"))).statuses == {GRADED: 1, UNREADABLE: 1}
    assert grade_all(order(folder, root)).skipped == 4


def test_another_gradebook_gets_the_same_results(small: None, tmp_path: Path) -> None:
    """From the journal, without grading; so does one that was lost."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    grade_all(order(folder, root))
    assert grade_all(order(folder, root, database=str(root / "other.db"))).graded == 0
    assert grades(root, "other.db") == grades(root)
    before = grades(root)
    (root / "gradebook.db").unlink()
    assert grade_all(order(folder, root)).graded == 0
    assert grades(root) == before


def test_manual_scores_survive_a_regrade(small: None, tmp_path: Path) -> None:
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 1)
    grade_all(order(folder, root))
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "rnn-course") as gradebook:
        gradebook.find_grade(f"{SLUG}--shapes--check", SLUG, SLUG, "s00").manual_score = 1.5
        gradebook.db.commit()
    grade_all(order(folder, root, regrade=True))
    assert grades(root)["s00"][f"{SLUG}--shapes--check"] == [2.0, 1.5, 1]


def test_notes_about_handing_in_are_in_the_notebook(small: None, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "ann" / SLUG
    folder.mkdir(parents=True)
    (folder / "mine.ipynb").write_bytes(made.handed_in(BUNDLE))
    assert grade_all(order(tmp_path / "in", tmp_path)).statuses == {NOTED: 1}
    assert f"not called {SLUG}.ipynb" in notebooks(tmp_path)["ann"]


def test_any_number_of_workers_gives_the_same(one_exercise: None, tmp_path: Path) -> None:
    """The same scores and the same notebooks."""
    folder = class_of(tmp_path / "in", 8)
    for workers in (1, 2):
        grade_all(order(folder, tmp_path / f"{workers}", workers=workers))
    assert grades(tmp_path / "1") == grades(tmp_path / "2")
    assert notebooks(tmp_path / "1") == notebooks(tmp_path / "2")


# --- against stock nbgrader


def test_honest_work_gets_what_stock_nbgrader_gives(tmp_path: Path) -> None:
    """The whole of chapter 03: right, half, wrong, a syntax error, an exception, an added helper; cell by cell."""
    from course.build import released

    root = tmp_path / "stock"
    released(made.chapter(), root)
    bundle, right = made.whole(), made.right()

    def helped(notebook: Any) -> None:
        notebook.cells.insert(2, made.code("def helper():\n    return 1"))

    stories: dict[str, bytes] = {
        "right": made.handed_in(bundle, change=helped),
        "half": made.handed_in(bundle, dict(list(right.items())[:5])),
        "wrong": made.handed_in(bundle, right | {"softmax": made.mutant("softmax", "no-shift")}),
        "syntax": made.handed_in(bundle, right | {"shapes": "def shapes("}),
        "raises": made.handed_in(bundle, right | {"elman_step": _raising("elman_step")}),
    }
    for name, data in stories.items():
        hand_in(root / "submitted", name, data)
    command = [sys.executable, "-m", "nbgrader", "autograde", SLUG, f"--CourseDirectory.root={root}"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=HERE.parent.parent, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    grade_all(order(root / "submitted", tmp_path / "ours", workers=2))
    ours = grades(tmp_path / "ours")
    assert ours == grades(root)
    totals = {student: sum(auto for auto, _, _ in cells.values()) for student, cells in ours.items()}
    assert totals == {"right": 44.0, "half": 24.0, "wrong": 40.0, "syntax": 41.0, "raises": 38.0}


def _raising(name: str) -> str:
    header, _ = made.chapter().header_and_body(made.chapter().exercise(name))
    return "\n".join([*header, "    return 1 / 0"])


# --- kills


def script(folder: Path, root: Path, workers: int = 2) -> "subprocess.Popen[str]":
    bundle = folder.parent / "bundle"  # made once: files of the course that change meanwhile would change it
    bundle.write_bytes(pickle.dumps(BUNDLE))
    command = [sys.executable, str(HERE / "grading_script.py"), str(bundle), str(folder), str(root), str(workers)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def results_in(root: Path) -> list[str]:
    """The students of the journal's results, in order."""
    path = root / "grading" / f"{SLUG}.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith(b"}")]
    return [entry["result"]["name"] for entry in entries if "result" in entry]


def test_killed_at_any_moment_it_goes_on_and_grades_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL at six random moments of a class of 20, then to the end: all there, once, and a sound gradebook."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 20)
    rng = random.Random(4)
    kills = 0
    while kills < 6:
        process = script(folder, root)
        target = len(results_in(root)) + rng.randrange(4)  # kill when this many results are there, and a little later
        deadline = time.monotonic() + 120
        while len(results_in(root)) < min(target, 20) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
    before = results_in(root)
    process = script(folder, root)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    assert kills >= 3
    assert said.split() == [str(20 - len(before)), str(len(before))]
    assert sorted(results_in(root)) == sorted(set(results_in(root))) == [f"s{i:02d}" for i in range(20)]
    found = grades(root)
    assert set(found) == set(notebooks(root)) == set(results_in(root))
    assert [sum(auto for auto, _, _ in found[f"s{i:02d}"].values()) for i in range(20)] == [3.0, 0.0, 0.0, 0.0] * 5


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """After a SIGKILL of the command nothing of it is running any more."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 12)
    process = script(folder, root)
    deadline = time.monotonic() + 120
    while len(results_in(root)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    group = _children(process.pid)
    assert group
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(_alive, group)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in group if _alive(pid)]


def _children(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_children(int(child))]
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_interrupted_it_keeps_what_it_has(one_exercise: None, tmp_path: Path) -> None:
    """Ctrl-C in the middle: results so far are in the gradebook, the exit code says interrupted."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 6)
    heard: list[Outcome | None] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        heard.append(outcome)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="goes on from here") as stopped:
        grade_all(order(folder, root), tell)
    assert stopped.value.code == INTERRUPTED
    assert len(grades(root)) == 2
    assert grade_all(order(folder, root)).graded == 4


# --- lost workers


def test_who_ends_the_worker_is_found_and_the_others_are_graded(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One submission kills its worker each time, one only the first time."""
    once = {"s01"}

    def breaks(name: str) -> bool:
        if name in once:
            once.discard(name)
            return True
        return name == "s04"

    work_here(monkeypatch, breaks, 3)
    root, folder = tmp_path / "course", tmp_path / "in"
    for i in range(8):
        hand_in(folder, f"s{i:02d}", made.handed_in(BUNDLE))
    tally = grade_all(order(folder, root))
    assert tally.statuses == {GRADED: 7, UNREADABLE: 1}
    assert [name for name, _ in tally.failures] == ["s04"]
    assert {name: sum(auto or 0 for auto, _, _ in cells.values()) for name, cells in grades(root).items()} == {
        f"s{i:02d}": 0.0 if i == 4 else 3.0 for i in range(8)
    }
    assert grades(root)["s04"][f"{SLUG}--shapes--check"] == [None, None, 1]
    assert grade_all(order(folder, root)).graded == 1  # it is tried again


def test_a_real_worker_that_is_killed_is_replaced(one_exercise: None, tmp_path: Path) -> None:
    """A process of the pool gets SIGKILL in the middle; the class is graded all the same."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 8)
    killed: list[int] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        if not killed and outcome is not None and outcome.status == GRADED:
            killed.append(max(child.pid or 0 for child in batch.active_children()))
            os.kill(killed[0], signal.SIGKILL)

    tally = grade_all(order(folder, root), tell)
    assert killed
    assert tally.statuses == {GRADED: 6, UNREADABLE: 2}
    assert tally.failures == []


# --- Dask


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A scheduler and two workers, as somebody would start them on a cluster."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    dask = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    started = subprocess.Popen(dask, stderr=subprocess.PIPE, text=True, env=environment)
    assert started.stderr is not None
    address = next(line.split("Scheduler at:")[1].strip() for line in started.stderr if "Scheduler at:" in line)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    workers = [
        subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        for _ in range(2)
    ]
    yield address
    for process in (*workers, started):
        process.terminate()
        process.wait(30)


def test_on_dask_scores_are_the_same(one_exercise: None, cluster: str, tmp_path: Path) -> None:
    folder = class_of(tmp_path / "in", 8)
    tally = grade_all(order(folder, tmp_path / "dask", scheduler=cluster))
    assert tally.statuses == {GRADED: 6, UNREADABLE: 2}
    grade_all(order(folder, tmp_path / "here"))
    assert grades(tmp_path / "dask") == grades(tmp_path / "here")
    assert notebooks(tmp_path / "dask") == notebooks(tmp_path / "here")


def test_no_scheduler_is_said(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SCHEDULER_SECONDS", 2)
    with pytest.raises(Stopped, match="no Dask scheduler answers") as stopped:
        grade_all(order(class_of(tmp_path / "in", 1), tmp_path, scheduler="tcp://127.0.0.1:1"))
    assert stopped.value.code == WORKERS


# --- the command


def run(*arguments: str) -> tuple[int, str]:
    more = ["--no-sandbox"] if made.NO_SANDBOX else []
    result = CliRunner().invoke(app, [*arguments, *more], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split())


def test_the_command_says_what_became_of_the_class(small: None, tmp_path: Path) -> None:
    folder = class_of(tmp_path / "in", 4)
    arguments = (SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"), "--workers", "1")
    code, said = run(*arguments)
    assert code == 0
    assert said.startswith("3 graded, 1 unreadable. ")
    code, said = run(*arguments)
    assert code == 0
    assert said.startswith("nothing new; 4 had their result before.")


@pytest.mark.parametrize(
    ("slug", "make", "more", "code", "said"),
    [
        ("99-nothing", "class", [], MISUSED, f"no assignment '99-nothing'; there are: {SLUG}"),
        (SLUG, "missing", [], MISUSED, "does not exist"),
        (SLUG, "empty", [], MISUSED, f"no submission of {SLUG}"),
        (SLUG, "class", ["--only", "nobody"], MISUSED, "no submission of nobody"),
        (SLUG, "class", ["--db", "what://ever"], MISUSED, "is not a database"),
        (SLUG, "class", ["--db", "/dev/null/g.db"], GRADEBOOK, "/dev/null cannot be made"),
        (SLUG, "class", ["--workers", "0"], MISUSED, "workers"),
    ],
)
def test_faults_are_said_in_words(
    small: None, tmp_path: Path, slug: str, make: str, more: list[str], code: int, said: str
) -> None:
    """With the exit code that `course grade --help` names, and never a traceback."""
    folder = tmp_path / "in"
    if make == "class":
        class_of(folder, 1)
    elif make == "empty":
        folder.mkdir()
    found = run(slug, "--submitted", str(folder), "--course", str(tmp_path / "course"), *more)
    assert found[0] == code
    assert said in found[1]
    assert "Traceback" not in found[1]


def test_two_notebooks_are_one_students_result(small: None, tmp_path: Path) -> None:
    """The others are graded, and the command ends well."""
    folder = class_of(tmp_path / "in", 1)
    for name in ("a", "b"):
        path = folder / "zoe" / SLUG / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    code, said = run(SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"), "--workers", "1")
    assert code == 0
    assert said.startswith("1 graded, 1 unreadable.")
    assert "2 notebooks were handed in (a.ipynb, b.ipynb)" in notebooks(tmp_path / "course")["zoe"]


def test_without_a_sandbox_it_says_so(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to go on at one's own risk; nothing has been run."""
    monkeypatch.setattr(batch.Sandbox, "available", staticmethod(lambda: "bubblewrap is not installed"))
    arguments = [SLUG, "--submitted", str(class_of(tmp_path / "in", 1)), "--course", str(tmp_path / "course")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == UNSAFE
    assert "bubblewrap is not installed" in result.output
    assert "--no-sandbox" in result.output
    assert not (tmp_path / "course").exists()


def test_a_fault_of_the_grader_is_an_exit_code(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student is named, and the next run tries again."""
    work_here(monkeypatch, lambda name: True)
    folder = class_of(tmp_path / "in", 1)
    code, said = run(SLUG, "--submitted", str(folder), "--course", str(tmp_path / "course"))
    assert code == FAILED
    assert "s00: Grading it ended the worker process" in said


def test_a_second_run_at_the_same_time_is_refused(small: None, tmp_path: Path) -> None:
    folder = class_of(tmp_path / "in", 2)
    refused: list[int] = []

    def tell(total: int, outcome: Outcome | None) -> None:
        with pytest.raises(Stopped, match="at work here") as stopped:
            grade_all(order(folder, tmp_path / "course"))
        refused.append(stopped.value.code)

    grade_all(order(folder, tmp_path / "course"), tell)
    assert refused == [GRADEBOOK, GRADEBOOK]


def test_a_task_travels_to_any_executor() -> None:
    """A pure function of plain data: nothing but arguments and result."""
    outcome = grade("ann", made.handed_in(BUNDLE), BUNDLE, made.NO_SANDBOX)
    assert nbformat.reads(outcome.notebook, as_version=4).cells
    assert outcome.score == 3.0
