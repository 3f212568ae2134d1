"""The same attacks, handed to stock nbgrader: `make red-team` writes the comparison for the instructor's guide.

Stock nbgrader runs a student's code with the rights of whoever grades. So each attack gets a machine of its own:
bubblewrap with a read-only system, a course folder and a home in memory, no network, limits of memory, processes
and time; and as a user who is nobody.
"""

import contextlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from made_submissions import SLUG
from rich.progress import track

from course.grading.bundle import Bundle
from course.grading.gradebook import Result, Writer, database_url
from course.grading.sandbox import _Walls
from course.grading.task import Outcome
from course.sources import ROOT
from red_team import ATTACKS
from red_team.attack import MARK, Attack
from red_team.ours import graded, hand_in, score_of

TARGET = ROOT / "book" / "instructors" / "_data" / "red_team.json"
NEIGHBOR = "ben"  # graded before with no points; nothing of his is to change
CELL_SECONDS, ATTACK_SECONDS, AT_ONCE = 20, 150, 2
MEMORY_GB, PROCESSES, FOLDER_MB, FILE_MB = 3, 256, 400, 100

# In the container: what is in the course folder after stock nbgrader has been at it.
PROBE = f"""
import glob, json, math, sys
from nbgrader.api import Gradebook
found, done = {{}}, [path.split("/")[-3] for path in glob.glob("/tmp/course/autograded/*/{SLUG}/{SLUG}.ipynb")]
with Gradebook("sqlite:////tmp/course/gradebook.db", "rnn-course") as gradebook:
    for submission in gradebook.assignment_submissions("{SLUG}"):
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        score, waits = sum(grade.score or 0.0 for grade in grades), any(grade.needs_manual_grade for grade in grades)
        found[submission.student.id] = [score if math.isfinite(score) else "nan", waits]
read = lambda place: open(f"{{place}}/submitted/{NEIGHBOR}/{SLUG}/{SLUG}.ipynb", "rb").read()
left = glob.glob("/tmp/home/**/{MARK}*", recursive=True) + glob.glob("/tmp/home/.*/**/{MARK}*", recursive=True)
same = read("/tmp/course") == read("/tmp/handed-in")
print("\\nPROBED", json.dumps({{"scores": found, "done": done, "same": same, "left": bool(left)}}))
"""
GRADE = f"""
cp -a /tmp/handed-in/. /tmp/course && cd {ROOT}
{sys.executable} -m nbgrader autograde {SLUG} --CourseDirectory.root=/tmp/course --Execute.timeout={CELL_SECONDS}
{sys.executable} -c '{PROBE.replace("'", '"')}'
"""

__all__ = ["TARGET", "Stock", "compare", "handed_to_stock", "how"]


@dataclass(frozen=True)
class Stock:
    """What stock nbgrader made of an attack."""

    score: float | str  # or "no grade", "hung", "a person looks"
    harm: list[str] = field(default_factory=list)


def handed_to_stock(attack: Attack) -> Stock:
    """Let stock nbgrader grade it, where it can do no harm."""
    bundle = attack.bundle()
    with _course_folder(bundle) as folder:
        hand_in(attack, folder / "submitted")
        said, ended = _contained(folder)
    probed = next((line for line in said.splitlines() if line.startswith("PROBED ")), None)
    if probed is None:
        return Stock("no grade" if ended else "hung")
    return _judged(json.loads(probed.removeprefix("PROBED ")))


def _judged(probed: dict[str, Any]) -> Stock:
    harm = []
    if probed["scores"].pop(NEIGHBOR, None) != [0.0, False]:
        harm.append("another student's grade was changed")
    if not probed["same"]:
        harm.append("another student's submission was changed")
    if probed["left"]:
        harm.append("files were left for later kernels")
    students = [name for name in probed["done"] if name != NEIGHBOR]
    if len(students) != 1:
        return Stock("no grade", harm)
    score, waits = probed["scores"].get(students[0], ["no grade", False])
    return Stock("a person looks" if waits else score, harm)


