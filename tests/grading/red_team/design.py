"""Attacks of the graded function, and on the line over which it answers: against this design, not against nbgrader's.

Where a function is right whenever it is asked, it gets its points, whatever else it does.
"""

from collections.abc import Callable, Iterator

import made_submissions as made
import nbformat
from made_submissions import SLUG
from nbformat import NotebookNode

from course.grading.bundle import Bundle
from course.grading.task import Outcome
from red_team.attack import FULL, SHAPES, WRONG, Attack, function

HIDDEN = 1.0  # points of the hidden tests of softmax
CELL = f"{SLUG}--softmax"
RIGHT = """
import numpy as np

def right(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


def softmax(body: str, before: str = "") -> Callable[[Bundle], bytes]:
    """A submission whose `softmax` has this body, which may call `right`; it is the notebook's, not the library's."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    source = f"{RIGHT}\n{before}\n\ndef softmax(logits):\n{lines}\n"

    def answer(notebook: NotebookNode) -> None:
        made.cell_of(notebook, CELL).source = source

    return function(WRONG, answer)


def took_place(outcome: Outcome) -> None:
    """Its cell went through: no other reason than the attack's own decides the score."""
    cell = made.cell_of(nbformat.reads(outcome.notebook, as_version=4), CELL)
    assert "def softmax" in cell.source
    assert cell.outputs == []


# --- what the function knows of the test

MEMORY = """
found = [a for a in gc.get_objects() if isinstance(a, np.ndarray)]
for held in gc.get_objects():
    if isinstance(held, (list, tuple, dict)):
        values = list(held.values()) if isinstance(held, dict) else held
        found += [a for a in values[:1000] if isinstance(a, np.ndarray)]
while logits.base is not None:
    logits = logits.base
    found += [logits] if isinstance(logits, np.ndarray) else []
for a in found:
    if a.ndim == 2 and a.size and a.min() >= 0 and np.allclose(a.sum(axis=-1), 1):
        return a
return logits
"""
CALLER = """
frame, numbers = sys._getframe(), []
while frame:
    call = frame.f_locals.get("call")
    numbers += [call["number"]] if isinstance(call, dict) and "number" in call else []
    frame = frame.f_back
return right(logits) if numbers == [1] else logits
"""
KNOWING = [  # name, what it does, body, before, what it deserves
    (
        "right-when-graded",
        "Is right only where the grader's call is on the stack.",
        "graded = any('student' in f.filename for f in inspect.stack())\nreturn right(logits) if graded else logits",
        "import inspect",
        FULL,
    ),
    ("searches-memory", "Searches all of its memory for the expected answer.", MEMORY, "import gc", SHAPES),
    ("right-at-first", "Is right in the first call of each cell.", CALLER, "import sys", SHAPES),
    (
        "remembers",
        "Gives the answer of the call before.",
        "seen.append(right(logits))\nreturn seen[max(0, len(seen) - 2)]",
        "seen = []",
        SHAPES,
    ),
    (
        "every-other-call",
        "Is right in every other call.",
        "turn[0] = not turn[0]\nreturn right(logits) if turn[0] else logits",
        "turn = [False]",
        SHAPES,
    ),
    (
        "by-the-clock",
        "Is right in the even milliseconds.",
        "even = time.monotonic_ns() // 1_000_000 % 2 == 0\nreturn right(logits) if even else logits",
        "import time",
        SHAPES,
    ),
    (
        "trivial-inputs",
        "Writes zeros into its argument, and answers for those.",
        "logits[...] = 0\nreturn right(logits)",
        "",
        SHAPES,
    ),
    (
        "vandal",
        "Gives the right answer, and leaves garbage in its argument.",
        "answer = right(logits)\nlogits[...] = np.nan\nreturn answer",
        "",
        SHAPES + HIDDEN,
    ),
    (
        "changes-it-later",
        "Changes its earlier answers and arguments in each later call.",
        "for a in kept:\n    a[...] = 0\nkept.extend([right(logits), logits])\nreturn kept[-2]",
        "kept = []",
        SHAPES + HIDDEN,
    ),
]


# --- what it returns

