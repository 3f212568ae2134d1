"""One long run of chapter 11: a net of some kind learns the adding problem or the copy task at some length.

`course train long_range` makes all of them and keeps what came out; the chapter shows a few live.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from course.runs.log import Log
from rnnlib import activations, clipping, elman, fused, gru, initialization, long_tasks, losses, lstm, output
from rnnlib.types import Array, Params

__all__ = ["KINDS", "LENGTHS", "LOG", "SEEDS", "SOLVED", "Run", "Setting", "guessing", "jobs", "train_one"]

SEEDS = 5
HIDDEN, BATCH, BATCHES = 32, 32, 2000
LONGEST = 1.0  # gradients are clipped to this length
WINDOW = 20  # batches, each of fresh sequences, whose mean error says when to test
TEST = 1000  # fresh sequences of a test
SOLVED = 0.1  # of what guessing costs
ITEMS, SYMBOLS = 3, 4  # of the copy task
LENGTHS = {"adding": (25, 50, 100, 200, 400), "copying": (5, 10, 20, 40, 80)}


@dataclass(frozen=True)
class Kind:
    """One way to start one kind of net.

    The rates were chosen among three each, on two seeds that are not among those of the runs.
    """

    rate: float
    init: Callable[[np.random.Generator, int], Params]
    run: Callable[..., Any]
    back: Callable[..., Any]
    parts: int = 1


def _elman(
    rng: np.random.Generator, inputs: int, recurrent: Callable[[], Array] | None = None, spread: float = 1.0
) -> Params:
    params = elman.elman_init(rng, inputs, HIDDEN)
    params["W_xh"] = spread * params["W_xh"]
    return params if recurrent is None else params | {"W_hh": recurrent()}


def _orthogonal(rng: np.random.Generator, inputs: int) -> Params:
    return _elman(rng, inputs, lambda: initialization.orthogonal(rng, HIDDEN, HIDDEN))


def _identity(rng: np.random.Generator, inputs: int) -> Params:
    return _elman(rng, inputs, lambda: initialization.identity(HIDDEN), spread=0.1)


def _lstm(rng: np.random.Generator, inputs: int) -> Params:
    return lstm.lstm_init(rng, inputs, HIDDEN)


def _gru(rng: np.random.Generator, inputs: int) -> Params:
    return gru.gru_init(rng, inputs, HIDDEN)


_RELU = {"run": partial(fused.elman_forward, phi="relu"), "back": partial(fused.elman_backward, phi="relu")}
KINDS = {
    "Elman": Kind(0.003, _elman, fused.elman_forward, fused.elman_backward),
    "orthogonal Elman": Kind(0.003, _orthogonal, fused.elman_forward, fused.elman_backward),
    "IRNN": Kind(0.003, _identity, **_RELU),  # type: ignore[arg-type]
    "LSTM": Kind(0.01, _lstm, fused.lstm_forward, fused.lstm_backward, parts=2),
    "GRU": Kind(0.01, _gru, fused.gru_forward, fused.gru_backward),
}


@dataclass(frozen=True)
class Setting:
    """One training run: task, kind of net, length (of the copy task: the delay), seed."""

    task: str
    kind: str
    length: int
    seed: int


@dataclass(frozen=True)
class Run(Setting):
    """What came out: batches used, error on fresh sequences as a share of what guessing costs, seconds."""

    batches: int
    error: float
    seconds: float

    @property
    def solved(self) -> bool:
        return self.error < SOLVED


# --- one run


def guessing(task: str) -> float:
    """What an answer costs that has forgotten everything: the variance of a sum of two, or ln K nats."""
    return 1 / 6 if task == "adding" else math.log(SYMBOLS)


def train_one(
    setting: Setting, batches: int = BATCHES, report: Callable[[int, float], None] = lambda batch, error: None
) -> tuple[Run, Params]:
    """Train one net until a test on fresh sequences says that its task is solved, or the batches are used up.

    `report` is told the number of each batch and its error, as a share of what guessing costs.
    """
    began, kind, rng = time.perf_counter(), KINDS[setting.kind], np.random.default_rng(setting.seed)
    inputs, outputs = (2, 1) if setting.task == "adding" else (SYMBOLS + 2, SYMBOLS)
    params = kind.init(rng, inputs) | output.output_init(rng, HIDDEN, outputs)
    params = {name: value.astype(np.float32) for name, value in params.items()}
    mean, square = ({name: np.zeros_like(value) for name, value in params.items()} for _ in range(2))
    errors: list[float] = []
    for n in range(1, batches + 1):
        error, grads = error_and_gradients(kind, params, setting.task, *draw(setting, rng, BATCH))
        grads, _ = clipping.clip_by_norm(grads, LONGEST)
        for name, grad in grads.items():
            mean[name] = 0.9 * mean[name] + 0.1 * grad
            square[name] = 0.999 * square[name] + 0.001 * grad * grad
            step = kind.rate * math.sqrt(1 - 0.999**n) / (1 - 0.9**n)
            params[name] = params[name] - step * mean[name] / (np.sqrt(square[name]) + 1e-8)
        errors.append(error / guessing(setting.task))
        report(n, errors[-1])
        if not math.isfinite(errors[-1]):
            break
        if n % WINDOW == 0 and np.mean(errors[-WINDOW:]) < SOLVED and on_fresh(setting, params) < SOLVED:
            break
    share = on_fresh(setting, params)
    seconds = round(time.perf_counter() - began, 2)
    return Run(
        **asdict(setting), batches=n, error=round(share, 5) if math.isfinite(share) else 1e9, seconds=seconds
    ), params


def on_fresh(setting: Setting, params: Params) -> float:
    """The error on sequences that were not trained on, the same at each call, as a share of what guessing costs."""
    fresh = draw(setting, np.random.default_rng(10_000 + setting.seed), TEST)
    error, _ = error_and_gradients(KINDS[setting.kind], params, setting.task, *fresh, back=False)
    return error / guessing(setting.task)


def draw(setting: Setting, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """A batch of fresh sequences in float32: inputs, and the answers at the last step or the last steps."""
    if setting.task == "adding":
        return long_tasks.adding_problem(rng, setting.length, count)
    xs, targets = long_tasks.copy_task(rng, setting.length, count, ITEMS, SYMBOLS)
    return xs, targets[-ITEMS:]


def error_and_gradients(
    kind: Kind, params: Params, task: str, xs: Array, targets: Array, back: bool = True
) -> tuple[float, Params]:
    """Mean squared error of the sums, or mean cross-entropy of the items, and what it asks of the parameters."""
    cell = {name: params[name] for name in ("W_xh", "W_hh", "b_h")}
    none = np.zeros((xs.shape[1], HIDDEN), np.float32)
    hs, last, caches = kind.run(cell, xs, (none,) * kind.parts)
    asked = 1 if task == "adding" else ITEMS
    answers, kept = output.output_layer(params, hs[-asked:])
    if task == "adding":
        off = answers[-1, :, 0] - targets
        error, d_answers = float(np.mean(off * off)), (2 / np.float32(off.size) * off)[None, :, None]
    else:
        error, d_answers = losses.cross_entropy(answers, targets)
    if not back:
        return error, {}
    dh, grads = output.output_layer_backward(params, d_answers, kept)
    dhs = np.zeros_like(hs)
    dhs[-asked:] = dh
    _, _, asked_of_cell = kind.back(cell, dhs, tuple(np.zeros_like(part) for part in last), caches)
    return error, grads | asked_of_cell


# --- all runs

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


def _make(setting: Setting) -> Run:
    return train_one(setting)[0]


def _tell(run: Run) -> str:
    return f"{run.task} {run.length}, {run.kind}: {'solved' if run.solved else 'not solved'}"


LOG = Log("long_range", "11-gradients", jobs, _make, Setting, Run, CODE, _tell)
