"""Our side of grading: test cells run here, and the functions that they test are proxies for the student's.

    referee = Referee(listener, exercises, limits, start=..., interrupt=...)
    result = referee.run_cell(source, names, points)      # CellResult(passed, partial, stdout, error, seconds, calls)

`listener` is a listening UNIX socket that the student's kernel can connect to. For each cell `run_cell` drops stale
connections, calls `start` (it must make the kernel run `course.grading.student.serve(path)`, and return without
waiting), takes one connection, runs the cell, and closes the connection, upon which `serve` returns. Without `start`,
somebody else sees to it that the kernel serves once for each cell. `interrupt` is called when the student's function
takes longer than it may; if the kernel does not connect for a later cell, that cell and all after it fail at once.

`limits` has `call_seconds`, `test_seconds` and `output_kb` (`course.grading.sandbox.Limits` has). The time of a cell
is looked at whenever it calls. What it does in between is our own code, on data of bounded size: if that does not end,
the test cell is at fault. One process runs one cell at a time, since printing is caught for the process.

Only data comes back, never an object: no comparison that lies, no `__repr__`. A function comes back only where it
was an argument of the same call.
"""

import ast
import builtins
import contextlib
import importlib
import inspect
import math
import select
import socket
import sys
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Protocol

import numpy as np

from course.exercises import Exercise
from course.grading.alarm import Alarm
from course.grading.student import NOTEBOOK, Excerpt
from course.grading.wire import LIMITS, Kept, Memory, WireError, WireLimits, pack, receive, send, unpack

CONNECT_SECONDS = 5.0
LATE_SECONDS = 5.0  # what a cell may take beyond its time, where it calls no function of the student's
PAST = 1000  # calls whose arrays may still change when the student's code changes what it kept
LIVE_BYTES = 512 << 20  # of the student's arrays that a cell holds at one time
TOLD_BYTES = 32 << 20  # of everything else that a cell is told in all
LARGE = 1 << 16  # answers whose arrays have fewer bytes in all are not counted
STALE = 64  # connections that are dropped before the kernel is asked; the listener holds fewer
ERROR, BASES = 20_000, 10  # characters of a message; builtin classes of an exception

__all__ = ["CellResult", "Referee", "StudentError", "TestCellError", "Timing"]


class StudentError(Exception):
    """The student's function has failed in a way that no builtin exception stands for."""


class TestCellError(Exception):
    """The test cell itself is at fault: the instructor must see this, whoever the student is."""

    __test__ = False  # nothing for pytest


class _OutOfTime(BaseException):
    """The cell has used up its time; nothing in it may catch this."""


class _Endless(BaseException):
    """The cell goes on after its time without calling anything."""


class Timing(Protocol):
    """What the referee wants to know of the limits."""

    @property
    def call_seconds(self) -> float: ...
    @property
    def test_seconds(self) -> float: ...
    @property
    def output_kb(self) -> float: ...


@dataclass(frozen=True)
class CellResult:
    """What became of a test cell. `partial` is its last value where that is a number that it computed itself."""

    passed: bool
    partial: float | None = None  # between 0 and the cell's points
    stdout: str = ""
    error: str | None = None
    seconds: float = 0.0
    calls: int = 0