@contextlib.contextmanager
def _course_folder(bundle: Bundle) -> Iterator[Path]:
    """nbgrader's course folder: source, gradebook, and a neighbor who has handed in and has been graded."""
    with tempfile.TemporaryDirectory(prefix="stock-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for place in (f"source/{SLUG}", f"submitted/{NEIGHBOR}/{SLUG}", f"autograded/{NEIGHBOR}/{SLUG}"):
            (folder / place).mkdir(parents=True)
            (folder / place / f"{SLUG}.ipynb").write_text(bundle.skeleton)
        with Writer(database_url(str(folder / "gradebook.db")), bundle) as writer:
            writer.write([Result(Outcome(NEIGHBOR, "graded", dict.fromkeys(bundle.points, 0.0)))])
        folder.chmod(0o755)
        yield folder


def _contained(folder: Path) -> tuple[str, bool]:
    """What stock nbgrader said, graded in a container; and whether it came to an end."""
    with tempfile.TemporaryDirectory(dir="/tmp") as staged:
        command = [*_Walls(Path(staged), "nobody")._become_user(), *_bubblewrap(folder), "sh", "-c", GRADE]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as run:
            try:
                said, ended = run.communicate(timeout=ATTACK_SECONDS)[0], True
            except subprocess.TimeoutExpired:
                _kill(run.pid)
                said, ended = run.communicate()[0], False
    return said.decode(errors="replace"), ended


def _kill(pid: int) -> None:
    """End a container: who only kills bubblewrap's outermost process leaves the inner ones running."""
    outermost = psutil.Process(pid)
    for process in [outermost, *outermost.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _bubblewrap(folder: Path) -> list[str]:
    arguments = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--uid", "1000", "--gid", "1000"]
    arguments += ["--cap-drop", "ALL", "--clearenv", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for place in ("/home", "/run", "/var/tmp"):
        arguments += ["--tmpfs", place]
    arguments += ["--size", str(FOLDER_MB << 20), "--tmpfs", "/tmp", "--dir", "/tmp/home", "--dir", "/tmp/course"]
    arguments += ["--ro-bind", str(folder), "/tmp/handed-in"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    settings = {
        "HOME": "/tmp/home",
        "PATH": path,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name, value in settings.items():
        arguments += ["--setenv", name, value]
    limits = [f"--as={MEMORY_GB << 30}", f"--nproc={PROCESSES}", f"--fsize={FILE_MB << 20}", f"--cpu={ATTACK_SECONDS}"]
    return [*arguments, "--", "prlimit", *limits]


# --- the table


def compare(attacks: Iterable[Attack]) -> list[dict[str, Any]]:
    """A row for each attack: what it deserves, what `course grade` gives, what stock nbgrader gives."""
    attacks = sorted(attacks, key=lambda attack: (attack.kind, attack.name))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        stock = [pool.submit(handed_to_stock, attack) if attack.stock else None for attack in attacks]
        found = [run.result() if run else None for run in track(stock, "stock nbgrader")]
    outcomes = [graded(attack) for attack in track(attacks, "course grade")]
    return [_row(*parts) for parts in zip(attacks, outcomes, found, strict=True)]


def _row(attack: Attack, outcome: Outcome, stock: Stock | None) -> dict[str, Any]:
    points = sum(attack.bundle().points.values())
    row = {"kind": attack.kind, "name": attack.name, "told": attack.told, "points": points}
    row |= {"deserved": attack.deserved, "ours": score_of(outcome), "status": outcome.status}
    if stock is None:
        return row | {"stock": None, "verdict": "not run", "harm": []}
    return row | {"stock": stock.score, "verdict": verdict(attack.deserved, stock.score, points), "harm": stock.harm}


def verdict(deserved: float | None, score: float | str, points: float) -> str:
    """A score beside the deserved one, in words; a score of nan is what nbgrader shows as full marks."""
    if score == "nan":
        return "cheated: the score is no number"
    if isinstance(score, str):
        return "as deserved" if score == "a person looks" and deserved is None else score
    if deserved is None:
        return "cheated: no person looks"
    if score > deserved:
        return "cheated: full marks" if score >= points else "cheated: too much"
    return "as deserved" if score == deserved else "too little"


def how() -> dict[str, Any]:
    """How stock nbgrader was run."""
    return {
        "nbgrader": importlib.metadata.version("nbgrader"),
        "python": platform.python_version(),
        "command": f"nbgrader autograde, with {CELL_SECONDS} seconds for a cell",
        "contained": (
            "Each attack in a bubblewrap container of its own, as an unprivileged user: read-only system, home and "
            f"course folder in memory ({FOLDER_MB} MB), no network, {MEMORY_GB} GB of address space, {PROCESSES} "
            f"processes, {ATTACK_SECONDS} seconds in all. With it in the course folder: the source with the "
            "hidden tests, and a neighbor who is already graded."
        ),
        "attacks": len(ATTACKS),
    }


def main() -> None:
    """Compare all attacks; or only those of these names or kinds, and keep what the table has of the others."""
    named = set(sys.argv[1:])
    rows = compare(attack for attack in ATTACKS if not named or named & {attack.name, attack.kind})
    for row in rows:
        scores = [row[column] for column in ("deserved", "ours", "stock", "verdict", "harm")]
        print(f"{row['kind']:20} {row['name']:32}", *(f"{score!s:12}" for score in scores))
    if named and TARGET.exists():
        old = json.loads(TARGET.read_text(encoding="utf-8"))["attacks"]
        rows += [row for row in old if row["name"] not in {new["name"] for new in rows}]
    save(rows)


def save(rows: Iterable[dict[str, Any]]) -> None:
    """Write the table of all attacks that there are."""
    there = {attack.name for attack in ATTACKS}
    kept = sorted((row for row in rows if row["name"] in there), key=lambda row: (row["kind"], row["name"]))
    text = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in kept)
    head = json.dumps(how(), indent=2, ensure_ascii=False).replace("\n", "\n ")
    TARGET.write_text(f'{{\n "how": {head},\n "attacks": [\n  {text}\n ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
