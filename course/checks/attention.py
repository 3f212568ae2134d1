"""What must hold for the functions of chapter 17, whatever the numbers, and the gate: a net says words backwards."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import distance, draw, slopes
from course.checks.reversal import END, learn_to_reverse, say_backwards, words_to_reverse
from course.checks.run import CheckFailed, expect, holds, refused

__all__ = ["judge_reversal", "share_said"]

GATE, TESTED = 0.9, 200  # share of words said backwards without a mistake, and how many are asked
PASSED_BY = "a right function reached 97 % or more on each of 12 seeds"
SOFTMAX, SOFTMAX_BACK = "17-attention/masked_softmax", "17-attention/masked_softmax_backward"
DOT, DOT_BACK, GENERAL = "17-attention/dot_score", "17-attention/dot_score_backward", "17-attention/general_score"
GENERAL_BACK = "17-attention/general_score_backward"
ADDITIVE, ADDITIVE_BACK = "17-attention/additive_score", "17-attention/additive_score_backward"
ATTEND, ATTEND_BACK = "17-attention/attend", "17-attention/attend_backward"
STEP, STEP_BACK = "17-attention/luong_step", "17-attention/luong_step_backward"
RATE = "17-attention/alignment_error_rate"


def _shape(got: Any, want: tuple[int, ...], what: str) -> None:
    expect(np.shape(got) == want, f"{what} has shape {np.shape(got)}, expected {want}")


def _names(grads: Any, want: list[str]) -> None:
    expect(isinstance(grads, dict), f"the gradients of the weights are a {type(grads).__name__}, expected a dict")
    expect(set(grads) == set(want), f"the gradients are of {', '.join(grads)}; expected {', '.join(want)}")


def _with(loss: Callable[..., float], inputs: dict[str, np.ndarray], name: str, value: np.ndarray) -> float:
    return loss(**(inputs | {name: value}))


def _follows(got: dict[str, Any], loss: Callable[..., float], inputs: dict[str, np.ndarray], of: str) -> None:
    """Fail unless each gradient is what a small change of its input does to the loss."""
    for name, grad in got.items():
        _shape(grad, inputs[name].shape, f"the gradient of {name}")
        nudged = slopes(partial(_with, loss, inputs, name), inputs[name])
        gap = distance(grad, nudged)
        size = float(np.abs(nudged).max())
        told = f"the gradient of {name} is off by {gap:.3g} from central differences of {of} (largest: {size:.3g})"
        told += "; it is all zeros" if not np.any(grad) and size > 1e-6 else ""
        expect(gap < 1e-6, told)


# --- masked_softmax and its way back


@holds(SOFTMAX, "padding gets no weight, whatever stands there")
def _(masked_softmax):
    mask = np.arange(5)[:, None] < np.array([5, 2, 3])
    want = masked_softmax(np.where(mask, draw(5, 3), 0.0), mask)
    for junk in (1e12, -1e12, np.inf, np.nan):
        weights = masked_softmax(np.where(mask, draw(5, 3), junk), mask)
        _shape(weights, (5, 3), "for scores (5, 3) the answer")
        gap = distance(np.asarray(weights)[mask], np.asarray(want)[mask])
        expect(
            bool((np.asarray(weights)[~mask] == 0).all()) and gap == 0,
            f"with {junk:g} in the padding {np.round(weights, 3).tolist()}; expected exactly 0 there, and no change "
            "elsewhere. Take the scores out with the mask before exp; do not add to them and do not mend the weights.",
        )


@holds(SOFTMAX, "a mask is not a large number: scores may lie below it")
def _(masked_softmax):
    for low in (-1e4, -1e9, -1e30, -1e300):
        scores, mask = np.full((4, 2), low), np.array([[1, 1], [1, 0], [0, 0], [0, 0]], bool)
        got = masked_softmax(scores, mask)
        _shape(got, (4, 2), "for scores (4, 2) the answer")
        expect(
            distance(got, np.array([[0.5, 1], [0.5, 0], [0, 0], [0, 0]])) < 1e-12,
            f"all scores are {low:g}: column 0 may read its first two steps, column 1 its first. Weights: "
            f"{np.round(got, 3).T.tolist()}, expected [0.5, 0.5, 0, 0] and [1, 0, 0, 0]. Only minus infinity lies "
            "below every score.",
        )


@holds(SOFTMAX, "each column sums to 1, each row need not")
def _(masked_softmax):
    weights = masked_softmax(draw(6, 4), np.arange(6)[:, None] < np.array([6, 1, 4, 3]))
    _shape(weights, (6, 4), "for scores (6, 4) the answer")
    down, across = (np.sum(weights, axis=axis) for axis in (0, 1))
    sums = np.round(down, 3)
    expect(
        distance(down, np.ones(4)) < 1e-12,
        f"the columns sum to {sums}, expected 1: each of the 4 sequences has weights over its own steps, along axis 0"
        + ("; here the rows sum to 1" if distance(across, np.ones(6)) < 1e-9 else ""),
    )


@holds(SOFTMAX, "scores of any size, and a shift of a column changes nothing")
def _(masked_softmax):
    mask, scores = np.arange(5)[:, None] < np.array([5, 3]), draw(5, 2)
    want = masked_softmax(scores, mask)
    apart = np.array([800.0, -800.0])
    for told, shift in (("+800", 800.0), ("-800", -800.0), ("+800 in column 0, -800 in column 1", apart)):
        gap = distance(masked_softmax(scores + shift, mask), want)
        expect(
            gap < 1e-9,
            f"all scores {told}: the weights move by {gap:.3g}, expected 0. exp of large scores overflows, of very "
            "low ones it is 0: take the largest score of each column off first.",
        )


@holds(SOFTMAX, "a sequence with nothing to read is an error")
def _(masked_softmax):
    mask = np.ones((3, 4), bool)
    mask[:, 2] = False
    what = "a mask without a True in column 2 (`_check_mask` says it; 0 / 0 is NaN, soon in every weight of the net)"
    refused(what, "", masked_softmax, draw(3, 4), mask)


@holds(SOFTMAX_BACK, "agrees with central differences")
def _(masked_softmax_backward):
    mask, scores, dweights = np.arange(5)[:, None] < np.array([5, 2, 4]), draw(5, 3), draw(5, 3, seed=4)

    def soften(e: np.ndarray) -> np.ndarray:
        raised = np.where(mask, np.exp(e), 0)
        return raised / raised.sum(axis=0)

    got = masked_softmax_backward(dweights.copy(), soften(scores))
    _follows(
        {"scores": got}, lambda scores: float((dweights * soften(scores)).sum()), {"scores": scores}, "the softmax"
    )


@holds(SOFTMAX_BACK, "a column's gradients sum to zero, and padding has none")
def _(masked_softmax_backward):
    weights = np.array([[0.2, 1.0], [0.8, 0.0], [0.0, 0.0]])
    got = masked_softmax_backward(draw(3, 2), weights)
    _shape(got, (3, 2), "for weights (3, 2) the answer")
    sums = np.sum(got, axis=0)
    expect(
        distance(sums, np.zeros(2)) < 1e-12,
        f"the columns sum to {np.round(sums, 4)}, expected 0: to raise all scores of a sequence changes no weight",
    )
    expect(bool((np.asarray(got)[weights == 0] == 0).all()), "a step without weight has a gradient")


# --- scores


@holds(DOT, "each sequence asks its own keys")
def _(dot_score):
    query, keys = draw(3, 4), draw(5, 3, 4, seed=4)
    scores, cache = dot_score(query, keys)
    _shape(scores, (5, 3), "for query (3, 4) and keys (5, 3, 4) the scores")
    expect(isinstance(cache, tuple) and len(cache) == 2, "the cache is not (query, keys)")
    for b in range(3):
        gap = distance(dot_score(query[b : b + 1], keys[:, b : b + 1])[0], scores[:, b : b + 1])
        expect(gap < 1e-12, f"the scores of sequence {b} are {gap:.3g} off when it comes alone")


@holds(DOT, "scaled, random scores have spread 1 for any H")
def _(dot_score):
    for H in (4, 64, 400):
        query, keys = draw(50, H), draw(40, 50, H, seed=4)
        plain, scaled = dot_score(query, keys)[0], dot_score(query, keys, True)[0]
        ratio = float(np.median(np.asarray(plain) / np.asarray(scaled)))
        others = {"S": 40, "sqrt(S)": 40**0.5, "sqrt(B)": 50**0.5, "H, without a root": H, "no scale at all": 1}
        like = [name for name, value in others.items() if abs(ratio - value) < 1e-6 and abs(value - H**0.5) > 1e-6]
        expect(
            abs(ratio - H**0.5) < 1e-6,
            f"H = {H}, S = 40, B = 50: the scaled scores are divided by {ratio:.4g}, expected sqrt(H) = {H**0.5:.4g}"
            + (f"; that is {like[0]}" if like else ""),
        )


@holds(DOT_BACK, "agrees with central differences")
def _(dot_score_backward):
    query, keys, dscores = draw(3, 2), draw(4, 3, 2, seed=4), draw(4, 3, seed=5)
    for scaled in (False, True):
        scale = 2**-0.5 if scaled else 1.0
        dquery, dkeys = dot_score_backward(dscores.copy(), (query.copy(), keys.copy()), scaled)
        _follows(
            {"query": dquery, "keys": dkeys},
            lambda query, keys, scale=scale: float((dscores * (keys * query).sum(axis=-1)).sum() * scale),
            {"query": query, "keys": keys},
            f"the dot product{', scaled' if scaled else ''}",
        )


@holds(GENERAL, "W carries the query to the keys, not the other way")
def _(general_score):
    W, query, keys = draw(2, 5), draw(3, 2, seed=4), draw(4, 3, 5, seed=5)
    scores, _ = general_score({"W": W}, query, keys)
    _shape(scores, (4, 3), "for query (3, 2), keys (4, 3, 5) and W (2, 5) the scores")
    one = np.zeros((3, 3))
    one[0, 2] = 1.0  # the query's entry 0 meets the key's entry 2
    (score,), _ = general_score({"W": one}, np.array([[1.0, 2.0, 4.0]]), np.array([[[10.0, 20.0, 30.0]]]))
    expect(
        distance(score, [30.0]) < 1e-12,
        f"q = (1, 2, 4), k = (10, 20, 30), W has a single 1, in row 0, column 2: the score is {np.ravel(score)[0]:g}, "
        "expected q_0 k_2 = 30. The transposed W gives q_2 k_0 = 40.",
    )


@holds(GENERAL, "with the identity it is the dot product")
def _(general_score):
    query, keys = draw(3, 4), draw(5, 3, 4, seed=4)
    scores, _ = general_score({"W": np.eye(4)}, query, keys)
    _shape(scores, (5, 3), "for query (3, 4), keys (5, 3, 4) and W (4, 4) the scores")
    gap = distance(scores, (keys * query).sum(axis=-1))
    expect(gap < 1e-12, f"with W the identity the scores are {gap:.3g} off the dot products")


@holds(GENERAL_BACK, "agrees with central differences")
def _(general_score_backward):
    W, query, keys, dscores = draw(2, 3), draw(2, 2, seed=4), draw(3, 2, 3, seed=5), draw(3, 2, seed=6)
    dquery, dkeys, grads = general_score_backward({"W": W}, dscores.copy(), (query.copy(), keys.copy()))
    _names(grads, ["W"])
    _follows(
        {"query": dquery, "keys": dkeys, "W": grads["W"]},
        lambda W, query, keys: float((dscores * (keys * (query @ W)).sum(axis=-1)).sum()),
        {"W": W, "query": query, "keys": keys},
        "q W k",
    )


def _additive(S: int = 4, B: int = 3, Q: int = 2, K: int = 5, A: int = 6) -> tuple[Any, ...]:
    params = {"W_q": draw(Q, A), "W_k": draw(K, A, seed=4), "v": draw(A, seed=5)}
    return params, draw(B, Q, seed=6), draw(S, B, K, seed=7)


@holds(ADDITIVE, "no score is larger than the sum of |v|, and the query counts for every key")
def _(additive_score):
    params, query, keys = _additive()
    scores, cache = additive_score(params, 100 * query, 100 * keys)
    _shape(scores, (4, 3), "for query (3, 2) and keys (4, 3, 5) the scores")
    most = float(np.abs(params["v"]).sum())
    largest = float(np.abs(scores).max())
    expect(
        largest <= most + 1e-9,
        f"the largest score is {largest:.4g}, |v| sums to {most:.4g}: tanh comes before the product with v",
    )
    expect(isinstance(cache, tuple) and len(cache) == 3, "the cache is not (query, keys, u)")
    moved = np.asarray(additive_score(params, query + 0.1, keys)[0]) - np.asarray(
        additive_score(params, query, keys)[0]
    )
    still = int((np.abs(moved) < 1e-12).sum())
    expect(still == 0, f"another query leaves {still} of 12 scores as they were")


@holds(ADDITIVE_BACK, "agrees with central differences")
def _(additive_score_backward):
    params, query, keys = _additive(3, 2, 2, 3, 4)
    dscores = draw(3, 2, seed=8)

    def loss(W_q: Any, W_k: Any, v: Any, query: Any, keys: Any) -> float:
        return float((dscores * (np.tanh(query @ W_q + keys @ W_k) @ v)).sum())

    u = np.tanh(query @ params["W_q"] + keys @ params["W_k"])
    dquery, dkeys, grads = additive_score_backward(params, dscores.copy(), (query, keys, u))
    _names(grads, ["W_q", "W_k", "v"])
    _follows(grads | {"query": dquery, "keys": dkeys}, loss, params | {"query": query, "keys": keys}, "the score")


# --- reading


@holds(ATTEND, "a weight of 1 reads one value; even weights read the mean")
def _(attend):
    values = draw(5, 3, 4)
    for b in range(3):
        weights = np.zeros((5, 3))
        weights[[4, 0, 2], [0, 1, 2]] = 1.0
        context, _ = attend(weights, values)
        _shape(context, (3, 4), "for weights (5, 3) and values (5, 3, 4) the context")
        gap = distance(np.asarray(context)[b], values[[4, 0, 2][b], b])
        expect(gap < 1e-12, f"sequence {b} has all its weight at step {[4, 0, 2][b]}; what it reads is {gap:.3g} off")
    context, cache = attend(np.full((5, 3), 0.2), values)
    gap = distance(context, values.mean(axis=0))
    expect(gap < 1e-12, f"weights of 1/5 each: the context is {gap:.3g} off the mean of the 5 values")
    gap = distance(attend(np.full((5, 3), 0.1), values)[0], np.asarray(context) / 2)
    expect(gap < 1e-12, f"half the weights do not read half as much: {gap:.3g} off. Do not divide by their sum")
    expect(isinstance(cache, tuple) and len(cache) == 2, "the cache is not (weights, values)")


@holds(ATTEND_BACK, "agrees with central differences")
def _(attend_backward):
    weights, values, dcontext = draw(4, 3), draw(4, 3, 2, seed=4), draw(3, 2, seed=5)
    dweights, dvalues = attend_backward(dcontext.copy(), (weights.copy(), values.copy()))
    _follows(
        {"weights": dweights, "values": dvalues},
        lambda weights, values: float((dcontext * (weights[..., None] * values).sum(axis=0)).sum()),
        {"weights": weights, "values": values},
        "the weighted mean",
    )


# --- the decoder's step


def _decoder(S: int = 4, B: int = 3, D: int = 2, H: int = 3, K: int = 5, A: int = 4) -> tuple[Any, ...]:
    """Parameters, word, state, keys and mask; all sizes differ."""
    cell = {"W_xh": draw(D + A, 3 * H), "W_hh": draw(H, 3 * H, seed=4), "b_h": draw(3 * H, seed=5)}
    params = {"cell": cell, "score": {"W": draw(H, K, seed=6)}, "combine": {"W_c": draw(K + H, A, seed=7) / 2}}
    state = np.tanh(draw(B, H, seed=8)), np.tanh(draw(B, A, seed=9))
    return params, draw(B, D, seed=10), state, draw(S, B, K, seed=11), np.arange(S)[:, None] < np.array([4, 2, 3])[:B]


@holds(STEP, "the order and the padding of the source do not matter to what is read")
def _(luong_step):
    params, x, state, keys, mask = _decoder()
    (h, o), cache = luong_step(params, x, state, keys, mask)
    _shape(h, (3, 3), "h")
    _shape(o, (3, 4), "o")
    expect(isinstance(cache, tuple) and len(cache) == 6, "the cache is not a tuple of 6 (see the docstring)")
    turned = luong_step(params, x, state, keys[::-1].copy(), mask[::-1].copy())[0]
    gap = max(distance(a, b) for a, b in zip(turned, (h, o), strict=True))
    expect(gap < 1e-12, f"with the source's steps in reverse order the state moves by {gap:.3g}: weights and keys part")
    junk = np.where(mask[..., None], keys, 1e6)
    gap = max(distance(a, b) for a, b in zip(luong_step(params, x, state, junk, mask)[0], (h, o), strict=True))
    expect(
        gap < 1e-12, f"numbers of a million in the padding move the state by {gap:.3g}: it is read. Hand on the mask"
    )


@holds(STEP, "what was read a step ago is fed in, and the state that moved asks")
def _(luong_step):
    params, x, (h_prev, o_prev), keys, mask = _decoder()
    (h, _), _ = luong_step(params, x, (h_prev, o_prev), keys, mask)
    (fed, _), _ = luong_step(params, x, (h_prev, -o_prev), keys, mask)
    expect(
        distance(h, fed) > 1e-6, "another o_prev gives the same h: input feeding is missing, GRU([x; o_prev], h_prev)"
    )
    sharp = params | {"score": {"W": 50 * params["score"]["W"]}}
    weights = np.asarray(luong_step(sharp, x, (h_prev, o_prev), keys, mask)[1][2])
    scores = np.einsum("bh,hk,sbk->sb", np.asarray(h), sharp["score"]["W"], keys)
    best = np.where(mask, scores, -np.inf).argmax(axis=0)
    expect(
        weights.shape == (4, 3) and bool((weights.argmax(axis=0) == best).all()),
        f"the largest weights are at steps {weights.argmax(axis=0)}, the best scores of the new h at {best}: in "
        "Luong's order the cell moves first and the new h asks",
    )


@holds(STEP_BACK, "agrees with central differences of luong_step")
def _(luong_step_backward):
    _expect_slopes(luong_step_backward, *_decoder(3, 2, 2, 2, 3, 2))


def _expect_slopes(back: Callable[..., Any], params: Any, x: Any, state: Any, keys: Any, mask: Any) -> None:
    from rnnlib.attention_decoder import luong_step

    dstate = draw(*state[0].shape, seed=20), draw(*state[1].shape, seed=21)
    inputs = {"W_c": params["combine"]["W_c"], "W": params["score"]["W"], **params["cell"]}
    inputs |= {"x": x, "h_prev": state[0], "o_prev": state[1], "keys": keys}

    def loss(x: Any, h_prev: Any, o_prev: Any, keys: Any, W_c: Any, W: Any, **cell: Any) -> float:
        now = {"cell": cell, "score": {"W": W}, "combine": {"W_c": W_c}}
        (h, o), _ = luong_step(now, x, (h_prev, o_prev), keys, mask)
        return float((dstate[0] * h).sum() + (dstate[1] * o).sum())

    _, cache = luong_step(params, x, state, keys, mask)
    dx, (dh_prev, do_prev), dkeys, grads = back(params, tuple(d.copy() for d in dstate), cache)
    got = {"x": dx, "h_prev": dh_prev, "o_prev": do_prev, "keys": dkeys}
    _names(grads, ["cell", "score", "combine"])
    for part, names in (("cell", ["W_xh", "W_hh", "b_h"]), ("score", ["W"]), ("combine", ["W_c"])):
        _names(grads[part], names)
        got |= grads[part]
    _follows(got, loss, inputs, "luong_step")


@holds(STEP_BACK, "a net learns to say words backwards")
def _(luong_step_backward):
    try:
        _expect_slopes(luong_step_backward, *_decoder(2, 1, 1, 2, 2, 2))
    except CheckFailed:
        raise CheckFailed("not tried: the gradients are wrong, as the checks above say") from None
    params, losses = drive(learn_to_reverse, luong_step_backward, 0)
    judge_reversal(params, losses)


def share_said(params: dict[str, np.ndarray]) -> float:
    """Of 200 fresh words, the share that a trained net says backwards without a mistake."""
    sources, lengths, targets, _ = words_to_reverse(np.random.default_rng(17), TESTED)
    said = say_backwards(params, sources, lengths)
    full = np.full((len(targets) - 1, TESTED), END)
    full[: len(said)] = said
    return float((full == targets[1:]).all(axis=0).mean())


def judge_reversal(params: dict[str, np.ndarray], losses: list[float]) -> None:
    """Fail unless a trained net says nearly all of 200 fresh words backwards, without a mistake."""
    right = share_said(params)
    expect(
        right >= GATE,
        f"after {len(losses)} steps the net says {right:.1%} of {TESTED} words backwards without a mistake, expected "
        f"{GATE:.0%}; {PASSED_BY}. Its loss ends at {np.mean(losses[-10:]):.3g}.",
    )


# --- alignment error rate


@holds(RATE, "worked by hand: ninety-seven")
def _(alignment_error_rate):
    sure = np.array([[0, 0, 1], [1, 0, 0]], bool)  # ninety, seven; sieben, und, neunzig
    possible = np.array([[0, 1, 1], [1, 1, 0]], bool)
    for links, want in (
        ([[0, 0, 1], [1, 0, 0]], 0.0),
        ([[0, 0, 1], [0, 1, 0]], 0.25),
        ([[1, 0, 0], [0, 0, 1]], 1.0),
        ([[0, 0, 1], [0, 0, 0]], 1 / 3),
    ):
        got = alignment_error_rate(np.array(links, bool), sure, possible)
        expect(
            abs(float(got) - want) < 1e-12,
            f"rows ninety, seven, columns sieben, und, neunzig; links {links}: the rate is {float(got):.4g}, expected "
            f"{want:.4g}",
        )
        expect(isinstance(got, float), f"the rate is a {type(got).__name__}, expected a float")


@holds(RATE, "a sure link counts as possible, marked or not")
def _(alignment_error_rate):
    truth, nothing = np.eye(3, dtype=bool), np.zeros((3, 3), bool)
    got = float(alignment_error_rate(truth, truth, nothing))
    expect(abs(got) < 1e-12, f"all sure links found, none marked as possible: the rate is {got:.4g}, expected 0")


@holds(RATE, "no link at all is an error")
def _(alignment_error_rate):
    nothing = np.zeros((2, 3), bool)
    refused("no link guessed and none sure (0 / 0 is no rate)", "", alignment_error_rate, nothing, nothing, ~nothing)
