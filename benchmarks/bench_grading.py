"""`course grade` beside `nbgrader autograde` on the same submissions, and a long run with the memory it needs.

Run it with `python -m benchmarks.bench_grading`; benchmarks/README.md says how to read the result. Linux only.
"""

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from rich.console import Console

from course.grading import batch
from course.grading.bundle import Bundle, find_chapter, make_bundle
from course.grading.confine import reap_orphans
from course.sources import ROOT, Chapter

RESULT = ROOT / "book" / "instructors" / "_data" / "throughput.json"
COUNT, MANY, EARLY = 60, 2000, 200
WORKERS = 2
CELL_SECONDS = 60  # what stock nbgrader waits for a cell
SAMPLE_SECONDS = 0.2
NUMPY = "03-definition"  # without its tests that import torch, and without experiments
TRAINS = "04-elman"  # as it is: a training gate, tests against torch, experiments
SMALL = ("shapes",)

console = Console(highlight=False)


# --- submissions


@dataclass(frozen=True)
class Assignment:
    """A bundle, and the notebook that learners start from."""

    chapter: Chapter
    bundle: Bundle

    @property
    def slug(self) -> str:
        return self.bundle.slug

    @property
    def names(self) -> list[str]:
        return [exercise.name for exercise in self.bundle.exercises]

    def hand_in(self, folder: Path, student: str, data: bytes) -> None:
        path = folder / student / self.slug / f"{self.slug}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    def submission(self, answers: dict[str, str]) -> bytes:
        """The notebook with these answers in it; its tests are as learners have them, or nearly."""
        notebook = self.bundle.notebook()
        for cell in notebook.cells:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            for exercise in self.bundle.exercises:
                if grade_id == exercise.token and exercise.name in answers:
                    magic = [f"%%implement {exercise.implements}"] if exercise.implements else []
                    cell.source = "\n".join([*magic, answers[exercise.name]])
            cell.source = self.bundle.released.get(grade_id, cell.source)
        return nbformat.writes(notebook).encode()


def whole(slug: str) -> Assignment:
    chapter = find_chapter(slug)
    return Assignment(chapter, make_bundle(chapter))


def part(slug: str, keep: Callable[[NotebookNode], bool], names: tuple[str, ...] = ()) -> Assignment:
    """An assignment with some cells, and some exercises (all, unless named), only."""
    assignment = whole(slug)
    bundle, notebook = assignment.bundle, assignment.bundle.notebook()
    exercises = tuple(e for e in bundle.exercises if not names or e.name in names)
    tokens = ("--setup", *(e.token for e in exercises), *(f"{e.token}--{kind}" for e in exercises for kind in e.points))
    notebook.cells = [cell for cell in notebook.cells if keep(cell) and _grade_id(cell).endswith(tokens)]
    left = {_grade_id(cell) for cell in notebook.cells}
    released = {grade_id: source for grade_id, source in bundle.released.items() if grade_id in left}
    made = replace(bundle, skeleton=json.dumps(notebook), released=released, exercises=exercises)
    return replace(assignment, bundle=made)


def _grade_id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def stories(assignment: Assignment) -> Iterator[bytes]:
    """Of every ten: four right, three with a known mistake, one half done, one that fails, one that is no notebook."""
    chapter, names = assignment.chapter, assignment.names
    right = {exercise.name: chapter.answer(exercise) for exercise in assignment.bundle.exercises}
    by_name = [[m for m in chapter.mutants if m.exercise.name == name] for name in names]
    mistakes = cycle([m for row in zip(*by_name, strict=False) for m in row])  # of each exercise in turn
    broken = cycle([("a syntax error", "return {"), ("an exception", "return 1 / 0")])
    targets = cycle(names)
    for i in range(sys.maxsize):
        answers = dict(right)
        match i % 10:
            case 4 | 5 | 6:
                mistake = next(mistakes)
                answers[mistake.exercise.name] = mistake.source
            case 7:
                answers = dict(list(right.items())[: len(names) // 2])
            case 8:
                name, (_, body) = next(targets), next(broken)
                header, _ = chapter.header_and_body(chapter.exercise(name))
                answers[name] = "\n".join([*header, f"    {body}"])
            case 9:
                yield assignment.submission(right)[:-200]  # an upload that was cut
                continue
        yield assignment.submission(answers)


# --- processes


@dataclass
class Run:
    """What one command took."""

    seconds: float = 0.0
    processor: float = 0.0  # seconds, of all its processes but those in sandboxes
    others: float = 0.0  # the share of the processors that other programs had meanwhile
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)  # MB at most, by kind of process
    curve: dict[int, float] = field(default_factory=dict)  # MB of the parent, by finished submissions
    writing: float = 0.0  # processor seconds of the parent
    scores: dict[str, float] = field(default_factory=dict)


def measured(command: list[str], log: Path, journal: Path | None = None) -> Run:
    """Run a command, in a process group of its own, and watch what it takes; orphans of it are waited for."""
    run, before = Run(), _processor_of_children()
    busy, idle = _machine()
    began = time.monotonic()
    with log.open("a") as file:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader looks for alembic
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PATH": path}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        watch = _Watch(process.pid, journal, run)
        watch.start()
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    run.seconds = time.monotonic() - began
    watch.stop()
    while _children(os.getpid()):
        os.wait()
    run.processor = _processor_of_children() - before
    busy, idle = (now - then for now, then in zip(_machine(), (busy, idle), strict=True))
    run.outcomes = _outcomes(journal)
    inside = sum(_inside(outcome) for outcome in run.outcomes)
    run.others = max(0.0, busy - run.processor - inside) / (busy + idle)
    if process.returncode not in (0, 1):  # 1: some submission could not be graded
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}; {log} says why")
    return run


