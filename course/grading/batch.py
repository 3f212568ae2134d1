"""Grade many submissions: tasks to an executor, results to disk, journal and gradebook, in this order.

Only this process writes. At most a few submissions for each worker are in memory at a time, so a class of
fifty thousand needs no more of it than one of fifty. Killed at any moment, the next run takes up where it stopped.
"""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING

from course.grading.bundle import Bundle, find_chapter, make_bundle, own_submission
from course.grading.collect import Submission, collect
from course.grading.errors import INTERRUPTED, MISUSED, TESTS, UNSAFE, WORKERS, Stopped
from course.grading.gradebook import Result, Writer, database_url, save_notebook, save_source
from course.grading.journal import Journal, fingerprint
from course.grading.rebuild import Unreadable
from course.grading.sandbox import Sandbox
from course.grading.task import UNREADABLE, Outcome, grade, grade_elsewhere, unreadable
from course.grading.workers import prepare_workers, start_worker

if TYPE_CHECKING:
    from distributed import Client

OWN = "the course's own answers"  # who hands in what the tests are tried on
AHEAD = 3  # submissions in memory for each worker
BATCH, BATCH_SECONDS = 100, 3.0  # a transaction after so many results, or so much time
SCHEDULER_SECONDS = 30
LOOK_SECONDS = 2.0  # without a result, before somebody looks whether there are workers
_LOOK = "Look at the scheduler and its workers, then run the same command: no result is lost."

__all__ = ["Order", "Tally", "grade_all"]


@dataclass(frozen=True)
class Order:
    """What is to be graded, with what, and where results go."""

    slug: str
    submitted: Path  # folder or zip
    root: Path  # nbgrader's course folder: autograded/, gradebook.db
    database: str | None = None  # URL or path; None: gradebook.db in the course folder
    only: tuple[str, ...] = ()  # students; none: all
    regrade: bool = False  # also what is graded already
    failed: bool = False  # also what ended in trouble
    workers: int = 1
    scheduler: str | None = None  # Dask's
    no_sandbox: bool = False


@dataclass
class Tally:
    """What became of the submissions."""

    skipped: int = 0  # graded before
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)  # student, reason: of those without a final result
    strays: list[str] = field(default_factory=list)  # notebooks that are nobody's
    seconds: float = 0.0

    @property
    def graded(self) -> int:
        return sum(self.statuses.values())

    def count(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] = self.statuses.get(outcome.status, 0) + 1
        if not outcome.is_final:
            self.failures.append((outcome.name, outcome.notes[-1]))


@dataclass(frozen=True)
class _Job:
    submission: Submission
    data: bytes


def grade_all(order: Order, tell: Callable[[int, Outcome | None], None] = lambda total, outcome: None) -> Tally:
    """Grade what is not graded yet. `tell` hears of every submission, with None for those that were graded before."""
    chapter = find_chapter(order.slug)
    bundle = make_bundle(chapter)
    found, strays = collect(order.submitted, order.slug)
    submissions = _wanted(order, found)
    if not (order.no_sandbox or order.scheduler) and (why := Sandbox.available()):
        raise Stopped(f"{why}\nOnly if you trust every submission: --no-sandbox runs them without walls.", UNSAFE)
    url = database_url(order.database or str(order.root / "gradebook.db"))
    began, tally = time.monotonic(), Tally(strays=strays)
    with Journal(order.root / "grading" / f"{order.slug}.jsonl", str(url)) as journal, Writer(url, bundle) as writer:
        desk = _Desk(order, bundle, journal, writer, tally, lambda outcome: tell(len(submissions), outcome))
        desk.try_tests(Submission(OWN, (), order.submitted, order.slug), own_submission(chapter, bundle))
        save_source(order.root, chapter)
        desk.bring_up_to_date(submissions)
        desk.ask_again(submissions)
        try:
            _work(order, desk, submissions)
        except KeyboardInterrupt:
            raise Stopped("Stopped. What is graded is kept: the same command goes on from here.", INTERRUPTED) from None
        finally:
            desk.flush()
    tally.seconds = time.monotonic() - began
    return tally


