"""What must hold for the functions of chapter 13, whatever the numbers, and the gate: made-up words, three classes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds, refused
from course.checks.toys import pool_sum, pool_sum_back, run_fast_and_slow, run_fast_and_slow_back, run_leaky
from course.checks.toys import run_leaky_back as leaky_back
from course.checks.words import MARKS, told_right, train_on_words

GATE = 0.95  # share of fresh words whose class is told
PASSED_BY = "a right function came above 0.98 on each of 20 seeds"
LAST, MEAN, MAX = (f"13-classification/pool_{kind}" for kind in ("last", "mean", "max"))
FORWARD, BACKWARD = "13-classification/classifier_forward", "13-classification/classifier_backward"
INFLUENCE = "13-classification/input_influence"
CONFUSION, F1 = "13-classification/confusion_matrix", "13-classification/macro_f1"
LENGTHS = np.array([3, 5, 1, 4])


def _states() -> np.ndarray:
    """States (5, 4, 3), all negative, so that a zero in the padding would be a maximum."""
    return -0.5 - np.abs(draw(5, 4, 3))


# --- the three poolings, forward


def _company_does_not_matter(pool: Callable[..., Any]) -> None:
    hs = _states()
    whole, _ = pool(hs.copy(), LENGTHS)
    expect(np.shape(whole) == (4, 3), f"states (5, 4, 3): the result has shape {np.shape(whole)}, expected (4, 3)")
    for b, n in enumerate(LENGTHS):
        alone, _ = pool(hs[:n, b : b + 1].copy(), LENGTHS[b : b + 1])
        gap = distance(alone[0], whole[b])
        expect(
            gap < 1e-12,
            f"sequence {b} has {n} of the batch's 5 steps. Alone it gives {np.round(alone[0], 3)}, in the batch "
            f"{np.round(whole[b], 3)}: what it gives must not depend on the sequences beside it.",
        )


def _padding_is_not_read(pool: Callable[..., Any]) -> None:
    hs = _states()
    behind = np.arange(5)[:, None] >= LENGTHS
    want, _ = pool(hs.copy(), LENGTHS)
    for junk in (0.0, 1e6, -1e6, np.nan, np.inf):
        changed, longer = hs.copy(), np.full((8, 4, 3), junk)
        changed[behind] = junk
        longer[:5] = changed
        for given, what in ((changed, "behind the ends"), (longer, "behind the ends, and three more steps of it")):
            got, _ = pool(given, LENGTHS)
            expect(np.shape(got) == np.shape(want), f"with {junk:g} {what}, the result has shape {np.shape(got)}")
            for b, n in enumerate(LENGTHS):
                expect(
                    np.array_equal(got[b], want[b]),
                    f"with {junk:g} {what}, the result of a sequence of {n} steps moves from {np.round(want[b], 3)} to "
                    f"{np.round(got[b], 3)}. Steps from number `length` on must not be read."
                    + " (NaN times 0 is NaN.)"
                    * bool(np.isnan(junk)),
                )


def _no_step_is_an_error(pool: Callable[..., Any]) -> None:
    hs, says = _states(), "integers from 1 to 5"
    refused("a sequence of length 0", says, pool, hs, np.array([3, 0, 1, 4]))
    refused("a length of 6 in a batch of 5 steps", says, pool, hs, np.array([3, 6, 1, 4]))
    refused("three lengths for four sequences", "4 " + says, pool, hs, np.array([3, 5, 1]))


for _name in (LAST, MEAN, MAX):
    holds(_name, "what a sequence gives does not depend on its company")(_company_does_not_matter)
    holds(_name, "the padding is not read")(_padding_is_not_read)
    holds(_name, "a sequence without a step is an error")(_no_step_is_an_error)


@holds(LAST, "the result is a new array")
def _(pool_last):
    for T, lengths in ((5, LENGTHS), (5, np.full(4, 5)), (1, np.ones(4, int))):
        hs = _states()[:T]
        pooled, _ = pool_last(hs, np.minimum(lengths, T))
        expect(
            not np.shares_memory(pooled, hs),
            f"{T} steps, lengths {np.minimum(lengths, T).tolist()}: the result is a part of hs itself, whoever writes "
            "into it changes the states. Return a new array.",
        )


@holds(MEAN, "the mean of equal states is that state")
def _(pool_mean):
    hs = np.broadcast_to(np.array([2.0, -1.0]), (5, 4, 2)).copy()
    pooled, _ = pool_mean(hs, LENGTHS)
    gap = distance(pooled, hs[0])
    expect(
        gap < 1e-12,
        f"all states are (2, -1), lengths {LENGTHS.tolist()}: the means are {np.round(pooled, 3).tolist()}. Divide "
        "each sum by the sequence's own length.",
    )


@holds(MAX, "of several largest values the first is kept, and every unit has its own step")
def _(pool_max):
    hs = np.array([[[1.0, 0.0]], [[4.0, 0.0]], [[4.0, -2.0]], [[9.0, 9.0]]])
    pooled, cache = pool_max(hs, np.array([3]))
    expect(isinstance(cache, tuple) and len(cache) == 2, "the cache is a tuple of two: the mask and the steps")
    told = np.asarray(cache[1]).tolist()
    expect(
        told == [[1, 0]],
        f"one sequence of 3 steps, unit 0 holds 1, 4, 4 and unit 1 holds 0, 0, -2: steps are {told}, expected "
        "[[1, 0]], counted from 0, the first of those that hold the maximum",
    )
    expect(pooled.tolist() == [[4.0, 0.0]], f"the same sequence: the maxima are {pooled.tolist()}, expected [[4, 0]]")


# --- and back


def _cache(kind: str) -> tuple[np.ndarray, ...]:
    mask = np.arange(5)[:, None] < LENGTHS
    steps = np.array([[2, 0, 1], [4, 1, 4], [0, 0, 0], [3, 2, 0]])
    return (mask, steps) if kind == MAX else (mask,)


def _written_down(kind: str, dpooled: np.ndarray) -> np.ndarray:
    """The gradient, number by number."""
    dhs = np.zeros((5, 4, 3))
    for b, n in enumerate(LENGTHS):
        for k in range(3):
            if kind == MEAN:
                dhs[:n, b, k] = dpooled[b, k] / n
            else:
                dhs[n - 1 if kind == LAST else _cache(MAX)[1][b, k], b, k] = dpooled[b, k]
    return dhs


def _nothing_is_lost(kind: str) -> Callable[[Callable[..., Any]], None]:
    def test(back: Callable[..., Any]) -> None:
        dpooled = draw(4, 3, seed=5)
        dhs = back(dpooled.copy(), _cache(kind))
        expect(np.shape(dhs) == (5, 4, 3), f"5 steps, 4 sequences, 3 units: dhs has shape {np.shape(dhs)}")
        padding = np.abs(np.where(_cache(kind)[0][..., None], 0, dhs)).sum()
        expect(
            padding < 1e-12, f"lengths {LENGTHS.tolist()}: steps behind the ends get a gradient, {padding:.3g} in all"
        )
        gap = distance(dhs.sum(axis=0), dpooled)
        expect(
            gap < 1e-12,
            f"added up over the steps, dhs is {np.round(dhs.sum(axis=0)[0], 3)} for sequence 0, dpooled was "
            f"{np.round(dpooled[0], 3)}: a sum with weights that add up to 1 hands on all of it, and no more.",
        )

    return test


def _right_place(kind: str) -> Callable[[Callable[..., Any]], None]:
    def test(back: Callable[..., Any]) -> None:
        dpooled = draw(4, 3, seed=6)
        dhs = back(dpooled.copy(), _cache(kind))
        want = _written_down(kind, dpooled)
        expect(np.shape(dhs) == want.shape, f"dhs has shape {np.shape(dhs)}, expected {want.shape}")
        for b, n in enumerate(LENGTHS):
            gap = distance(dhs[:, b], want[:, b])
            at = sorted({int(t) for t in np.nonzero(np.abs(dhs[:, b]).sum(axis=-1))[0]})
            expect(
                gap < 1e-12,
                f"sequence {b} of {n} steps: the gradient enters at steps {at}, off by up to {gap:.3g}",
            )

    return test


def _other_batch(back: Callable[..., Any], kind: str) -> None:
    refused("a gradient of 3 sequences with a cache of 4", "dpooled has shape (3, 3)", back, draw(3, 3), _cache(kind))


for _kind in (LAST, MEAN, MAX):
    holds(f"{_kind}_backward", "nothing is lost, and nothing enters behind an end")(_nothing_is_lost(_kind))
    holds(f"{_kind}_backward", "it enters where it should")(_right_place(_kind))
    holds(f"{_kind}_backward", "a gradient of another batch is an error")(partial(_other_batch, kind=_kind))


# --- the classifier


def _net(symbols: bool) -> tuple[dict[str, Any], np.ndarray, tuple[np.ndarray, ...]]:
    """A net with a cell of a state of two arrays, inputs for it (5, 4), and a start."""
    net = {"cell": {"W": draw(2, 3)}, "out": {"W_hy": draw(3, 6, seed=4), "b_y": draw(6, seed=5)}}
    if symbols:
        net["embedding"] = {"E": draw(7, 2, seed=6)}
    inputs = np.arange(20).reshape(5, 4) % 7 if symbols else draw(5, 4, 2, seed=7)
    return net, inputs, (draw(4, 3, seed=8), draw(4, 3, seed=9))


def _kind_of(symbols: bool) -> str:
    return "symbols" if symbols else "vectors"


@holds(FORWARD, "each sequence is scored as if it were alone")
def _(forward):
    for symbols in (False, True):
        net, inputs, state = _net(symbols)
        got = forward(run_fast_and_slow, pool_sum, net, inputs, LENGTHS, state)
        expect(isinstance(got, tuple) and len(got) == 2, "expected two things, the scores and the cache")
        expect(np.shape(got[0]) == (4, 6), f"4 sequences, 6 classes: the scores have shape {np.shape(got[0])}")
        for b, n in enumerate(LENGTHS):
            own = tuple(part[b : b + 1] for part in state)
            one, _ = forward(run_fast_and_slow, pool_sum, net, inputs[:n, b : b + 1], LENGTHS[b : b + 1], own)
            gap = distance(one[0], got[0][b])
            expect(
                gap < 1e-10,
                f"{_kind_of(symbols)}: sequence {b} of {n} steps scores otherwise in the batch: {gap:.3g} off",
            )


@holds(FORWARD, "it does not matter what pads, nor how much")
def _(forward):
    for symbols, fillers in ((False, (0.0, 1e6, np.nan)), (True, (0, -1, 99))):
        net, inputs, state = _net(symbols)
        mask = np.arange(9)[:, None] < LENGTHS
        want, _ = forward(run_fast_and_slow, pool_sum, net, inputs, LENGTHS, state)
        for junk in fillers:
            longer = np.full((9, *inputs.shape[1:]), junk)
            longer[mask] = inputs[mask[:5]]
            try:
                got, _ = forward(run_fast_and_slow, pool_sum, net, longer, LENGTHS, state)
            except ValueError as error:
                raise CheckFailed(
                    f"{_kind_of(symbols)}, {junk:g} in the padding: {error}. Put zeros there before anything reads it."
                ) from None
            gap = distance(got, want)
            expect(
                gap < 1e-12,
                f"{_kind_of(symbols)}, {junk:g} in the padding and 9 steps in place of 5: the scores move by {gap:.3g}",
            )


@holds(FORWARD, "the cache holds five parts, in order")
def _(forward):
    for symbols in (False, True):
        net, inputs, state = _net(symbols)
        _, cache = forward(run_fast_and_slow, pool_sum, net, inputs, LENGTHS, state)
        expect(isinstance(cache, tuple) and len(cache) == 5, "the cache is a tuple of five")
        kept = np.asarray(cache[0])
        clean = inputs.copy()
        clean[np.arange(5)[:, None] >= LENGTHS] = 0
        expect(
            kept.shape == clean.shape and np.array_equal(kept, clean),
            f"{_kind_of(symbols)}: the first part of the cache is not the inputs with zeros in the padding. Of symbols "
            "it is the symbols themselves; `embed_backward` will ask for them.",
        )


def _forth_and_back(backward: Callable[..., Any], symbols: bool) -> tuple[Any, ...]:
    """A net, its inputs, what the learner's function makes of them, and the number whose slopes that should be."""
    from rnnlib.classifier import classifier_forward

    net, inputs, state = _net(symbols)
    dlogits = draw(4, 6, seed=12)

    def total(net: Any, inputs: np.ndarray) -> float:
        scores, _ = classifier_forward(run_fast_and_slow, pool_sum, net, inputs, LENGTHS, state)
        return float((scores * dlogits).sum())

    kept = classifier_forward(run_fast_and_slow, pool_sum, net, inputs, LENGTHS, state)[1]
    return net, inputs, backward(run_fast_and_slow_back, pool_sum_back, net, dlogits.copy(), kept), total


