"""What must hold for the functions of chapter 16, whatever the numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds, refused
from course.checks.speaking import count_calls
from course.checks.toys import speak_from_table

Net = dict[str, Any]
START, END = 1, 2


def _side(symbols: int, D: int, H: int, seed: int, words: bool = False) -> Net:
    """The parameters of one side of a net, no bias zero."""
    cell = {"W_xh": draw(D, 3 * H, seed=seed), "W_hh": draw(H, 3 * H, seed=seed + 1), "b_h": draw(3 * H, seed=seed + 2)}
    side: Net = {"embedding": {"E": draw(symbols, D, seed=seed + 3)}, "cell": cell}
    return side | (
        {"out": {"W_hy": draw(H, symbols, seed=seed + 4), "b_y": draw(symbols, seed=seed + 5)}} if words else {}
    )


def _flat(tree: Any, path: str = "") -> dict[str, np.ndarray]:
    if not isinstance(tree, dict):
        return {path: np.asarray(tree)}
    return {key: a for name, part in tree.items() for key, a in _flat(part, f"{path}/{name}" if path else name).items()}


def _farthest(got: Any, want: Any) -> tuple[float, str]:
    """The largest difference between two trees of arrays, and where it is."""
    got, want = _flat(got), _flat(want)
    expect(set(got) == set(want), f"the gradients are named {sorted(got)}, expected {sorted(want)}")
    return max((distance(got[name], want[name]), name) for name in want)


# --- encode and its way back

SIX = np.array([[0, 3, 2], [1, 3, 0], [4, 1, 2], [2, 0, 0], [3, 0, 1], [1, 0, 4]])  # (S, B)
ENDS = np.array([6, 2, 4])


@holds("16-seq2seq/encode", "the state handed over is each sequence's own last one")
def _(encode):
    hs, state, _ = encode(_side(5, 2, 3, 1), SIX.copy(), ENDS)
    expect(isinstance(state, tuple) and len(state) == 1, "the state is a tuple of one array, as all states are")
    for b, n in enumerate(ENDS):
        gap = distance(state[0][b], hs[n - 1, b])
        late = distance(state[0][b], hs[-1, b]) < 1e-12 and n < 6
        told = "; it is the state after step 6, when the net had read padding" if late else ""
        expect(
            gap < 1e-12, f"sequence {b} has {n} of 6 steps; its c is {gap:.3g} away from its state after step {n}{told}"
        )


@holds("16-seq2seq/encode", "what stands behind the ends does not matter, nor how much of it")
def _(encode):
    side = _side(5, 2, 3, 1)
    want = encode(side, SIX.copy(), ENDS)
    for S, junk in ((6, 4), (6, -7), (9, 0), (9, 10**6)):
        tokens = np.full((S, 3), junk)
        for b, n in enumerate(ENDS):
            tokens[:n, b] = SIX[:n, b]
        try:
            hs, (c,), _ = encode(side, tokens, ENDS)
        except (ValueError, IndexError) as error:
            raise CheckFailed(
                f"with {junk} behind the ends: {error}. Put 0 there before you look anything up."
            ) from None
        gap = distance(c, want[1][0])
        expect(gap < 1e-12, f"with {junk} behind the ends and {S} steps, c moves by {gap:.3g}")
        gap = max(distance(hs[:n, b], want[0][:n, b]) for b, n in enumerate(ENDS))
        expect(gap < 1e-12, f"with {junk} behind the ends and {S} steps, states before the ends move by {gap:.3g}")


@holds("16-seq2seq/encode", "lengths that do not fit are an error")
def _(encode):
    side = _side(5, 2, 3, 1)
    for lengths in (np.array([6, 0, 4]), np.array([6, 2, 7]), np.array([6, 2])):
        refused(f"lengths {lengths.tolist()} for tokens (6, 3)", "", encode, side, SIX, lengths)


def _kept(side: Net, tokens: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cache of `encode`, made by hand."""
    from rnnlib.fused import gru_forward

    mask = np.arange(len(tokens))[:, None] < lengths
    tokens = np.where(mask, tokens, 0)
    start = np.zeros((len(lengths), len(side["cell"]["W_hh"])))
    return tokens, mask, *gru_forward(side["cell"], side["embedding"]["E"][tokens], (start,))[2]


