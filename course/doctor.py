"""`course doctor`: is everything there that the course needs, and if not, what to do about it."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from course.exercises import DATA, catalogue
from course.implement import MARKER
from course.library import functions

NEEDED = {
    "numpy": (2, 0),
    "matplotlib": (3, 8),
    "ipykernel": (6, 0),
    "nbformat": (5, 0),
    "pytest": (8, 3),
    "rich": (13, 0),
}
KERNEL_SECONDS = 60
IMPORT_SECONDS = 30
# Import each module of a library; say which files raise, and what. What cannot be parsed is found by reading it.
_IMPORT_ALL = """
import importlib, json, sys, traceback
from pathlib import Path
found = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"rnnlib.{name}")
    except SyntaxError:
        continue
    except BaseException as error:
        if isinstance(error, ValueError) and "null bytes" in str(error):  # a SyntaxError from Python 3.11.4 on
            continue
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent.name == "rnnlib"]
        file = Path(frames[-1].filename).name if frames else f"{name}.py"
        found.setdefault(file, f"{type(error).__name__}: {error}")
print()
print(json.dumps(found))
"""

__all__ = ["Finding", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is, and what to do if it is not well."""

    what: str
    well: bool
    state: str
    remedy: str = ""


def examine(root: Path | None) -> Iterator[Finding]:
    """Look at the installation, and at the workspace if there is one."""
    yield _python()
    yield from _packages()
    yield _check_data()
    yield _kernel(root)
    if root is None:
        yield from _sandbox()
        yield Finding("workspace", False, "this folder is not one", "course start my-rnn, then cd my-rnn")
        return
    yield _write_access(root)
    yield _library_found(root)
    yield from _library_readable(root)


def _python() -> Finding:
    state = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "Python", sys.version_info >= (3, 11), state, "install Python 3.11 or newer and make the environment anew"
    )


def _packages() -> Iterator[Finding]:
    for name, least in NEEDED.items():
        wanted = ".".join(map(str, least))
        remedy = 'in the course\'s folder: pip install -e ".[learn]"'
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, f"missing, {wanted} or newer is needed", remedy)
            continue
        version = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        yield Finding(
            name, version >= least, found if version >= least else f"{found}, {wanted} or newer is needed", remedy
        )


def _check_data() -> Finding:
    found = sorted(DATA.glob("*.json"))
    broken = [path.stem for path in found if not _is_whole(path)]
    well = bool(found) and not broken
    state = f"{len(catalogue())} exercises" if well else f"missing for {', '.join(broken) or 'all chapters'}"
    return Finding("checks", well, state, "the installation is not whole; get the course anew and install it again")


def _is_whole(record: Path) -> bool:
    try:
        json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return record.with_suffix(".npz").exists()


def _kernel(root: Path | None) -> Finding:
    """Start the kernel that notebooks run in, and let it load the course."""
    script = (
        "from jupyter_client.manager import run_kernel\n"
        "with run_kernel(kernel_name='python3') as client:\n"
        "    reply = client.execute_interactive('import course, rnnlib', timeout=40, output_hook=lambda m: None)\n"
        "raise SystemExit(0 if reply['content']['status'] == 'ok' else reply['content']['evalue'])\n"
    )
    remedy = "python -m ipykernel install --sys-prefix, in the environment that the course is installed in"
    try:
        run = subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=KERNEL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("kernel", False, f"did not answer within {KERNEL_SECONDS} s", remedy)
    last = (run.stderr.strip().splitlines() or ["unknown fault"])[-1]
    return Finding(
        "kernel", run.returncode == 0, "starts and finds the course" if run.returncode == 0 else last, remedy
    )


def _sandbox() -> Iterator[Finding]:
    """For those who grade: whether submissions can be walled off on this machine."""
    if sys.platform != "linux" or importlib.util.find_spec("nbgrader") is None:
        return
    from course.grading.sandbox import Sandbox

    why, _, remedy = (Sandbox.available() or "").partition("\n")
    state = why or "submissions can be walled off"
    yield Finding("sandbox", not why, state, remedy or "only `course grade` needs it; all else works without")


def _write_access(root: Path) -> Finding:
    for folder in filter(Path.is_dir, (root, root / "rnnlib")):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            state = f"{folder.name} cannot be written: {error.strerror}"
            return Finding(
                "write access", False, state, f"give yourself the right to write in {folder}, or move the folder"
            )
    read_only = [path.name for path in (root / "rnnlib").glob("*.py") if not os.access(path, os.W_OK)]
    state = f"{', '.join(read_only)} cannot be written" if read_only else "yours"
    return Finding("write access", not read_only, state, "make these files of rnnlib writable")


def _library_found(root: Path) -> Finding:
    """A notebook in the workspace must import this `rnnlib` and not another."""
    if not (root / "rnnlib" / "__init__.py").exists():
        return Finding("rnnlib", False, "missing", f"course start {root}: it writes what is missing and nothing else")
    run = subprocess.run(
        [sys.executable, "-c", "import rnnlib; print(rnnlib.__file__)"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    found = Path(run.stdout.strip() or ".").parent
    well = run.returncode == 0 and found.resolve() == (root / "rnnlib").resolve()
    state = "your own" if well else f"another one is imported: {found}" if run.stdout else run.stderr.strip()[-100:]
    return Finding(
        "rnnlib", well, state, f"start notebooks in {root}, beside {MARKER}, and without PYTHONSAFEPATH or python -P"
    )


def _library_readable(root: Path) -> Iterator[Finding]:
    """Modules that are not Python, and modules that raise while they are imported."""
    sound = []
    for path in sorted((root / "rnnlib").glob("*.py")):
        try:
            functions(path.read_bytes().decode("utf-8"))
        except UnicodeDecodeError:
            yield _unsound(path.name, "is not UTF-8 text")
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            yield _unsound(path.name, f"{f'line {line} ' if line else ''}is not Python: {getattr(error, 'msg', error)}")
        else:
            sound.append(path.stem)
    command = [sys.executable, "-c", _IMPORT_ALL, *sound]
    try:
        run = subprocess.run(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        state = f"importing its modules does not end within {IMPORT_SECONDS} s: is there an endless loop?"
        yield Finding("rnnlib", False, state, "look at what stands outside of functions in the modules of rnnlib")
        return
    for name, fault in json.loads(run.stdout.splitlines()[-1]).items():
        yield _unsound(name, f"cannot be imported: {fault}")


def _unsound(name: str, state: str) -> Finding:
    return Finding(f"rnnlib/{name}", False, state, "mend that line; older answers are in .history")