class Referee:
    """Runs test cells against the functions in one student's kernel."""

    def __init__(
        self,
        listener: socket.socket,
        exercises: Iterable[Exercise],
        limits: Timing,
        *,
        start: Callable[[], None] | None = None,
        interrupt: Callable[[], None] | None = None,
        wire: WireLimits = LIMITS,
    ) -> None:
        self._listener, self._limits, self._wire = listener, limits, wire
        self._exercises = {exercise.name: exercise for exercise in exercises}
        self._start, self._interrupt = start, interrupt
        self.alive = True  # False once the kernel did not connect

    def run_cell(self, source: str, names: Collection[str] | None = None, points: float | None = None) -> CellResult:
        """Run a test cell; `names` are the student's functions in it (all graded ones, unless given).

        A cell passes if it ends without an exception. With `points`, a number as its last value is partial credit.
        Raises TestCellError where the cell cannot be run, does not end, or gives a graded name a meaning of its own.
        """
        names = self._exercises if names is None else names
        body, last = _compiled(source, names, points is not None)
        _import_ahead(source)
        began = time.monotonic()
        out = Excerpt(int(self._limits.output_kb * 1000))
        calls = self._calls(began + self._limits.test_seconds, out)
        proxies = {name: _proxy(name, calls) for name in names}
        namespace: dict[str, Any] = {"__name__": "__main__"} | proxies
        error = value = None
        try:
            late = Alarm(self._limits.test_seconds + LATE_SECONDS, _Endless)
            with late, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                exec(body, namespace)
                value = None if last is None else eval(last, namespace)
        except _OutOfTime:
            error = f"Stopped: the tests took longer than {self._limits.test_seconds:g} seconds."
        except _Endless:
            error = f"Stopped: the tests did not end in {self._limits.test_seconds:g} seconds."
            if not calls.answered:  # else it may be what came back that takes so long
                raise TestCellError(f"the test cell does not end in {self._limits.test_seconds:g} seconds") from None
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # what pytest raises, for one, is no Exception
            error = _words(raised)
        finally:
            calls.close()
        if calls.fault is not None:
            raise calls.fault
        if error is None:
            taken = [name for name, proxy in proxies.items() if namespace.get(name) is not proxy]
            if taken:
                raise TestCellError(f"the test cell gives {', '.join(taken)} a meaning of its own")
        partial, fault = (None, None) if error or points is None else _partial(value, points)
        error = error or fault
        return CellResult(error is None, partial, out.getvalue(), error, time.monotonic() - began, calls.number)

    def _calls(self, deadline: float, out: Excerpt) -> "_Calls":
        connection = self._connect() if self.alive else None
        self.alive = connection is not None
        return _Calls(connection, deadline, out, self._limits.call_seconds, self._wire, self._interrupt)

    def _connect(self) -> socket.socket | None:
        """The kernel's connection, or None if it does not come."""
        if self._start is not None:
            self._listener.settimeout(0)
            with contextlib.suppress(OSError):
                for _ in range(STALE):  # her code may open them faster than they are dropped
                    self._listener.accept()[0].close()
            self._start()
        self._listener.settimeout(CONNECT_SECONDS)
        try:
            return self._listener.accept()[0]
        except OSError:
            return None


def _proxy(name: str, calls: "_Calls") -> Callable[..., Any]:
    """A function that the student's kernel runs. `drive` runs a loop of the checks there (`course.checks.driver`)."""

    def proxy(*args: Any, **kwargs: Any) -> Any:
        return calls.call(name, args, kwargs)

    proxy.__name__ = proxy.__qualname__ = name
    vars(proxy)["drive"] = calls.drive
    calls.known.functions[f"{NOTEBOOK}:{name}"] = proxy
    return proxy


def _compiled(source: str, names: Collection[str], credit: bool) -> tuple[CodeType, CodeType | None]:
    """The cell, and its last expression on its own if it ends in one."""
    try:
        tree = ast.parse(source)
        end = tree.body[-1] if tree.body else None
        last = end.value if isinstance(end, ast.Expr) else None
        if last is not None:
            tree.body.pop()
        if credit and last is not None and _is_answer(last, tree, names):
            raise TestCellError(
                "the test cell ends in what a student's function returned; no credit can come from that"
            )
        ending = None if last is None else compile(ast.Expression(last), "test cell", "eval")
        return compile(tree, "test cell", "exec"), ending
    except (SyntaxError, ValueError) as error:
        raise TestCellError(f"the test cell is not plain Python: {error}") from None


def _import_ahead(source: str) -> None:
    """Import what a cell imports: it is not on the cell's time, and no alarm leaves a module half made."""
    for node in ast.walk(ast.parse(source)):
        found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [node.module]
        for name in found:
            with contextlib.suppress(Exception):  # the cell will say what is wrong with it
                importlib.import_module(name)