def _slopes_in(total: Callable[..., float], net: Any, inputs: np.ndarray, part: str, name: str) -> np.ndarray:
    return slopes(lambda changed: total(net | {part: net[part] | {name: changed}}, inputs), net[part][name])


@holds(BACKWARD, "every gradient is a slope")
def _(backward):
    for symbols in (False, True):
        net, inputs, (_, grads), total = _forth_and_back(backward, symbols)
        kind, names = _kind_of(symbols), sorted(grads) if isinstance(grads, dict) else type(grads).__name__
        expect(names == sorted(net), f"{kind}: the gradients are called {names}, the parts of the net {sorted(net)}")
        for part, own in net.items():
            found = sorted(grads[part]) if isinstance(grads[part], dict) else type(grads[part]).__name__
            expect(found == sorted(own), f"{kind}: grads[{part!r}] holds {found}, expected {sorted(own)}")
            for name in own:
                gap = distance(grads[part][name], _slopes_in(total, net, inputs, part, name))
                expect(gap < 1e-6, f"{kind}: grads[{part!r}][{name!r}] is {gap:.3g} away from central differences")


@holds(BACKWARD, "the gradient of the inputs is theirs, step by step")
def _(backward):
    net, inputs, (dxs, _), total = _forth_and_back(backward, False)
    gap = distance(dxs, slopes(lambda changed: total(net, changed), inputs))
    expect(gap < 1e-6, f"dxs is {gap:.3g} away from central differences of the scores in the inputs")


