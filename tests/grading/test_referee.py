"""The referee against a child process that serves calls: honest functions, and every way to answer dishonestly.

The child is a plain Python process without a sandbox: what is tested here is that nothing but data comes back, in time.
"""

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wire import FUZZ, measured, mutated

from course.build import source_notebook
from course.exercises import Exercise
from course.grading.referee import CellResult, Referee, TestCellError, _Calls
from course.grading.student import Excerpt, _reply
from course.grading.wire import LIMITS, WireError, receive
from course.mutants import REFERENCE, STUB, needed, notebook_rows, variants
from course.rig import graded_cells
from course.sources import chapters

ROOT = Path(__file__).parents[2]
CHILD = """
import contextlib, io, json, signal, socket, sys
from course.grading.student import serve

busy = False


def interrupted(*_):
    if busy:  # one that comes late finds nothing to interrupt, as in a real kernel
        raise KeyboardInterrupt


signal.signal(signal.SIGINT, interrupted)

shell = None
names = {"__name__": "__main__"}


def run(cells):
    if shell is None:
        for cell in cells:
            exec(compile(cell, "<cell>", "exec"), names)
        return
    shell.reset(new_session=False)
    for cell in cells:
        with contextlib.redirect_stdout(io.StringIO()):
            shell.run_cell(cell, store_history=False)


if sys.argv[2] == "ipython":
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
socket.socket(socket.AF_UNIX).connect(sys.argv[1])  # ready
for line in sys.stdin:
    command = json.loads(line)
    try:
        busy = True
        if command is None:
            serve(sys.argv[1], names if shell is None else None)
        else:
            run(command)
    except KeyboardInterrupt:
        pass
    busy = False
"""


@dataclass(frozen=True)
class Times:
    call_seconds: float = 5
    test_seconds: float = 20
    output_kb: float = 20


QUICK = Times(call_seconds=0.5, test_seconds=2.0)
TOO_LONG = "Stopped: the tests took longer than 2 seconds."
CALLS = 500  # that a test cell of a notebook may need: a thousand take a second


