"""One long run of chapter 15: a net learns to predict the characters of Shakespeare's plays.

`course train language` makes all of them and keeps what came out; the chapter trains a smaller net live.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from course.datasets import shakespeare
from course.runs.log import Log
from rnnlib import (
    clipping,
    elman,
    embedding,
    fused,
    language,
    losses,
    lstm,
    optimizers,
    output,
    schedules,
    stateful,
    tied,
    vocabulary,
)
from rnnlib.perplexity import perplexity
from rnnlib.runs import TrainingRun, new_run
from rnnlib.types import Array, Params, State

__all__ = ["HELD_OUT", "KINDS", "LOG", "SEEDS", "VALID", "Run", "Setting", "Texts", "after_reset", "on_stream", "texts"]

SEEDS = 5
HELD_OUT = ("A Midsummer Night's Dream", "Hamlet", "Richard III")  # a comedy, a tragedy, a history
VALID = "Twelfth Night"  # what rates and smoothing were chosen by
UNKNOWN, LEAST = "<unknown>", 100  # characters rarer than that in the other plays are unknown
HIDDEN, BATCH, WINDOW, STEPS, WARMUP = 96, 32, 64, 1000, 50
LONGEST = 1.0  # gradients are clipped to this length
EVERY = 200  # steps between two looks at the validation play
READ = 100  # symbols read from an empty state, for `after_reset`


@dataclass(frozen=True)
class Texts:
    """The plays as numbers: those to learn from, the one for choices, those held out."""

    vocabulary: list[str]
    train: Array
    valid: Array
    held_out: Array


@dataclass(frozen=True)
class Kind:
    """One kind of net; `carry` False lets every window of training begin with an empty state.

    The rates were chosen among 0.005, 0.01 and 0.02, by the validation play, with half the steps and another seed.
    """

    rate: float
    init: Callable[..., Params]
    run: Callable[..., Any]
    back: Callable[..., Any]
    parts: int = 2
    tied: bool = False
    carry: bool = True


_LSTM: dict[str, Any] = {"init": lstm.lstm_init, "run": fused.lstm_forward, "back": fused.lstm_backward}
KINDS = {
    "Elman": Kind(0.02, elman.elman_init, fused.elman_forward, fused.elman_backward, parts=1),
    "LSTM": Kind(0.02, **_LSTM),
    "LSTM, tied": Kind(0.02, **_LSTM, tied=True),
    "LSTM, not carried": Kind(0.02, **_LSTM, carry=False),
}


@dataclass(frozen=True)
class Setting:
    """One training run: kind of net, seed."""

    kind: str
    seed: int


@dataclass(frozen=True)
class Run(Setting):
    """What came out.

    perplexity  on the held-out plays, the state carried through all of them.
    curve       perplexity on the validation play after each `EVERY` steps.
    read        perplexity on the held-out plays after so many symbols, from an empty state: 1, 2, ... `READ`.
    parameters  how many numbers were learned.
    """

    perplexity: float
    curve: list[float]
    read: list[float]
    parameters: int
    seconds: float


@cache
def texts() -> Texts:
    """The plays, split by title."""
    plays = shakespeare()
    train = "".join(text for title, text in plays.items() if title not in (*HELD_OUT, VALID))
    known = vocabulary.make_vocabulary(train, LEAST, [UNKNOWN])
    others = (plays[VALID], "".join(plays[title] for title in HELD_OUT))
    return Texts(known, *(vocabulary.to_ids(known, text, UNKNOWN) for text in (train, *others)))


def train_one(setting: Setting, steps: int = STEPS) -> Run:
    """Train one net on the first stretch of the plays, and hold it against the others."""
    began, kind, rng, text = time.perf_counter(), KINDS[setting.kind], np.random.default_rng(setting.seed), texts()
    params = first_weights(kind, rng, len(text.vocabulary))
    training, state, curve = new_run(params, rng), _empty(kind, BATCH), []
    batches = stateful.stateful_batches(text.train, BATCH, WINDOW)[:steps]
    for first in range(0, steps, EVERY):
        training, state = learn(kind, training, state, batches[first : first + EVERY], steps)
        curve.append(on_stream(kind, training["params"], text.valid))
    return Run(
        **asdict(setting),
        perplexity=round(on_stream(kind, training["params"], text.held_out), 4),
        curve=[round(value, 4) for value in curve],
        read=[round(value, 3) for value in after_reset(kind, training["params"], text.held_out)],
        parameters=sum(value.size for value in params.values()),
        seconds=round(time.perf_counter() - began, 2),
    )


def first_weights(kind: Kind, rng: np.random.Generator, V: int) -> Params:
    cell = kind.init(rng, HIDDEN, HIDDEN, dtype=np.float32)
    return language.language_init(rng, V, cell, kind.tied, np.float32)


def learn(
    kind: Kind, training: TrainingRun, state: State, batches: list[tuple[Array, Array]], steps: int
) -> tuple[TrainingRun, State]:
    """Go through some windows; where the state is not carried, each begins with an empty one."""
    rates = partial(schedules.warmup_cosine, total=steps, peak=kind.rate, warmup=min(WARMUP, steps - 1))
    for part in [batches] if kind.carry else [[batch] for batch in batches]:
        state = state if kind.carry else _empty(kind, BATCH)
        training, state, _ = language.train_stateful(kind.run, kind.back, training, part, state, rates, LONGEST)
    return training, state


def on_stream(kind: Kind, params: Params, stream: Array, rows: int = 20, window: int = 200) -> float:
    """Perplexity on a long text, cut into a few rows; the state is carried along each."""
    state, told = _empty(kind, rows, len(params["W_hh"])), []
    for tokens, targets in stateful.stateful_batches(stream, rows, window):
        log_probs, state = language.language_log_probs(kind.run, params, tokens, targets, state)
        told.append(log_probs)
    return perplexity(np.concatenate(told))


def after_reset(kind: Kind, params: Params, stream: Array, read: int = READ) -> list[float]:
    """Perplexity of the next symbol after 1, 2, ... `read` symbols, from an empty state; over the whole text."""
    rows, told = (len(stream) - 1) // read, []
    tokens, targets = (stream[i : i + rows * read].reshape(rows, read).T for i in (0, 1))
    for some in np.array_split(np.arange(rows), max(1, rows // 256)):
        state = _empty(kind, len(some), len(params["W_hh"]))
        told.append(language.language_log_probs(kind.run, params, tokens[:, some], targets[:, some], state)[0])
    return [perplexity(step) for step in np.concatenate(told, axis=1)]


def _empty(kind: Kind, rows: int, hidden: int = HIDDEN) -> State:
    return tuple(np.zeros((rows, hidden), np.float32) for _ in range(kind.parts))


def jobs() -> Iterator[Setting]:
    """Every run, one seed of all kinds after the other."""
    for seed in range(SEEDS):
        for kind in KINDS:
            yield Setting(kind, seed)


def _tell(run: Run) -> str:
    return f"{run.kind}, seed {run.seed}: perplexity {run.perplexity:.2f}"


# Of the cells these are the plain steps: `rnnlib.fused` computes the same, which its own tests see to.
CODE = (
    *(elman.elman_init, elman.elman_step, elman.elman_step_backward),
    *(lstm.lstm_init, lstm.lstm_step, lstm.lstm_step_backward),
    *(embedding.embedding_init, embedding.embed, embedding.embed_backward),
    *(output.output_init, output.output_layer, output.output_layer_backward),
    *(tied.tied_output, tied.tied_output_backward, losses.cross_entropy, stateful.stateful_batches),
    *(language.language_init, language.language_loss, language.train_stateful, language.language_log_probs),
    *(optimizers.adam, clipping.clip_by_norm, schedules.warmup_cosine, perplexity, shakespeare),
    *(vocabulary.make_vocabulary, vocabulary.to_ids),
)
LOG = Log("language", "15-language", jobs, train_one, Setting, Run, CODE, _tell)