def _wanted(order: Order, submissions: list[Submission]) -> list[Submission]:
    unknown = set(order.only) - {submission.student for submission in submissions}
    if unknown:
        raise Stopped(f"no submission of {', '.join(sorted(unknown))} in {order.submitted}", MISUSED)
    return [s for s in submissions if not order.only or s.student in order.only]


class _Desk:
    """Where results come in."""

    def __init__(
        self,
        order: Order,
        bundle: Bundle,
        journal: Journal,
        writer: Writer,
        tally: Tally,
        tell: Callable[[Outcome | None], None],
    ) -> None:
        self.order, self.bundle, self.journal, self.writer = order, bundle, journal, writer
        self.tally, self.tell = tally, tell
        self.batch: list[Result] = []
        self.flushed = time.monotonic()
        self.trial: _Job | None = None  # to be graded, and all right, before anything else is taken

    def try_tests(self, submission: Submission, data: bytes) -> None:
        """Let the tests be tried on this, unless these very tests have been."""
        if self.journal.tried != self.bundle.digest:
            self.trial = _Job(submission, data)

    def _judge(self, outcome: Outcome) -> None:
        """The tests are all right if they give right answers all points."""
        self.trial = None
        if faults := list(_faults(outcome, self.bundle.points)):
            told = "\n".join(f"  {line}" for line in faults)
            raise Stopped(
                f"{OWN} do not pass the tests of {self.order.slug}, so no submission was graded:\n{told}\n"
                "Mend the tests (or the answers), then run the same command.",
                TESTS,
            )
        self.journal.passed(self.bundle.digest)

    def bring_up_to_date(self, submissions: list[Submission]) -> None:
        """Write into the gradebook what the journal has and it has not: the last run was killed in between."""
        known = {s.student: s for s in submissions if s.student in self.journal.finished}
        current = {name for name in known if self.journal.finished[name].bundle == self.bundle.digest}
        behind = iter(sorted(current & (self.journal.unwritten | self.writer.missing(current))))
        while names := list(islice(behind, BATCH)):
            self.batch = [_result(known[outcome.name], outcome) for outcome in self.journal.outcomes(names)]
            self.flush()

    def ask_again(self, submissions: list[Submission]) -> None:
        """Note whom `--regrade` and `--failed` are about; where the last such run was cut short, go on with it."""
        if not (self.order.regrade or self.order.failed):
            return
        journal, wanted = self.journal, {submission.student for submission in submissions}
        again = {n for n, found in journal.finished.items() if n in wanted and (self.order.regrade or found.trouble)}
        cut_short = again <= journal.last_asked and again & journal.asked
        if again and not cut_short:
            journal.ask(sorted(again))

    def to_do(self, submissions: Iterable[Submission]) -> Iterator[_Job]:
        """The submissions that are not graded, each read when its turn comes."""
        for submission in submissions:
            try:
                data = submission.read()
            except Unreadable as error:
                data = f"unreadable: {error}".encode()
                if self._is_done(submission, data):
                    self._skip()
                else:
                    reason = f"The submission cannot be read: {error}."
                    self.take(_Job(submission, data), unreadable(submission.student, self.bundle, reason))
                continue
            if self._is_done(submission, data):
                self._skip()
            else:
                yield _Job(submission, data)

    def _is_done(self, submission: Submission, data: bytes) -> bool:
        found = self.journal.finished.get(submission.student)
        if found is None or submission.student in self.journal.asked:
            return False
        slug = self.order.slug
        there = (self.order.root / "autograded" / submission.student / slug / f"{slug}.ipynb").exists()
        return there and found.of == fingerprint(data, self.bundle.digest)

    def _skip(self) -> None:
        self.tally.skipped += 1
        self.tell(None)

    def take(self, job: _Job, outcome: Outcome) -> None:
        """A result: the notebook to disk, the rest to the journal, then, with others, to the gradebook."""
        if job is self.trial:
            self._judge(outcome)
            return
        save_notebook(self.order.root, outcome.name, self.order.slug, outcome.notebook)
        outcome = replace(outcome, notebook="")
        if outcome.is_final:
            self.journal.finish(fingerprint(job.data, self.bundle.digest), self.bundle.digest, outcome)
        self.batch.append(_result(job.submission, outcome))
        self.tally.count(outcome)
        self.tell(outcome)
        if len(self.batch) >= BATCH or time.monotonic() - self.flushed > BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        batch, self.batch = self.batch, []
        self.flushed = time.monotonic()
        if batch:
            self.writer.write(batch)
            self.journal.written(result.outcome.name for result in batch)