def _worth(side: Net, tokens: np.ndarray, lengths: np.ndarray, dhs: np.ndarray, dc: np.ndarray) -> float:
    """What states and last states are worth: dhs and dc are its gradients."""
    hs = _kept(side, tokens, lengths)[3][1:]
    last = hs[lengths - 1, np.arange(len(lengths))]
    return float((hs * dhs).sum() + (last * dc).sum())


@holds("16-seq2seq/encode_backward", "agrees with central differences")
def _(encode_backward):
    side, inside = _side(5, 2, 3, 1), (np.arange(6)[:, None] < ENDS)[..., None]
    for states, last in ((0, 1), (1, 0), (1, 1)):
        dhs, dc = states * draw(6, 3, 3, seed=8) * inside, last * draw(3, 3, seed=9)
        grads = encode_backward(side, dhs.copy(), (dc.copy(),), _kept(side, SIX, ENDS))
        for part, name in (("embedding", "E"), ("cell", "b_h")):

            def worth(value, part=part, name=name, dhs=dhs, dc=dc):
                return _worth(side | {part: side[part] | {name: value}}, SIX, ENDS, dhs, dc)

            gap = distance(grads[part][name], slopes(worth, side[part][name]))
            where = {(0, 1): "c alone", (1, 0): "hs alone", (1, 1): "c and hs"}[states, last]
            expect(
                gap < 1e-6, f"gradient through {where}: grads[{part!r}][{name!r}] is {gap:.3g} off central differences"
            )


@holds("16-seq2seq/encode_backward", "a batch asks what its sequences ask, one by one")
def _(encode_backward):
    side, dhs, dc = _side(5, 2, 3, 1), np.zeros((6, 3, 3)), draw(3, 3, seed=9)
    whole = encode_backward(side, dhs, (dc,), _kept(side, SIX, ENDS))
    sums: dict[str, Any] = {}
    for b, n in enumerate(ENDS):
        own = _kept(side, SIX[:n, b : b + 1], np.array([n]))
        for name, grad in _flat(encode_backward(side, dhs[:n, b : b + 1], (dc[b : b + 1],), own)).items():
            sums[name] = sums.get(name, 0) + grad
    gap, where = _farthest(whole, sums)
    expect(gap < 1e-10, f"grads {where} of the batch is {gap:.3g} away from the sum over its sequences, one at a time")


@holds("16-seq2seq/encode_backward", "gradients of another shape are an error")
def _(encode_backward):
    side = _side(5, 2, 3, 1)
    cache = _kept(side, SIX, ENDS)
    refused("dhs (5, 3, 3) for tokens (6, 3)", "", encode_backward, side, draw(5, 3, 3), (draw(3, 3),), cache)
    refused("dc (2, 3) for 3 sequences", "", encode_backward, side, draw(6, 3, 3), (draw(2, 3),), cache)


# --- one step of the decoder


@holds("16-seq2seq/decode_step", "each sequence has its own word and its own state")
def _(decode_step):
    side, words, s = _side(6, 2, 3, 2, words=True), np.array([5, 1, 1, 3]), draw(4, 3, seed=4)
    logits, state, _ = decode_step(side, words, (s.copy(),))
    expect(isinstance(state, tuple) and len(state) == 1, "the state is a tuple of one array, as all states are")
    expect(np.shape(logits) == (4, 6), f"4 sequences, 6 words: the scores have shape {np.shape(logits)}")
    for b in range(4):
        single, own, _ = decode_step(side, words[b : b + 1], (s[b : b + 1],))
        gap = max(distance(single[0], logits[b]), distance(own[0][0], state[0][b]))
        expect(gap < 1e-12, f"sequence {b} alone gives other scores or another state, {gap:.3g} off")


@holds("16-seq2seq/decode_step", "the scores are read from the new state")
def _(decode_step):
    side, words, s = _side(6, 2, 3, 2, words=True), np.array([5, 1]), draw(2, 3, seed=4)
    logits, (new,), _ = decode_step(side, words, (s.copy(),))
    gap = distance(logits, new @ side["out"]["W_hy"] + side["out"]["b_y"])
    old = distance(logits, s @ side["out"]["W_hy"] + side["out"]["b_y"]) < 1e-12
    expect(gap < 1e-12, f"the scores are {gap:.3g} off W_hy s_t + b_y{'; they are read from s_{t-1}' if old else ''}")


