"""What must hold for the functions of chapter 15, whatever the numbers, and the gate: below the 3-gram."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.language_runs import SYMBOLS, WORDS_READ, learn_words, made_up_text, search_diary, teaching_diary
from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds, refused, refuses_float32
from course.checks.toys import run_leaky, run_leaky_back, table_language

IDS, COUNTS, CHANCES, PERPLEXITY, TEMPER, TOP_K, NUCLEUS, TIED, LOSS, TRAIN, BEAM = (
    f"15-language/{name}"
    for name in (
        *("to_ids", "ngram_counts", "ngram_probabilities", "perplexity", "temper", "top_k", "nucleus"),
        *("tied_output_backward", "language_loss", "train_stateful", "beam_search"),
    )
)
refuses_float32(CHANCES)  # counts are whole numbers; what is made of them is float64
MARGIN = "a right function ended between 1.36 and 1.38 on each of 12 seeds, where the 3-gram has 2.37 to 2.39"


def _rows_sum_to_one(p: np.ndarray, where: str) -> None:
    sums = np.asarray(p).sum(axis=-1)
    worst = float(np.ravel(sums)[np.argmax(np.abs(np.nan_to_num(np.ravel(sums), nan=np.inf) - 1))])
    expect(abs(worst - 1) < 1e-9, f"{where}: a row of chances sums to {worst:.6g}, expected 1")


# --- to_ids


@holds(IDS, "the number of a symbol is its place in the vocabulary")
def _(to_ids):
    vocabulary = ["b", "?", "c", "a"]
    ids = np.asarray(to_ids(vocabulary, "abcabc", "?"))
    back = "".join(vocabulary[i] for i in ids) if ids.dtype.kind == "i" else str(ids.dtype)
    expect(back == "abcabc", f"'abcabc' in the vocabulary {vocabulary} comes back as {back!r}; the ids are {ids}")
    ids = np.asarray(to_ids(vocabulary, "xay?", "?"))
    expect(
        ids.tolist() == [1, 3, 1, 1],
        f"'xay?' with the stand-in '?' gives {ids.tolist()}, expected [1, 3, 1, 1]: x and y are not in the vocabulary, "
        "'?' stands in it itself.",
    )


@holds(IDS, "whole numbers, of an empty text too")
def _(to_ids):
    for text, why in (("ba", ""), ("", ". `np.array` cannot tell what an empty list is made of: say dtype=np.int64")):
        ids = to_ids(["a", "b"], text)
        found = f"an array {ids.shape} of {ids.dtype}" if isinstance(ids, np.ndarray) else f"a {type(ids).__name__}"
        want = f"an array ({len(text)},) of int64"
        expect(found == want, f"the text {text!r}: expected {want}, got {found}{why}")


@holds(IDS, "an unknown symbol is an error unless something stands in for it")
def _(to_ids):
    refused("'abz' in the vocabulary a, b, without a stand-in", "z", to_ids, ["a", "b"], "abz")


@holds(IDS, "what stands in must have a number")
def _(to_ids):
    refused("'ab' with the stand-in '?' that the vocabulary lacks", "?", to_ids, ["a", "b"], "ab", "?")


# --- ngram_counts


@holds(COUNTS, "every stretch of n symbols is counted once")
def _(ngram_counts):
    tokens = np.random.default_rng(3).integers(4, size=100)
    for order in (1, 2, 4):
        contexts, counts = ngram_counts(tokens, order, 4)
        total = int(np.sum(counts))
        expect(
            total == 101 - order,
            f"100 symbols, order {order}: {total} are counted, expected 100 - {order} + 1 = {101 - order}",
        )
        expect(
            np.shape(contexts) == (len(counts), order - 1),
            f"order {order}: contexts have shape {np.shape(contexts)}, expected ({len(counts)}, {order - 1}): of "
            f"{order} symbols the first {order - 1} are the context",
        )
        for name, found in (("contexts", contexts), ("counts", counts)):
            dtype = np.asarray(found).dtype
            expect(dtype.kind in "iu", f"order {order}: {name} are of dtype {dtype}, expected whole numbers")
        rows = [tuple(row) for row in np.asarray(contexts).tolist()]
        expect(all(a < b for a, b in pairwise(rows)), f"order {order}: contexts are not sorted, or one is there twice")
        expect(bool((np.sum(counts, axis=1) > 0).all()), f"order {order}: a context without a count is in the table")


@holds(COUNTS, "the last symbols alone, whatever stands before them")
def _(ngram_counts):
    tokens = np.random.default_rng(4).integers(3, size=80)
    long, short = ngram_counts(tokens, 3, 3), ngram_counts(tokens[1:], 2, 3)
    summed = np.zeros((3, 3))
    for context, row in zip(*long, strict=True):
        summed[context[-1]] += row
    gap = distance(summed[short[0][:, 0]], short[1])
    expect(
        gap == 0, f"counts of order 3, added up over the first symbol, are not those of order 2: off by up to {gap:.3g}"
    )


@holds(COUNTS, "a table has no room for what never came up")
def _(ngram_counts):
    tokens = np.random.default_rng(5).integers(300, size=40)
    try:
        contexts, counts = ngram_counts(tokens, 6, 300)
    except MemoryError:
        raise CheckFailed(
            "order 6 with 300 symbols: no memory. A table of all 300^5 contexts is too large for any machine; at most "
            "40 of them came up."
        ) from None
    expect(np.shape(counts) == (len(contexts), 300), f"order 6, 300 symbols: counts have shape {np.shape(counts)}")


@holds(COUNTS, "a symbol that has no place is an error")
def _(ngram_counts):
    refused("a text 0, 4, 1 with vocabulary_size 4", "4", ngram_counts, np.array([0, 4, 1]), 2, 4)


# --- ngram_probabilities


def _table(text: list[int], order: int, V: int) -> tuple[np.ndarray, np.ndarray]:
    grams = Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))
    contexts = sorted({gram[:-1] for gram in grams})
    counts = [[grams[(*context, w)] for w in range(V)] for context in contexts]
    return np.array(contexts, dtype=np.int64).reshape(len(contexts), order - 1), np.array(counts)


TEXT = [0, 1, 2, 0, 1, 2, 0, 1, 0, 2, 2, 1]
TABLES = [_table(TEXT, order, 4) for order in (1, 2, 3)]  # symbol 3 never comes up
EVERY = np.array(list(product(range(4), repeat=2)))


@holds(CHANCES, "chances sum to 1, after every context")
def _(ngram_probabilities):
    for tables, name in ((TABLES[1:2], "one table"), (TABLES, "three tables")):
        for k in (0.01, 1.0):
            p = ngram_probabilities(tables, EVERY, k)
            expect(np.shape(p) == (16, 4), f"{name}, 16 contexts, 4 symbols: the answer has shape {np.shape(p)}")
            _rows_sum_to_one(p, f"{name}, k = {k}, all 16 contexts of two symbols, of which some never came up")
            expect(bool((np.asarray(p) > 0).all()), f"{name}, k = {k}: some symbol has no chance")


@holds(CHANCES, "with one table it is add-k")
def _(ngram_probabilities):
    p = ngram_probabilities(TABLES[1:2], np.array([[0], [3]]), 0.5)
    want = np.array([[0.5, 3.5, 1.5, 0.5], [1.5, 1.5, 1.5, 1.5]]) / 6
    gap = distance(p, want)
    expect(
        gap < 1e-12,
        f"0 was followed by 1 three times and by 2 once; k = 0.5. Expected (n + 0.5) / (4 + 4 * 0.5), "
        f"{want[0].round(4)}, and 1/4 each after 3, which never came up; got {np.asarray(p).round(4).tolist()}",
    )


@holds(CHANCES, "where a longer context never came up, the shorter one decides")
def _(ngram_probabilities):
    unseen = np.array([[2, 3], [1, 1], [3, 0]])
    long, short = (ngram_probabilities(tables, unseen, 0.2) for tables in (TABLES, TABLES[:2]))
    gap = distance(long, short)
    expect(
        gap < 1e-12, f"contexts that the table of order 3 does not have: with it the chances change by up to {gap:.3g}"
    )


@holds(CHANCES, "little is added: counts decide; much is added: nothing does")
def _(ngram_probabilities):
    p = ngram_probabilities(TABLES, np.array([[0, 1]]), 1e-9)
    gap = distance(p, np.array([[1, 0, 2, 0]]) / 3)
    expect(gap < 1e-6, f"after 0 1 came 2 twice and 0 once; k = 1e-9 gives {np.asarray(p).round(4).tolist()}")
    p = ngram_probabilities(TABLES, np.array([[0, 1]]), 1e9)
    gap = distance(p, np.full((1, 4), 0.25))
    expect(gap < 1e-6, f"k = 1e9 gives {np.asarray(p).round(4).tolist()}, expected 1/4 each")


@holds(CHANCES, "adding nothing is an error")
def _(ngram_probabilities):
    refused("k = 0", "0", ngram_probabilities, TABLES, EVERY, 0.0)


# --- perplexity


@holds(PERPLEXITY, "among V equally likely symbols it is V")
def _(perplexity):
    for V in (2, 27, 5000):
        for symbols in (4, 2000):
            got = perplexity(np.full((symbols, 3), -np.log(V)))
            expect(
                abs(got / V - 1) < 1e-9,
                f"{3 * symbols} symbols, each with a chance of 1/{V}: the perplexity is {got:.6g}, expected {V}. The "
                "logarithms are natural, to base e; their mean fits into a float, however long the text is.",
            )
    expect(perplexity(np.zeros(5)) == 1, f"every symbol was certain: {perplexity(np.zeros(5)):.6g}, expected 1")


@holds(PERPLEXITY, "every symbol weighs the same, whichever text it is in")
def _(perplexity):
    log_p = np.log(np.array([[0.5, 0.1], [0.5, 0.1], [0.5, 0.1], [0.5, 0.1]]))
    mask = np.array([[True, True], [True, False], [True, False], [True, False]])
    got, want = perplexity(log_p, mask), (2.0**4 * 10) ** (1 / 5)
    expect(
        abs(got - want) < 1e-9,
        f"four symbols with chance 1/2 in one text, one with 1/10 in another: {got:.6g}, expected the fifth root of "
        f"2^4 * 10, {want:.6g}; the mean of the two texts' perplexities is 6, of the five symbols' 3.6",
    )


@holds(PERPLEXITY, "a Python number; infinite where something impossible came")
def _(perplexity):
    got = perplexity(np.log(np.array([0.5, 0.25], np.float32)))
    expect(type(got) is float, f"the answer is a {type(got).__name__}, expected a float")
    with np.errstate(all="raise"):
        got = perplexity(np.array([-1.0, -np.inf, -1.0]))
    expect(got == np.inf, f"a symbol without a chance came up: {got}, expected inf")
    try:
        got = perplexity(np.array([-800.0, -900.0]))
    except OverflowError:
        raise CheckFailed(
            "a mean surprise of 850 nats: the exponential of more than LARGEST does not fit into a float; return "
            "math.inf for it"
        ) from None
    expect(got == np.inf, f"a mean surprise of 850 nats: {got}, expected inf")


@holds(PERPLEXITY, "what is no logarithm of a chance is an error, and so is nothing at all")
def _(perplexity):
    refused("an array of chances in place of their logarithms", "0.5", perplexity, np.array([0.5, 0.25]))
    refused("a text without symbols", "", perplexity, np.zeros(0))
    refused("a mask that is False everywhere", "", perplexity, np.zeros(3), np.zeros(3, bool))


# --- temper, top_k, nucleus


@holds(TEMPER, "colder is sharper, hotter is flatter, 1 changes nothing")
def _(temper):
    z = draw(3, 6)
    top = [float(np.max(temper(z.copy(), t)[0])) for t in (0.25, 0.5, 1.0, 2.0, 8.0)]
    expect(
        all(a > b for a, b in pairwise(top)),
        f"the highest chance at temperatures 1/4, 1/2, 1, 2, 8 is {np.round(top, 3)}, expected falling: divide by the "
        "temperature",
    )
    want = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    gap = distance(temper(z.copy(), 1.0), want)
    expect(gap < 1e-12, f"temperature 1 is softmax; yours is {gap:.3g} off")
    _rows_sum_to_one(temper(z.copy(), 0.3), "temperature 0.3")


@holds(TEMPER, "at temperature 0 the best score alone, and ties share")
def _(temper):
    with np.errstate(all="ignore"):
        p = temper(np.array([[1.0, 3.0, 3.0], [0.0, -2.0, -1.0]], np.float32), 0)
    gap = distance(p, np.array([[0, 0.5, 0.5], [1, 0, 0]]))
    expect(gap == 0, f"scores 1, 3, 3 and 0, -2, -1 at temperature 0: {np.asarray(p).tolist()}")
    expect(p.dtype == np.float32, f"scores in float32 at temperature 0 give chances in {p.dtype}; the dtype stays")


@holds(TEMPER, "scores of any size")
def _(temper):
    with np.errstate(all="ignore"):
        p = temper(np.array([[1e300, -1e300, 1e300], [5000.0, 4000.0, 0.0]]), 0.05)
    gap = distance(p, np.array([[0.5, 0, 0.5], [1, 0, 0]]))
    expect(
        gap < 1e-12,
        f"scores 1e300, -1e300, 1e300 and 5000, 4000, 0 at temperature 0.05: {np.asarray(p).tolist()}. `softmax` "
        "of chapter 3 takes off the highest score before it exponentiates.",
    )
    with np.errstate(all="ignore"):
        cold, hot = temper(np.array([1e300, -1e300, 1e300]), 0), temper(np.array([3000.0, 2000.0, 0.0]), 1000)
    expect(distance(cold, [0.5, 0, 0.5]) == 0, f"scores 1e300, -1e300, 1e300 at temperature 0: {cold}")
    want = np.exp([0, -1, -3]) / np.exp([0, -1, -3]).sum()
    expect(
        distance(hot, want) < 1e-12,
        f"scores 3000, 2000, 0 at temperature 1000: {hot}, expected {want.round(4)}. A chance that was rounded to 0 "
        "is 0 at every temperature: divide the scores, before softmax.",
    )


@holds(TEMPER, "a temperature below 0 is an error")
def _(temper):
    refused("temperature -1", "-1", temper, np.zeros(3), -1.0)


def _keeps_ratios(choose: Callable[..., Any], how: float) -> None:
    p = np.random.default_rng(6).dirichlet(np.ones(8), size=5)
    kept = np.asarray(choose(p.copy(), how))
    _rows_sum_to_one(kept, f"8 symbols, {how}")
    factors = [row[row > 0] / chances[row > 0] for row, chances in zip(kept, p, strict=True)]
    spread = max(float(np.ptp(factor)) for factor in factors)
    expect(spread < 1e-9, f"what is kept does not stand in its old proportions: factors differ by {spread:.3g}")
    for row, chances in zip(kept, p, strict=True):
        least, most = chances[row > 0].min(), chances[row == 0].max(initial=0)
        expect(bool(least > most), f"a symbol with chance {least:.3g} is kept and one with {most:.3g} is not")


holds(TOP_K, "what is kept are the likeliest, in their old proportions")(lambda f: _keeps_ratios(f, 3))
holds(NUCLEUS, "what is kept are the likeliest, in their old proportions")(lambda f: _keeps_ratios(f, 0.6))


@holds(TOP_K, "exactly k are kept, also among equals")
def _(top_k):
    for p in (np.full((3, 6), 1 / 6), np.array([[0.3, 0.3, 0.3, 0.05, 0.05, 0.0]])):
        for k in (1, 2, 4):
            found = (np.asarray(top_k(p.copy(), k)) > 0).sum(axis=-1).tolist()
            expect(
                set(found) == {k},
                f"chances {p[0].round(3)}, k = {k}: {found[0]} symbols are kept. Where equals stand at the border the "
                "first ones stay; a comparison with the k-th largest value keeps them all.",
            )
    p = np.asarray(top_k(np.array([0.2, 0.3, 0.5]), 10))
    expect(distance(p, [0.2, 0.3, 0.5]) < 1e-12, f"k = 10 of three symbols: {p}, expected all of them as they are")


def _first_of_equals(choose: Callable[..., Any], how: float) -> None:
    p = np.tile([3.0, 1.0, 3.0, 2.0], 10) / 90
    kept, want = np.flatnonzero(np.asarray(choose(p, how))).tolist(), list(range(0, 14, 2))
    expect(
        kept == want,
        f"40 symbols, of which 0, 2, 4, ... 38 are equally likely and likelier than all others; {how:g}: kept are "
        f"{kept}, expected {want}. Of equals those with the lower numbers stay: sort -p with kind='stable'.",
    )


holds(TOP_K, "of equals the first ones stay")(lambda f: _first_of_equals(f, 7))
holds(NUCLEUS, "of equals the first ones stay")(lambda f: _first_of_equals(f, 0.22))


@holds(TOP_K, "fewer than one is an error")
def _(top_k):
    refused("k = 0", "0", top_k, np.full(3, 1 / 3), 0)


@holds(NUCLEUS, "the symbol that reaches the mass is inside, the one after it is not")
def _(nucleus):
    p = np.array([0.05, 0.5, 0.15, 0.3])
    for mass, want in ((0.3, 1), (0.5, 1), (0.51, 2), (0.79, 2), (0.85, 3), (0.97, 4)):
        found = int((np.asarray(nucleus(p.copy(), mass)) > 0).sum())
        expect(
            found == want,
            f"chances 0.5, 0.3, 0.15, 0.05, mass {mass}: {found} symbols are kept, expected {want}. Take them from the "
            "likeliest on, for as long as those before have not reached the mass.",
        )


@holds(NUCLEUS, "each row has a nucleus of its own, in its own places")
def _(nucleus):
    p = np.array([[0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    got = np.asarray(nucleus(p, 0.75))
    want = np.array([[1, 0, 0], [0, 0.625, 0.375], [0, 2 / 9, 7 / 9]])
    expect(distance(got, want) < 1e-12, f"mass 0.75 of three rows: {got.round(3).tolist()}")


@holds(NUCLEUS, "a mass that is none is an error")
def _(nucleus):
    for mass in (0.0, -0.1, 1.5):
        refused(f"mass {mass:g}", f"{mass:g}", nucleus, np.full(3, 1 / 3), mass)


# --- tied_output_backward


@holds(TIED, "agrees with central differences")
def _(tied_output_backward):
    params, h = {"E": draw(5, 3), "b_y": draw(5, seed=4)}, draw(4, 2, 3, seed=5)
    dz = draw(4, 2, 5, seed=6)
    dh, grads = tied_output_backward(params, dz.copy(), (h.copy(),))
    gap = distance(dh, slopes(lambda x: float((dz * (x @ params["E"].T)).sum()), h))
    expect(gap < 1e-6, f"dh is {gap:.3g} off from central differences of h E^T + b_y")
    gap = distance(grads["E"], slopes(lambda x: float((dz * (h @ x.T)).sum()), params["E"]))
    expect(gap < 1e-6, f"the gradient of E {np.shape(grads['E'])} is {gap:.3g} off from central differences")
    gap = distance(grads["b_y"], dz.sum(axis=(0, 1)))
    expect(gap < 1e-9, f"the gradient of b_y is {gap:.3g} off from the sum over all steps and sequences")


@holds(TIED, "shapes must fit")
def _(tied_output_backward):
    params = {"E": draw(5, 3), "b_y": draw(5)}
    refused("d_logits (2, 4) for a table of 5", "E", tied_output_backward, params, draw(2, 4), (draw(2, 3),))


# --- language_loss

TOY = {"E": draw(6, 3), "W": draw(3, 3, seed=4), "keep": np.array([0.5, 0.8, 0.3]), "b_y": draw(6, seed=5)}
OPEN = TOY | {"W_hy": draw(3, 6, seed=7)}
WINDOW = np.array([[0, 2], [2, 2], [4, 1], [0, 0]]), np.array([[2, 2], [4, 1], [0, 0], [5, 3]])
START = (draw(2, 3, seed=8),)


def _toy_loss(params: dict[str, np.ndarray]) -> float:
    """The loss of the toy on the window, with the output tied where W_hy is missing."""
    hs, _, _ = run_leaky(params, params["E"][WINDOW[0]], START)
    z = hs @ params.get("W_hy", params["E"].T) + params["b_y"]
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -float(np.take_along_axis(log_p, WINDOW[1][..., None], axis=-1).mean())


def _toy_loss_with(params: dict[str, np.ndarray], key: str, value: np.ndarray) -> float:
    return _toy_loss(params | {key: value})


@holds(LOSS, "gradients agree with central differences, tied and not")
def _(language_loss):
    for params, name in ((OPEN, "with W_hy"), (TOY, "tied")):
        loss, _, grads = language_loss(run_leaky, run_leaky_back, params, *WINDOW, START)
        expect(
            abs(loss - _toy_loss(params)) < 1e-9, f"{name}: the loss is {loss:.6g}, expected {_toy_loss(params):.6g}"
        )
        expect(
            set(grads) == set(params),
            f"{name}: gradients of {', '.join(sorted(grads))}, parameters {', '.join(sorted(params))}",
        )
        for key, value in params.items():
            gap = distance(grads[key], slopes(partial(_toy_loss_with, params, key), value))
            why = ""
            if key == "E" and name == "tied":
                why = ": the table is used twice, for what goes in and for what comes out, so its two gradients add up"
            expect(gap < 1e-6, f"{name}: the gradient of {key} is {gap:.3g} off from central differences{why}")


@holds(LOSS, "the state that comes back is the last one")
def _(language_loss):
    _, state, _ = language_loss(run_leaky, run_leaky_back, OPEN, *WINDOW, START)
    want = run_leaky(OPEN, OPEN["E"][WINDOW[0]], START)[1]
    expect(isinstance(state, tuple) and len(state) == 1, "expected the state as a tuple, as the cell gives it")
    gap = distance(state[0], want[0])
    expect(gap < 1e-12, f"the state after the window is {gap:.3g} off; the next window begins with it")


@holds(LOSS, "two halves of a window, the state handed on, have the loss of the whole")
def _(language_loss):
    state, losses = START, []
    for part in (slice(0, 1), slice(1, 4)):
        loss, state, _ = language_loss(run_leaky, run_leaky_back, OPEN, WINDOW[0][part], WINDOW[1][part], state)
        losses.append(loss)
    whole = language_loss(run_leaky, run_leaky_back, OPEN, *WINDOW, START)[0]
    gap = abs((losses[0] + 3 * losses[1]) / 4 - whole)
    expect(gap < 1e-9, f"one step and three: the mean over all four is {gap:.3g} off from the loss of the window")


# --- train_stateful


@holds(TRAIN, "each window begins where the one before it stopped")
def _(train_stateful):
    diary = drive(teaching_diary, train_stateful)
    expect(len(diary["starts"]) == 4, f"four windows were handed in, {len(diary['starts'])} were read")
    expect(bool((np.asarray(diary["starts"][0]) == 0.5).all()), "the first window does not begin with the state given")
    for n in range(1, 4):
        gap = distance(diary["starts"][n], diary["ends"][n - 1])
        expect(
            gap == 0,
            f"window {n + 1} begins with a state that is {gap:.3g} off from the last one of window {n}: hand it on",
        )
    gap = distance(diary["state"], diary["ends"][3])
    expect(gap == 0, f"the state that comes back is {gap:.3g} off from the last one of the last window")


@holds(TRAIN, "steps are counted on from the run, and each has its own rate")
def _(train_stateful):
    diary = drive(teaching_diary, train_stateful)
    expect(
        diary["asked"] == [7, 8, 9, 10],
        f"the run stands at step 6 and there are four windows: the schedule is asked for {diary['asked']}, expected "
        "7, 8, 9, 10",
    )
    asked = len(diary["rates"])
    expect(asked == 4, f"four windows, and the optimizer that was handed in was asked {asked} times: use `optimizer`")
    expect(distance(diary["rates"], [0.7, 0.8, 0.9, 1.0]) < 1e-12, f"the optimizer got the rates {diary['rates']}")
    expect(diary["step"] == 10, f"the run that comes back stands at step {diary['step']}, expected 10")
    expect(diary["start_step"] == 6, "the run that was handed in has another step now: make a new one")
    expect(diary["waited"] == 3, "an entry of the run that training has nothing to do with is lost")


@holds(TRAIN, "the optimizer remembers, and long gradients are cut")
def _(train_stateful):
    diary = drive(teaching_diary, train_stateful)
    expect(diary["before"] == [0, 1, 2, 3], f"the optimizer's memory before each step: {diary['before']}")
    expect(diary["count"] == 4, f"the memory that comes back has seen {diary['count']} steps, expected 4")
    longest = max(diary["norms"])
    expect(longest < 0.2 + 1e-9, f"max_norm 0.2, and a gradient of length {longest:.3g} reached the optimizer")


def three_gram(learned: list[int], fresh: list[int]) -> float:
    """The perplexity of a fresh text by counts of three symbols in a row, 0.1 added to each."""
    pairs, triples = (Counter(zip(*(learned[i:] for i in range(n)), strict=False)) for n in (2, 3))
    V = len(SYMBOLS)
    asked = zip(fresh, fresh[1:], fresh[2:], strict=False)
    return float(np.exp(-np.mean([np.log((triples[gram] + 0.1) / (pairs[gram[:2]] + 0.1 * V)) for gram in asked])))


@holds(TRAIN, "below the 3-gram on a made-up language")
def _(train_stateful):
    reached, _ = drive(learn_words, train_stateful, 0)
    border = three_gram(made_up_text(1000, WORDS_READ).tolist(), made_up_text(2000, 400).tolist())
    expect(
        reached < border,
        f"an Elman net of 32 units read {WORDS_READ:,} made-up words: its perplexity on fresh ones is {reached:.3f}, "
        f"that of the 3-gram {border:.3f}. It must be lower; {MARGIN}.",
    )


# --- beam_search


def _language(seed: int, V: int = 3) -> tuple[np.ndarray, int]:
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(V), size=(V, V))), 1


def _all_texts(table: np.ndarray, before: int, last: int, longest: int) -> dict[tuple[int, ...], float]:
    """Every text up to a length, with its log-probability; 0 is the end."""
    found: dict[tuple[int, ...], float] = {}
    for w, log_p in enumerate(table[before, last].tolist()):
        if w == 0 or longest == 1:
            found[(w,)] = log_p
        else:
            rest = _all_texts(table, last, w, longest - 1)
            found |= {(w, *text): log_p + more for text, more in rest.items()}
    return found


@holds(BEAM, "wide enough, it finds what trying everything finds")
def _(beam_search):
    for seed, power in ((0, 0.0), (1, 1.0)):
        state = _language(seed)
        texts = _all_texts(state[0], 1, 2, 3)
        got = beam_search(table_language, state, 2, 0, len(texts), 3, power)
        want = max(texts, key=lambda text: texts[text] / len(text) ** power)
        best = tuple(int(w) for w in got[0][0])
        expect(
            best == want,
            f"three symbols, length_power {power}: of all {len(texts)} texts of up to 3 symbols the best is {want}, "
            f"yours {best}",
        )
        expect(
            {tuple(text) for text, _ in got} == set(texts),
            f"a beam of {len(texts)} comes back with {len(got)} texts, of which "
            f"{len({tuple(text) for text, _ in got} & set(texts))} are among the {len(texts)} that there are",
        )
        gap = max(abs(total - texts[tuple(text)]) for text, total in got)
        expect(gap < 1e-9, f"a text comes back with a log-probability that is {gap:.3g} off; it is the plain sum")


@holds(BEAM, "a finished text is not gone on with")
def _(beam_search):
    found, asked = drive(search_diary, beam_search, 4, 5)
    late = [text for text in asked if 0 in text[1:]]
    expect(not late, f"0 ends a text, and after {late[:1]} (start first) the model was asked what comes next")
    inside = [[int(w) for w in text] for text, _ in found if 0 in text[:-1]]
    expect(not inside, f"0 ends a text, and stands inside of {inside[:1]}")
    ended = [text for text, _ in found if text[-1:] == [0]]
    expect(bool(ended), f"no finished text comes back: {[text for text, _ in found]}; keep what is finished")


@holds(BEAM, "of each length the best few go on: no more, and no fewer for those that are finished")
def _(beam_search):
    chances = np.full((4, 4, 4), 1 / 4)  # [before, last]: of 0, the end, and of 1, 2, 3; a text begins after 3, 3
    chances[3, 3], chances[3, 1], chances[3, 2] = (0.5, 0.3, 0.2, 0), (0.02, 0.58, 0.4, 0), (0.98, 0.01, 0.01, 0)
    chances[1, 2] = chances[3, 2]
    with np.errstate(divide="ignore"):
        state = np.log(chances), 3
    found = [[int(w) for w in text] for text, _ in beam_search(table_language, state, 3, 0, 2, 3)]
    why = {
        (2, 0): "In the first step 0 and 1 are the best two, and 2 is out, although 0 is finished.",
        (1, 1, 0): "0 is finished after the first step, set aside, and takes no place from those that go on.",
    }.get(tuple(found[-1]), "")
    expect(
        found == [[0], [1, 2, 0]],
        f"width 2, up to 3 symbols: first 0 has 0.5, 1 has 0.3, 2 has 0.2; after 1 come 1 with 0.58 and 2 with 0.4; "
        f"after 2 comes the end, 0, with 0.98. Expected [0] and [1, 2, 0]; found are {found}. {why}",
    )


@holds(BEAM, "no more texts than the beam is wide, no more symbols than allowed, best first")
def _(beam_search):
    for width, longest in ((1, 3), (3, 4)):
        found = beam_search(table_language, _language(3, 4), 2, 0, width, longest, 0.5)
        expect(0 < len(found) <= width, f"width {width}: {len(found)} texts come back")
        most = max(len(text) for text, _ in found)
        expect(most <= longest, f"max_length {longest}: a text of {most} symbols comes back")
        ranks = [total / len(text) ** 0.5 for text, total in found]
        expect(all(a >= b for a, b in pairwise(ranks)), f"log p / n^0.5 of what comes back: {np.round(ranks, 3)}")


@holds(BEAM, "length_power ranks, and does not change the log-probability")
def _(beam_search):
    table = np.log(np.array([[0.5, 0.5], [0.4, 0.6]]))
    state = np.broadcast_to(table, (2, 2, 2)).copy(), 1
    by_sum, by_mean = (beam_search(table_language, state, 1, 0, 20, 3, power) for power in (0.0, 1.0))
    expect(
        list(by_sum[0][0]) == [0] and list(by_mean[0][0]) == [1, 1, 1],
        "after each symbol 0, the end, has 0.4 and 1 has 0.6. The sum of logarithms is highest for [0], log 0.4 "
        f"against 3 log 0.6; the mean for [1, 1, 1]. Yours are {list(by_sum[0][0])} with power 0 and "
        f"{list(by_mean[0][0])} with power 1.",
    )
    gap = abs(by_mean[0][1] - 3 * np.log(0.6))
    expect(gap < 1e-9, f"[1, 1, 1] comes back with {by_mean[0][1]:.4g}, expected its log p, {3 * np.log(0.6):.4g}")
