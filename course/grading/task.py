"""Grade one submission: a pure function of its bytes and the bundle, for any `concurrent.futures` executor.

The student's cells run in a kernel in a sandbox; the test cells run here, with proxies of her functions. A cell
in which the kernel ends, or that nothing can interrupt, costs what it is worth and no more: what comes before it
is run again in a new kernel, and grading goes on behind it.
"""

import asyncio
import base64
import binascii
import contextlib
import faulthandler
import json
import math
import os
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from multiprocessing.util import Finalize
from queue import Empty
from typing import Any

import nbformat
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from course.checks.data_file import load_one
from course.exercises import find
from course.grading.bundle import Bundle, code_digest
from course.grading.errors import UNSAFE, WORKERS, Stopped
from course.grading.rebuild import Unreadable, as_text, read_submission, rebuild
from course.grading.referee import CellResult, Referee, TestCellError
from course.grading.sandbox import Kernel, Sandbox, SandboxUnavailable

GRADED, NOTED, UNREADABLE = "graded", "graded with notes", "unreadable"
MAX_RESTARTS = 4  # kernels that one submission may wear out, beyond its first
LAST_SECONDS = 30  # beyond its time, after which a test cell that nothing ends takes its worker with it
STUCK_SECONDS = 3  # what an interrupted cell has to come to its end
POLL_SECONDS = 0.1  # between two looks at whether a kernel that runs a cell is alive
LOOK_SECONDS = 0.15  # within which a kernel ends of what a cell did, where it does not end at once
MAX_NOTES, MAX_OUTPUTS, MAX_PICTURE = 40, 100, 2_000_000
PICTURES = ("image/png", "image/jpeg")
TIMEOUT = "Stopped: the cell took longer than it may."
CAUSES = ("Likely cause: ", "On this example the answer is what this mistake gives: ")

__all__ = ["GRADED", "NOTED", "UNREADABLE", "Outcome", "grade", "grade_elsewhere", "unreadable"]


@dataclass(frozen=True)
class Outcome:
    """What grading one submission came to. Plain data, so that it is the same again when read from JSON."""

    name: str
    status: str  # GRADED, NOTED or UNREADABLE
    scores: dict[str, float | None]  # by grade_id, from 0 to the maximum; None: a person must look
    unanswered: list[str] = field(default_factory=list)  # answer cells that are as they were handed out
    notes: list[str] = field(default_factory=list)
    diagnoses: list[list[str]] = field(default_factory=list)  # exercise id, the misconception it shows
    seconds: dict[str, float] = field(default_factory=dict)  # by cell id, and "start" for kernels
    used: dict[str, float] = field(default_factory=dict)  # processor seconds by what for, and "memory_mb" of kernels
    trouble: bool = False  # a kernel ended or had to be stopped, or the file cannot be read: --failed tries it again
    notebook: str = ""  # the autograded notebook

    @property
    def is_final(self) -> bool:
        """False where the grader failed: that is nobody's result, and the next run tries it again."""
        return self.status != UNREADABLE or None not in self.scores.values()

    @property
    def score(self) -> float:
        return sum(score or 0.0 for score in self.scores.values())


def grade(name: str, data: bytes, bundle: Bundle, no_sandbox: bool = False, notes: tuple[str, ...] = ()) -> Outcome:
    """Grade the submission of the student `name`; `notes` are about how it was handed in.

    Raises Stopped where nothing can be graded on this machine.
    """
    try:
        notebook, found = rebuild(bundle, read_submission(data))
    except Unreadable as error:
        return unreadable(name, bundle, f"The submission cannot be read: {error}.")
    try:
        sandbox = _sandbox(no_sandbox)
        return _Run(name, bundle, notebook, [*notes, *found], sandbox).outcome()
    except SandboxUnavailable as error:
        raise Stopped(str(error), UNSAFE) from None
    except Exception as error:  # a fault of the grader must not be a zero for her, nor the end of the batch
        return unreadable(name, bundle, f"The grader failed on it ({type(error).__name__}: {str(error)[:300]}).", True)


