"""All long runs of chapter 11, and their log: which net survives which length of two tasks.

`course train` (or `make train`) makes one run after the other and keeps what came out in `book/_data/long_range.json`,
from which the chapter draws. What is there stays there: stopped in the middle, it goes on where it was. The log carries
a stamp of the code and the settings that it came from, so that a test can say when it is stale.
"""

import ast
import hashlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from course import long_range
from course.long_range import KINDS, LENGTHS, SEEDS, Run, Setting, train_one
from rnnlib import activations, clipping, elman, gru, initialization, long_tasks, losses, lstm, output

__all__ = ["LOG", "jobs", "missing", "read_log", "stamp", "train_all"]

LOG = Path(__file__).resolve().parent.parent / "book" / "_data" / "long_range.json"
# What a run's outcome depends on. Of the cells these are the plain steps: `rnnlib.fused` computes the same, which its
# own tests see to.
CODE = (
    *(elman.elman_init, elman.elman_step, elman.elman_step_backward),
    *(lstm.lstm_init, lstm.lstm_step, lstm.lstm_step_backward),
    *(gru.gru_init, gru.gru_step, gru.gru_step_backward),
    *(output.output_init, output.output_layer, output.output_layer_backward),
    *(activations.sigmoid, clipping.clip_by_norm, losses.cross_entropy, long_tasks.adding_problem),
    *(long_tasks.copy_task, initialization.orthogonal, initialization.identity),
)


def jobs() -> Iterator[Setting]:
    """Every run, the short ones first."""
    for rank in range(max(map(len, LENGTHS.values()))):
        for task, lengths in LENGTHS.items():
            for kind in KINDS:
                for seed in range(SEEDS):
                    yield Setting(task, kind, lengths[rank], seed)


def stamp() -> str:
    """A hash of the settings and of all code that a run's outcome depends on, but for comments and docstrings."""
    trees = [ast.parse(inspect.getsource(source)) for source in (long_range, *CODE)]
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256("\n".join(map(ast.dump, trees)).encode()).hexdigest()[:12]


def read_log(path: Path = LOG) -> tuple[str, list[Run]]:
    """The stamp of the log and its runs; an empty stamp and no runs where there is no log."""
    if not path.exists():
        return "", []
    data = json.loads(path.read_text("utf-8"))
    return data["stamp"], [Run(**dict(zip(data["columns"], row, strict=True))) for row in data["runs"]]


def missing(path: Path = LOG) -> list[Setting]:
    """The runs that a log does not hold yet: all of them, if it comes from other code or settings."""
    old, runs = read_log(path)
    done = {Setting(run.task, run.kind, run.length, run.seed) for run in runs} if old == stamp() else set()
    return [setting for setting in jobs() if setting not in done]


def train_all(path: Path = LOG) -> Iterator[Run]:
    """Make every run that the log does not hold yet, and hand out each when it has been written there."""
    old, runs = read_log(path)
    todo, runs = missing(path), runs if old == stamp() else []
    for setting in todo:
        run, _ = train_one(setting)
        runs.append(run)
        _write(path, runs)
        yield run


def _write(path: Path, runs: list[Run]) -> None:
    rows = ",\n".join("  " + json.dumps(list(asdict(run).values())) for run in runs)
    columns = json.dumps(list(asdict(runs[0])))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f'{{"stamp": "{stamp()}", "columns": {columns}, "runs": [\n{rows}\n]}}\n', "utf-8")
    fresh.replace(path)
