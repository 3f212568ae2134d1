"""Long runs of chapter 17: chapter 16's data and budget with attention, and words pronounced letter by letter.

Every net is trained by chapter 16's `learn`; only the decoder is another. For number words,
where the truth is known, it is also measured where the net looks.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from course import alignments, pairs, sounds
from course.runs import seq2seq as runner
from course.runs.log import Log
from rnnlib import activations, alignment, attention, attention_decoder, edit_distance
from rnnlib.attention_decoder import attention_init, attention_seq2seq_loss, attention_weights, next_word
from rnnlib.batching import mask_from_lengths
from rnnlib.seq2seq import Net, Speak, encode
from rnnlib.types import Array, State

__all__ = [
    "EDGES",
    "KINDS",
    "LOG",
    "MODELS",
    "TASKS",
    "Run",
    "Setting",
    "alignment_errors",
    "looks",
    "shifted",
    "train_one",
]

TASKS = {**pairs.TASKS, "phonemes": sounds.phoneme_pairs}
STEPS = {"numbers": runner.STEPS, "dates": runner.STEPS, "phonemes": 2000}
WIDTH = {"numbers": runner.HIDDEN, "dates": runner.HIDDEN, "phonemes": 64}
EDGES = runner.EDGES | {"phonemes": (0, 4, 6, 8, 10, 12, 15)}
SHIFTS = range(4)  # letters
PICTURED = {  # of the first net of a task: beginnings of inputs of the test part
    "dates": ("monday", "dienstag", "viernes"),
    "phonemes": ("nightstand", "triggered", "cinematic", "sandwich", "bicycle", "qualcomm"),
}
LUONG = attention_decoder.luong_step, attention_decoder.luong_step_backward
BAHDANAU = attention_decoder.bahdanau_step, attention_decoder.bahdanau_step_backward
KINDS: dict[str, tuple[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {  # score, and the decoder's order
    "general": ("general", LUONG),
    "dot": ("dot", LUONG),
    "additive": ("additive", BAHDANAU),
}


def _model(kind: str) -> runner.Model:
    score, steps = KINDS[kind]

    def init(rng: np.random.Generator, letters: int, words: int, hidden: int) -> Net:
        return attention_init(rng, letters, words, runner.INPUTS, hidden, score, np.float32)

    def loss(net: Net, sources: Array, lengths: Array, targets: Array, counts: Array, fed: Any) -> tuple[float, Net]:
        if fed is not None:
            raise ValueError("the decoders with attention are always told the right words")
        return attention_seq2seq_loss(net, sources, lengths, targets, counts, *steps)

    def begin(net: Net, sources: Array, lengths: Array) -> tuple[Speak, State]:
        keys, (h,), _ = encode(net["encoder"], sources, lengths)
        mask = mask_from_lengths(lengths, len(sources))
        return partial(next_word, net["decoder"], keys, mask, step=steps[0]), (h, np.zeros_like(h))

    return runner.Model(init, loss, begin)


MODELS = {kind: _model(kind) for kind in KINDS}


# --- where a net looks


def looks(kind: str, net: Net, data: pairs.Pairs, pair: int) -> Array:
    """The weights of one pair's letters, in order, for each word of its answer: (words, letters)."""
    sources, lengths, targets, counts = data.batch(np.array([pair]))
    return attention_weights(net, sources, lengths, targets, KINDS[kind][1][0])[: counts[0] - 2, : lengths[0], 0]


def shifted(weights: Array, letters: int) -> Array:
    """Weights (words, letters) moved so many letters to the left; what leaves at the front stays at the first one."""
    if not letters:
        return weights
    moved = np.zeros_like(weights)
    moved[:, : max(weights.shape[1] - letters, 0)] = weights[:, letters:]
    moved[:, 0] += weights[:, :letters].sum(axis=1)
    return moved


