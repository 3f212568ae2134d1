"""The runs of chapter 14 on the Brown corpus: parts of speech by the most frequent tag, by nets, by nets and a chain.

Every seed has a split of its own: a tenth of the sentences is held out, and the nets learn from the others (or from
so many of them). What comes out is numbers alone. `course train tagging` makes the log.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from course.datasets import TAGS, brown
from course.runs.log import Log
from rnnlib import (
    activations,
    batching,
    bidirectional,
    clipping,
    crf,
    embedding,
    fused,
    gru,
    losses,
    optimizers,
    output,
    schedules,
)
from rnnlib.types import Array, Params

__all__ = ["KINDS", "LOG", "SEEDS", "SIZES", "Run", "Setting", "settings", "train_one"]

KINDS = ("most frequent tag", "word", "word, chain", "ahead", "both ways", "both ways, chain")
SEEDS = 5
SIZES = (1000, 0)  # sentences to learn from; 0: all that are not held out
WIDTH, HIDDEN = 32, 48
LONGEST_STEP, PEAK = 1.0, 0.02
EPOCHS, BATCH = {1000: 20, 0: 1.5}, {1000: 64, 0: 128}
LEAST = 3  # a word that comes up less often is unknown while learning, so that there is something to learn about it
ENDING = 3  # letters
SPREAD = 0.3  # of the table's first numbers, three of which are added up

Sentence = list[tuple[str, str]]
Net = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One run: kind of tagger, sentences to learn from, seed of split and net."""

    kind: str
    sentences: int
    seed: int


@dataclass(frozen=True)
class Run(Setting):
    """What came out on held-out sentences: shares of tags that are right, of all words, of words that have had more
    than one tag, of words never seen; the share of sentences without an error; how many words each share is of;
    where there is a chain, its scores of transitions, row by row, in the order of TAGS."""

    accuracy: float
    ambiguous: float
    unknown: float
    whole: float
    words: int
    ambiguous_words: int
    unknown_words: int
    moves: list[float]
    seconds: float


def settings() -> list[Setting]:
    """Every run, the short ones first."""
    return [Setting(kind, size, seed) for size in SIZES for kind in KINDS for seed in range(SEEDS)]


def train_one(setting: Setting) -> Run:
    """Learn from the sentences of the split, tag those that were held out, and count."""
    began = time.perf_counter()
    learn, test = _split(setting)
    truth = [[tag for _, tag in sentence] for sentence in test]
    if setting.kind == KINDS[0]:
        guess, chain = _most_frequent(learn, test), np.zeros(0)
    else:
        guess, chain = _by_net(setting, learn, test)
    shares, moves = _shares(learn, test, truth, guess), [round(float(move), 2) for move in chain.ravel()]
    return Run(**asdict(setting), **shares, moves=moves, seconds=round(time.perf_counter() - began, 1))


# --- data


def _split(setting: Setting) -> tuple[list[Sentence], list[Sentence]]:
    corpus = brown()
    order = np.random.default_rng(1000 + setting.seed).permutation(len(corpus))
    held_out = len(corpus) // 10
    rest = order[held_out:][: setting.sentences or None]
    return [corpus[i] for i in rest], [corpus[i] for i in order[:held_out]]