def _gate(forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
    from rnnlib.pooling import pool_max, pool_max_backward

    net, losses = drive(train_on_words, forward, backward, pool_max, pool_max_backward)
    share = told_right(forward, pool_max, net)
    expect(
        share > GATE,
        f"made-up words with one of {len(MARKS)} pairs of letters: the net tells {share:.2f} of the classes, "
        f"loss {losses[-1]:.3g} after {len(losses)} batches; expected more than {GATE}, since {PASSED_BY}.",
    )


@holds(BACKWARD, "a net that is trained with it tells made-up words apart")
def _(backward):
    from rnnlib.classifier import classifier_forward

    _gate(classifier_forward, backward)


# --- influence


@holds(INFLUENCE, "where everything adds up, a step's influence is what the score loses without it")
def _(influence):
    for symbols in (False, True):
        net, inputs, state = _net(symbols)
        xs = net["embedding"]["E"][inputs] if symbols else inputs
        classes = np.array([5, 0, 2, 2])
        four = run_fast_and_slow, run_fast_and_slow_back, pool_sum, pool_sum_back
        s = influence(*four, net, inputs, LENGTHS, state, classes)
        expect(np.shape(s) == (5, 4), f"5 steps, 4 sequences: the influences have shape {np.shape(s)}, expected (5, 4)")
        for t in range(5):
            for b in map(int, np.flatnonzero(t < LENGTHS)):
                lost = _score(net, xs, state, b, classes[b]) - _score(net, xs, state, b, classes[b], without=t)
                expect(
                    abs(float(s[t, b]) - lost) < 1e-10,
                    f"{_kind_of(symbols)}: without step {t} the score of class {classes[b]} of sequence {b} falls "
                    f"by {lost:.4g}; its influence is {float(s[t, b]):.4g}. (The toy is linear, so they agree.)",
                )


def _score(net: Any, xs: np.ndarray, state: Any, b: int, k: int, without: int | None = None) -> float:
    """One sequence's score of a class, read alone, with one step's vector set to zero."""
    own = xs[: LENGTHS[b], b : b + 1].copy()
    if without is not None:
        own[without] = 0
    hs, _, _ = run_fast_and_slow(net["cell"], own, tuple(part[b : b + 1] for part in state))
    return float(hs.sum(axis=(0, 1)) @ net["out"]["W_hy"][:, k] + net["out"]["b_y"][k])


@holds(INFLUENCE, "padding has none, and changes none")
def _(influence):
    for symbols, junk in ((False, np.nan), (True, -1)):
        net, inputs, state = _net(symbols)
        four, classes = (run_fast_and_slow, run_fast_and_slow_back, pool_sum, pool_sum_back), np.array([1, 1, 3, 0])
        mask = np.arange(5)[:, None] < LENGTHS
        want = influence(*four, net, inputs, LENGTHS, state, classes)
        expect(not np.any(want[~mask]), f"{_kind_of(symbols)}: steps behind the ends have an influence")
        given = inputs.copy()
        given[~mask] = junk
        gap = distance(influence(*four, net, given, LENGTHS, state, classes), want)
        expect(gap < 1e-12, f"{_kind_of(symbols)}: with {junk} in the padding the influences move by {gap:.3g}")


@holds(INFLUENCE, "each sequence is asked about its own class")
def _(influence):
    net, inputs, state = _net(False)
    cell = {"keep": np.linspace(0.4, 0.9, 3), "W": net["cell"]["W"]}
    given = run_leaky, leaky_back, pool_sum, pool_sum_back, net | {"cell": cell}, inputs, LENGTHS, state[:1]
    every = np.stack([influence(*given, np.full(4, k)) for k in range(6)])
    mixed = influence(*given, np.array([3, 0, 5, 1]))
    for b, k in enumerate((3, 0, 5, 1)):
        gap = distance(mixed[:, b], every[k, :, b])
        expect(
            gap < 1e-12,
            f"sequence {b} asked about class {k}: another answer, {gap:.3g} off, where the other sequences are asked "
            "about other classes",
        )


# --- metrics


@holds(CONFUSION, "rows are the truth, and the same pair counts each time")
def _(confusion_matrix):
    C = confusion_matrix(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1]), 3)
    told = np.asarray(C).tolist()
    expect(
        told == [[0, 3, 0], [0, 1, 0], [0, 0, 0]],
        f"class 0 is taken for class 1 three times, class 1 is told right once: the matrix is {told}, expected "
        "[[0, 3, 0], [0, 1, 0], [0, 0, 0]]",
    )
    expect(np.asarray(C).dtype.kind == "i", f"counts are integers; the matrix holds {np.asarray(C).dtype}")


