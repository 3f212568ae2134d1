"""The runs of chapter 13: whose language is a surname of, and which of nine men speaks?

Nets with three poolings against logistic regression, each on the same split. `course train classification` makes them.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from course.datasets import LANGUAGES, japanese_vowels, surnames
from course.runs.log import Log
from rnnlib import (
    batching,
    bidirectional,
    classifier,
    clipping,
    dropout,
    embedding,
    fused,
    gru,
    losses,
    metrics,
    optimizers,
    output,
    parameters,
    pooling,
    runs,
    schedules,
    training,
)
from rnnlib.types import Array

__all__ = [
    "CLASSES",
    "COUNTS",
    "LOG",
    "NETS",
    "Run",
    "Setting",
    "Task",
    "as_symbols",
    "guesses",
    "learn",
    "name_task",
    "split",
    "train_one",
    "vowel_task",
]

SEEDS = 5
CLASSES = {"surnames": tuple(LANGUAGES), "vowels": tuple(f"speaker {k}" for k in range(1, 10))}
POOLS = {
    "last": (pooling.pool_last, pooling.pool_last_backward),
    "mean": (pooling.pool_mean, pooling.pool_mean_backward),
    "max": (pooling.pool_max, pooling.pool_max_backward),
}
NETS = {"last": "last", "mean": "mean", "max": "max", "pairs": "mean"}  # the pooling of each; the last one reads pairs
COUNTS = {"triples": (3, 3), "up to triples": (1, 3)}  # logistic regression on counts of so many letters
STRENGTHS = (1.0, 3.0, 10.0)  # of logistic regression; the best on validation is taken
BATCH, WARMUP, LONGEST = 64, 50, 1.0


@dataclass(frozen=True)
class Task:
    """Sequences with labels, in three parts, and a net's sizes and training for them.

    symbols   how many there are, the last of them for a hidden one; 0 if the sequences are vectors.
    hide      a symbol's chance to be hidden in training.
    drop      a pooled unit's chance to be silenced in training.
    """

    sequences: list[Array]
    labels: Array
    train: Array
    validate: Array
    test: Array
    classes: int
    symbols: int
    width: int
    hidden: int
    steps: int
    rate: float
    hide: float
    drop: float


@dataclass(frozen=True)
class Setting:
    """One run: the task, what reads, the seed of split and weights."""

    task: str
    reader: str
    seed: int


@dataclass(frozen=True)
class Run(Setting):
    """What came out on the test part: share right, macro-F1, the confusion matrix row by row; and seconds."""

    accuracy: float
    f1: float
    confusion: list[int]
    seconds: float


# --- data


def split(count: int, seed: int) -> tuple[Array, Array, Array]:
    """Numbers for training, validation and test: eight, one and one tenth."""
    order, tenth = np.random.default_rng(500 + seed).permutation(count), count // 10
    return order[2 * tenth :], order[tenth : 2 * tenth], order[:tenth]


def as_symbols(names: list[str], pairs: bool = False) -> tuple[list[Array], list[str]]:
    """Each name between ^ and $ as numbers of its letters, or of its pairs of neighbors; and what each number means."""
    framed = [f"^{name}$" for name in names]
    pieces = [[name[i : i + 1 + pairs] for i in range(len(name) - pairs)] for name in framed]
    table = sorted({piece for word in pieces for piece in word})
    number = {piece: i for i, piece in enumerate(table)}
    return [np.array([number[piece] for piece in word]) for word in pieces], table


@cache
def name_task(seed: int, pairs: bool = False) -> Task:
    """Surnames of fifteen languages."""
    names, languages = surnames()
    sequences, table = as_symbols(names, pairs)
    labels = np.array([CLASSES["surnames"].index(language) for language in languages])
    sizes = (len(table) + 1, 48, 96, 1000) if pairs else (len(table) + 1, 32, 64, 800)
    return Task(sequences, labels, *split(len(names), seed), 15, *sizes, rate=0.01, hide=0.1, drop=0.3)


@cache
def vowel_task() -> Task:
    """Nine men who say two vowels; the data set's own split, of whose training part nothing is held back."""
    data = japanese_vowels()
    (train, own), (test, other) = data["train"], data["test"]
    frames = np.concatenate(train)
    sequences = [((x - frames.mean(axis=0)) / frames.std(axis=0)).astype(np.float32) for x in [*train, *test]]
    parts = np.arange(len(train)), np.arange(0), np.arange(len(train), len(sequences))
    return Task(sequences, np.concatenate([own, other]), *parts, 9, 0, 12, 32, 300, rate=0.01, hide=0.0, drop=0.3)