@holds("16-seq2seq/decode_step", "words and states that do not fit are an error")
def _(decode_step):
    side = _side(6, 2, 3, 2, words=True)
    refused("3 words with 2 states", "", decode_step, side, np.array([1, 2, 3]), (draw(2, 3),))
    refused("word 6 of 6", "6", decode_step, side, np.array([1, 6]), (draw(2, 3),))


def _step_kept(side: Net, words: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cache of `decode_step`, made by hand."""
    from rnnlib.gru import gru_step

    (new,), kept = gru_step(side["cell"], side["embedding"]["E"][words], (s,))
    return words, *kept, new


@holds("16-seq2seq/decode_step_backward", "agrees with central differences")
def _(decode_step_backward):
    side, words, s = _side(6, 2, 3, 2, words=True), np.array([5, 1, 1]), draw(3, 3, seed=4)
    for scores, later in ((1, 0), (0, 1), (1, 1)):
        dlogits, ds = scores * draw(3, 6, seed=5), later * draw(3, 3, seed=6)

        def worth(side, s, dlogits=dlogits, ds=ds):
            new = _step_kept(side, words, s)[-1]
            return float(((new @ side["out"]["W_hy"] + side["out"]["b_y"]) * dlogits).sum() + (new * ds).sum())

        (ds_prev,), grads = decode_step_backward(side, dlogits.copy(), (ds.copy(),), _step_kept(side, words, s))
        through = {(1, 0): "the scores alone", (0, 1): "the state alone", (1, 1): "both"}[scores, later]
        gap = distance(ds_prev, slopes(lambda value: worth(side, value), s))
        expect(gap < 1e-6, f"gradient through {through}: ds_prev is {gap:.3g} off central differences")
        for part, name in (("embedding", "E"), ("cell", "b_h"), ("out", "W_hy"), ("out", "b_y")):

            def moved(value, part=part, name=name, worth=worth):
                return worth(side | {part: side[part] | {name: value}}, s)

            gap = distance(grads[part][name], slopes(moved, side[part][name]))
            expect(gap < 1e-6, f"gradient through {through}: grads[{part!r}][{name!r}] is {gap:.3g} off differences")


@holds("16-seq2seq/decode_step_backward", "gradients of another shape are an error")
def _(decode_step_backward):
    side = _side(6, 2, 3, 2, words=True)
    cache = _step_kept(side, np.array([5, 1]), draw(2, 3))
    refused("dlogits (3, 6) for 2 sequences", "", decode_step_backward, side, draw(3, 6), (draw(2, 3),), cache)
    refused("ds (2, 4) for 3 units", "", decode_step_backward, side, draw(2, 6), (draw(2, 4),), cache)


# --- the loss

TARGETS = np.array([[1, 1, 1], [4, 3, 2], [5, 5, 2], [3, 2, 2], [2, 2, 2]])  # start, words, end; behind it more ends
COUNTS = np.array([5, 4, 2])


def _pairs() -> tuple[Any, ...]:
    net = {"encoder": _side(5, 2, 3, 1), "decoder": _side(6, 2, 3, 11, words=True)}
    return net, SIX, ENDS, TARGETS, COUNTS


@holds("16-seq2seq/seq2seq_loss", "the decoder is fed the word before, never the one that it is asked for")
def _(seq2seq_loss):
    net, *batch = _pairs()
    loss, grads = seq2seq_loss(net, *batch)
    told = np.asarray(grads["decoder"]["embedding"]["E"])
    expect(
        not np.any(told[END]),
        "the vector of the end symbol gets a gradient. The end is asked for and never fed: behind it nothing is said. "
        "Feed all rows of the targets but the last, ask for all but the first, and mask what lies behind the ends.",
    )
    expect(
        bool(np.any(told[START])),
        "the vector of the start symbol gets no gradient: the first word that is fed is the start",
    )
    other = net["decoder"]["out"] | {"b_y": net["decoder"]["out"]["b_y"] + np.eye(6)[START]}
    more, _ = seq2seq_loss(net | {"decoder": net["decoder"] | {"out": other}}, *batch)
    expect(more > loss, "when the start symbol gets a higher score, the loss falls: it is asked for, and must not be")


@holds("16-seq2seq/seq2seq_loss", "padding changes nothing")
def _(seq2seq_loss):
    net, sources, n, targets, m = _pairs()
    loss, grads = seq2seq_loss(net, sources, n, targets, m)
    for S, T, letter, word in ((6, 5, 3, 4), (9, 5, 0, 0), (6, 8, 0, 5), (8, 7, 99, 1)):
        more, longer = np.full((S, 3), letter), np.full((T, 3), word)
        for b in range(3):
            more[: n[b], b], longer[: m[b], b] = sources[: n[b], b], targets[: m[b], b]
        again, moved = seq2seq_loss(net, more, n, longer, m)
        what = f"with {S} steps of input and {T} of output in place of 6 and 5, {letter} and {word} behind the ends,"
        expect(
            abs(again - loss) < 1e-12,
            f"{what} the loss is {again:.6g}; it was {loss:.6g}. Divide by the words that count, here 4 + 3 + 1.",
        )
        gap, where = _farthest(moved, grads)
        expect(gap < 1e-12, f"{what} the gradient of {where} moves by {gap:.3g}")


@holds("16-seq2seq/seq2seq_loss", "each word has the same weight")
def _(seq2seq_loss):
    net, sources, n, targets, m = _pairs()
    loss, grads = seq2seq_loss(net, sources, n, targets, m)
    total = 0.0
    sums: dict[str, Any] = {}
    for b in range(3):
        one = sources[: n[b], b : b + 1], n[b : b + 1], targets[: m[b], b : b + 1], m[b : b + 1]
        own, asked = seq2seq_loss(net, *one)
        total += (m[b] - 1) / 8 * own
        sums = {name: sums.get(name, 0) + (m[b] - 1) / 8 * grad for name, grad in _flat(asked).items()}
    expect(
        abs(loss - total) < 1e-10,
        f"three pairs with 4, 3 and 1 words: the loss is {loss:.6g}; the losses of the pairs alone, weighted by their "
        f"words, give {total:.6g}",
    )
    gap, where = _farthest(grads, sums)
    expect(gap < 1e-10, f"the gradient of {where} is {gap:.3g} away from the sum over the pairs alone, by their words")


@holds("16-seq2seq/seq2seq_loss", "inputs replace what is fed, not what is wanted")
def _(seq2seq_loss):
    net, *batch = _pairs()
    loss, grads = seq2seq_loss(net, *batch)
    same, asked = seq2seq_loss(net, *batch, TARGETS[:-1].copy())
    expect(abs(same - loss) < 1e-12, f"fed the right words by hand, the loss is {same:.6g} in place of {loss:.6g}")
    gap, where = _farthest(asked, grads)
    expect(gap < 1e-12, f"fed the right words by hand, the gradient of {where} is another one, by {gap:.3g}")
    _, asked = seq2seq_loss(net, *batch, np.full((4, 3), 4))
    rows = np.flatnonzero(np.any(asked["decoder"]["embedding"]["E"], axis=1)).tolist()
    expect(rows == [4], f"fed word 4 at every step, the vectors of words {rows} get a gradient, expected [4]")


@holds("16-seq2seq/seq2seq_loss", "agrees with central differences")
def _(seq2seq_loss):
    net, *batch = _pairs()
    _, grads = seq2seq_loss(net, *batch)
    for side, part, name in (("encoder", "cell", "b_h"), ("decoder", "out", "b_y")):

        def loss(value, side=side, part=part, name=name):
            return seq2seq_loss(net | {side: net[side] | {part: net[side][part] | {name: value}}}, *batch)[0]

        gap = distance(grads[side][part][name], slopes(loss, net[side][part][name]))
        expect(gap < 1e-6, f"the gradient of {side}/{part}/{name} is {gap:.3g} off central differences")


@holds("16-seq2seq/seq2seq_loss", "shapes and lengths that do not fit are an error")
def _(seq2seq_loss):
    net, sources, n, targets, m = _pairs()
    refused("a target of one symbol, no end", "", seq2seq_loss, net, sources, n, targets, np.array([5, 4, 1]))
    refused("a target length of 6 with T = 5", "", seq2seq_loss, net, sources, n, targets, np.array([6, 4, 2]))
    refused("3 sources, 2 targets", "", seq2seq_loss, net, sources, n, targets[:, :2], m[:2])
    refused("inputs (5, 3) for targets (5, 3)", "", seq2seq_loss, net, sources, n, targets, m, targets)


# --- decoding


def _tables(*chains: list[int], words: int = 8) -> np.ndarray:
    """A table for each chain: the toy says one word of it after the other, then goes on with word 7."""
    tables = np.zeros((len(chains), words, words))
    tables[:, :, 7] = 5
    for table, chain in zip(tables, chains, strict=True):
        for before, after in zip([START, *chain], chain, strict=False):
            table[before, after] = 10
    return tables


@holds("16-seq2seq/greedy_decode", "who has ended is silent, whatever the net goes on to say")
def _(greedy_decode):
    tables = _tables([5, 2], [4, 3, 6, 2], [2])
    words, lengths = greedy_decode(speak_from_table, (tables, np.zeros((3, 8))), START, END, 10)
    want = [[5, 4, 2], [2, 3, 2], [2, 6, 2], [2, 2, 2]]
    expect(list(np.asarray(lengths)) == [1, 3, 0], f"three sequences say 1, 3 and 0 words; lengths are {lengths}")
    expect(
        np.asarray(words).tolist() == want,
        f"sequences that say 5 and the end; 4, 3, 6 and the end; the end: words are {np.asarray(words).tolist()}, "
        f"expected {want}, the end at and behind each end",
    )


@holds("16-seq2seq/greedy_decode", "it stops when all have ended, or when there is no more room")
def _(greedy_decode):
    for longest, want in ((10, 4), (4, 4), (3, 3), (1, 1)):
        (words, lengths), asked = drive(count_calls, greedy_decode, _tables([5, 2], [4, 3, 6, 2]), START, END, longest)
        expect(
            asked == want,
            f"the longest of two answers is 4, 3, 6, end, and max_length is {longest}: step was asked {asked} times, "
            f"expected {want}",
        )
        expect(len(words) == want, f"words has {len(words)} rows after {want} steps")
        told = [int(n) for n in lengths]
        expect(
            told == [1, min(3, longest)], f"max_length {longest}: lengths are {told}, expected {[1, min(3, longest)]}"
        )


@holds("16-seq2seq/greedy_decode", "there is room for one word at least")
def _(greedy_decode):
    for longest in (0, -3):
        state = (_tables([5, 2]), np.zeros((1, 8)))
        refused(f"max_length {longest}", str(longest), greedy_decode, speak_from_table, state, START, END, longest)


TEN = np.array([[1] * 4, [5, 4, 6, 3], [3, 3, 3, 3], [6, 2, 5, 4], [2, 2, 2, 2]])  # (T, B)


def _scheduled(scheduled_inputs: Callable[..., Any], chance: float, seed: int = 0, tables: Any = None) -> np.ndarray:
    tables = draw(4, 8, 8, seed=2) if tables is None else tables
    state = (tables, np.zeros(tables.shape[:2]))
    fed = scheduled_inputs(speak_from_table, state, TEN.copy(), chance, np.random.default_rng(seed))
    expect(np.shape(fed) == (4, 4), f"targets (5, 4) give inputs of shape {np.shape(fed)}, expected (4, 4)")
    return np.asarray(fed)


@holds("16-seq2seq/scheduled_inputs", "with a chance of 1 the truth, one step late")
def _(scheduled_inputs):
    fed = _scheduled(scheduled_inputs, 1.0)
    expect(
        np.array_equal(fed, TEN[:-1]),
        f"chance 1: the inputs should be all rows of the targets but the last, {TEN[:-1].tolist()}; they are "
        f"{fed.tolist()}",
    )


@holds("16-seq2seq/scheduled_inputs", "with a chance of 0 the net's own words, from the start on")
def _(scheduled_inputs):
    chains = [5, 4, 6], [3, 5, 2], [2, 7, 7], [6, 6, 6]
    fed = _scheduled(scheduled_inputs, 0.0, tables=_tables(*chains[:3], [6, 3, 5]))
    expect(
        np.array_equal(fed[0], TEN[0]),
        f"the first row is {fed[0].tolist()}, expected the start symbols {TEN[0].tolist()}",
    )
    want = [[5, 3, 2, 6], [4, 5, 7, 3], [6, 2, 7, 5]]
    expect(fed[1:].tolist() == want, f"chance 0: the net's own words are {want}; fed were {fed[1:].tolist()}")


@holds("16-seq2seq/scheduled_inputs", "the decoder goes on from what it was fed")
def _(scheduled_inputs):
    for seed in range(3):
        fed, coins, tables = _scheduled(scheduled_inputs, 0.5, seed), np.random.default_rng(seed), draw(4, 8, 8, seed=2)
        state = (tables, np.zeros((4, 8)))
        for t in range(1, 4):
            scores, state = speak_from_table(fed[t - 1], state)
            want = np.where(coins.random(4) < 0.5, TEN[t], scores.argmax(axis=-1))
            expect(
                np.array_equal(fed[t], want),
                f"chance 0.5, seed {seed}, step {t + 1}: the decoder had heard {fed[:t].tolist()}; with the coins of "
                f"`choose_input` it is fed {want.tolist()} next, and was fed {fed[t].tolist()}",
            )


@holds("16-seq2seq/scheduled_inputs", "all randomness comes from rng, and no step is wasted")
def _(scheduled_inputs):
    one, again, other = (_scheduled(scheduled_inputs, 0.5, seed) for seed in (4, 4, 5))
    expect(np.array_equal(one, again), "two generators with the same seed give different inputs: draw from `rng` alone")
    expect(not np.array_equal(one, other), "another seed gives the same inputs: draw from `rng`")
    _, asked = drive(count_calls, scheduled_inputs, draw(4, 8, 8), TEN, 0.5, np.random.default_rng(0))
    expect(asked == 3, f"targets of 5 rows: step was asked {asked} times, expected 3; nobody hears the last answer")


@holds("16-seq2seq/scheduled_inputs", "targets without an end are an error")
def _(scheduled_inputs):
    state = (draw(4, 8, 8), np.zeros((4, 8)))
    rng = np.random.default_rng(0)
    refused("targets (1, 4)", "(1, 4)", scheduled_inputs, speak_from_table, state, TEN[:1], 0.5, rng)
    fed = scheduled_inputs(speak_from_table, state, TEN[:2], 0.5, rng)
    expect(
        np.array_equal(fed, TEN[:1]), f"targets of start and end: fed is {np.asarray(fed).tolist()}, expected the start"
    )


# --- the best few answers


@holds("16-seq2seq/length_penalty", "1 for one token, more for more, nothing with alpha 0")
def _(length_penalty):
    for alpha in (0.0, 0.4, 1.0):
        one = length_penalty(1, alpha)
        expect(type(one) is float, f"expected a Python float, got a {type(one).__name__}")
        expect(abs(one - 1) < 1e-12, f"one token, alpha {alpha}: {one:.6g}, expected 1")
    found = [length_penalty(n, 0.6) for n in (0, 1, 5, 20)]
    expect(found == sorted(found), f"0, 1, 5 and 20 tokens with alpha 0.6 give {np.round(found, 3)}, expected rising")
    expect(
        abs(length_penalty(9, 0.0) - 1) < 1e-12, f"alpha 0 is no penalty; 9 tokens give {length_penalty(9, 0.0):.4g}"
    )
    expect(abs(length_penalty(7, 1.0) - 2) < 1e-12, f"7 tokens, alpha 1: {length_penalty(7, 1.0):.6g}, expected 12/6")


@holds("16-seq2seq/length_penalty", "a length below zero is an error")
def _(length_penalty):
    refused("length -2", "-2", length_penalty, -2, 0.6)


@holds("16-seq2seq/beam_decode", "a beam of one says what greedy decoding says")
def _(beam_decode):
    for seed in range(3):
        tables, word = draw(1, 8, 8, seed=seed), START
        said: list[int] = []
        state = (tables, np.zeros((1, 8)))
        while word != END and len(said) < 6:
            scores, state = speak_from_table(np.array([word]), state)
            word = int(scores[0].argmax())
            said.append(word)
        found = beam_decode(speak_from_table, (tables, np.zeros((1, 8))), START, END, 1, 6)
        expect(len(found) == 1, f"width 1 gives {len(found)} answers")
        got = [int(w) for w in found[0][0]]
        expect(got == said, f"width 1 says {got}; the likeliest word at each step gives {said}")


@holds("16-seq2seq/beam_decode", "scores are log-probabilities: none above 0, and all answers add up to 1")
def _(beam_decode):
    for scale in (1.0, 800.0):
        tables = scale * draw(1, 4, 4, seed=6)
        found = beam_decode(speak_from_table, (tables, np.zeros((1, 4))), START, END, 200, 3, 0.0)
        scores = np.array([score for _, score in found])
        expect(
            bool(np.isfinite(scores).all() and (scores <= 1e-9).all()),
            f"scores of size {scale:g}: log-probabilities go from {scores.min():.3g} to {scores.max():.3g}",
        )
        expect(
            len(found) == 40,
            f"scores of size {scale:g}: of 40 answers of up to 3 tokens {len(found)} come back. An unlikely word has a "
            "low log-probability, not -inf: take the logarithm before exp has rounded the probability to 0.",
        )
        total = float(np.exp(scores).sum())
        expect(
            abs(total - 1) < 1e-9, f"alpha 0, all answers of up to 3 tokens: their probabilities add up to {total:.6g}"
        )


@holds("16-seq2seq/beam_decode", "the penalty decides the order, and best comes first")
def _(beam_decode):
    tables = draw(1, 6, 6, seed=9)
    by_alpha = {}
    for alpha in (0.0, 0.6, 2.0):
        found = beam_decode(speak_from_table, (tables, np.zeros((1, 6))), START, END, 12, 5, alpha)
        scores = [score for _, score in found]
        expect(
            scores == sorted(scores, reverse=True), f"alpha {alpha}: the scores are {np.round(scores, 3)}, best first"
        )
        by_alpha[alpha] = {tuple(tokens): score for tokens, score in found}
    for tokens, score in by_alpha[2.0].items():
        want = by_alpha[0.0].get(tokens)
        expect(
            want is not None, f"{list(tokens)} comes out with alpha 2 and not with alpha 0: the search is another one"
        )
        factor = ((5 + len(tokens)) / 6) ** 2
        expect(
            abs(score * factor - want) < 1e-9,
            f"{list(tokens)} has log p {want:.4g} and, with alpha 2, s {score:.4g}; expected {want:.4g} / {factor:.4g}",
        )


# --- how good is it?


@holds("16-seq2seq/edit_distance", "a distance: zero for equals alone, the same both ways, no detours")
def _(edit_distance):
    rng = np.random.default_rng(8)
    texts = ["", "two", "tow", "twelve", "ten", "eleven", *("".join(rng.choice(list("ab"), size=4)) for _ in range(4))]
    apart = {(a, b): edit_distance(a, b) for a in texts for b in texts}
    for (a, b), d in apart.items():
        expect(type(d) is int, f"expected a Python int, got {type(d).__name__}")
        expect((d == 0) == (a == b), f"{a!r} and {b!r} are {d} apart")
        expect(d == apart[b, a], f"from {a!r} to {b!r} it is {d}, the other way {apart[b, a]}")
        least, most = abs(len(a) - len(b)), max(len(a), len(b))
        expect(
            least <= d <= most, f"{a!r} and {b!r} are {d} apart; it takes at least {least} changes and at most {most}"
        )
    for a, b, c in ((a, b, c) for a in texts[:6] for b in texts[:6] for c in texts[:6]):
        way = apart[a, b] + apart[b, c]
        expect(apart[a, c] <= way, f"{a!r} to {c!r} is {apart[a, c]}, by way of {b!r} only {way}")


@holds("16-seq2seq/edit_distance", "one change of each kind costs one")
def _(edit_distance):
    for a, b, what in (
        (["a", "b", "c"], ["a", "x", "c"], "one item replaced"),
        (["a", "b", "c"], ["a", "c"], "one item left out"),
        (["a", "c"], ["a", "b", "c"], "one item put in"),
        ((1, 2, 3), [1, 2, 3, 4], "one item put in at the end"),
    ):
        d = edit_distance(a, b)
        expect(d == 1, f"{a} and {b}, {what}: {d}, expected 1")


CAT = ["the", "cat", "is", "on", "the", "mat"]


@holds("16-seq2seq/bleu", "100 for what is right, whatever the order of the sentences")
def _(bleu):
    wanted = [CAT, ["one", "hundred", "and", "two", "thousand"]]
    score = bleu(wanted, wanted)
    expect(type(score) is float, f"expected a Python float, got a {type(score).__name__}")
    expect(abs(score - 100) < 1e-9, f"hypotheses equal to their references have {score:.4g}, expected 100")
    said = [CAT[:5], ["one", "hundred", "and", "three", "thousand"]]
    gap = abs(bleu(said, wanted, "exp") - bleu(said[::-1], wanted[::-1], "exp"))
    expect(gap < 1e-9, f"the same sentences in another order have another score, {gap:.3g} off")


@holds("16-seq2seq/bleu", "too short is punished, too long is not rewarded")
def _(bleu):
    short = bleu([CAT[:5]], [CAT])
    want = 100 * np.exp(1 - 6 / 5)
    expect(
        abs(short - want) < 1e-9,
        f"five of six words, all runs right: {short:.4g}, expected 100 exp(1 - 6/5) = {want:.4g}",
    )
    long = bleu([[*CAT, "indeed"]], [CAT])
    want = 100 * (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25
    expect(
        abs(long - want) < 1e-9,
        f"six right words and one too many: {long:.4g}, expected {want:.4g}, without any penalty for length",
    )


@holds("16-seq2seq/bleu", "lengths are those of the corpus: a long answer makes up for a short one")
def _(bleu):
    score = bleu([CAT[:5], [*CAT, "indeed"]], [CAT, CAT], "none", 1)
    expect(
        abs(score - 100 * 11 / 12) < 1e-9,
        f"an answer of 5 words and one of 7, references of 6: {score:.4g}, expected 100 * 11/12. Of 12 words 11 are "
        "right, and 12 are as many as the references have, so there is no penalty for length.",
    )


@holds("16-seq2seq/bleu", "a run counts as often as it stands in the reference")
def _(bleu):
    score = bleu([["the"] * 7], [CAT], "none", 1)
    expect(
        abs(score - 100 * 2 / 7) < 1e-9,
        f"seven times 'the', which stands twice in the reference: {score:.4g}, expected 100 * 2/7; clip the counts",
    )


@holds("16-seq2seq/bleu", "counts are added up over the corpus before anything is divided")
def _(bleu):
    said, wanted = [["a"] * 8, ["b"]], [["a"] * 8, ["c"]]
    score = bleu(said, wanted, "none", 1)
    expect(
        abs(score - 100 * 8 / 9) < 1e-9,
        f"one sentence of 8 right words, one of a single wrong one: {score:.4g}, expected 100 * 8/9; the mean of two "
        "sentences' scores would be 50",
    )


@holds("16-seq2seq/bleu", "no run of four that matches: 0, or a share of one with exp")
def _(bleu):
    said, wanted = [["a", "b", "x", "c", "d"]], [["a", "b", "y", "c", "d"]]
    zero = bleu(said, wanted)
    expect(zero == 0, f"no run of three or four matches: {zero:.4g} without smoothing, expected 0")
    score, want = bleu(said, wanted, "exp"), 100 * (4 / 5 * 2 / 4 * 1 / (2 * 3) * 1 / (4 * 2)) ** 0.25
    expect(
        abs(score - want) < 1e-9,
        f"4 of 5 words, 2 of 4 pairs, none of 3 triples, none of 2 fours: with exp {score:.4g}, expected {want:.4g}; "
        "the triples count as 1 / (2 * 3), the fours as 1 / (4 * 2)",
    )
    expect(bleu([["x", "y"]], [["a", "b"]], "exp") == 0, "where not one word matches, BLEU is 0 with exp too")
    try:
        silent = bleu([[], []], [["a"], ["b"]])
    except ZeroDivisionError:
        raise CheckFailed("two answers without a word end in a ZeroDivisionError; without runs BLEU is 0") from None
    expect(silent == 0, f"two answers without a word: {silent:.4g}; there are no runs, so BLEU is 0")


@holds("16-seq2seq/bleu", "what does not fit is an error")
def _(bleu):
    refused("1 hypothesis, 2 references", "2", bleu, [["a"]], [["a"], ["b"]])
    refused("smooth 'floor'", "floor", bleu, [["a"]], [["a"]], "floor")