@holds(CONFUSION, "labels that do not fit are an error")
def _(confusion_matrix):
    good = np.array([0, 1, 2])
    refused("truth with a 3, three classes", "truth", confusion_matrix, np.array([0, 3, 1]), good, 3)
    refused("a guess of -1", "guess", confusion_matrix, good, np.array([0, -1, 1]), 3)
    refused("a truth of -1", "truth", confusion_matrix, np.array([0, -1, 1]), good, 3)
    refused("a guess of 3", "guess", confusion_matrix, good, np.array([0, 3, 1]), 3)
    refused("guesses that are floats", "guess has dtype float64", confusion_matrix, good, np.array([0.0, 1.0, 2.0]), 3)
    refused("two guesses for three examples", "(2,)", confusion_matrix, good, np.array([0, 1]), 3)


@holds(F1, "each class has the same say")
def _(macro_f1):
    C = np.array([[90, 0], [10, 0]])
    got, want = macro_f1(C), 0.5 * 180 / 190
    expect(
        abs(got - want) < 1e-12,
        f"90 of one class and 10 of another, all taken for the first: macro-F1 is {got:.4f}, expected {want:.4f}, the "
        "mean of 0.947 and 0. (The accuracy is 0.9; weighted by the examples it would be 0.853.)",
    )
    expect(isinstance(got, float), f"expected a Python float, got a {type(got).__name__}")