def grade_elsewhere(
    name: str, data: bytes, bundle: Bundle, no_sandbox: bool = False, notes: tuple[str, ...] = ()
) -> Outcome:
    """The same on another machine, if that has the same code."""
    if code_digest() != bundle.code:
        raise Stopped("a worker has another version of the course than this command; install the same one", WORKERS)
    return grade(name, data, bundle, no_sandbox, notes)


def unreadable(name: str, bundle: Bundle, reason: str, review: bool = False) -> Outcome:
    """The outcome of a submission that is not graded: no points, or, where it may not be her fault, a person looks."""
    notebook = bundle.notebook()
    answers = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if _is(cell, "solution")]
    _put_notes(notebook, [reason])
    return Outcome(
        name=name,
        status=UNREADABLE,
        scores=dict.fromkeys(bundle.points, None if review else 0.0),
        unanswered=[] if review else answers,
        notes=[reason],
        trouble=True,
        notebook=_as_json(notebook),
    )


# --- one sandbox for each process

_open: dict[tuple[int, bool], Sandbox] = {}


def _sandbox(no_sandbox: bool) -> Sandbox:
    """The sandbox of this process, started when its first submission comes."""
    key = os.getpid(), no_sandbox
    if key not in _open:
        _open[key] = Sandbox(no_sandbox=no_sandbox).__enter__()
        Finalize(None, _open[key].__exit__, (None, None, None), exitpriority=10)
    return _open[key]


# --- a run


class _KernelLost(Exception):
    """The kernel ended, or had to be ended; the message says how."""


class _KernelEnded(_KernelLost):
    """It ended while a cell ran, or did not answer, perhaps of what an earlier one did."""