def _is_answer(expression: ast.expr, tree: ast.Module, names: Collection[str]) -> bool:
    """Whether an expression is, as it stands, what a student's function returned, or a part of it."""
    while isinstance(expression, ast.Subscript | ast.Attribute):
        expression = expression.value
    if isinstance(expression, ast.Call):
        return isinstance(expression.func, ast.Name) and expression.func.id in names
    if not isinstance(expression, ast.Name):
        return False
    given = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if any(isinstance(n, ast.Name) and n.id == expression.id for n in ast.walk(target))
    ]
    return any(_is_answer(value, tree, names) for value in given if not isinstance(value, ast.Name))


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as unreadable:
        text = f"(its message cannot be read: {type(unreadable).__name__})"
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []))
    name = "" if hasattr(error, "_render_traceback_") else f"{type(error).__name__}: "  # a check's words are complete
    return f"{name}{text}{notes}"[:ERROR]


def _partial(value: Any, points: float) -> tuple[float | None, str | None]:
    """The cell's partial credit, or why there is none. A value that is no number means that all has passed."""
    if type(value) not in (int, float, np.float64, np.float32, np.int64):
        return None, None
    if not 0 <= value <= points:  # nor is nan
        return None, f"The cell's last value is {str(value)[:20]}, no credit between 0 and {points:g}."
    return float(value), None


# --- calls