def alignment_errors(
    kind: str, net: Net, data: pairs.Pairs, pick: Array, guess: Callable[[Array], Array] = lambda weights: weights
) -> float:
    """The alignment error rate of all picked number words: an English word is linked with the part most looked at.

    `guess` makes other weights (words, letters) of those of a pair: moved ones, or a guess to compare with.
    """
    links, sures, possibles = [], [], []
    sources, lengths, targets, counts = data.batch(pick)
    weights = attention_weights(net, sources, lengths, targets, KINDS[kind][1][0])
    for b, pair in enumerate(pick):
        german, words = data.texts[pair]
        parts = alignments.number_parts(german)
        sure, possible = alignments.part_links(parts, words)
        read = alignments.part_weights(guess(weights[: counts[b] - 2, : lengths[b], b]), parts)
        links.append(read == read.max(axis=1, keepdims=True))
        sures.append(sure)
        possibles.append(possible)
    flat = (np.concatenate([array.ravel() for array in arrays]) for arrays in (links, sures, possibles))
    return alignment.alignment_error_rate(*flat)


# --- all runs


@dataclass(frozen=True)
class Setting:
    """One training run: task, kind of attention, batches, seed."""

    task: str
    kind: str
    steps: int
    seed: int


@dataclass(frozen=True)
class Run(Setting):
    """What came out, on pairs that the net was not trained on.

    exact    share of answers that are right from the first word to the end.
    right    how many are right in each bin of input lengths, between the task's EDGES.
    tested   how many there are in each.
    rate     edit distance of all answers, over the length of all right ones: for phonemes the phoneme error rate.
    aligned  of number words: alignment error rate, with the weights moved to the left by 0, 1, 2, 3 letters.
    seen     a few inputs: text, right words, what was said, weights in percent while it is told the right words.
    seconds  that it took.
    """

    exact: float
    right: list[int]
    tested: list[int]
    rate: float
    aligned: list[float]
    seen: list[Any]
    seconds: float


def train_one(setting: Setting) -> Run:
    """Train and judge one net."""
    began, data, model = time.perf_counter(), TASKS[setting.task](), MODELS[setting.kind]
    net = runner.learn(model, data, setting.seed, hidden=WIDTH[setting.task], steps=setting.steps)
    said, wanted = runner.answers(model, net, data, data.test), data.wanted(data.test)
    hits = np.array([s == w for s, w in zip(said, wanted, strict=True)])
    edits = sum(edit_distance.edit_distance(s, w) for s, w in zip(said, wanted, strict=True))
    lengths, aligned = data.whole[1][data.test], []
    if setting.task == "numbers":
        moved = (partial(shifted, letters=letters) for letters in SHIFTS)
        aligned = [round(alignment_errors(setting.kind, net, data, data.test, guess), 4) for guess in moved]
    return Run(
        **asdict(setting),
        exact=round(float(hits.mean()), 4),
        right=np.histogram(lengths[hits], EDGES[setting.task])[0].tolist(),
        tested=np.histogram(lengths, EDGES[setting.task])[0].tolist(),
        rate=round(edits / sum(map(len, wanted)), 4),
        aligned=aligned,
        seen=_seen(setting, net, data) if setting.seed == 0 else [],
        seconds=round(time.perf_counter() - began, 1),
    )


def _seen(setting: Setting, net: Net, data: pairs.Pairs) -> list[Any]:
    rows = []
    for begin in PICTURED.get(setting.task, ()):
        pair = next(int(pair) for pair in data.test if data.texts[pair][0].startswith(begin))
        (said,) = runner.answers(MODELS[setting.kind], net, data, np.array([pair]))
        weights = np.round(100 * looks(setting.kind, net, data, pair)).astype(int)
        rows.append([data.texts[pair][0], data.texts[pair][1], data.write(said), weights.tolist()])
    return rows


def jobs() -> Iterator[Setting]:
    """Every run, a net of each task before the next seed."""
    for seed in range(runner.SEEDS):
        for task in STEPS:
            yield Setting(task, "general", STEPS[task], seed)


CODE = (*runner.CODE, runner, alignments, sounds, attention, attention_decoder, alignment, activations.sigmoid)


def _tell(run: Run) -> str:
    return f"{run.task}, {run.kind}: {run.exact:.1%} right"


LOG = Log("attention", "17-attention", jobs, train_one, Setting, Run, CODE, _tell)