class _Run:
    """One submission on its way through as many kernels as it takes."""

    def __init__(self, name: str, bundle: Bundle, notebook: NotebookNode, notes: list[str], sandbox: Sandbox) -> None:
        self.name, self.bundle, self.notebook, self.notes, self.sandbox = name, bundle, notebook, notes, sandbox
        self.scores: dict[str, float | None] = dict.fromkeys(bundle.points, 0.0)
        self.seconds: dict[str, float] = {}
        self.used: dict[str, float] = {"memory_mb": 0.0, "tests": 0.0}
        self.diagnoses: list[list[str]] = []
        self.lost: set[int] = set()  # cells that a kernel ended in: they are not run again
        self.trouble = False
        self.careful = False  # look at the kernel after each cell, so that the right one is blamed
        self.end = time.monotonic() + bundle.limits.notebook_seconds

    def outcome(self) -> Outcome:
        began = time.process_time()
        unanswered = [c.metadata.nbgrader.grade_id for c in self.notebook.cells if _is(c, "solution") and _same(c)]
        for cell in self.notebook.cells:
            if _by_hand(cell) and cell.metadata.nbgrader.grade_id not in unanswered:
                self.scores[cell.metadata.nbgrader.grade_id] = None
        asyncio.run(self._all_cells())
        for number, cell in enumerate(self.notebook.cells):
            cell.metadata.pop("course", None)
            if cell.cell_type == "code":
                cell.execution_count = number + 1 if cell.outputs else None
                cell.outputs = list(_harmless(cell.outputs, self.bundle.limits.output_kb << 10))
        self.used["around"] = time.process_time() - began - self.used["tests"]
        more = len(self.notes) - MAX_NOTES
        notes = self.notes if more <= 0 else [*self.notes[:MAX_NOTES], f"And {more} more notes."]
        _put_notes(self.notebook, notes)
        return Outcome(
            name=self.name,
            status=NOTED if notes else GRADED,
            scores={grade_id: _valid(self.scores[grade_id], top) for grade_id, top in self.bundle.points.items()},
            unanswered=unanswered,
            notes=notes,
            diagnoses=self.diagnoses,
            seconds={cell_id: round(seconds, 3) for cell_id, seconds in self.seconds.items()},
            used={what: round(amount, 3) for what, amount in self.used.items()},
            trouble=self.trouble,
            notebook=_as_json(self.notebook),
        )

    async def _all_cells(self) -> None:
        position, kernels, cells = 0, 0, self.notebook.cells
        while position < len(cells) and kernels <= MAX_RESTARTS + self.careful and time.monotonic() < self.end:
            position, kernels = await self._one_kernel(position), kernels + 1
        if any(_is_run(cell) for cell in cells[position:]):
            used_up = f"its {self.bundle.limits.notebook_seconds:g} seconds were used up"
            why = used_up if time.monotonic() >= self.end else "its kernel ended again and again"
            self.trouble = True
            self.notes.append(f"Nothing from {_called(cells[position])} on was run: {why}.")

    async def _one_kernel(self, first: int) -> int:
        """Run on from a cell in a new kernel; return where to go on in the next one."""
        started = time.monotonic()
        with self.sandbox.kernel(self.bundle.files, self.bundle.limits) as kernel:
            client = _Client(self.notebook, kernel, self.bundle, self.end)
            await client.async_start_new_kernel_client()
            self._took("start", started)
            position = await self._cells(first, client)
        self._use(kernel.process.report.get("used", {}))
        return position

    async def _cells(self, first: int, client: "_Client") -> int:
        """Run the cells, and up to `first` no tests, until the last one or the end of the kernel."""
        for position, cell in enumerate(self.notebook.cells):
            if not _is_run(cell) or position in self.lost or (position < first and _is(cell, "grade")):
                continue
            started = time.monotonic()
            if started >= self.end:
                return max(first, position)
            try:
                await self._one_cell(cell, position, client)
                if self.careful:
                    await client.look()
            except _KernelLost as lost:
                self.trouble = True
                if isinstance(lost, _KernelEnded) and not self.careful:
                    self.careful = True  # once more, since an earlier cell may have done it
                    return max(first, position)
                self.lost.add(position)
                self.notes.append(f"{_called(cell)}: {lost}.")
                return max(first, position + 1)
            finally:
                self._took(cell.id, started)
        return len(self.notebook.cells)

    async def _one_cell(self, cell: NotebookNode, position: int, client: "_Client") -> None:
        if not _is(cell, "grade") or _by_hand(cell):
            await client.run(cell, position)
            return
        try:
            result, seconds = await client.test(cell)
        except TestCellError as error:
            raise TestCellError(f"{_called(cell)}: {error}") from None
        self.used["tests"] += seconds
        grade_id, points = cell.metadata.nbgrader.grade_id, float(cell.metadata.nbgrader.points)
        if result.passed:
            self.scores[grade_id] = points if result.partial is None else result.partial
        self.diagnoses += [d for d in _diagnoses(grade_id, result.error or "") if d not in self.diagnoses]
        cell.outputs = list(_told(result))
        await client.settle()

    def _use(self, report: dict[str, float]) -> None:
        """Add what a kernel used, as its warden counted."""
        for what, amount in report.items():
            add = max if what == "memory_mb" else float.__add__
            self.used[what] = add(float(amount), self.used.get(what, 0.0))

    def _took(self, what: str, started: float) -> None:
        self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - started