# --- a net


def _both_ways(lengths: Array) -> tuple[Any, Any]:
    run = partial(bidirectional.bidirectional, fused.gru_forward, lengths=lengths)
    return run, partial(bidirectional.bidirectional_backward, fused.gru_backward, lengths=lengths)


def _zeros(count: int, hidden: int) -> Any:
    return ((np.zeros((count, hidden), np.float32),),) * 2


def _thinned(pool: str, rng: np.random.Generator, drop: float) -> tuple[Any, Any]:
    """A pooling whose result is thinned by dropout, and its way back."""
    forth, back = POOLS[pool]

    def thin(hs: Array, lengths: Array) -> tuple[Array, Any]:
        pooled, cache = forth(hs, lengths)
        kept, mask = dropout.variational_dropout(rng, pooled[None], drop)
        return kept[0], (cache, mask)

    def thin_back(dpooled: Array, cache: Any) -> Array:
        return back(dropout.variational_dropout_backward(dpooled[None], cache[1])[0], cache[0])

    return thin, thin_back


def learn(task: Task, pool: str, seed: int, report: Callable[..., None] = lambda run, numbers: None) -> dict[str, Any]:
    """A GRU that reads in both directions, a pooling, an output layer; the weights that were best on validation."""
    rng = np.random.default_rng(seed)
    net: dict[str, Any] = {
        "cell": tuple(gru.gru_init(rng, task.width, task.hidden, dtype=np.float32) for _ in range(2)),
        "out": output.output_init(rng, 2 * task.hidden, task.classes, np.float32),
    }
    if task.symbols:
        net["embedding"] = embedding.embedding_init(rng, task.symbols, task.width, np.float32)

    def loss_and_grads(params: Any, rng: np.random.Generator) -> tuple[float, Any]:
        chosen = rng.choice(task.train, BATCH)
        inputs, lengths = batching.pad([task.sequences[i] for i in chosen])
        if task.hide:
            inputs = np.where(rng.random(inputs.shape) < task.hide, task.symbols - 1, inputs)
        how = (*_both_ways(lengths), *_thinned(pool, rng, task.drop))
        given = parameters.nested(params), inputs, lengths, _zeros(BATCH, task.hidden), task.labels[chosen]
        loss, grads = classifier.classifier_loss(*how, *given)
        return loss, parameters.flat(grads)

    def validate(params: Any) -> float:
        logits = _scores(task, pool, parameters.nested(params), task.validate)
        return losses.cross_entropy(logits, task.labels[task.validate])[0]

    rates = partial(schedules.warmup_cosine, total=task.steps, peak=task.rate, warmup=WARMUP)
    begin = runs.new_run(parameters.flat(net), rng)
    look = {"validate": validate, "every": 100} if len(task.validate) else {}
    run = training.fit(begin, loss_and_grads, task.steps, rates, max_norm=LONGEST, report=report, **look)  # type: ignore[arg-type]
    return parameters.nested(run["best_params" if look else "params"])