def _faults(outcome: Outcome, points: dict[str, float]) -> Iterator[str]:
    """Where right answers did not get all points, and what was said there."""
    if outcome.status == UNREADABLE:
        yield from outcome.notes
        return
    cells = {cell["id"]: cell for cell in json.loads(outcome.notebook)["cells"]}
    for grade_id, top in points.items():
        if outcome.scores[grade_id] not in (None, top):  # None: a person grades it
            said = [line for output in cells[grade_id]["outputs"] for line in output.get("traceback", [])]
            yield f"{grade_id}: {outcome.scores[grade_id]:g} of {top:g} points. {' '.join(said)[:600]}"


def _result(submission: Submission, outcome: Outcome) -> Result:
    return Result(outcome, submission.timestamp, submission.lms_user_id)


# --- the work


def _work(order: Order, desk: _Desk, submissions: list[Submission]) -> None:
    jobs = desk.to_do(submissions)
    while first := list(islice(jobs, order.workers)):  # where there is nothing to do, no worker is started
        order = replace(order, workers=len(first))
        suspects = deque(_in_parallel(order, desk, chain(filter(None, [desk.trial]), first, jobs)))
        while suspects:
            _one_by_one(order, desk, suspects)


def _in_parallel(order: Order, desk: _Desk, jobs: Iterator[_Job]) -> list[_Job]:
    """Grade until nothing is left, or until a worker process is lost: then the jobs that may have done it."""
    running: dict[Future[Outcome], _Job] = {}
    with _workers(order) as (executor, ahead, look):
        while True:
            try:
                for job in islice(jobs, ahead - len(running)):
                    running[_submit(executor, order, desk.bundle, job)] = job
                if not running:
                    return []
                first = [future for future, job in running.items() if job is desk.trial]
                done = wait(first or running, LOOK_SECONDS, FIRST_COMPLETED).done
                if not done:
                    look()
                for future in done:
                    job = running.pop(future)
                    desk.take(job, _result_of(future, desk.bundle, job))
            except BrokenExecutor:
                return sorted([job, *running.values()], key=lambda job: job is not desk.trial)


def _one_by_one(order: Order, desk: _Desk, suspects: "deque[_Job]") -> None:
    """Grade suspects with nothing else running, until the worker is lost again: then it was the one at work."""
    with contextlib.suppress(BrokenExecutor), _local_workers(1) as (executor, _, _):
        while suspects:
            outcome = _submit(executor, order, desk.bundle, suspects[0]).result()
            desk.take(suspects.popleft(), outcome)
        return
    job = suspects.popleft()
    desk.take(job, _lost(desk.bundle, job))


def _submit(executor: Executor, order: Order, bundle: Bundle, job: _Job) -> "Future[Outcome]":
    student, notes = job.submission.student, job.submission.notes
    task = grade_elsewhere if order.scheduler else grade
    return executor.submit(task, student, job.data, bundle, order.no_sandbox, notes)