class _Client(NotebookClient):
    """nbclient over a kernel that may say anything."""

    def __init__(self, notebook: NotebookNode, kernel: Kernel, bundle: Bundle, end: float) -> None:
        limits = bundle.limits
        super().__init__(
            notebook,
            km=kernel.manager,
            timeout_func=lambda _: max(0.1, min(limits.cell_seconds, end - time.monotonic())),
            allow_errors=True,
            interrupt_on_timeout=True,
            error_on_timeout={"ename": "TimeoutError", "evalue": TIMEOUT, "traceback": [TIMEOUT]},
            iopub_timeout=STUCK_SECONDS,
            raise_on_iopub_timeout=True,
            record_timing=False,
            on_cell_executed=_keep_error,
        )
        self.log.disabled = True  # what it would say of her cells stands in the outcome
        self.kernel, self.serving = kernel, ""
        self.loop = asyncio.get_running_loop()
        self.referee_seconds = limits.test_seconds + LAST_SECONDS
        self.referee = Referee(
            kernel.calls,
            bundle.exercises,
            limits,
            start=lambda: self._in_loop(self._serve()),
            interrupt=lambda: self._in_loop(ensure_async(kernel.manager.interrupt_kernel())),
        )

    async def run(self, cell: NotebookNode, position: int) -> None:
        """Run a cell of hers."""
        with self._faults_in_words():
            try:
                await self.async_execute_cell(cell, position, store_history=False)
            except CellTimeoutError:
                cell.outputs.append(_error("TimeoutError", TIMEOUT, [TIMEOUT]))
                raise _KernelLost("it could not be interrupted, so its kernel was ended") from None

    async def test(self, cell: NotebookNode) -> tuple[CellResult, float]:
        """Run a test cell here, in a thread, while her kernel serves the calls; also the processor time it took."""

        def work() -> tuple[CellResult, float]:
            began = time.thread_time()
            with _end_of_process(self.referee_seconds):
                result = self.referee.run_cell(cell.source, points=float(cell.metadata.nbgrader.points))
            return result, time.thread_time() - began

        with self._faults_in_words():
            tested = await asyncio.to_thread(work)
            if not self.referee.alive:  # what stands in its way may be gone in a new one
                raise _KernelEnded("its kernel did not answer the tests")
            return tested

    async def settle(self) -> None:
        """Wait until her kernel has stopped serving."""
        assert self.kc is not None
        end = time.monotonic() + STUCK_SECONDS
        with self._faults_in_words():
            while self.serving and time.monotonic() < end:
                with contextlib.suppress(Empty):
                    reply = await ensure_async(self.kc.shell_channel.get_msg(timeout=0.2))
                    if reply["parent_header"].get("msg_id") == self.serving:
                        self.serving = ""
                await self._async_check_alive()
        if self.serving:
            raise _KernelLost("a call could not be interrupted, so its kernel was ended")

    async def _async_poll_kernel_alive(self) -> None:
        """nbclient would look once a second."""
        while self.kernel.process.alive():
            await asyncio.sleep(POLL_SECONDS)
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()

    async def look(self) -> None:
        """Give the kernel time to end of what it has just run."""
        with self._faults_in_words():
            await asyncio.sleep(LOOK_SECONDS)
            await self._async_check_alive()

    async def _serve(self) -> None:
        assert self.kc is not None
        path = f"{self.kernel.inside}/calls"
        code = f"__import__('course.grading.student', fromlist=['serve']).serve({path!r})"
        self.serving = self.kc.execute(code, silent=True, store_history=False, stop_on_error=False)

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do it in the loop that owns the kernel's sockets, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @contextlib.contextmanager
    def _faults_in_words(self) -> Iterator[None]:
        try:
            yield
        except (_KernelLost, TestCellError):
            raise
        except DeadKernelError:
            raise _KernelEnded(f"its kernel ended: {self.kernel.reason or 'it does not answer'}") from None
        except Exception as error:
            raise _KernelLost(f"its kernel sent what is no message of Jupyter's ({type(error).__name__})") from None

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Only what becomes an output; no widgets, no display of one cell that writes into another."""
        if msg["msg_type"] not in ("status", "stream", "display_data", "execute_result", "error", "clear_output"):
            return None
        msg["content"].pop("transient", None)
        found = super().process_message(msg, cell, cell_index)
        if len(cell.outputs) > 10 * MAX_OUTPUTS:
            del cell.outputs[MAX_OUTPUTS:]
        return found


@contextlib.contextmanager
def _end_of_process(seconds: float) -> Iterator[None]:
    """The end of this process if what runs here does not end, as C code may that nothing can interrupt."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _keep_error(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
    """An error that only the reply tells of, such as a time that ran out."""
    content = execute_reply["content"]
    if content["status"] == "error" and not any(output.output_type == "error" for output in cell.outputs):
        cell.outputs.append(_error(str(content.get("ename")), str(content.get("evalue")), content.get("traceback")))


# --- cells


def _is(cell: NotebookNode, kind: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(kind))


def _by_hand(cell: NotebookNode) -> bool:
    """An answer that a person grades."""
    return _is(cell, "grade") and _is(cell, "solution")


def _is_run(cell: NotebookNode) -> bool:
    if cell.cell_type != "code" or "experiment" in cell.metadata.get("tags", []):
        return False
    return bool(cell.source.strip())


def _same(cell: NotebookNode) -> bool:
    """Whether an answer cell is as it was handed out."""
    return bool(cell.metadata.nbgrader.get("checksum") == compute_checksum(cell))


def _called(cell: NotebookNode) -> str:
    """What a note calls a cell."""
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
    return f"the cell {grade_id}" if grade_id else "a cell that the student added"