def _inside(outcome: dict[str, Any]) -> float:
    """Processor seconds of a submission's kernels and their wardens, which nobody outside waits for."""
    return sum(outcome["used"].get(what, 0.0) for what in ("start", "cells", "warden"))


def _processor_of_children() -> float:
    return sum(os.times()[2:4])


def _machine() -> tuple[float, float]:
    """Busy and idle seconds of all processors since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - idle) / ticks, idle / ticks


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except OSError:
        return []


def _outcomes(journal: Path | None) -> list[dict[str, Any]]:
    if journal is None or not journal.exists():
        return []
    entries = map(json.loads, journal.read_text().splitlines())
    return [entry["result"] for entry in entries if "result" in entry]


class _Watch(threading.Thread):
    """Looks a few times a second at the memory of a command's lasting processes."""

    def __init__(self, pid: int, journal: Path | None, run: Run) -> None:
        super().__init__(daemon=True)
        self._pid, self._journal, self._run = pid, journal, run
        self._end, self._now = threading.Event(), 0.0

    def stop(self) -> None:
        self._end.set()
        self.join()

    def run(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            try:
                self._look(self._pid, "parent")
                self._progress()
            except OSError:  # it ended meanwhile
                continue

    def _look(self, pid: int, kind: str) -> None:
        peak, now = _memory(pid)
        self._run.memory[kind] = max(peak, self._run.memory.get(kind, 0.0))
        if kind == "parent":
            self._now = now or self._now  # a process that is ending has no memory any more
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            self._run.writing = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if kind != "zygote":  # below it are kernels: their wardens count
            for child in _children(pid):
                if found := _kind(child, kind):
                    self._look(child, found)

    def _progress(self) -> None:
        if self._journal is not None and self._journal.exists():
            done = self._journal.read_bytes().count(b'"result": ')
            self._run.curve[done] = self._now


def _kind(pid: int, above: str) -> str:
    """What a process of `course grade` is, by its command line."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    if "course.grading.zygote" in command:
        return "bubblewrap" if Path(command[0]).name in ("bwrap", "setpriv") else "zygote"
    if any("multiprocessing.forkserver" in word for word in command):
        return "worker" if above in ("server", "worker") else "server"
    return ""


def _memory(pid: int) -> tuple[float, float]:
    """MB at most and now, shared pages among them."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    peak, now = (int(lines.get(name, "0 kB").split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
    return peak, now


# --- the two graders


def grade_ours(assignment: Assignment, submitted: Path, root: Path) -> Run:
    """`course grade`, from its start to its end, without pages: stock nbgrader makes them with another command."""
    root.mkdir(parents=True)
    (root / "bundle").write_bytes(pickle.dumps(assignment.bundle))
    command = [sys.executable, "-m", "benchmarks.bench_grading", "--bundle", str(root / "bundle"), "--", "grade"]
    command += [assignment.slug, "--submitted", str(submitted), "--course", str(root), "--no-pages"]
    command += ["--workers", str(WORKERS)]
    run = measured(command, root / "log", root / "grading" / f"{assignment.slug}.jsonl")
    run.scores = {outcome["name"]: sum(s or 0.0 for s in outcome["scores"].values()) for outcome in run.outcomes}
    return run


def grade_stock(assignment: Assignment, root: Path, students: list[str]) -> Run:
    """`nbgrader autograde` of these students, one command."""
    command = [sys.executable, "-m", "nbgrader", "autograde", assignment.slug, f"--CourseDirectory.root={root}"]
    command += [
        f"--Execute.timeout={CELL_SECONDS}",
        f"--CourseDirectory.student_id_exclude={','.join(_others(root, students))}",
    ]
    run = measured(command, root / "log")
    run.scores = _stock_scores(assignment, root, students)
    return run


def _others(root: Path, students: list[str]) -> list[str]:
    return [path.name for path in sorted((root / "submitted").iterdir()) if path.name not in students]


def _stock_scores(assignment: Assignment, root: Path, students: list[str]) -> dict[str, float]:
    """Scores of those whose notebook it could grade."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        graded = [s for s in students if (root / "autograded" / s / assignment.slug).exists()]
        return {s: float(gradebook.find_submission(assignment.slug, s).score) for s in graded}


def prepare_stock(assignment: Assignment, root: Path, submitted: Path) -> None:
    """What an instructor has done before: the source notebook, released, its cells in the gradebook."""
    source = root / "source" / assignment.slug / f"{assignment.slug}.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(assignment.bundle.notebook(), source)
    (root / "submitted").symlink_to(submitted)
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", assignment.slug]
    measured([*command, f"--CourseDirectory.root={root}"], root / "log")


# --- figures


def compare(title: str, assignment: Assignment, count: int, folder: Path) -> dict[str, Any]:
    """Ours, half of stock's, ours again, the other half: what slows the machine for a while slows both."""
    submitted = folder / "submitted"
    students = [f"s{i:04d}" for i in range(count)]
    for student, data in zip(students, islice(stories(assignment), count), strict=True):
        assignment.hand_in(submitted, student, data)
    prepare_stock(assignment, folder / "stock", submitted)
    ours, stock = [], []
    for i in range(2):
        with console.status(f"{title}: course grade, {count} submissions"):
            ours.append(grade_ours(assignment, submitted, folder / f"ours{i}"))
        half = students[i * count // 2 : (i + 1) * count // 2]
        with console.status(f"{title}: nbgrader autograde, {len(half)} submissions"):
            stock.append(grade_stock(assignment, folder / "stock", half))
    return {"title": title, "assignment": assignment.slug, "submissions": count} | _figures(ours, stock, count)


def _figures(ours: list[Run], stock: list[Run], count: int) -> dict[str, Any]:
    rates = {
        "ours_per_second": 2 * count / sum(run.seconds for run in ours),
        "stock_per_second": count / sum(run.seconds for run in stock),
    }
    theirs: dict[str, float] = stock[0].scores | stock[1].scores
    if not theirs:
        raise SystemExit("nbgrader graded nothing; its log says why")
    apart = sorted(name for name, score in theirs.items() if abs(score - ours[0].scores[name]) > 1e-9)
    return {
        **{name: round(rate, 3) for name, rate in rates.items()},
        "ratio": round(rates["ours_per_second"] / rates["stock_per_second"], 1),
        "same_scores": not apart,
        "apart": apart,
        "stock_without_a_grade": count - len(theirs),
        "stock_processor_seconds": round(sum(run.processor for run in stock) / count, 3),
        "others_share": {
            "ours": round(max(r.others for r in ours), 2),
            "stock": round(max(r.others for r in stock), 2),
        },
        **account(ours),
    }


def account(runs: list[Run]) -> dict[str, Any]:
    """Where time and memory go: `course grade` from start to end, in processor seconds and in a worker's own time."""
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    used = {what: sum(outcome["used"].get(what, 0.0) for outcome in outcomes) for what in PARTS}
    total = sum(run.processor for run in runs) + sum(map(_inside, outcomes))
    writing = sum(run.writing for run in runs)
    rest = total - sum(used.values()) - writing
    each = {"kernel start": used["start"], "her cells and her functions": used["cells"], "tests": used["tests"]}
    each |= {"passing messages on": used["warden"], "around the cells": used["around"], "the parent": writing}
    count = len(outcomes)
    each["starting up"] = rest
    kernels = max((outcome["used"].get("memory_mb", 0.0) for outcome in outcomes), default=0.0)
    memory = {kind: round(max(run.memory.get(kind, 0.0) for run in runs)) for kind in ("parent", "worker", "zygote")}
    return {
        "processor_seconds_each": {what: round(s / count, 4) for what, s in each.items()},
        "wall_seconds_each": {what: round(s / count, 4) for what, s in _wall(outcomes).items()},
        "processor_seconds": round(total / count, 3),
        "processor_ratio": round(total / (used["cells"] + used["tests"]), 2),
        "memory_mb": memory | {"a submission's kernel": round(kernels)},
    }


PARTS = ("start", "cells", "warden", "tests", "around")


def _wall(outcomes: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds in a worker, by what for."""
    found = {"kernel start": 0.0, "her cells": 0.0, "tests": 0.0}
    for outcome in outcomes:
        for cell, seconds in outcome["seconds"].items():
            kind = "kernel start" if cell == "start" else "tests" if cell in outcome["scores"] else "her cells"
            found[kind] += seconds
    return found


def long_run(count: int, folder: Path) -> dict[str, Any]:
    """Many small submissions: rate, and the parent's memory on the way."""
    assignment = part(NUMPY, _needs_no_torch, SMALL)
    submitted = folder / "submitted"
    for i, data in enumerate(islice(stories(assignment), count)):
        assignment.hand_in(submitted, f"s{i:05d}", data)
    with console.status(f"course grade, {count} small submissions"):
        run = grade_ours(assignment, submitted, folder / "course")
    early = min(run.curve, key=lambda done: abs(done - EARLY))
    return {
        "submissions": len(run.outcomes),
        "per_second": round(len(run.outcomes) / run.seconds, 2),
        "others_share": round(run.others, 2),
        "parent_mb": {str(early): round(run.curve[early], 1), str(max(run.curve)): round(run.curve[max(run.curve)], 1)},
        **account([run]),
    }


def _needs_no_torch(cell: NotebookNode) -> bool:
    return "torch" not in cell.source and "experiment" not in cell.metadata.get("tags", [])


# --- what is shown


def show(found: dict[str, Any]) -> None:
    for row in found["comparisons"]:
        console.print(f"[bold]{row['title']}[/bold]: {row['submissions']} submissions, {found['workers']} workers")
        console.print(f"  course grade        {row['ours_per_second']:8.2f} a second")
        lost = f"{row['stock_without_a_grade']} without a grade"
        console.print(f"  nbgrader autograde  {row['stock_per_second']:8.2f} a second, {lost}")
        console.print(f"  ratio               {row['ratio']:8.1f}")
        ours, stock = row["processor_seconds"], row["stock_processor_seconds"]
        console.print(f"  processor seconds of a notebook: {ours:.2f} and {stock:.2f}, ratio {stock / ours:.1f}")
        console.print(f"  scores where both give one: {'the same' if row['same_scores'] else row['apart']}")
        ours, stock = row["others_share"].values()
        console.print(f"  other programs had {ours:.0%} of the processors during ours, {stock:.0%} during stock's")
        _show_account(row)
    if many := found.get("many"):
        console.print(f"[bold]{many['submissions']} small submissions[/bold]: {many['per_second']:.2f} a second")
        told = ", ".join(f"{mb:.0f} MB after {done}" for done, mb in many["parent_mb"].items())
        console.print(f"  the parent's memory: {told}; other programs had {many['others_share']:.0%}")
        _show_account(many)


def _show_account(row: dict[str, Any]) -> None:
    for name in ("processor_seconds_each", "wall_seconds_each"):
        parts = ", ".join(f"{what} {seconds * 1e3:.0f}" for what, seconds in row[name].items())
        console.print(f"  {name.replace('_', ' ').replace('seconds', 'ms')}: {parts}", soft_wrap=True)
    console.print(f"  processor time in all / of her cells and the tests: {row['processor_ratio']:.2f}")
    console.print(f"  memory, MB at most: {', '.join(f'{kind} {mb}' for kind, mb in row['memory_mb'].items())}")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-grading-") as name:
        yield Path(name)


def main(arguments: list[str] | None = None) -> int:
    """Run the comparisons and the long run, print, and write the file if asked to; 1 if scores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help=f"submissions to compare on (default {COUNT})")
    parser.add_argument("--many", type=int, help=f"only the long run, with so many submissions (else {MANY})")
    parser.add_argument("--write", action="store_true", help=f"write the figures to {RESULT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.count < 10 or (options.many or MANY) < 10:
        parser.error("ten submissions have one of each kind: not fewer")
    if options.write and options.many:
        parser.error("--write wants all figures, of one run")
    reap_orphans()  # the process that workers are forked from becomes this one's to wait for
    pairs = [
        (TRAINS, whole(TRAINS)),
        (f"{NUMPY}, NumPy only", part(NUMPY, _needs_no_torch)),
        (f"{NUMPY}, one exercise", part(NUMPY, _needs_no_torch, SMALL)),
    ]
    found: dict[str, Any] = {"benchmark": "grading", "date": datetime.now(UTC).date().isoformat()}
    found |= {"cores": os.cpu_count(), "workers": WORKERS, "machine": platform.machine(), "comparisons": []}
    for title, assignment in [] if options.many else pairs:
        with _folder() as folder:
            found["comparisons"].append(compare(title, assignment, options.count, folder))
    with _folder() as folder:
        found["many"] = long_run(options.many or MANY, folder)
    show(found)
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        console.print(f"Written to {RESULT}", soft_wrap=True)
    return 0 if all(row["same_scores"] for row in found["comparisons"]) else 1


def run_command(bundle: Path, arguments: list[str]) -> None:
    """The `course` command with a bundle from a file in the place of the chapter's own."""
    from course.cli import app

    found = pickle.loads(bundle.read_bytes())
    batch.make_bundle = lambda chapter, limits=None: found
    app(arguments, prog_name="course")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bundle"]:
        run_command(Path(sys.argv[2]), sys.argv[4:])
    else:
        raise SystemExit(main())