class Child:
    """A process in the place of a student's kernel."""

    def __init__(self, source: str = "", mode: str = "plain") -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="calls-")
        path = f"{self.folder.name}/calls"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, path, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.listener.settimeout(60)
        self.listener.accept()[0].close()
        self.run(f"import numpy as np\n{textwrap.dedent(source)}")

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.folder.cleanup()

    def run(self, *cells: str) -> None:
        self._tell(list(cells))

    def serve(self) -> None:
        self._tell(None)

    def _tell(self, command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def referee(self, times: Times = Times(), exercises: tuple[Exercise, ...] = (), wire=LIMITS) -> Referee:
        return Referee(self.listener, exercises, times, start=self.serve, interrupt=self.interrupt, wire=wire)

    def cell(self, source: str, times: Times = Times(), points: float | None = None) -> CellResult:
        return self.referee(times).run_cell(textwrap.dedent(source), ["f", "g", "h"], points)


def grade(student: str, cell: str, times: Times = Times()) -> CellResult:
    """One test cell against one student's functions f, g, h."""
    with Child(student) as child:
        return child.cell(cell, times)


def passes(student: str, cell: str) -> CellResult:
    result = grade(student, cell)
    assert result.passed, result.error
    return result


def fails(student: str, cell: str, times: Times = Times()) -> str:
    result = grade(student, cell, times)
    assert not result.passed
    assert result.error
    return result.error


# --- honest calls


def test_values_go_there_and_come_back():
    """Positional and keyword arguments, defaults, types of numbers, several calls in one cell."""
    student = """
        def f(x, y=2, *, sign=1):
            return {"product": sign * x * y, "both": (x, [y])}
        def g(kind):
            return np.zeros(2, kind), kind is np.float32
    """
    cell = """
        import numpy as np
        x = np.arange(6.0).reshape(2, 3)
        got = f(x, sign=-1)
        assert (got["product"] == -2 * x).all()
        assert got["both"][1] == [2]
        assert got["both"][0] is x
        assert f(3, 4) == {"product": 12, "both": (3, [4])}
        assert g(np.float32)[0].dtype == np.float32
        assert g(np.float32)[1]
    """
    assert passes(student, cell).calls == 4


def test_a_generator_advances_as_if_the_call_had_been_here():
    """Two calls with one generator draw on; the caller's own draws follow."""
    student = """
        def f(rng, n):
            return rng.standard_normal(n), rng.integers(0, 9, 1, dtype=np.int32)
        def g(rng):
            return rng
    """
    cell = """
        import numpy as np
        mine, yours = np.random.default_rng(1), np.random.default_rng(1)
        for _ in range(3):
            got, spare = f(yours, 4)
            assert (got == mine.standard_normal(4)).all()
            assert spare == mine.integers(0, 9, 1, dtype=np.int32)
        assert yours.random() == mine.random()
        assert g(yours) is yours
    """
    passes(student, cell)


def test_a_generator_that_stands_still_does_not_come_back():
    """Its state is hers to choose, but not one that never changes: drawing from that never ends, whoever draws."""
    student = """
        def f(rng):
            rng.bit_generator.state = rng.bit_generator.state | {"state": {"state": STATE, "inc": STEP}}
    """
    factor, state = 0x2360ED051FC65DA44385DF649FCCF645, 0xFFFFFFFFFFFFFF00  # the output that no normal is made of
    step = (state - state * factor) % 2**128
    source = student.replace("STATE", str(state)).replace("STEP", str(step))
    cell = "import numpy as np\nrng = np.random.default_rng(0)\nf(rng)\nrng.standard_normal()"
    assert "a generator that stands still" in fails(source, cell, QUICK)


def test_a_cell_stands_on_its_own_and_the_student_does_not():
    """Names of a cell are gone in the next; what the student's code remembers is not."""
    with Child("count = 0\ndef f():\n    global count\n    count += 1\n    return count") as child:
        referee = child.referee()
        assert referee.run_cell("leftover = f()\nassert leftover == 1", ["f"]).passed
        assert referee.run_cell("assert 'leftover' not in globals() and f() == 2", ["f"]).passed


def test_what_is_printed_is_shown():
    """By the test and by the function, in order."""
    result = passes("def f():\n    print('hers')", "print('ours')\nf()\nprint('ours again')")
    assert result.stdout == "ours\nhers\nours again\n"


def test_a_function_that_is_not_there():
    """As in a notebook: the name is not defined."""
    assert fails("def g(): pass", "f()") == "NameError: name 'f' is not defined"


def test_a_graded_function_is_an_argument_by_name():
    """The student's function gets her own function; the test's copy of the library is not asked."""
    step = Exercise("01-toy/running_total", "t", "p", {"check": 1}, 1, 1, implements="course.checks.toys.running_total")
    student = """
        import course.checks.toys, rnnlib.elman
        def running_total(state, x):
            return state + 100 * x, x
        course.checks.toys.running_total = running_total
        def f(step, state, x):
            return step(state, x)
        def g(step):
            return step
        def h():
            return rnnlib.elman.elman_step
    """
    with Child(student) as child:
        referee = child.referee(exercises=(step,))
        cell = """
            assert f(running_total, 1, 2) == (201, 2)
            assert running_total(1, 2) == (201, 2)
            assert running_total.__name__ == "running_total"
            assert g(running_total) is running_total
            try:
                h()
            except TypeError as error:
                print(error)
        """
        result = referee.run_cell(textwrap.dedent(cell), ["running_total", "f", "g", "h"])
    assert result.passed, result.error
    assert "comes back only where it was an argument" in result.stdout  # here it would be the reference


@pytest.fixture
def loops(tmp_path, monkeypatch) -> None:
    """A module with a loop that can be driven."""
    body = "for _ in range(times):\n        start = step(start)\n    return also(start) if also else start\n"
    (tmp_path / "loops.py").write_text(f"def many(step, times, start, also=None):\n    {body}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "loops", raising=False)


def test_a_long_loop_runs_beside_her_function(loops):
    """One call, however often hers is called in it; with functions of hers among the arguments; errors as ever."""
    student = "def f(x):\n    return x + 1\ndef g(x):\n    return 1 / (x - 5000)"
    cell = """
        from course.checks.driver import drive
        from loops import many
        assert drive(many, f, 3000, 0) == 3000
        assert drive(many, f, 4, start=0, also=g) == 1 / (4 - 5000)
        try:
            drive(many, f, 5000, 0, g)
        except ZeroDivisionError:
            pass
        try:
            drive(many, h, 1, 0)
        except NameError as error:
            assert str(error) == "name 'h' is not defined"
        else:
            raise AssertionError
    """
    assert passes(student, cell).calls == 4


def test_a_long_loop_has_the_time_of_its_cell(loops):
    """Longer than a call may take; not longer than the cell."""
    student = "import time\ndef f(x):\n    time.sleep(0.1)\n    return x"
    cell = """
        from course.checks.driver import drive
        from loops import many
        assert drive(many, f, TIMES, 0) == 0
    """
    with Child(student) as child:
        result = child.cell(cell.replace("TIMES", "10"), QUICK)
        assert result.passed, result.error
        assert child.cell(cell.replace("TIMES", "100"), QUICK).error == TOO_LONG


# --- aliasing


def test_arguments_changed_in_place_are_seen():
    """Arrays, views and odd layouts of the caller's; dicts and lists; also when the call then fails."""
    student = """
        def f(x):
            x += 1
        def g(params, items):
            params["new"], items[0] = np.ones(2), "changed"
            del params["old"]
            items.append(params["kept"])
            params["kept"] *= 2
        def h(x):
            x[0] = 7
            raise ValueError("after the damage")
    """
    cell = """
        import numpy as np
        whole = np.zeros((3, 4))
        for view in (whole[1], whole.T[0], whole[::2, 1:3], whole[:0]):
            f(view)
        assert whole.tolist() == [[1, 1, 1, 0], [2, 1, 1, 1], [1, 1, 1, 0]]
        kept, items = np.ones(3), [0, (1,)]
        params = {"old": 1, "kept": kept}
        g(params, items)
        assert list(params) == ["kept", "new"] and params["kept"] is kept and kept.tolist() == [2, 2, 2]
        assert items[:2] == ["changed", (1,)] and items[2] is kept
        try:
            h(kept)
        except ValueError:
            assert kept.tolist() == [7, 2, 2]
        else:
            raise AssertionError
    """
    passes(student, cell)


def test_results_that_are_views_are_seen():
    """Of an argument, of each other, of themselves; read-only ones are."""
    student = """
        def f(v, n):
            return np.broadcast_to(v, (n, *v.shape))
        def g(x):
            h = x + 1
            return h, (x, h, h[:1])
        def h(v, n):
            return np.lib.stride_tricks.as_strided(v + 0, (n, len(v)), (0, v.itemsize))
    """
    cell = """
        import numpy as np
        v = np.arange(3.0)
        rows = f(v, 2)
        assert not rows.flags.writeable
        v[0] = 9
        assert rows[1, 0] == 9
        new, (x, same, row) = g(v)
        assert x is v and same is new
        new[0] = 5
        assert row[0] == 5
        rows = h(v, 2)
        rows[0, 0] = -1
        assert rows[1, 0] == -1 and v[0] == 9
    """
    passes(student, cell)


def test_a_buffer_used_again_changes_the_earlier_result():
    """As it would in one process; also an argument that she keeps and writes into later."""
    student = """
        buffer = np.zeros(2)
        stolen = []
        def f(x):
            buffer[:] = x
            return buffer[:]
        def g(x):
            stolen.append(x)
            stolen[0] += 1
    """
    cell = """
        import numpy as np
        first, second = f(1.0), f(2.0)
        assert first.tolist() == second.tolist() == [2, 2]
        a, b = np.zeros(2), np.zeros(2)
        g(a), g(b), g(b)
        assert a.tolist() == [3, 3] and b.tolist() == [0, 0]
    """
    passes(student, cell)


def test_a_read_only_argument_stays_as_it_is():
    """Whatever she does to her copy."""
    student = "def f(x):\n    base = x.base\n    base.flags.writeable = True\n    base += 1"
    cell = "import numpy as np\nx = np.zeros(3)\nx.flags.writeable = False\nf(x)\nassert (x == 0).all()"
    passes(student, cell)


# --- exceptions

RAISED = {
    "ValueError('no')": ("ValueError", ["ValueError"], "no"),
    "KeyError('W_xh')": ("KeyError", ["KeyError", "LookupError"], "'W_xh'"),
    "NotImplementedError('later')": ("NotImplementedError", ["NotImplementedError"], "later"),
    "ZeroDivisionError()": ("ZeroDivisionError", ["ArithmeticError"], ""),
    "OSError(2, 'gone')": ("FileNotFoundError", ["OSError"], "[Errno 2] gone"),
    "np.linalg.LinAlgError('singular')": ("LinAlgError", ["ValueError", "StudentError"], "singular"),
    "np.exceptions.AxisError('axis')": ("AxisError", ["ValueError", "IndexError", "StudentError"], "axis"),
    "type('Mine', (Exception,), {})('own')": ("Mine", ["StudentError"], "own"),
    "type('ValueError', (Exception,), {})('posing')": ("ValueError", ["StudentError"], "posing"),
    "type('CheckFailed', (AssertionError,), {})('posing')": ("CheckFailed", ["AssertionError"], "posing"),
    "type('1; import os', (Exception,), {})('no name')": ("StudentError", ["StudentError"], "no name"),
    "UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')": ("StudentError", ["StudentError"], None),
    "ExceptionGroup('two', [ValueError(), KeyError()])": ("StudentError", ["StudentError"], None),
    "StopIteration('end')": ("StopIteration", ["StudentError"], "end"),
    "SystemExit(0)": ("SystemExit", ["StudentError"], "0"),
    "KeyboardInterrupt()": ("KeyboardInterrupt", ["StudentError"], ""),
    "GeneratorExit()": ("GeneratorExit", ["StudentError"], ""),
    "type('Base', (BaseException,), {})('base')": ("Base", ["StudentError"], "base"),
    "type('Odd', (Exception,), {'__str__': lambda s: 1 / 0})(1, 2)": ("Odd", ["StudentError"], ""),
    "ValueError('\\ud800 x')": ("ValueError", ["ValueError"], "? x"),
    "ValueError('x' * 10**7)": ("ValueError", ["ValueError"], "x" * 4000),
}


@pytest.fixture(scope="module")
def raiser() -> Iterator[Child]:
    student = "def f(what):\n    raise eval(what)\n" + "def g(n):\n    return g(n)\n" + "def h(x):\n    return x @ x"
    with Child(student) as child:
        yield child


@pytest.mark.parametrize(("what", "expected"), RAISED.items(), ids=range(len(RAISED)))
def test_an_exception_comes_back_as_one_that_harms_nobody(raiser, what, expected):
    """Builtin ones as themselves, their heirs by name, others as StudentError; never one that ends our process."""
    name, bases, message = expected
    cell = f"""
        import builtins
        from course.grading.referee import StudentError
        try:
            f({what!r})
        except Exception as error:
            assert type(error).__name__ == {name!r}, type(error)
            for base in {bases!r}:
                assert isinstance(error, StudentError if base == "StudentError" else getattr(builtins, base)), base
            assert {message!r} in (None, str(error)), str(error)
            assert not isinstance(error, StopIteration)
        else:
            raise RuntimeError("nothing was raised")
    """
    result = raiser.cell(cell)
    assert result.passed, result.error


def test_errors_that_python_raises(raiser):
    """Endless recursion, shapes that do not fit, wrong arguments."""
    cell = """
        import numpy as np
        for call, kind in ((lambda: g(1), RecursionError), (lambda: h(np.ones((2, 3))), ValueError), (f, TypeError)):
            try:
                call()
            except kind:
                continue
            raise RuntimeError("expected another error")
    """
    result = raiser.cell(cell)
    assert result.passed, result.error


def test_an_exception_cannot_end_a_loop_of_the_test():
    """StopIteration in `map` would end it early, and skip the assertions."""
    cell = "for got, want in zip(map(f, [1, 2]), [1, 2]):\n    assert got == want"
    assert "StopIteration" in fails("def f(x):\n    raise StopIteration", cell)


def test_the_line_of_her_code_is_told():
    """In a note, so that messages stay what they were."""
    with Child(mode="ipython") as child:
        child.run("def f(x):\n    y = 1\n    return x + undefined_name\n")
        result = child.cell("f(1)")
    assert "name 'undefined_name' is not defined" in result.error
    assert "in f, line 3: return x + undefined_name" in result.error


# --- time


def test_a_call_may_take_its_time_and_no_more():
    """Just under the limit it counts; just over, it is a TimeoutError, and the calls after it are not waited for."""
    student = "import time\ndef f(s):\n    time.sleep(s)\n    return s"
    with Child(student) as child:
        result = child.cell("assert f(0.3) == 0.3", QUICK)
        assert result.passed, result.error
        cell = """
            try:
                f(30)
            except TimeoutError as error:
                print(error)
            for _ in range(100):
                try:
                    f(0)
                except Exception as error:
                    print(error)
        """
        result = child.cell(cell, QUICK)
        assert result.passed, result.error
        told = result.stdout.splitlines()
        assert told[0] == "f took longer than 0.5 seconds"
        assert set(told[1:]) == {"f cannot be called: an earlier call took longer than 0.5 seconds"}
        assert result.seconds < 1.5
        again = child.cell("assert f(0) == 0", QUICK)  # interrupted, the kernel serves the next cell
        assert again.passed, again.error


def test_many_short_sleeps_end_with_the_cell():
    """Each call is under its limit; the cell as a whole is not, and nothing in the cell can catch that."""
    student = "import time\ndef f():\n    time.sleep(0.4)"
    cell = """
        while True:
            try:
                f()
            except BaseException as error:
                if type(error).__name__ != "_OutOfTime":
                    continue
                raise
    """
    result = grade(student, cell, QUICK)
    assert not result.passed
    assert result.error == TOO_LONG
    assert 1.9 < result.seconds < 3


def test_except_exception_does_not_catch_the_end_of_the_cell():
    """As checks do that hold every exception for an answer."""
    student = "import time\ndef f():\n    time.sleep(0.4)"
    cell = "while True:\n    try:\n        f()\n    except Exception:\n        pass"
    assert "Stopped" in fails(student, cell, QUICK)


def test_a_test_that_only_fails_goes_on_no_longer_than_its_time():
    """After a call that took too long, calls fail at once; a loop that waits for better ends all the same."""
    student = "import time\ndef f():\n    time.sleep(30)"
    cell = "while True:\n    try:\n        f()\n    except Exception:\n        pass"
    result = grade(student, cell, QUICK)
    assert result.error == TOO_LONG
    assert result.seconds < 3
    assert result.calls > 10


def test_a_kernel_that_ignores_interrupts_costs_one_wait(monkeypatch):
    """The cell ends in time; later cells do not wait for it one by one."""
    monkeypatch.setattr("course.grading.referee.CONNECT_SECONDS", 0.5)
    student = """
        import signal, time
        def f():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                time.sleep(1)
    """
    with Child(student) as child:
        referee, began = child.referee(QUICK), time.monotonic()
        results = [referee.run_cell("f()", ["f"]) for _ in range(20)]
    assert "longer than 0.5 seconds" in results[0].error
    assert all("does not answer" in result.error for result in results[1:])
    assert not referee.alive
    assert time.monotonic() - began < 4


def test_a_kernel_that_is_gone(monkeypatch):
    """Killed by its own function: this call fails, and the rest at once."""
    monkeypatch.setattr("course.grading.referee.CONNECT_SECONDS", 0.5)
    with Child("import os\ndef f():\n    os._exit(1)") as child:
        referee = child.referee(QUICK)
        assert "closed the connection" in referee.run_cell("f()", ["f"]).error
        referee._start = None
        assert "does not answer" in referee.run_cell("f()", ["f"]).error


# --- what a function may return

WILD = """
import collections

class Agreeable:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = None
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __array__(self, dtype=None, copy=None): return np.ones(3)
    def __float__(self): return 1.0
    def __repr__(self): return "1.0"

class Yes(np.ndarray):
    def __eq__(self, other): return np.ones(self.shape, bool)
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return np.ones(3)

class Float(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0

class Text(str):
    def __eq__(self, other): return True

class Dict(dict):
    def __getitem__(self, key): return 1.0

def itself():
    a = []
    a.append(a)
    return a

def millions():
    return [[i] for i in range(3_000_000)]

def tower():
    a = None
    for _ in range(1_000_000):
        a = [a]
    return a

def many():
    return [np.zeros(1) for _ in range(60_000)]

def changing():
    class Trap(list):
        def __iter__(self): raise SystemExit
    return Trap([1])

def f(what):
    return eval(what)
"""
RETURNED = [
    "Agreeable()",
    "np.zeros(3).view(Yes)",
    "Float(1.0)",
    "Text('a')",
    "Dict(a=1)",
    "[Agreeable()]",
    "{'a': (1, Agreeable())}",
    "Agreeable",
    "np.array([None, 1.0])",
    "np.array(['a'])",
    "np.array([1j])",
    "np.ma.masked_array([1.0])",
    "np.matrix([[1.0]])",
    "np.zeros(2, [('a', float)])",
    "(i for i in [1, 2])",
    "iter([1])",
    "range(3)",
    "f",
    "lambda *a: 1.0",
    "print",
    "np",
    "open('/dev/null')",
    "itself()",
    "itself",
    "millions()",
    "tower()",
    "many()",
    "changing()",
    "'x' * 10**8",
    "1 << 10**6",
    "np.zeros(10**8)",
    "[np.zeros(10**6) for _ in range(20)]",
    "np.broadcast_to(1.0, (10**6, 10**6))",
    "np.lib.stride_tricks.as_strided(np.zeros(1), (10**9,), (0,))",
    "b'bytes'",
    "1j",
    "{1, 2}",
    "{1: 2}",
    "collections.OrderedDict(a=1)",
    "collections.namedtuple('P', 'x')(1)",
    "'\\ud800'",
    "type('X' * 10**6, (), {})()",
]


@pytest.fixture(scope="module")
def wild() -> Iterator[Child]:
    with Child(WILD) as child:
        yield child


@pytest.mark.parametrize("what", RETURNED, ids=range(len(RETURNED)))
def test_what_is_not_plain_data_does_not_come_back(wild, what):
    """A TypeError in words in the test; the connection lives on; our memory hardly grows."""
    cell = f"""
        try:
            got = f({what!r})
        except TypeError as error:
            assert "f: what it returns" in str(error) and len(str(error)) < 400, str(error)[:500]
        else:
            raise AssertionError(f"{{type(got)}} came back")
        assert f("1 + 1") == 2
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = wild.cell(cell, Times(call_seconds=30, test_seconds=60))
    assert result.passed, result.error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize(
    "what",
    ["np.full(3, np.nan)", "float('nan')", "np.full(3, np.inf)", "np.zeros((0, 3))", "None", "np.float64('nan')"],
)
def test_plain_data_that_is_wrong_comes_back_and_is_wrong(wild, what):
    """NaN equals nothing here, either."""
    cell = f"from course.checks.compare import same\nassert not same(f({what!r}), 1.0)\nassert f({what!r}) != 0"
    if "np.full" in what or "zeros" in what:
        cell = f"import numpy as np\nfrom course.checks.compare import same\nassert not same(f({what!r}), np.ones(3))"
    result = wild.cell(cell)
    assert result.passed, result.error


def test_what_she_leaves_in_her_arguments_is_plain_data_or_an_error():
    """An object put into a dict that the test goes on using."""
    student = "class Yes:\n    def __eq__(self, other): return True\ndef f(d):\n    d['W'] = Yes()"
    cell = """
        d = {"W": 1.0}
        try:
            f(d)
        except TypeError:
            pass
        assert d == {"W": 1.0}
    """
    passes(student, cell)


def test_answers_add_up_only_so_far(monkeypatch):
    """Each within the limits, all of them kept by the test: it ends before our memory does."""
    monkeypatch.setattr("course.grading.referee.LIVE_BYTES", 50_000_000)
    monkeypatch.setattr("course.grading.referee.TOLD_BYTES", 5_000_000)
    student = "def f():\n    return np.zeros(10**6)\ndef g():\n    return [1.5] * 40_000"
    with Child(student) as child:
        assert "too much memory" in child.cell("kept = [f() for _ in range(100)]").error
        assert "too much memory" in child.cell("kept = [g() for _ in range(100)]").error
        assert child.cell("for _ in range(100):\n    f()").passed  # nothing is kept


def test_small_arrays_add_up_as_well(monkeypatch):
    """A thousand of them in each answer, of which none is large."""
    monkeypatch.setattr("course.grading.referee.LIVE_BYTES", 50_000_000)
    with Child("def f():\n    return [np.zeros(1000) for _ in range(1000)]") as child:
        assert "too much memory" in child.cell("kept = [f() for _ in range(20)]").error
        assert child.cell("for _ in range(20):\n    f()").passed


def test_an_argument_that_comes_back_is_no_new_memory(monkeypatch):
    """However often a function returns a part of what it was given."""
    monkeypatch.setattr("course.grading.referee.LIVE_BYTES", 5_000_000)
    passes("def f(x):\n    return x[1:]", "import numpy as np\nx = np.ones(10**5)\nfor _ in range(50):\n    f(x)")


def test_a_cell_that_hangs_on_an_answer_is_no_faulty_cell(monkeypatch):
    """What is endless with this answer may end with others; where nothing has come back, the cell is at fault."""
    monkeypatch.setattr("course.grading.referee.LATE_SECONDS", 0.5)
    with Child("def f():\n    return 1") as child:
        result = child.cell("while f() == 1:\n    while True:\n        pass", QUICK)
        assert result.error == "Stopped: the tests did not end in 2 seconds."
        with pytest.raises(TestCellError, match="does not end"):
            child.cell("while True:\n    pass", QUICK)


def test_imports_are_not_on_the_time_of_a_cell(monkeypatch, tmp_path):
    """The first cell that needs a large library must not fail for it, nor leave it half imported."""
    (tmp_path / "takes_long.py").write_text("import time\ntime.sleep(3)\nVALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("course.grading.referee.LATE_SECONDS", 0.5)
    with Child("def f():\n    return 1") as child:
        result = child.cell("import no_such_module_at_all as f2\nf()", QUICK)
        assert "No module named" in result.error
        result = child.cell("from takes_long import VALUE\nassert f() == VALUE", QUICK)
    assert result.passed, result.error
    assert result.seconds < 2


UNSENDABLE = {  # plain, and small enough to come back, but not to be sent once more with something around it
    "deep": "a = 1\n    for _ in range(31):\n        a = [a]\n    return a",
    "many parts": "return [1] * 49_980",
    "large": "return [np.broadcast_to(1.0, (2**21,)) for _ in range(4)]",
    "an int": "return 2**255",
}


@pytest.mark.parametrize("returned", UNSENDABLE.values(), ids=UNSENDABLE)
def test_an_answer_that_cannot_be_handed_on_is_hers(returned):
    """A cell that calls a function with what another returned is no faulty cell because of that."""
    student = f"def f():\n    {returned}\ndef g(x, y):\n    return 1"
    cell = """
        import numpy as np
        middle = f()
        g(4 * middle if type(middle) is int else middle, [np.ones(10)] * 50)
    """
    assert "g cannot be called with what is made of earlier answers" in fails(student, cell)


def test_what_a_test_raises_is_a_failed_test():
    """Also where it is no Exception, as what pytest raises; it must not end the run."""
    cell = "import pytest\nwith pytest.raises(ValueError):\n    f(1)"
    assert "DID NOT RAISE" in fails("def f(x):\n    return x", cell)


# --- what a function may do


def test_a_flood_of_prints_is_cut():
    """Hundreds of megabytes on stdout and stderr; a bounded beginning is shown."""
    student = """
        import sys
        def f():
            for _ in range(3000):
                print("x" * 100_000)
                print("y" * 100_000, file=sys.stderr)
            print("\\ud800")
            return 1
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = passes(student, "for _ in range(10):\n    assert f() == 1")
    assert len(result.stdout) < 25_000
    assert "[cut]" in result.stdout
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_answers_from_memory_are_her_own():
    """A function that remembers, or changes its mind after the first call, is held to each answer."""
    student = """
        seen = []
        def f(x):
            seen.append(x)
            return 2 * x if len(seen) == 1 else 0 * x
        def g(x):
            return seen[0] * 2
    """
    assert "AssertionError" in fails(student, "assert f(1) == 2\nassert f(2) == 4")
    assert "AssertionError" in fails(student, "assert f(1) == 2\nassert g(3) == 6")


def test_looking_at_the_caller_shows_nothing_of_the_test():
    """Frames, modules and open files of her process hold no expected value."""
    student = """
        import gc, sys
        def f():
            frame, found = sys._getframe(), []
            while frame:
                found += [repr(v)[:1000] for v in [*frame.f_locals.values(), *frame.f_globals.values()]]
                frame = frame.f_back
            found += [o for o in gc.get_objects() if type(o) is str]
            return any("needle" in text for text in found), "course.grading.referee" in sys.modules
    """
    cell = "expected = 'nee' + 'dle in the test cell'\nassert f() == (False, False), f()"
    with Child(student.replace('"needle"', '"nee" + "dle"')) as child:
        result = child.cell(cell)
        assert result.passed, result.error


def test_a_child_of_hers_does_not_answer_in_her_place():
    """Forking in a call: one answer, and the next call gets the right one."""
    student = """
        import os
        def f(x):
            os.fork()
            return x
    """
    passes(student, "import time\nfor i in range(5):\n    assert f(i) == i\n    time.sleep(0.05)")


def test_her_own_breakage_of_the_server_is_hers():
    """Patches of this side end in a failed call, nothing else."""
    for patch in (
        "import course.grading.student as s\ndef f():\n    s.pack = lambda *a: (b'nonsense', None)",
        "import course.grading.student as s\ndef f():\n    s.send = lambda *a: 1 / 0",
        "import sys\ndef f():\n    sys.setrecursionlimit(30)\n    return 1",
        "import course.grading.wire as w\ndef f():\n    w._WRITE = str",
        "import numpy\ndef f():\n    numpy.ndarray = None\n    numpy.float64 = None\n    numpy.random = None",
    ):
        result = grade(patch, "f()\nf()", Times(2, 5))
        assert result.passed or "cannot be called" in result.error or "Error" in result.error


# --- the reply socket in her hands

FORGERY = """
import gc, json, os, socket, struct, sys, time
from course.grading import wire

def line():
    return next(o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() > 0)

def memory():
    frame = sys._getframe()
    while "memory" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["memory"]

def reply(number, value, **other):
    told = {"number": number, "value": value, "error": None, "said": "", "after": None, "changed": {}}
    return wire.pack(told | other, wire.LIMITS, memory())[0]

def raw(arrays):
    told = {"number": number, "value": {"array": 1}, "error": None, "said": "", "after": None, "changed": {"dict": {}}}
    head = json.dumps([{"dict": told}, [], arrays]).encode()
    return wire.MAGIC + struct.pack("<I", len(head)) + head

def frame(data):
    return struct.pack("<I", len(data)) + data

number = 0
def f(x):
    global number
    number += 1
    FORGE
    return "honest"
def g(x):
    return 1.0
"""
FORGERIES = {  # what she does in the call, and what the test gets for the call
    "garbage before the answer": ("line().sendall(b'garbage' * 1000)", "too long"),
    "a pickle": ("import pickle; line().sendall(frame(pickle.dumps(print)))", "no magic"),
    "a length without an end": ("line().sendall(struct.pack('<I', 10**6) + b'x')", "TimeoutError"),
    "a length beyond all limits": ("line().sendall(struct.pack('<I', 2**32 - 1))", "too long"),
    "an answer to a call not yet made": ("line().sendall(frame(reply(number + 1, 42)))", "not a reply to this call"),
    "an answer without a number": ("line().sendall(frame(wire.encode({'value': 42})))", "not a reply"),
    "an answer that is a number": ("line().sendall(frame(wire.encode(42)))", "not a reply"),
    "a number that is true": ("line().sendall(frame(reply(True, 42)))", "not a reply"),
    "an error that is a number": ("line().sendall(frame(reply(number, 42, error=5)))", "not a reply"),
    "a function of the library": (
        "line().sendall(frame(reply(number, __import__('rnnlib.elman').elman.elman_step)))",
        "may not be named",
    ),
    "an array of negative size": ("line().sendall(frame(raw([[0, 0, [-1, -3], [1, 1], True]])))", "a size below 0"),
    "an array before its block": ("line().sendall(frame(raw([[0, -1, [3], [1], True]])))", "a size below 0"),
    "an array of the arguments, too long": ("line().sendall(frame(raw([[0, 0, [4], [1], True]])))", "leaves its block"),
    "an error with a base of numbers": (
        "line().sendall(frame(reply(number, 42, error=('E', [1, None, {}], 'm', ''))))",
        "E: m",
    ),
    "an error called __import__": (
        "line().sendall(frame(reply(number, 42, error=('exit', ['exit', 'eval'], 'm', ''))))",
        "exit: m",
    ),
    "changes of nothing": (
        "line().sendall(frame(reply(number, 42, changed={'9:9': np.ones(2), 'x': np.zeros(1)})))",
        "42",
    ),
    "changes of more than a message may hold": (
        "a = np.broadcast_to(1.0, (2**21,))\n"
        "    line().sendall(frame(reply(number, 42, changed={f'{i}:0': a for i in range(5)})))",
        "too much memory",
    ),
    "changes that are text": ("line().sendall(frame(reply(number, 42, changed={'1:0': 'text'})))", "not a reply"),
    "changes of another shape": ("line().sendall(frame(reply(number, 42, changed={'1:0': np.ones((9, 9))})))", "42"),
    "other containers afterwards": ("line().sendall(frame(reply(number, 42, after=([], {}))))", "42"),
    "containers of another form": ("line().sendall(frame(reply(number, 42, after='x')))", "not a reply"),
    "the answer twice": ("line().sendall(frame(reply(number, 42)) * 2)", "42"),
    "a thousand answers": ("line().sendall(frame(reply(number, 42)) * 1000)", "42"),
    "half an answer, then the end": (
        "line().sendall(frame(reply(number, 42))[:20]); line().shutdown(socket.SHUT_RDWR)",
        "has closed",
    ),
    "closing": ("line().close()", "has closed"),
    "shutting down": ("line().shutdown(socket.SHUT_WR)", "has closed"),
    "reading the next call away": ("line().shutdown(socket.SHUT_RD)", "honest"),
    "a drip": ("[(line().sendall(b'\\x7f'), time.sleep(0.05)) for _ in range(60)]", "too long"),
    "another connection": (
        "global s; s = socket.socket(socket.AF_UNIX); s.connect(line().getpeername()); s.sendall(b'x' * 100)",
        "honest",
    ),
}


@pytest.mark.parametrize(("forge", "expected"), FORGERIES.values(), ids=FORGERIES)
def test_forged_frames_are_answers_at_best(forge, expected):
    """What she writes is her answer, or the end of this cell's calls. The next cell has a connection of its own."""
    with Child(FORGERY.replace("FORGE", forge)) as child:
        referee = child.referee(Times(call_seconds=1, test_seconds=4))
        cell = """
            import numpy as np
            x = np.zeros(3)
            for _ in range(3):
                try:
                    print(f(x), x.tolist())
                except Exception as error:
                    print(f"{type(error).__name__}: {error}", x.tolist())
        """
        result = referee.run_cell(textwrap.dedent(cell), ["f"])
        assert result.passed, result.error
        assert expected in result.stdout.splitlines()[0]
        assert all(line.endswith("[0.0, 0.0, 0.0]") for line in result.stdout.splitlines())
        assert result.seconds < 5
        assert referee.run_cell("assert g(1) == 1.0", ["g"]).passed


def test_thousands_of_base_classes_take_no_time():
    """Each of them held against each other would take a minute."""
    student = FORGERY.replace(
        "FORGE",
        "b = ['ValueError'] * 24_000 + ['KeyError'] * 24_000\n"
        "    line().sendall(frame(reply(number, 42, error=('E', b, '', ''))))",
    )
    with Child(student) as child:
        result = child.cell("f(1)")
    assert result.error == "E: "
    assert result.seconds < 2


def test_frames_sent_between_calls_end_the_calls():
    """A thread of hers that writes while nobody asks."""
    student = FORGERY.replace(
        "FORGE", "import threading; threading.Timer(0.1, lambda: line().sendall(b'x' * 9)).start()"
    )
    cell = "import time\nassert f(1) == 'honest'\ntime.sleep(0.4)\nf(1)"
    assert "wrote unasked" in fails(student, cell)


def test_stale_connections_do_not_stand_in_for_the_next():
    """Connections that she opened in advance are dropped before the kernel is asked to serve."""
    student = """
        import socket
        spare = []
        def f(path):
            for _ in range(5):
                s = socket.socket(socket.AF_UNIX)
                s.setblocking(False)
                try:
                    s.connect(path)
                except OSError:
                    break
                spare.append(s)
    """
    with Child(student) as child:
        referee = child.referee(Times(call_seconds=1, test_seconds=3))
        assert referee.run_cell(f"f({child.listener.getsockname()!r})", ["f"]).passed
        result = referee.run_cell("f('nowhere')", ["f"])
        assert result.passed, result.error


SMALL = replace(LIMITS, total_bytes=100_000, head_bytes=50_000, nodes=2000)


def answered(line: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """An honest student's process, but for what happens to its answer on the way."""
    names = {"f": lambda x, d: (d["a"].__imul__(2), x[1:], [x.sum(), d], {"b": 1 / d["b"]}), "np": np}
    with contextlib.suppress(OSError, EOFError):
        data = change(_reply(bytes(receive(line)), names, [], SMALL))
        line.sendall(len(data).to_bytes(4, "little") + data)


def raised(action: Callable[[], object]) -> Exception | None:
    try:
        action()
    except Exception as error:
        return error
    return None


@settings(derandomize=not FUZZ, database=None, deadline=None, max_examples=FUZZ or 300)
@given(st.integers(0, 2**64))
def test_a_mutated_answer_is_an_answer_or_an_error_of_hers(seed):
    """Through the whole of a call: in 100 ms of processor time, with 5 MB, by an exception that the referee makes."""
    chance = random.Random(seed)
    here, there = socket.socketpair()
    calls = _Calls(here, time.monotonic() + 5, Excerpt(1000), 0.5, SMALL, None)
    x, d = np.arange(8.0), {"a": np.ones((2, 3)), "b": chance.choice([0, 2.0])}
    guard = np.full(64, 7.0)
    thread = threading.Thread(target=answered, args=(there, lambda data: mutated(chance, data, data)))
    thread.start()
    with measured(seconds=0.1, memory=5e6):
        error = raised(lambda: calls.call("f", (x, d), {"d": guard[8:16]} if chance.random() < 0.1 else {}))
    calls.close()
    there.close()
    thread.join()
    if error is not None:
        assert traceback.extract_tb(error.__traceback__)[-1].name in ("call", "_exchange"), error
        assert not isinstance(error, WireError | TestCellError)
        assert len(str(error)) < 30_000
    assert (guard[:8] == 7).all()
    assert (guard[16:] == 7).all()


def test_connections_without_end_are_not_all_dropped_first():
    """Her code may open them faster than they are closed here."""
    taken = []

    class Endless:
        def settimeout(self, seconds: float) -> None: ...

        def accept(self) -> tuple[socket.socket, None]:
            here, there = socket.socketpair()
            taken.append(there)
            assert len(taken) < 1000, "it never stops"
            return here, None

    referee = Referee(Endless(), (), QUICK, start=lambda: None)  # type: ignore[arg-type]
    assert referee.run_cell("1 + 1", []).passed
    for there in taken:
        there.close()


# --- test cells


def test_partial_credit_is_the_last_number():
    """Where it is finite and between 0 and the points; anything that is no number is a pass."""
    with Child("def f(x):\n    return x") as child:
        for source, expected in {
            "f(1); score = 0.5; score": (True, 0.5),
            "import numpy as np\nnp.float64(2)": (True, 2.0),
            "0": (True, 0.0),
            "f(1) + 0.5": (True, 1.5),
            "assert f(1) == 1": (True, None),
            "print('x')": (True, None),
            "True": (True, None),
            "'1.0'": (True, None),
            "float('nan')": (False, None),
            "float('inf')": (False, None),
            "-0.1": (False, None),
            "2.1": (False, None),
            "10**400": (False, None),
            "assert f(1) == 2\n1.0": (False, None),
        }.items():
            result = child.cell(source, points=2)
            assert (result.passed, result.partial) == expected, (source, result)


@pytest.mark.parametrize("ending", ["f(1)", "f(1)[0]", "x = f(1)\nx", "a, (b, c) = f(1)\nc[0]", "x = f(1)['a']\nx"])
def test_what_the_student_returned_is_no_credit(ending):
    """A cell that ends in it is refused, whoever is graded: the instructor must mend it."""
    with Child("def f(x):\n    return 1.0") as child, pytest.raises(TestCellError, match="no credit"):
        child.cell(ending, points=1)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("%matplotlib inline\nf(1)", "not plain Python"),
        ("from course.checks.toys import leaky_step as f\nf", "meaning of its own"),
        ("def f(x):\n    return x", "meaning of its own"),
        ("f(object())", "cannot be sent"),
        ("f(lambda x: x)", "cannot be sent"),
        ("try:\n    f({1, 2})\nexcept TypeError:\n    pass", "cannot be sent"),
    ],
)
def test_a_faulty_test_cell_is_not_the_students_fault(source, says):
    """It is raised, rather than scored."""
    with Child("def f(x):\n    return x") as child, pytest.raises(TestCellError, match=says):
        child.cell(source)


def test_a_failed_assertion_is_told_in_a_line():
    """The type and the words; never the source of the test."""
    error = fails("def f(x):\n    return x", "secret = 5\nassert f(1) == secret, 'f(1) is wrong'")
    assert error == "AssertionError: f(1) is wrong"


# --- the real notebooks


def sample(chapter) -> list:
    """Reference and stub of every exercise, and two wrong versions of each."""
    chosen, seen = [], {}
    for variant in variants(chapter):
        seen[variant.exercise.id] = seen.get(variant.exercise.id, -1) + 1
        if variant.name in (REFERENCE, STUB) or seen[variant.exercise.id] in (4, 6):
            chosen.append(variant)
    return chosen


@pytest.fixture(scope="module")
def notebook_child() -> Iterator[Child]:
    with Child(mode="ipython") as child:
        yield child


@pytest.mark.parametrize("chapter", [pytest.param(c, id=c.slug) for c in chapters()])
def test_the_referee_judges_as_the_notebook_does(chapter, notebook_child):
    """The graded cells of the real notebooks, in the student's process and here: the same verdict, the same words."""
    wanted = sample(chapter)
    assert compared(chapter, wanted, notebook_child) == []


def compared(chapter, wanted: list, child: Child) -> list[str]:
    """Where the verdicts, or the words of the check cells, differ."""
    notebook, wrong = source_notebook(chapter), []
    referee = child.referee(Times(call_seconds=10, test_seconds=60), chapter.exercises)
    for variant, row in zip(wanted, notebook_rows(chapter, wanted), strict=True):
        token = variant.exercise.token
        answer = variant.source
        if variant.exercise.implements:
            answer = f"%%implement {variant.exercise.implements}\n{answer}"
        cells = dict(graded_cells(notebook, token, answer, needed(variant)))
        tests = {name: cells.pop(name) for name in (f"{token}--check", f"{token}--hidden") if name in cells}
        child.run(*cells.values())
        there = {f"{token}--check": row.visible, f"{token}--hidden": row.hidden}
        for name, source in tests.items():
            here = referee.run_cell(source)
            if here.calls > CALLS:
                wrong.append(
                    f"{variant.id} {name}: {here.calls} calls; let the loop run beside the function, with `drive`"
                )
            if here.passed != (there[name] is None):
                wrong.append(f"{variant.id} {name}: there {there[name]}, here {here.error}")
            elif here.error and plain_words(here.error) != plain_words(there[name] or ""):
                wrong.append(f"{variant.id} {name}: other words: there {there[name]}, here {here.error}")
    return wrong


def plain_words(error: str) -> str:
    """Without the name of the error, and without the places in her code, which only her process knows."""
    lines = error.removeprefix("CheckFailed: ").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("in "))