def _valid(score: float | None, top: float) -> float | None:
    if score is None:
        return None
    return min(max(float(score), 0.0), top) if math.isfinite(score) else 0.0


def _diagnoses(grade_id: str, error: str) -> Iterator[list[str]]:
    exercise = grade_id.rpartition("--")[0].replace("--", "/")
    for line in error.splitlines():
        for cause in CAUSES:
            said = line.strip().removeprefix(cause)
            if said != line.strip() and said in _known_mistakes(exercise):
                yield [exercise, said]


@cache
def _known_mistakes(exercise: str) -> frozenset[str]:
    """What checks say of the mistakes that they know; any other diagnosis in an error is the student's own text."""
    try:
        return frozenset(mistake.says for mistake in load_one(find(exercise)).misconceptions)
    except KeyError:  # it is not among the course's exercises
        return frozenset()


# --- what is shown


def _told(result: CellResult) -> Iterator[NotebookNode]:
    """What a test cell came to, as the outputs that a notebook would show."""
    if result.stdout:
        yield nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": result.stdout})
    if not result.passed:
        lines = (result.error or "failed").splitlines()
        yield _error("Failed", lines[0], lines)


def _error(name: str, said: str, lines: Any) -> NotebookNode:
    return nbformat.from_dict({"output_type": "error", "ename": name, "evalue": said, "traceback": lines})


def _harmless(outputs: list[Any], limit: int) -> Iterator[NotebookNode]:
    """Outputs in which nothing can run, wherever they are shown: text, and pictures of dots."""
    left, shown = limit, 0
    for output in _joined(outputs):
        kind, data = output.get("output_type"), output.get("data")
        clean: dict[str, Any]
        if kind == "stream":
            clean = {"output_type": "stream", "name": output["name"], "text": _text(output["text"], left)}
            left -= len(clean["text"])
        elif kind == "error":
            lines = output.get("traceback")
            trace = _text("\n".join(map(str, lines)) if isinstance(lines, list) else lines, left)
            names = {key: _text(output.get(key), 2000) for key in ("ename", "evalue")}
            clean = {"output_type": "error", "traceback": trace.split("\n")} | names
            left -= len(trace)
        elif kind in ("display_data", "execute_result") and isinstance(data, dict):
            kept = {"text/plain": _text(data["text/plain"], left)} if "text/plain" in data else {}
            left -= len(kept.get("text/plain", ""))
            kept |= {picture: data[picture] for picture in PICTURES if _is_picture(data.get(picture))}
            clean = {"output_type": "display_data", "data": kept, "metadata": {}}
        else:
            continue
        if shown == MAX_OUTPUTS:
            clean = {"output_type": "stream", "name": "stdout", "text": "[outputs cut]\n"}
        yield nbformat.from_dict(clean)
        shown += 1
        if left <= 0 or shown > MAX_OUTPUTS:
            return


def _joined(outputs: list[Any]) -> Iterator[dict[str, Any]]:
    """Text that came in pieces in one piece: where it was cut is chance."""
    for is_stream, group in groupby(outputs, lambda output: output.get("output_type") == "stream"):
        if not is_stream:
            yield from group
            continue
        texts: dict[str, list[str]] = {}
        for output in group:
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            texts.setdefault(name, []).append(str(output.get("text") or ""))
        for name in sorted(texts, reverse=True):
            yield {"output_type": "stream", "name": name, "text": "".join(texts[name])}


def _text(value: Any, limit: int) -> str:
    value = value if isinstance(value, str) else "" if value is None else str(value)[:limit]
    value = value if len(value) <= limit else value[: max(0, limit)] + "\n[output cut]\n"
    return value.encode("utf-8", "replace").decode().replace("\0", "")


def _is_picture(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > MAX_PICTURE:
        return False
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _put_notes(notebook: NotebookNode, notes: list[str]) -> None:
    if notes:
        lines = ["**Notes from grading**", "", *(f"- {as_text(' '.join(note.split()))}" for note in notes)]
        cell = {"cell_type": "markdown", "id": "grading-notes", "metadata": {}, "source": "\n".join(lines)}
        notebook.cells.insert(0, nbformat.from_dict(cell))


def _as_json(notebook: NotebookNode) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