def _tags_of_words(sentences: list[Sentence]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for sentence in sentences:
        for word, tag in sentence:
            found.setdefault(word, Counter())[tag] += 1
    return found


def _most_frequent(learn: list[Sentence], test: list[Sentence]) -> list[list[str]]:
    """Each word's most frequent tag; for a word never seen, the most frequent tag of all."""
    tags = _tags_of_words(learn)
    best = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
    anything = sum(tags.values(), Counter()).most_common(1)[0][0]
    return [[best.get(word, anything) for word, _ in sentence] for sentence in test]


def _shares(
    learn: list[Sentence], test: list[Sentence], truth: list[list[str]], guess: list[list[str]]
) -> dict[str, Any]:
    tags = {word: len(counts) for word, counts in _tags_of_words(learn).items()}
    known = np.array([tags.get(word, 0) for sentence in test for word, _ in sentence])
    right = np.array([t == g for ts, gs in zip(truth, guess, strict=True) for t, g in zip(ts, gs, strict=True)])
    groups = {"accuracy": known >= 0, "ambiguous": known > 1, "unknown": known == 0}
    shares: dict[str, Any] = {name: round(float(right[group].mean()), 5) for name, group in groups.items()}
    whole = np.mean([t == g for t, g in zip(truth, guess, strict=True)])
    return shares | {
        "whole": round(float(whole), 5),
        "words": len(known),
        "ambiguous_words": int((known > 1).sum()),
        "unknown_words": int((known == 0).sum()),
    }


# --- nets


def _features(word: str) -> tuple[str, str, str]:
    """What a net sees of a word: itself, its ending, its looks; any of the three may be unknown to it."""
    looks = (word[:1].isupper(), word.isupper(), any(c.isdigit() for c in word), "-" in word, word.isalpha())
    return f"word {word}", f"ending {word[-ENDING:].lower()}", f"looks {looks}"


def _number(learn: list[Sentence]) -> dict[str, int]:
    """A row of the table for each feature that comes up often enough, and one for each kind that does not."""
    counts = Counter(feature for sentence in learn for word, _ in sentence for feature in _features(word))
    often = sorted(feature for feature, count in counts.items() if count >= LEAST)
    return {feature: i for i, feature in enumerate(["word", "ending", "looks", *often])}


def _tokens(rows: dict[str, int], sentences: list[Sentence]) -> list[Array]:
    """For each sentence three rows of the table for every word, (n, 3)."""
    known: dict[str, list[int]] = {}
    for sentence in sentences:
        for word, _ in sentence:
            if word not in known:
                known[word] = [rows.get(f, rows[f.partition(" ")[0]]) for f in _features(word)]
    return [np.array([known[word] for word, _ in sentence]) for sentence in sentences]


def _by_net(setting: Setting, learn: list[Sentence], test: list[Sentence]) -> tuple[list[list[str]], Array]:
    """The tags of the held-out sentences, and the chain's scores of transitions, if there is one."""
    rng = np.random.default_rng(setting.seed)
    rows, number = _number(learn), {tag: k for k, tag in enumerate(TAGS)}
    tokens = _tokens(rows, learn)
    labels = [np.array([number[tag] for _, tag in sentence]) for sentence in learn]
    params = _new_net(rng, setting.kind, len(rows))
    lengths = np.array([len(sentence) for sentence in learn])
    size, step = BATCH[setting.sentences], 0
    state: optimizers.OptimizerState = {}
    steps = int(EPOCHS[setting.sentences] * len(learn) / size)
    while step < steps:
        for batch in batching.bucket(lengths, size, rng)[: steps - step]:
            step += 1
            xs, n = batching.pad([tokens[i] for i in batch])
            ys, _ = batching.pad([labels[i] for i in batch])
            grads, _ = clipping.clip_by_norm(_gradients(setting.kind, params, xs, ys, n), LONGEST_STEP)
            rate = schedules.warmup_cosine(step, steps, PEAK, steps // 20)
            params, state = optimizers.adam(params, grads, state, rate)
    guess: list[list[str]] = [[] for _ in test]
    seen, long = _tokens(rows, test), np.array([len(sentence) for sentence in test])
    for batch in batching.bucket(long, 512, rng):
        xs, n = batching.pad([seen[i] for i in batch])
        for b, best in enumerate(_tag(setting.kind, params, xs, n).T):
            guess[batch[b]] = [TAGS[k] for k in best[: n[b]]]
    return guess, params.get("transitions", np.zeros(0))


def _new_net(rng: np.random.Generator, kind: str, rows: int) -> Params:
    """All weights under one level of names: what the optimizer takes."""
    params = {"E": SPREAD * embedding.embedding_init(rng, rows, WIDTH)["E"]}
    for way in _ways(kind):
        params |= {f"{way} {name}": value for name, value in gru.gru_init(rng, WIDTH, HIDDEN).items()}
    width = HIDDEN * len(_ways(kind)) or WIDTH
    params |= output.output_init(rng, width, len(TAGS))
    if "chain" in kind:
        params |= crf.crf_init(len(TAGS))
    return {name: value.astype(np.float32) for name, value in params.items()}


def _ways(kind: str) -> Sequence[str]:
    return {"ahead": ("ahead",), "both ways": ("ahead", "back")}.get(kind.removesuffix(", chain"), ())


def _cell(params: Params, way: str) -> Params:
    return {name.partition(" ")[2]: value for name, value in params.items() if name.startswith(f"{way} ")}


def _scores(kind: str, params: Params, tokens: Array, lengths: Array) -> tuple[Array, tuple[Any, ...]]:
    """A score for each tag at each step, and what the way back needs."""
    vectors, kept = embedding.embed(params, tokens)
    xs, caches = vectors.sum(axis=2), None
    zero, ways = (np.zeros((xs.shape[1], HIDDEN), np.float32),), _ways(kind)
    hs = xs
    if len(ways) == 1:
        hs, _, caches = fused.gru_forward(_cell(params, "ahead"), xs, zero)
    elif ways:
        cells = _cell(params, "ahead"), _cell(params, "back")
        hs, _, caches = bidirectional.bidirectional(fused.gru_forward, cells, xs, (zero, zero), lengths)
    scores, seen = output.output_layer(params, hs)
    return scores, (kept, caches, seen, zero)


def _gradients(kind: str, params: Params, tokens: Array, labels: Array, lengths: Array) -> Params:
    scores, (kept, caches, seen, zero) = _scores(kind, params, tokens, lengths)
    if "chain" in kind:
        _, dscores, grads = crf.crf_loss(params, scores, labels, lengths)
    else:
        _, dscores = losses.cross_entropy(scores, labels, batching.mask_from_lengths(lengths, len(scores)))
        grads = {}
    dhs, of_out = output.output_layer_backward(params, dscores, seen)
    ways = _ways(kind)
    if len(ways) == 1:
        dhs, _, own = fused.gru_backward(_cell(params, "ahead"), dhs, zero, caches)
        grads |= {f"ahead {name}": grad for name, grad in own.items()}
    elif ways:
        cells = _cell(params, "ahead"), _cell(params, "back")
        back = partial(bidirectional.bidirectional_backward, fused.gru_backward)
        dhs, _, both = back(cells, dhs, (zero, zero), caches, lengths)
        grads |= {f"{way} {name}": grad for way, own in zip(ways, both, strict=True) for name, grad in own.items()}
    spread = np.broadcast_to(dhs[:, :, None, :], (*tokens.shape, dhs.shape[-1]))
    return grads | of_out | embedding.embed_backward(params, spread, kept)


def _tag(kind: str, params: Params, tokens: Array, lengths: Array) -> Array:
    scores, _ = _scores(kind, params, tokens, lengths)
    return crf.viterbi(params, scores, lengths)[0] if "chain" in kind else scores.argmax(axis=-1)


# Of the cells these are the plain steps: `rnnlib.fused` computes the same, which its own tests see to.
CODE = (
    *(gru.gru_init, gru.gru_step, gru.gru_step_backward, activations.sigmoid, bidirectional.bidirectional),
    *(bidirectional.bidirectional_backward, bidirectional.reverse_sequences, embedding.embedding_init),
    *(embedding.embed, embedding.embed_backward, output.output_init, output.output_layer),
    *(output.output_layer_backward, losses.cross_entropy, crf, batching, clipping.clip_by_norm, optimizers.adam),
    *(schedules.warmup_cosine, brown),
)


def _tell(run: Run) -> str:
    return f"{run.kind}, {run.sentences or 'all'} sentences, seed {run.seed}: {run.accuracy:.4f}"


LOG = Log(
    name="tagging",
    chapter="14-labeling",
    settings=settings,
    train_one=train_one,
    setting=Setting,
    run=Run,
    code=CODE,
    tell=_tell,
)