def _result_of(future: "Future[Outcome]", bundle: Bundle, job: _Job) -> Outcome:
    try:
        return future.result()
    except (Stopped, BrokenExecutor):
        raise
    except Exception as error:  # of the executor's, since a task lets nothing else out
        if type(error).__name__ == "KilledWorker":  # Dask has tried it on several workers
            return _lost(bundle, job)
        raise Stopped(
            f"the workers are lost ({type(error).__name__}: {str(error)[:300]}).\n{_LOOK}",
            WORKERS,
        ) from error


def _lost(bundle: Bundle, job: _Job) -> Outcome:
    reason = "Grading it ended the worker process, again and again. A person must look at this submission."
    return unreadable(job.submission.student, bundle, reason, review=True)


# --- workers


@contextlib.contextmanager
def _workers(order: Order) -> Iterator[tuple[Executor, int, Callable[[], None]]]:
    """An executor, how many submissions to have under way, and what raises Stopped where no result can come."""
    with _dask_workers(order.scheduler) if order.scheduler else _local_workers(order.workers) as found:
        yield found


@contextlib.contextmanager
def _local_workers(count: int) -> Iterator[tuple[Executor, int, Callable[[], None]]]:
    pool = ProcessPoolExecutor(count, prepare_workers(), start_worker)
    try:
        yield pool, count * AHEAD, lambda: None  # a pool says by itself that it is broken
        _stop_reading(pool)
        pool.shutdown()
    except BaseException:
        _stop_reading(pool)
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.kill()
        raise


def _stop_reading(pool: ProcessPoolExecutor) -> None:
    """Before Python 3.11.5 a broken pool waits forever for a job that it is handing to nobody (CPython's gh-94777).

    This process reads none of the jobs that it hands out. Once no worker is left to read them, the pool's thread is
    told so only if this process has closed its end as well; later versions do that by themselves.
    """
    if sys.version_info < (3, 11, 5) and (queue := getattr(pool, "_call_queue", None)) is not None:
        queue._reader.close()


@contextlib.contextmanager
def _dask_workers(address: str) -> Iterator[tuple[Executor, int, Callable[[], None]]]:
    try:
        from distributed import Client
    except ImportError:
        raise Stopped("--scheduler needs Dask: pip install distributed", MISUSED) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say is said below, in words
    try:
        asyncio.run(_greet(address))
        client = Client(address, timeout=SCHEDULER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Stopped(f"{_no_scheduler(address)} ({error or 'no answer'}).\n{_LOOK}", WORKERS) from None
    with client:
        _wait_for_workers(client, address)
        threads = client.nthreads().values()
        if set(threads) != {1}:
            advice = f"dask worker {address} --nworkers {sum(threads)} --nthreads 1"
            raise Stopped(
                f"workers must have one thread each, since a process grades one at a time:\n{advice}", WORKERS
            )
        executor = client.get_executor(pure=False)
        try:
            yield executor, len(threads) * AHEAD, lambda: _wait_for_workers(client, address)
        finally:
            executor.shutdown(wait=False)


async def _greet(address: str) -> None:
    """Raise OSError where nothing answers as a scheduler does: a client would wait for it forever."""
    from distributed import rpc

    async with asyncio.timeout(SCHEDULER_SECONDS), rpc(address) as scheduler:
        await scheduler.identity()


def _wait_for_workers(client: "Client", address: str) -> None:
    """A scheduler whose workers are all gone would wait for new ones forever."""
    try:
        client.wait_for_workers(1, timeout=SCHEDULER_SECONDS)
    except TimeoutError:
        raise Stopped(
            f"the scheduler at {address} has no workers; start some: dask worker {address} --nthreads 1\n"
            "Then run the same command: no result is lost.",
            WORKERS,
        ) from None
    except OSError as error:
        raise Stopped(f"{_no_scheduler(address)} ({error}).\n{_LOOK}", WORKERS) from None


def _no_scheduler(address: str) -> str:
    return f"no Dask scheduler answers at {address}"