def _scores(task: Task, pool: str, net: dict[str, Any], which: Array) -> Array:
    found = []
    for part in np.array_split(which, -(-len(which) // 256)):
        inputs, lengths = batching.pad([task.sequences[i] for i in part])
        how = _both_ways(lengths)[0], POOLS[pool][0], net
        found.append(classifier.classifier_forward(*how, inputs, lengths, _zeros(len(part), task.hidden))[0])
    return np.concatenate(found)


def guesses(task: Task, pool: str, net: dict[str, Any], which: Array) -> Array:
    """The class that a net tells for each of these sequences."""
    return _scores(task, pool, net, which).argmax(axis=-1)


# --- what it is held against


def _by_counts(task: Task, span: tuple[int, int]) -> Array:
    """Logistic regression on how often each group of so many letters stands in a name."""
    from sklearn.feature_extraction.text import CountVectorizer

    framed = [f"^{name}$" for name in surnames()[0]]
    counts = CountVectorizer(analyzer="char", ngram_range=span, lowercase=False)
    counts.fit([framed[i] for i in task.train])
    return _logistic(task, lambda which: counts.transform([framed[i] for i in which]))


def _by_summary(task: Task) -> Array:
    """Logistic regression on mean and spread of each channel of a recording."""
    rows = [np.concatenate([x.mean(axis=0), x.std(axis=0)]) for x in task.sequences]
    return _logistic(task, lambda which: np.array([rows[i] for i in which]))


def _logistic(task: Task, features: Callable[[Array], Any]) -> Array:
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(C=strength, max_iter=1000) for strength in STRENGTHS]
    if not len(task.validate):
        models = models[:1]
    for model in models:
        model.fit(features(task.train), task.labels[task.train])
    if len(models) > 1:
        seen = features(task.validate)
        models.sort(key=lambda model: -model.score(seen, task.labels[task.validate]))
    return np.asarray(models[0].predict(features(task.test)))


# --- all runs


def train_one(setting: Setting) -> Run:
    """Train one reader, and count what it says of the test part."""
    began = time.perf_counter()
    task = vowel_task() if setting.task == "vowels" else name_task(setting.seed, pairs=setting.reader == "pairs")
    if setting.reader in COUNTS:
        guess = _by_counts(task, COUNTS[setting.reader])
    elif setting.reader == "summary":
        guess = _by_summary(task)
    else:
        pool = NETS[setting.reader]
        guess = guesses(task, pool, learn(task, pool, setting.seed), task.test)
    confusion = metrics.confusion_matrix(task.labels[task.test], guess, task.classes)
    share, f1 = float(np.trace(confusion) / confusion.sum()), metrics.macro_f1(confusion)
    return Run(**asdict(setting), accuracy=share, f1=f1, confusion=confusion.ravel().tolist(),
               seconds=round(time.perf_counter() - began, 1))  # fmt: skip


def jobs() -> Iterator[Setting]:
    """Every run; the summary has no seed, since nothing in it is drawn."""
    yield Setting("vowels", "summary", 0)
    for seed in range(SEEDS):
        for pool in POOLS:
            yield Setting("vowels", pool, seed)
        for reader in (*COUNTS, *NETS):
            yield Setting("surnames", reader, seed)


def _tell(run: Run) -> str:
    return f"{run.task}, {run.reader}: {run.accuracy:.3f}"


CODE = (
    *(batching.pad, batching.mask_from_lengths, bidirectional.bidirectional, bidirectional.bidirectional_backward),
    *(bidirectional.reverse_sequences, classifier.classifier_forward, classifier.classifier_backward),
    *(classifier.classifier_loss, clipping.clip_by_norm, dropout.variational_dropout, embedding.embed),
    *(embedding.embed_backward, embedding.embedding_init, gru.gru_init, gru.gru_step, gru.gru_step_backward),
    *(losses.cross_entropy, metrics.confusion_matrix, metrics.macro_f1, optimizers.adam, output.output_init),
    *(output.output_layer, output.output_layer_backward, pooling, schedules.warmup_cosine, training.fit, surnames),
    japanese_vowels,
)
LOG = Log("classification", "13-classification", jobs, train_one, Setting, Run, CODE, _tell)