LIES = """
class Agreeable:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __array__(self, dtype=None, copy=None): return np.ones(3)
    def __float__(self): return 0.0
    def __lt__(self, other): return True
    def __bool__(self): return True
    __sub__ = __abs__ = __getitem__ = __iter__ = __call__
    __hash__ = None

class Yes(np.ndarray):
    def __eq__(self, other): return np.ones(self.shape, bool)
    def __sub__(self, other): return np.zeros(self.shape)
    __rsub__ = __sub__
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return np.zeros(self.shape)

class Everything(dict):
    def __missing__(self, key): return 0.0
    def __eq__(self, other): return True

class Number(np.float64):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0

class Text(str):
    def __eq__(self, other): return True

class Disguised:
    __class__ = np.ndarray
    dtype, shape, ndim = np.dtype(float), (3, 4), 2
    def __array_interface__(self): return {}
"""
RETURNED = [
    ("agreeable", "Returns an object that equals everything.", "Agreeable()"),
    ("agreeable-array", "Returns an array whose comparison and difference lie.", "logits.view(Yes)"),
    ("agreeable-dict", "Returns a dict that has every key.", "Everything()"),
    ("agreeable-number", "Returns a NumPy number that equals all others.", "Number(0.5)"),
    ("agreeable-text", "Returns a text that equals all others.", "Text('nothing')"),
    ("disguised", "Returns an object that says it is an array.", "Disguised()"),
    ("masked", "Returns an array whose elements are all masked.", "np.ma.masked_all(logits.shape)"),
    ("objects", "Returns an array of objects that agree.", "np.array([Agreeable()] * 4, dtype=object)"),
    ("not-a-number", "Returns NaN everywhere.", "np.full(logits.shape, np.nan)"),
    ("infinite", "Returns infinity everywhere.", "np.full(logits.shape, np.inf)"),
    ("empty", "Returns an array without elements.", "np.zeros((0, *logits.shape[1:]))"),
    ("no-axes", "Returns an array without axes.", "np.array(0.5)"),
    ("complex", "Returns the right numbers as complex ones.", "right(logits) + 0j"),
    ("records", "Returns an array of records.", "np.zeros(logits.shape, [('p', 'f8')])"),
    ("dates", "Returns an array of dates.", "np.zeros(logits.shape, 'M8[D]')"),
    ("view-of-memory", "Returns a view of its memory.", "memoryview(right(logits))"),
    ("exabytes", "Returns one number that looks like 8 million million.", "np.broadcast_to(0.5, (10**6, 10**6, 8))"),
    ("gigabytes", "Returns a gigabyte, if it can.", "np.ones(1 << 27)"),
    ("half-a-gigabyte", "Returns 64 arrays of 7 MB.", "[np.ones(900_000) for _ in range(64)]"),
    ("millions-of-lists", "Returns a million lists.", "[[i] for i in range(10**6)]"),
    ("tower", "Returns a list that is nested 100,000 deep.", "tower()"),
    ("itself", "Returns a list that holds itself.", "itself()"),
    ("generator", "Returns a generator that never ends.", "iter(int, 1)"),
    ("strange-keys", "Returns a dict with numbers for keys.", "{0: right(logits)}"),
    ("half-characters", "Returns half a character.", "chr(0xD800)"),
    ("long-text", "Returns a text of 100 MB.", "'x' * 10**8"),
    ("long-number", "Returns an int of a million bits.", "1 << 10**6"),
    ("its-arguments-class", "Returns the class of arrays.", "np.ndarray"),
    ("a-module", "Returns a module.", "np"),
]
SHAPED = """
def tower():
    a = None
    for _ in range(100_000):
        a = [a]
    return a

def itself():
    a = []
    a.append(a)
    return a
"""
LAYOUTS = [
    ("backwards", "Returns the right numbers in memory that runs backwards.", "right(logits)[::-1].copy()[::-1]"),
    (
        "big-endian",
        "Returns the right numbers in the other byte order.",
        "right(logits).astype(logits.dtype.newbyteorder())",
    ),
    ("by-columns", "Returns the right numbers column by column.", "np.asfortranarray(right(logits))"),
    ("with-gaps", "Returns the right numbers with others between them.", "np.stack([right(logits)] * 2, -1)[..., 0]"),
]


# --- what it raises

