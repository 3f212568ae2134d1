"""Long runs of chapters 16 and 17: nets that write numbers and dates, all on the same data, for the same budget.

`learn` and `judge` take a `Model`, which says how a net begins, what it loses and how it speaks. Chapter 16 brings the
encoder and decoder with one state between them; chapter 17 brings its own and changes nothing else.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from course import pairs
from course.runs.log import Log
from rnnlib import (
    bleu,
    clipping,
    edit_distance,
    embedding,
    gru,
    losses,
    optimizers,
    output,
    scheduled_sampling,
    schedules,
    seq2seq,
    training,
)
from rnnlib.parameters import flat, nested
from rnnlib.runs import new_run
from rnnlib.seq2seq import Net, Speak
from rnnlib.types import Array, Params, State

__all__ = [
    "EDGES",
    "FEEDS",
    "LOG",
    "PLAIN",
    "SEEDS",
    "STEPS",
    "WIDTHS",
    "Model",
    "Run",
    "Score",
    "Setting",
    "answers",
    "judge",
    "learn",
    "train_one",
]

SEEDS = 5
INPUTS, HIDDEN, BATCH = 32, 64, 64  # D, H, and pairs in a batch
WIDTHS = (96,)  # other H
STEPS, STRETCH = 1500, 50  # batches; and for how many of them the teacher's chance stays the same
PEAK, WARMUP, LONGEST = 0.005, 50, 1.0  # rate, batches until it is reached, length that gradients are cut to
EDGES = {  # of the bins of input lengths, in letters: from, and up to but not with
    "numbers": (0, 20, 25, 30, 35, 40, 45, 50, 55, 70),
    "dates": (0, 12, 14, 16, 18, 20, 24, 28, 40),
}
FEEDS = ("truth", "weaned")


@dataclass(frozen=True)
class Model:
    """A way to turn sequences into sequences.

    init   (rng, how many letters, how many words, how many hidden units) -> net.
    loss   (net, *batch of `course.pairs`, what the decoder is fed or None) -> (loss, gradients in the shape of net).
    begin  (net, sources, source_lengths) -> (step, state), as `greedy_decode` takes them.
    """

    init: Callable[[np.random.Generator, int, int, int], Net]
    loss: Callable[..., tuple[float, Net]]
    begin: Callable[[Net, Array, Array], tuple[Speak, State]]


def _init(rng: np.random.Generator, letters: int, words: int, hidden: int) -> Net:
    return seq2seq.seq2seq_init(rng, letters, words, INPUTS, hidden, np.float32)


def _begin(net: Net, sources: Array, lengths: Array) -> tuple[Speak, State]:
    def step(words: Array, state: State) -> tuple[Array, State]:
        return seq2seq.decode_step(net["decoder"], words, state)[:2]

    return step, seq2seq.encode(net["encoder"], sources, lengths)[1]


PLAIN = Model(_init, seq2seq.seq2seq_loss, _begin)


# --- one run


def learn(
    model: Model,
    data: pairs.Pairs,
    seed: int,
    feed: str = "truth",
    hidden: int = HIDDEN,
    steps: int = STEPS,
    report: Callable[..., Any] = lambda run, numbers: None,
) -> Net:
    """Train a net. Fed "truth", it always hears the right words; "weaned", its own ever more often, then alone."""
    rng = np.random.default_rng(seed)
    net = model.init(rng, len(data.letters), len(data.words), hidden)
    schedule = partial(schedules.warmup_cosine, total=steps, peak=PEAK, warmup=min(WARMUP, steps - 1))
    run = new_run(flat(net), rng)
    for begin in range(0, steps, STRETCH):
        chance = schedules.teacher_chance(begin, steps) if feed == "weaned" else 1.0
        loss = partial(_loss, model, data, chance)
        end = min(begin + STRETCH, steps)
        run = training.fit(run, loss, end, schedule, max_norm=LONGEST, report=report)
    return nested(run["params"])


def _loss(
    model: Model, data: pairs.Pairs, chance: float, params: Params, rng: np.random.Generator
) -> tuple[float, Params]:
    net, batch = nested(params), data.batch(rng.choice(data.train, BATCH, replace=False))
    inputs = None
    if chance < 1:
        step, state = model.begin(net, *batch[:2])
        inputs = seq2seq.scheduled_inputs(step, state, batch[2], chance, rng)
    loss, grads = model.loss(net, *batch, inputs)
    return loss, flat(grads)


@dataclass(frozen=True)
class Score:
    """How a net did on pairs that it was not trained on.

    exact   share of outputs that are right from the first word to the end.
    edits   mean edit distance to the right output, in words (of dates: in characters).
    bleu    of all outputs, 0 to 100, without smoothing.
    right   how many are right in each bin of input lengths, between the task's EDGES.
    tested  how many there are in each.
    """

    exact: float
    edits: float
    bleu: float
    right: list[int]
    tested: list[int]


def answers(model: Model, net: Net, data: pairs.Pairs, pick: Array) -> list[list[int]]:
    """What a net says, word after likeliest word, for each of the picked pairs."""
    sources, lengths, targets, _ = data.batch(pick)
    step, state = model.begin(net, sources, lengths)
    words, counts = seq2seq.greedy_decode(step, state, pairs.START, pairs.END, 2 * len(targets))
    return [words[:n, b].tolist() for b, n in enumerate(counts)]


def judge(model: Model, net: Net, data: pairs.Pairs, pick: Array | None = None) -> Score:
    """The scores of a net on the test part, or on the picked pairs."""
    pick = data.test if pick is None else pick
    said, wanted = answers(model, net, data, pick), data.wanted(pick)
    hits = np.array([s == w for s, w in zip(said, wanted, strict=True)])
    edits = [edit_distance.edit_distance(s, w) for s, w in zip(said, wanted, strict=True)]
    lengths, edges = data.whole[1][pick], EDGES[data.name]
    return Score(
        exact=round(float(hits.mean()), 4),
        edits=round(float(np.mean(edits)), 4),
        bleu=round(bleu.bleu(said, wanted), 3),
        right=np.histogram(lengths[hits], edges)[0].tolist(),
        tested=np.histogram(lengths, edges)[0].tolist(),
    )


# --- all runs of chapter 16


@dataclass(frozen=True)
class Setting:
    """One training run: task, what the decoder is fed, H, seed."""

    task: str
    feed: str
    hidden: int
    seed: int


@dataclass(frozen=True)
class Run(Score, Setting):
    """What came out, and how many seconds it took."""

    seconds: float


def train_one(setting: Setting) -> Run:
    """Train and judge one net."""
    began, data = time.perf_counter(), pairs.TASKS[setting.task]()
    score = judge(PLAIN, learn(PLAIN, data, setting.seed, setting.feed, setting.hidden), data)
    return Run(**asdict(setting), **asdict(score), seconds=round(time.perf_counter() - began, 1))


def jobs() -> Iterator[Setting]:
    """Every run, the one that the chapter needs most first."""
    plain = ("numbers", "truth", HIDDEN), ("dates", "truth", HIDDEN), ("numbers", "weaned", HIDDEN)
    for kind in (*plain, *(("numbers", "truth", hidden) for hidden in WIDTHS)):
        for seed in range(SEEDS):
            yield Setting(*kind, seed)


# What the outcome of a run depends on, chapter 17's included, beside this module.
CODE = (
    pairs,
    seq2seq,
    bleu,
    edit_distance,
    *(embedding.embed, embedding.embed_backward, embedding.embedding_init),
    *(gru.gru_init, gru.gru_step, gru.gru_step_backward),
    *(output.output_init, output.output_layer, output.output_layer_backward),
    *(losses.cross_entropy, clipping.clip_by_norm, optimizers.adam, training.fit),
    *(schedules.warmup_cosine, schedules.teacher_chance, scheduled_sampling.choose_input),
)


def _tell(run: Run) -> str:
    return f"{run.task}, fed {run.feed}, {run.hidden} units: {run.exact:.1%} right"


LOG = Log("seq2seq", "16-seq2seq", jobs, train_one, Setting, Run, CODE, _tell)