@dataclass
class _Calls:
    """The calls of one test cell over one connection."""

    connection: socket.socket | None
    deadline: float
    out: Excerpt
    seconds: float  # for one call
    wire: WireLimits
    interrupt: Callable[[], None] | None
    number: int = 0
    answered: bool = False  # whether anything has come back yet
    live: int = 0  # bytes of large arrays that came, and that the cell still holds
    told: int = 0  # bytes of all that was not arrays
    fault: TestCellError | None = None
    known: Memory = field(default_factory=Memory)  # the proxies, by the names that they have as arguments
    broken: str = "the student's kernel does not answer"
    past: OrderedDict[str, Kept] = field(default_factory=OrderedDict)

    def drive(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function of ours returns when it runs beside the student's, for as long as the cell has time."""
        source = inspect.getsource(sys.modules[function.__module__])
        return self.call(function.__name__, args, kwargs, source, math.inf)

    def call(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        source: str | None = None,
        seconds: float | None = None,
    ) -> Any:
        """What the student's function returns, or the exception it raises; arguments change as it changes them."""
        self.number += 1
        arguments = list(args), kwargs
        try:
            content = {"number": self.number, "name": name, "args": arguments[0], "kwargs": kwargs}
            content["source"] = source
            data, memory = pack(content, self.wire, self.known)
        except WireError as error:
            if self.answered:  # it may be made of what came back before, so it is hers to answer for
                raise StudentError(f"{name} cannot be called with what is made of earlier answers: {error}") from None
            self.fault = TestCellError(f"the test cell calls {name} with what cannot be sent: {error}")
            raise self.fault from None
        reply = self._exchange(name, data, memory, self.seconds if seconds is None else seconds)
        self.out.write(reply["said"])
        if reply["after"] is not None:
            _put_back(arguments, reply["after"])
        for key, changed in reply["changed"].items():
            self._change(key, changed)
        if reply["error"] is not None:
            raise _student_error(*reply["error"])
        return reply["value"]

    def close(self, why: str = "") -> None:
        self.broken = why or self.broken
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _exchange(self, name: str, data: bytes, memory: Memory, seconds: float) -> dict[str, Any]:
        """Send a call, receive its reply. Whatever else comes ends the connection, and the calls of this cell."""
        now = time.monotonic()
        if now >= self.deadline:
            raise _OutOfTime
        if self.connection is None:
            raise StudentError(f"{name} cannot be called: {self.broken}")
        due = min(self.deadline, now + seconds)
        try:
            if select.select([self.connection], [], [], 0)[0]:
                raise WireError("it wrote unasked, or closed the connection")
            self.connection.settimeout(due - now)
            send(self.connection, data)
            reply, new = unpack(
                receive(self.connection, self.wire, due), self.wire, memory, memory.functions.__getitem__
            )
            self._admit(reply, memory, new)
        except TimeoutError:
            raise self._too_late(name) from None
        except (EOFError, OSError):
            self.close("the student's kernel has closed the connection")
        except WireError as error:
            self.close(f"the student's kernel gave no proper answer: {error}")
        else:
            return reply
        raise StudentError(f"{name} cannot be called: {self.broken}")

    def _too_late(self, name: str) -> BaseException:
        over = time.monotonic() >= self.deadline
        self.close(f"an earlier call took longer than {self.seconds:g} seconds")
        if self.interrupt is not None:
            self.interrupt()
        return _OutOfTime() if over else TimeoutError(f"{name} took longer than {self.seconds:g} seconds")

    def _admit(self, reply: Any, memory: Memory, new: Memory) -> None:
        """Refuse a reply that is not of the form that `student` gives it, or of which there has been too much."""
        match reply:
            case {"number": self.number, "value": _, "error": None | (str(), list(), str(), str()), "said": str(),
                  "after": None | (list(), dict()), "changed": dict(changed)} if len(reply) == 6:  # fmt: skip
                proper = all(type(content) is np.ndarray for content in changed.values())
            case _:
                proper = False
        if not proper or type(reply["number"]) is not int:
            raise WireError("not a reply to this call")
        self.answered = True
        self.told += new.head_bytes
        self._count(memory, new)
        written = sum(content.nbytes for content in reply["changed"].values())
        if max(self.told - TOLD_BYTES, self.live - LIVE_BYTES, written - self.wire.total_bytes) > 0:
            raise WireError("its answers take too much memory")
        for i, array in enumerate([*memory.arrays, *new.arrays]):
            if array.flags.writeable:
                self.past[f"{self.number}:{i}"] = Kept(array)
        while len(self.past) > PAST:
            self.past.popitem(last=False)

    def _count(self, memory: Memory, new: Memory) -> None:
        """Count the memory that came with a reply until it is gone; what lies in the arguments is the test's own."""
        first = len(memory.blocks)
        came = [a for a, span in zip(new.arrays, new.spans, strict=True) if span.block >= first]
        owners = {id(a.base): a.base for a in came if a.base is not None}
        if sum(owner.nbytes for owner in owners.values()) >= LARGE:
            for owner in owners.values():
                self.live += owner.nbytes
                weakref.finalize(owner, self._gone, owner.nbytes)

    def _gone(self, size: int) -> None:
        self.live -= size

    def _change(self, key: str, content: np.ndarray) -> None:
        """Write into an array of this or an earlier call what the student's code has written into its own."""
        array = self.past[key].array() if key in self.past else None
        if array is not None and (array.shape, array.dtype) == (content.shape, content.dtype) and array.flags.writeable:
            array[...] = content


def _put_back(mine: Any, theirs: Any) -> Any:
    """Make containers hold what they hold after the call; the object that now stands for `mine`."""
    if type(mine) is not type(theirs):
        return theirs
    if type(mine) is dict:
        changed = {key: _put_back(mine[key], item) if key in mine else item for key, item in theirs.items()}
        mine.clear()
        mine.update(changed)
        return mine
    if type(mine) is list:
        mine[:] = [_put_back(*pair) for pair in zip(mine, theirs, strict=False)] + theirs[len(mine) :]
        return mine
    if type(mine) is tuple:
        items = tuple(_put_back(*pair) for pair in zip(mine, theirs, strict=False)) + theirs[len(mine) :]
        kept = len(items) == len(mine) and all(a is b for a, b in zip(items, mine, strict=True))
        return mine if kept else items
    return theirs


def _student_error(name: str, bases: list[Any], message: str, where: str) -> Exception:
    """The builtin exception that the student's was; else one of a class with its name and its builtin bases."""
    known = [t for t in map(_builtin, bases[:BASES]) if t is not None]
    own = [t for i, t in enumerate(known) if t is not Exception and not any(issubclass(k, t) for k in known[:i])]
    label = name[:80] if name.isidentifier() else "StudentError"
    try:
        kind = known[0] if known and known[0].__name__ == name else type(label, (StudentError, *own), {})
        error: Exception = kind(message[:ERROR])
    except TypeError:  # a class that wants more than a message, or bases that do not go together
        error = StudentError(f"{label}: {message[:ERROR]}")
    if where:
        error.add_note(where[:500])
    return error


def _builtin(name: Any) -> type[Exception] | None:
    """The builtin exception of that name, if raising it here does no more than fail a test."""
    found = getattr(builtins, name, None) if type(name) is str else None
    harmless = isinstance(found, type) and issubclass(found, Exception)
    return found if harmless and found not in (StopIteration, StopAsyncIteration) else None