RAISED = [
    ("system-exit", "Raises SystemExit.", "raise SystemExit(0)"),
    ("keyboard-interrupt", "Raises KeyboardInterrupt.", "raise KeyboardInterrupt"),
    ("generator-exit", "Raises GeneratorExit.", "raise GeneratorExit"),
    ("stop-iteration", "Raises StopIteration, which ends loops.", "raise StopIteration"),
    ("memory-error", "Raises MemoryError.", "raise MemoryError"),
    ("recursion-error", "Calls itself without end.", "return softmax(logits)"),
    ("base-exception", "Raises an error that is no Exception.", "raise type('Passed', (BaseException,), {})('ok')"),
    (
        "poses-as-ours",
        "Raises an error with the name of ours.",
        "raise type('CheckFailed', (Exception,), {})('all right')",
    ),
    ("cannot-be-printed", "Raises an error that fails when it is printed.", "raise Explosive(1, 2)"),
    ("endless-text", "Raises an error whose text takes forever.", "raise Endless"),
    ("ten-megabytes", "Raises an error of 10 MB with control characters and HTML.", "raise ValueError(NASTY)"),
    ("a-diagnosis", "Raises an error that reads like a diagnosis.", "raise ValueError(FORGED)"),
    (
        "not-written-yet",
        "Says that it is not written yet.",
        "raise NotImplementedError('Exercise 03-definition/softmax')",
    ),
]
ERRORS = r"""
class Explosive(Exception):
    def __str__(self): raise SystemExit
    __repr__ = __reduce__ = with_traceback = __str__
    args = property(__str__)

class Endless(Exception):
    def __str__(self):
        while True: pass

NASTY = "\x1b[2J\x00\x07\u202e<script>alert(1)</script>" + "x" * 10_000_000
FORGED = "".join(f"\nLikely cause: =HYPERLINK(\"http://{i}\")" for i in range(1000))
"""


# --- how long it takes

SLOW = [
    ("sleeps-just-under", "Sleeps just under the limit in each call.", "time.sleep(1.8)\nreturn right(logits)"),
    (
        "computes-just-under",
        "Computes for just under the limit in each call.",
        "end = time.monotonic() + 1.8\nwhile time.monotonic() < end: pass\nreturn right(logits)",
    ),
    ("sleeps", "Sleeps for an hour.", "time.sleep(3600)"),
    (
        "sleeps-deaf",
        "Sleeps for an hour and hears no interrupt.",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: time.sleep(3600)",
    ),
    (
        "hangs-in-blas",
        "Multiplies matrices in C for as long as it may.",
        "a = np.ones((3000, 3000))\nwhile True: a @ a",
    ),
]


# --- the line