@holds(F1, "turned over it is the same, and doubled too")
def _(macro_f1):
    C = np.array([[5, 2, 1], [1, 3, 2], [0, 4, 9]])
    for other, what in ((C.T, "turned over"), (2 * C, "doubled"), (C[::-1, ::-1], "with its classes in another order")):
        gap = abs(macro_f1(np.ascontiguousarray(other)) - macro_f1(C))
        expect(gap < 1e-12, f"the matrix {what}: macro-F1 moves by {gap:.3g}")


@holds(F1, "a class in neither is left out, one that is missed is not")
def _(macro_f1):
    got = macro_f1(np.diag([3, 0, 4]))
    expect(
        abs(got - 1) < 1e-12,
        f"two classes, all right, and a third that does not occur and was not guessed: macro-F1 is {got:.4g}, not 1",
    )
    got = macro_f1(np.array([[3, 0, 0], [0, 0, 2], [0, 0, 4]]))
    want = (1 + 0 + 0.8) / 3
    expect(abs(got - want) < 1e-12, f"a class that was never guessed counts with 0: {got:.4g}, expected {want:.4g}")


@holds(F1, "no examples, no mean; no square, no matrix")
def _(macro_f1):
    refused("a matrix of zeros", "", macro_f1, np.zeros((3, 3), int))
    refused("a matrix (2, 3)", "(2, 3)", macro_f1, np.ones((2, 3), int))