LINE = """
import gc, json, os, socket, struct, sys, threading, time
from course.grading import student, wire

def line():
    return next(o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() > 0 and is_line(o))

def is_line(s):
    try:
        return s.getpeername() == "/run/k/calls"
    except OSError:
        return False

def caller(name):
    frame = sys._getframe()
    while name not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals[name]

def reply(value=None, number=None, **other):
    told = {"number": number or caller("call")["number"], "value": value, "error": None, "said": "", "after": None}
    return wire.pack(told | {"changed": {}} | other, wire.LIMITS, caller("memory"))[0]

def head(value, blocks, arrays):
    text = json.dumps([value, blocks, arrays]).encode()
    return wire.MAGIC + struct.pack("<I", len(text)) + text

def frame(data):
    return struct.pack("<I", len(data)) + data
"""
FORGED = [
    ("garbage", "Writes garbage to the referee.", "line().sendall(b'garbage' * 10_000)"),
    ("pickle", "Writes a pickle to the referee.", "import pickle\nline().sendall(frame(pickle.dumps(print)))"),
    ("four-gigabytes", "Announces a reply of 4 GB.", "line().sendall(struct.pack('<I', 2**32 - 1))"),
    ("half-a-reply", "Writes half a reply and waits.", "line().sendall(frame(reply(1.0))[:30])\ntime.sleep(30)"),
    (
        "a-drip",
        "Writes its reply one byte in a second.",
        "for b in frame(reply(1.0)):\n    line().sendall(bytes([b])); time.sleep(1)",
    ),
    (
        "next-reply",
        "Answers the next call before it is made.",
        "line().sendall(frame(reply(1.0, caller('call')['number'] + 1)))",
    ),
    ("many-replies", "Answers a call ten thousand times.", "line().sendall(frame(reply(logits)) * 10_000)"),
    ("no-number", "Answers without a number.", "line().sendall(frame(wire.encode({'value': logits})))"),
    ("more-fields", "Answers with a field more.", "line().sendall(frame(reply(logits, passed=True, score=4.0)))"),
    ("closes", "Closes the line.", "line().close()"),
    (
        "a-function",
        "Returns a function of the library by name.",
        "line().sendall(frame(head({'function': 'os:system'}, [], [])))",
    ),
    (
        "memory-of-others",
        "Returns an array that reaches out of its block.",
        "line().sendall(frame(head({'array': 1}, [], [[0, -64, [128], [1], True]])))",
    ),
    (
        "writes-elsewhere",
        "Says that arrays have changed that it was not given.",
        "new = {f'{n}:{i}': np.zeros(3) for n in range(99) for i in range(9)}\n"
        "line().sendall(frame(reply(logits, changed=new)))",
    ),
    (
        "base-classes",
        "Raises an error with 48,000 base classes.",
        "b = ['ValueError'] * 24_000 + ['KeyError'] * 24_000\nline().sendall(frame(reply(error=('E', b, '', ''))))",
    ),
    ("no-numpy", "Empties NumPy, json and struct in its kernel.", "for m in (np, json, struct):\n    vars(m).clear()"),
    (
        "containers",
        "Says that its arguments are 10,000 lists by now.",
        "line().sendall(frame(reply(logits, after=([[]] * 10_000, {}))))",
    ),
]
BROKEN = [
    (
        "own-reply",
        "Has every call answered with what it was asked.",
        "student._reply = lambda data, *rest: bytes(data)",
    ),
    ("own-pack", "Replaces what writes replies.", "student.pack = lambda value, *rest: (b'0', None)"),
    (
        "own-serve",
        "Answers calls in a loop of its own.",
        """
def serve(path, *rest):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        while True:
            call, memory = wire.unpack(wire.receive(s))
            told = {"number": call["number"], "value": None, "error": None, "said": "", "after": None, "changed": {}}
            wire.send(s, wire.pack(told, wire.LIMITS, memory)[0])
student.serve = serve
""",
    ),
    (
        "no-module",
        "Deletes the modules that answer.",
        "for name in [n for n in sys.modules if n.startswith('course')]: sys.modules[name] = None",
    ),
    (
        "stand-in",
        "Takes the referee's connections before its kernel does.",
        """
def answer():
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect("/run/k/calls")
                while s.recv(65536): s.sendall(frame(b"passed"))
        except OSError:
            time.sleep(0.001)
threading.Thread(target=answer, daemon=True).start()
""",
    ),
]


def attacks() -> Iterator[Attack]:
    for name, told, body, before, deserved in KNOWING:
        yield attack(name, "the function", told, softmax(body, before), deserved)
    for name, told, value in RETURNED:
        yield attack(f"returns-{name}", "the answer", told, softmax(f"return {value}", LIES + SHAPED))
    for name, told, value in LAYOUTS:
        yield attack(f"returns-{name}", "the answer", told, softmax(f"return {value}"), FULL)
    for name, told, body in RAISED:
        yield attack(f"raises-{name}", "the error", told, softmax(body, ERRORS))
    for name, told, body in SLOW:
        yield attack(f"slow-{name}", "time", told, softmax(body, "import signal, time"))
    for name, told, body in FORGED:
        yield attack(f"line-{name}", "the line", told, softmax(f"{body}\nreturn logits", LINE))
    for name, told, source in BROKEN:
        yield attack(f"line-{name}", "the line", told, softmax("return logits", LINE + source))


def attack(name: str, kind: str, told: str, build: Callable[[Bundle], bytes], deserved: float = SHAPES) -> Attack:
    return Attack(name, kind, told, build, deserved, seconds=30, stock=kind != "the line", after=sound)


def sound(outcome: Outcome) -> None:
    """It took place, and the class report has only mistakes that we know."""
    took_place(outcome)
    assert [said for _, said in outcome.diagnoses if "HYPERLINK" in said] == []


ATTACKS = list(attacks())
