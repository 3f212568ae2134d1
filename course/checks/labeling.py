"""What must hold for the functions of chapter 14, whatever the numbers."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds, refused

SCORE, AHEAD, BACK = (f"14-labeling/{name}" for name in ("crf_score", "messages_ahead", "messages_back"))
PARTITION, SHARES, LOSS = (f"14-labeling/{name}" for name in ("crf_log_partition", "marginals", "crf_loss"))
VITERBI, ALLOWED, FORBID = (f"14-labeling/{name}" for name in ("viterbi", "bio_allowed", "forbid"))
SPANS, F1 = "14-labeling/spans", "14-labeling/span_f1"
LENGTHS = np.array([3, 4, 1])
NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]


# --- what the checks compute with


def _chain(K: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {
        "transitions": scale * draw(K, K, seed=5),
        "start": scale * draw(K, seed=6),
        "stop": scale * draw(K, seed=7),
    }


def _nothing(K: int) -> dict[str, np.ndarray]:
    return {"transitions": np.zeros((K, K)), "start": np.zeros(K), "stop": np.zeros(K)}


def _batch(K: int, scale: float = 1.0, extra: int = 0, junk: float = 0.0) -> np.ndarray:
    """Scores of three sequences of 3, 4 and 1 steps; behind the ends, and for so many steps more, stands junk."""
    scores = np.full((4 + extra, 3, K), junk)
    for b, n in enumerate(LENGTHS):
        scores[:n, b] = scale * draw(4, 3, K, seed=8)[:n, b]
    return scores


def _by_counting(params: dict[str, np.ndarray], scores: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Every path through one sequence (n, K), and what it is worth."""
    paths = list(itertools.product(range(scores.shape[1]), repeat=len(scores)))
    return paths, np.array([_worth(params, scores, path) for path in paths])


def _worth(params: dict[str, np.ndarray], scores: np.ndarray, path: Any) -> float:
    total = params["start"][path[0]] + params["stop"][path[-1]]
    for t, label in enumerate(path):
        total += scores[t, label]
    for i, j in itertools.pairwise(path):
        total += params["transitions"][i, j]
    return float(total)


def _together(values: np.ndarray) -> float:
    most = values.max()
    return float(most + np.log(np.exp(values - most).sum()))


def _lengths_must_fit(function: Callable[..., Any], *labels: np.ndarray) -> None:
    for lengths in (np.array([3, 5, 1]), np.array([3, 0, 1]), np.array([3, 4])):
        what = f"lengths {lengths.tolist()} for scores (4, 3, 2)"
        refused(what, "lengths", function, _nothing(2), _batch(2), *labels, lengths)
    refused("a chain of 3 labels for scores of 2", "(3, 3)", function, _nothing(3), _batch(2), *labels, LENGTHS)


# --- crf_score


@holds(SCORE, "every part counts, each of them once")
def _(crf_score):
    labels, scores = np.array([[1, 0, 2], [0, 2, 0], [2, 2, 0], [0, 1, 0]]), np.zeros((4, 3, 3))
    for name, n_axes, want, what in (
        ("start", 1, [10, 1, 100], "the start of the first label"),
        ("stop", 1, [100, 10, 100], "the stop of the label at the sequence's own last step"),
        ("transitions", 2, [10 + 4, 4 + 64 + 128, 0], "the moves of the path, from row to column"),
    ):
        params = _nothing(3)
        params[name] = 10.0 ** np.arange(3) if n_axes == 1 else np.array([[1.0, 2, 4], [10, 16, 32], [3, 128, 64]])
        got = crf_score(params, scores, labels, LENGTHS)
        expect(np.shape(got) == (3,), f"the answer has shape {np.shape(got)}, expected (3,), one for each sequence")
        expect(
            distance(got, np.array(want, float)) < 1e-9,
            f"all zero but {name}: paths {[labels[:n, b].tolist() for b, n in enumerate(LENGTHS)]} score "
            f"{np.round(got, 6).tolist()}, expected {want}: {what}",
        )
    steps = np.zeros((4, 3, 3))
    steps[...] = 10.0 ** np.arange(4)[:, None, None] * np.arange(3)
    got = crf_score(_nothing(3), steps, labels, LENGTHS)
    want = [201, 1220, 2]
    expect(
        distance(got, np.array(want, float)) < 1e-9,
        f"a chain of zeros, the score of label k at step t is k 10^t: got {np.round(got, 6).tolist()}, expected {want}",
    )


@holds(SCORE, "what stands behind the ends does not matter, nor how much")
def _(crf_score):
    labels = np.array([[1, 0, 1], [0, 1, 9], [1, 1, 9], [9, 0, 9]])
    want = crf_score(_chain(2), _batch(2), np.where(labels == 9, 0, labels), LENGTHS)
    for extra, junk, label in ((0, 1e6, 9), (3, 0.0, 1), (3, np.nan, -5)):
        more = np.full((4 + extra, 3), label)
        more[:4][labels != 9] = labels[labels != 9]
        got = crf_score(_chain(2), _batch(2, extra=extra, junk=junk), more, LENGTHS)
        gap = distance(got, want)
        expect(gap < 1e-12, f"scores of {junk:g} and labels {label} behind the ends, {extra} steps more: {gap:.3g} off")


@holds(SCORE, "a forbidden move is worth -inf, and only to the paths that use it")
def _(crf_score):
    params = _chain(2)
    params["transitions"][0, 1] = -np.inf
    got = crf_score(params, _batch(2), np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 0, 1]]), LENGTHS)
    expect(
        got[0] == -np.inf and bool(np.isfinite(got[1:]).all()),
        f"the move 0 -> 1 is forbidden; paths 010, 1000 and 1 score {got.tolist()}, expected -inf and two numbers. "
        "Replace what is behind the ends with np.where; a product with 0 makes NaN of -inf.",
    )


@holds(SCORE, "labels and lengths that do not fit are an error")
def _(crf_score):
    labels = np.zeros((4, 3), int)
    _lengths_must_fit(crf_score, labels)
    refused("label 2 of 2", "2", crf_score, _nothing(2), _batch(2), labels + 2, LENGTHS)
    refused("label -1", "-1", crf_score, _nothing(2), _batch(2), labels - 1, LENGTHS)


# --- messages


@holds(AHEAD, "with zeros everywhere it counts paths")
def _(messages_ahead):
    for K in (2, 3):
        got = messages_ahead(_nothing(K), np.zeros((4, 2, K)))
        expect(np.shape(got) == (4, 2, K), f"the messages have shape {np.shape(got)}, expected (4, 2, {K})")
        counts, want = np.exp(got[:, 0, 0]), float(K) ** np.arange(4)
        expect(
            distance(counts, want) < 1e-9,
            f"{K} labels, all scores 0: the beginnings that end in label 0 at steps 1 to 4 are worth "
            f"{counts.round(4).tolist()}, expected {want.tolist()}, as many as there are",
        )


@holds(AHEAD, "large scores neither overflow nor vanish")
def _(messages_ahead):
    for size in (1e4, -1e4):
        got = messages_ahead(_nothing(3), np.full((4, 1, 3), size))[:, 0, 0]
        want = size * np.arange(1, 5) + np.log(3.0) * np.arange(4)
        expect(
            bool((np.abs(got - want) < 1e-6).all()),
            f"all scores {size:g}: the messages to label 0 are {got.tolist()}, expected {want.round(4).tolist()}."
            + " exp(10000) is inf and exp(-10000) is 0: let `log_sum_exp` take the maximum off first."
            * (not np.isfinite(got).all()),
        )


@holds(AHEAD, "sequences of a batch do not see each other, nor a step those after it")
def _(messages_ahead):
    params, scores = _chain(3), draw(4, 3, 3, seed=8)
    whole = messages_ahead(params, scores)
    for b in range(3):
        gap = distance(messages_ahead(params, scores[:, b : b + 1])[:, 0], whole[:, b])
        expect(gap < 1e-12, f"sequence {b} alone and among three: {gap:.3g} apart")
    gap = distance(messages_ahead(params, scores[:2]), whole[:2])
    expect(gap < 1e-12, f"the messages of the first two steps change by {gap:.3g} if two more follow")


@holds(AHEAD, "a label that cannot be reached has the message -inf, and no NaN spreads from it")
def _(messages_ahead):
    params = _chain(3)
    params["transitions"][:, 1] = params["start"][1] = -np.inf
    got = messages_ahead(params, draw(3, 2, 3, seed=8))
    fine = np.isneginf(got[..., 1]).all() and np.isfinite(got[..., [0, 2]]).all()
    expect(bool(fine), f"label 1 may neither start nor follow; the messages of sequence 0 are\n{got[:, 0]}")


@holds(AHEAD, "arrays that do not fit are an error")
def _(messages_ahead):
    refused("a chain of 3 labels for scores of 2", "(3, 3)", messages_ahead, _nothing(3), _batch(2))


@holds(BACK, "with zeros everywhere it counts paths, from each sequence's own end")
def _(messages_back):
    got = messages_back(_nothing(2), np.zeros((4, 3, 2)), LENGTHS)
    expect(np.shape(got) == (4, 3, 2), f"the messages have shape {np.shape(got)}, expected (4, 3, 2)")
    for b, n in enumerate(LENGTHS):
        counts, want = np.exp(got[:n, b, 0]), 2.0 ** np.arange(n)[::-1]
        expect(
            distance(counts, want) < 1e-9,
            f"2 labels, all scores 0, a sequence of {n} steps: the ends that begin with label 0 at steps 1 to {n} are "
            f"worth {counts.round(4).tolist()}, expected {want.tolist()}, as many as there are",
        )


@holds(BACK, "with the starts it gives the worth of all paths")
def _(messages_back):
    for scale in (1.0, 1e4):
        params, scores = _chain(3, scale), _batch(3, scale)
        got = messages_back(params, scores, LENGTHS)
        for b, n in enumerate(LENGTHS):
            want = _together(_by_counting(params, scores[:n, b])[1])
            found = _together(params["start"] + got[0, b])
            expect(
                abs(found - want) < 1e-9 * max(1, abs(want)),
                f"scores of about {scale:g}, sequence {b} of {n} steps: starts and first messages give log Z = "
                f"{found:.8g}, all paths one by one {want:.8g}",
            )


@holds(BACK, "what stands behind the ends does not matter, and zeros are put there")
def _(messages_back):
    want = messages_back(_chain(3), _batch(3), LENGTHS)
    for extra, junk in ((0, 1e4), (2, np.nan)):
        got = messages_back(_chain(3), _batch(3, extra=extra, junk=junk), LENGTHS)
        gap = distance(got[:4], want)
        expect(gap < 1e-12, f"{junk:g} behind the ends, {extra} steps more: the messages move by {gap:.3g}")
        for b, n in enumerate(LENGTHS):
            expect(not np.any(got[n:, b]), f"behind the end of sequence {b} the messages are not zero")


@holds(BACK, "lengths that do not fit are an error")
def _(messages_back):
    _lengths_must_fit(messages_back)


# --- crf_log_partition


@holds(PARTITION, "with zeros everywhere it counts paths")
def _(crf_log_partition):
    got = np.exp(crf_log_partition(_nothing(3), np.zeros((4, 3, 3)), LENGTHS))
    expect(
        distance(got, 3.0**LENGTHS) < 1e-9,
        f"3 labels, all scores 0, lengths [3, 4, 1]: Z = {np.round(got, 4).tolist()}, expected [27, 81, 3] paths",
    )


@holds(PARTITION, "a score that all paths get is added once")
def _(crf_log_partition):
    params, scores = _chain(3), _batch(3)
    before = crf_log_partition(params, scores, LENGTHS)
    for name, change in (
        ("the scores of step 1", (params, scores + 5.0 * (np.arange(4) == 0)[:, None, None])),
        ("start", (params | {"start": params["start"] + 5}, scores)),
        ("stop", (params | {"stop": params["stop"] + 5}, scores)),
    ):
        got = crf_log_partition(*change, LENGTHS) - before
        expect(distance(got, np.full(3, 5.0)) < 1e-9, f"5 added to {name}: log Z rises by {got.round(4)}, expected 5")


@holds(PARTITION, "what stands behind the ends does not matter")
def _(crf_log_partition):
    want = crf_log_partition(_chain(3), _batch(3), LENGTHS)
    for extra, junk in ((0, 1e4), (2, 0.0), (2, np.nan)):
        gap = distance(crf_log_partition(_chain(3), _batch(3, extra=extra, junk=junk), LENGTHS), want)
        expect(gap < 1e-12, f"{junk:g} behind the ends, {extra} steps more: log Z moves by {gap:.3g}")


@holds(PARTITION, "large scores neither overflow nor vanish")
def _(crf_log_partition):
    for scale in (1e4, -1e4):
        params, scores = _chain(2, scale), _batch(2, scale)
        got = crf_log_partition(params, scores, LENGTHS)
        want = np.array([_together(_by_counting(params, scores[:n, b])[1]) for b, n in enumerate(LENGTHS)])
        expect(bool((np.abs(got - want) < 1e-6).all()), f"scores of about {scale:g}: log Z = {got}, one by one {want}")


@holds(PARTITION, "lengths that do not fit are an error")
def _(crf_log_partition):
    _lengths_must_fit(crf_log_partition)


# --- marginals


@holds(SHARES, "the labels of a step add up to 1, behind the end to 0")
def _(marginals):
    for scale in (1.0, 1e4):
        got = marginals(_chain(3, scale), _batch(3, scale, junk=np.nan), LENGTHS)
        expect(np.shape(got) == (4, 3, 3), f"the answer has shape {np.shape(got)}, expected (4, 3, 3)")
        sums = np.sum(got, axis=-1)
        want = (np.arange(4)[:, None] < LENGTHS).astype(float)
        expect(distance(sums, want) < 1e-9, f"scores of about {scale:g}: the steps add up to\n{sums}\nexpected\n{want}")


@holds(SHARES, "a chain that prefers nothing leaves a softmax at each step")
def _(marginals):
    scores = _batch(3)
    got = marginals(_nothing(3), scores, LENGTHS)
    p = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    gap = max(distance(got[:n, b], p[:n, b]) for b, n in enumerate(LENGTHS))
    expect(gap < 1e-9, f"transitions, start and stop are zero, and the probabilities are {gap:.3g} from a softmax")


@holds(SHARES, "what is forbidden has no share, and where nothing is allowed there is none")
def _(marginals):
    params = _nothing(3)
    params["transitions"][0, 1] = params["transitions"][2, 1] = params["start"][1] = -np.inf
    got = marginals(params, _batch(3, junk=5.0), LENGTHS)
    expect(not np.any(got[..., 1]), f"label 1 cannot be reached, and has probabilities up to {got[..., 1].max():.3g}")
    expect(bool(np.isfinite(got).all()), "there is NaN where something is forbidden")
    params["start"][:] = -np.inf
    refused("a chain that may start nowhere", "probability 0", marginals, params, _batch(3), LENGTHS)


@holds(SHARES, "what stands behind the ends does not matter")
def _(marginals):
    want = marginals(_chain(3), _batch(3), LENGTHS)
    for extra, junk in ((0, 1e4), (2, np.nan)):
        gap = distance(marginals(_chain(3), _batch(3, extra=extra, junk=junk), LENGTHS)[:4], want)
        expect(gap < 1e-12, f"{junk:g} behind the ends, {extra} steps more: a probability moves by {gap:.3g}")


@holds(SHARES, "lengths that do not fit are an error")
def _(marginals):
    _lengths_must_fit(marginals)


# --- crf_loss

LABELS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 1, 0]])


@holds(LOSS, "agrees with central differences")
def _(crf_loss):
    params, scores = _chain(2), _batch(2)
    _, dscores, grads = crf_loss(params, scores, LABELS, LENGTHS)
    expect(isinstance(grads, dict) and set(grads) == set(params), f"the gradients are {grads!r:.80}, not of the chain")
    for name, got in {"scores": dscores, **grads}.items():
        own = scores if name == "scores" else params[name]
        expect(np.shape(got) == own.shape, f"the gradient of {name} has shape {np.shape(got)}, expected {own.shape}")

        def loss(value: np.ndarray, name: str = name) -> float:
            if name == "scores":
                return float(crf_loss(params, value, LABELS, LENGTHS)[0])
            return float(crf_loss(params | {name: value}, scores, LABELS, LENGTHS)[0])

        want = slopes(loss, own)
        gap = distance(got, want)
        if gap < 1e-6:
            continue
        more = ""
        for factor, cause in (
            (-1, "it points the other way"),
            (8, "it is not divided by N"),
            (8 / 12, "N counts padding"),
        ):
            if distance(np.asarray(got) / factor, want) < 1e-6:
                more = f": {cause}"
        raise CheckFailed(f"the gradient of {name} is {gap:.3g} away from differences of your own loss{more}")


@holds(LOSS, "it is minus the logarithm of the right paths' probability, for each step that counts")
def _(crf_loss):
    for scale in (1.0, 1e4):
        params, scores, total = _chain(2, scale), _batch(2, scale), 0.0
        for b, n in enumerate(LENGTHS):
            values = _by_counting(params, scores[:n, b])[1]
            total += _together(values) - _worth(params, scores[:n, b], LABELS[:n, b])
        got, want = crf_loss(params, scores, LABELS, LENGTHS)[0], total / 8
        others = ((12, "all places, padding too"), (3, "the sequences"), (1, "nothing"))
        near = [f" It was divided by {name}." for by, name in others if abs(got - total / by) < 1e-6 * abs(total)]
        expect(
            bool(abs(got - want) < 1e-8 * max(1, want)),
            f"scores of about {scale:g}, all paths counted: the loss is {got:.8g}, expected {want:.8g}, the sum of the "
            f"three sequences divided by their 8 steps.{''.join(near)}",
        )


@holds(LOSS, "expected minus observed leaves nothing: the labels of a step add up to zero")
def _(crf_loss):
    for scale in (1.0, 1e4):
        params = _chain(2, scale)
        _, dscores, grads = crf_loss(params, _batch(2, scale, junk=np.nan), LABELS, LENGTHS)
        off = float(np.abs(np.sum(dscores, axis=-1)).max())
        expect(off < 1e-9, f"scores of about {scale:g}: the gradients of a step's labels add up to {off:.3g} somewhere")
        for b, n in enumerate(LENGTHS):
            expect(not np.any(dscores[n:, b]), f"behind the end of sequence {b} the scores get a gradient")
        for name, grad in grads.items():
            expect(abs(np.sum(grad)) < 1e-9, f"the gradients of {name} add up to {np.sum(grad):.3g}, expected 0")


@holds(LOSS, "padding changes nothing")
def _(crf_loss):
    want = crf_loss(_chain(2), _batch(2), LABELS, LENGTHS)
    for extra, junk, label in ((0, 1e4, 9), (3, 0.0, 1), (3, np.nan, -1)):
        more = np.full((4 + extra, 3), label)
        for b, n in enumerate(LENGTHS):
            more[:n, b] = LABELS[:n, b]
        loss, dscores, grads = crf_loss(_chain(2), _batch(2, extra=extra, junk=junk), more, LENGTHS)
        what = f"scores of {junk:g} and labels {label} behind the ends, {extra} steps more:"
        expect(bool(abs(loss - want[0]) < 1e-12), f"{what} the loss is {loss:.6g}, it was {want[0]:.6g}")
        gap = distance(dscores[:4], want[1])
        expect(gap < 1e-12, f"{what} dscores move by {gap:.3g}")
        for name, grad in grads.items():
            gap = distance(grad, want[2][name])
            expect(gap < 1e-12, f"{what} the gradient of {name} moves by {gap:.3g}")


@holds(LOSS, "with it a chain learns that labels take turns")
def _(crf_loss):
    labels = np.array([[0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]]).T
    params, scores, lengths = _nothing(2), np.zeros((6, 2, 2)), np.array([6, 5])
    for _ in range(30):
        loss, _, grads = crf_loss(params, scores, labels, lengths)
        params = {name: value - 2 * grads[name] for name, value in params.items()}
    A = params["transitions"]
    learned = min(A[0, 1], A[1, 0]) - max(A[0, 0], A[1, 1])
    expect(
        bool(learned > 2),
        f"30 steps down the gradient on sequences 010101 and 10101: changing should score far above staying; the "
        f"transitions are\n{A}\nand the loss is {loss:.3g}",
    )


@holds(LOSS, "labels that are forbidden, or none, are an error")
def _(crf_loss):
    params = _nothing(2)
    params["transitions"][0, 1] = -np.inf
    refused("labels that use the forbidden move 0 -> 1", "forbidden", crf_loss, params, _batch(2), LABELS, LENGTHS)
    refused("label 3 of 2", "3", crf_loss, _nothing(2), _batch(2), LABELS + 2, LENGTHS)
    _lengths_must_fit(crf_loss, LABELS)


# --- viterbi


@holds(VITERBI, "no path is better")
def _(viterbi):
    for K, scale in ((3, 1.0), (2, 1e4), (3, 0.3)):
        params, scores = _chain(K, scale), _batch(K, scale, junk=np.nan)
        labels, best = viterbi(params, scores, LENGTHS)
        expect(np.shape(labels) == (4, 3), f"labels have shape {np.shape(labels)}, expected (4, 3)")
        expect(np.asarray(labels).dtype.kind == "i", f"labels have dtype {np.asarray(labels).dtype}, expected integers")
        for b, n in enumerate(LENGTHS):
            paths, values = _by_counting(params, scores[:n, b])
            found, want = tuple(int(k) for k in labels[:n, b]), paths[int(values.argmax())]
            own = _worth(params, scores[:n, b], found) if all(0 <= k < K for k in found) else -np.inf
            expect(
                found == want,
                f"scores of about {scale:g}, a sequence of {n} steps: your path {found} is worth {own:.6g}, and "
                f"{want} is worth {values.max():.6g}",
            )
            expect(
                bool(abs(best[b] - values.max()) < 1e-9 * max(1, abs(values.max()))),
                f"the path of sequence {b} is the best, but the score told for it is {best[b]:.6g}, not "
                f"{values.max():.6g}",
            )
            expect(not np.any(labels[n:, b]), f"behind the end of sequence {b} the labels are not 0")


@holds(VITERBI, "one strong move is found wherever it stands")
def _(viterbi):
    for at in range(3):
        scores = np.zeros((4, 1, 3))
        scores[at, 0, 1], scores[at + 1, 0, 2] = 5.0, 5.0
        params = _nothing(3)
        params["transitions"][1, 2] = 3.0
        labels, _ = viterbi(params, scores, np.array([4]))
        told = [int(k) for k in labels[:, 0]]
        expect(
            told[at : at + 2] == [1, 2],
            f"label 1 at step {at + 1} and label 2 at step {at + 2} have 5 each, the move 1 -> 2 has 3, all else 0: "
            f"the labels are {told}",
        )


@holds(VITERBI, "what is forbidden is on no path, whatever the scores")
def _(viterbi):
    params, scores = _nothing(3), np.zeros((4, 3, 3))
    params["transitions"][0, 2] = params["start"][2] = params["stop"][1] = -np.inf
    scores[..., 2], scores[..., 1] = 1e6, -1e6
    labels, _ = viterbi(params, scores, LENGTHS)
    for b, n in enumerate(LENGTHS):
        path = [int(k) for k in labels[:n, b]]
        illegal = path[0] == 2 or path[-1] == 1 or (0, 2) in itertools.pairwise(path)
        expect(not illegal, f"start in 2, move 0 -> 2 and stop in 1 are forbidden; the path is {path}")
    params["start"][:] = -np.inf
    refused("a chain that may start nowhere", "probability 0", viterbi, params, scores, LENGTHS)


@holds(VITERBI, "padding changes nothing")
def _(viterbi):
    want, best = viterbi(_chain(3), _batch(3), LENGTHS)
    for extra, junk in ((0, 1e4), (3, 0.0), (3, np.nan)):
        labels, again = viterbi(_chain(3), _batch(3, extra=extra, junk=junk), LENGTHS)
        what = f"{junk:g} behind the ends, {extra} steps more:"
        expect(np.array_equal(labels[:4], want), f"{what} the labels are\n{labels[:4]}\nthey were\n{want}")
        expect(distance(again, best) < 1e-12, f"{what} the scores are {again}, they were {best}")


@holds(VITERBI, "lengths that do not fit are an error")
def _(viterbi):
    _lengths_must_fit(viterbi)


# --- bio_allowed and forbid


def _wrong_moves(allowed: Any, names: list[str]) -> list[str]:
    found = []
    for i, j in itertools.product(range(len(names)), repeat=2):
        legal = not names[j].startswith("I-") or names[i][2:] == names[j][2:]
        if bool(allowed["transitions"][i, j]) != legal:
            found.append(f"{names[i]} -> {names[j]} is {'legal' if legal else 'illegal'}")
    return found


@holds(ALLOWED, "I goes on with its own type, and everything else follows anything")
def _(bio_allowed):
    for names in (NAMES, ["I-b", "B-a", "O", "I-a", "B-b"], ["O"]):
        allowed = bio_allowed(list(names))
        told = isinstance(allowed, dict) and set(allowed) == {"transitions", "start", "stop"}
        expect(told, f"expected a dict of transitions, start and stop, got {allowed!r:.60}")
        for name, shape in (("transitions", (len(names),) * 2), ("start", (len(names),)), ("stop", (len(names),))):
            got = np.asarray(allowed[name])
            expect(got.shape == shape, f"{name} has shape {got.shape} for {len(names)} labels, expected {shape}")
            expect(got.dtype == bool, f"{name} holds {got.dtype}, expected True and False")
        wrong = _wrong_moves(allowed, names)
        expect(not wrong, f"labels {', '.join(names)}: {'; '.join(wrong[:3])}, and you say otherwise")
        starts = [n for n, ok in zip(names, allowed["start"], strict=True) if bool(ok) == n.startswith("I-")]
        expect(not starts, f"a sequence may start with anything but an I; wrong for {', '.join(starts)}")
        expect(bool(np.all(allowed["stop"])), "a sequence may stop with any label")


@holds(ALLOWED, "a label that is none is an error")
def _(bio_allowed):
    for names in (["O", "E-a"], ["B-"], ["O", "a"]):
        refused(f"labels {names}", names[-1], bio_allowed, names)


@holds(FORBID, "what is allowed stays, and nothing makes up for the rest")
def _(forbid):
    for dtype in (np.float64, np.float32):
        params = {name: value.astype(dtype) for name, value in _chain(4, 1e6).items()}
        allowed = {name: draw(*value.shape, seed=9) > 0 for name, value in params.items()}
        got = forbid({name: value.copy() for name, value in params.items()}, allowed)
        for name, value in params.items():
            same = np.array_equal(got[name][allowed[name]], value[allowed[name]])
            expect(same, f"entries of {name} that are allowed have changed")
            rest = got[name][~allowed[name]]
            expect(
                bool(np.isneginf(rest).all()),
                f"{name}: what is forbidden is {rest[:3]}; a net may score more than any number takes off",
            )
            expect(got[name].dtype == dtype, f"{name} of {np.dtype(dtype)} becomes {got[name].dtype}")


@holds(FORBID, "the chain that came in stays as it was, in arrays of its own")
def _(forbid):
    params, everything = _chain(3), {name: value == value for name, value in _nothing(3).items()}
    got = forbid(params | {"W_hy": draw(4, 3)}, everything)
    expect(
        set(got) == set(params),
        f"beside transitions, start and stop the params held W_hy, a net's; the result holds {', '.join(sorted(got))}. "
        "A chain has these three.",
    )
    shared = [name for name in params if np.shares_memory(got[name], params[name])]
    expect(
        not shared,
        f"{', '.join(shared)}: the new chain lies in the old one's arrays, and whoever changes it changes both",
    )


@holds(FORBID, "a mask for another chain is an error")
def _(forbid):
    allowed = {name: value == value for name, value in _nothing(2).items()}
    refused("a chain of 3 labels with a mask for 2", "(2, 2)", forbid, _nothing(3), allowed)
    one = {"transitions": np.ones((1, 3), bool), "start": np.ones(3, bool), "stop": np.ones(3, bool)}
    refused("a mask (1, 3) for transitions (3, 3)", "(1, 3)", forbid, _nothing(3), one)


# --- spans and span_f1


@holds(SPANS, "each rule of the card, by itself")
def _(spans):
    for text, strict, want, rule in (
        ("O B-a I-a O", False, [("a", 1, 3)], "a span ends before an O"),
        ("B-a I-a", False, [("a", 0, 2)], "a span may reach to the end"),
        ("B-a B-a", False, [("a", 0, 1), ("a", 1, 2)], "B begins a span, also behind another of its type"),
        ("B-a B-b I-b", False, [("a", 0, 1), ("b", 1, 3)], "a span ends where another begins"),
        ("O I-a I-a", False, [("a", 1, 3)], "an I after an O begins a span"),
        ("O I-a I-a", True, [], "read strictly, an I after an O belongs to no span"),
        ("B-a I-b I-b", False, [("a", 0, 1), ("b", 1, 3)], "an I of another type ends one span and begins another"),
        ("B-a I-b I-a", True, [("a", 0, 1)], "read strictly, a span does not go on behind an I of another type"),
        ("I-a I-a", True, [], "read strictly, no span begins with an I"),
        ("O O", False, [], "where all is O there is no span"),
    ):
        got = spans(text.split(), strict)
        expect(got == want, f"{text}{', strict' * strict}: got {got!r}, expected {want}: {rule}")


@holds(SPANS, "a label that is none is an error")
def _(spans):
    refused("the label E-a", "E-a", spans, ["O", "E-a"])


@holds(F1, "a span counts whole, with its type, in its own sequence")
def _(span_f1):
    for truth, guess, want, rule in (
        (
            ["B-a I-a I-a"],
            ["B-a I-a O"],
            0.0,
            "a span that is cut short is no hit, though two of three labels are right",
        ),
        (["B-a I-a"], ["B-b I-b"], 0.0, "a span of another type is no hit"),
        (["B-a O", "O O"], ["O O", "B-a O"], 0.0, "the same span in another sequence is no hit"),
        (["B-a O B-b", "O"], ["B-a O O", "O"], 2 / 3, "one hit, one guessed, two there: P = 1, R = 1/2"),
        (["B-a", "B-a B-b B-b B-b"], ["B-a", "O O O O"], 1 / 3, "all sequences are counted together: 2 * 1 / (1 + 5)"),
        (["O O O B-a"], ["B-a O O O"], 0.0, "right O's are no hits"),
    ):
        got = span_f1([one.split() for one in truth], [one.split() for one in guess])
        expect(isinstance(got, tuple) and len(got) == 3, f"expected (P, R, F1), got {got!r}")
        expect(
            abs(got[2] - want) < 1e-9, f"truth {truth}, guess {guess}: F1 is {got[2]:.4g}, expected {want:.4g}: {rule}"
        )


@holds(F1, "precision is of what was guessed, recall of what is there")
def _(span_f1):
    truth, guess = [["B-a", "O", "B-b", "B-a"]], [["B-a", "O", "O", "O"]]
    p, r, f = span_f1(truth, guess)
    expect(
        (p, round(r, 9)) == (1.0, round(1 / 3, 9)), f"one of three spans found, nothing else: P = {p:.3g}, R = {r:.3g}"
    )
    p, r, again = span_f1(guess, truth)
    expect((round(p, 9), r) == (round(1 / 3, 9), 1.0), f"the other way round: P = {p:.3g}, R = {r:.3g}")
    expect(abs(f - again) < 1e-12, "F1 is the same both ways")


@holds(F1, "nothing there and nothing guessed is 0, and no division by zero")
def _(span_f1):
    for truth, guess in (([["O"]], [["O"]]), ([["B-a"]], [["O"]]), ([["O"]], [["B-a"]]), ([], [])):
        expect(span_f1(truth, guess) == (0, 0, 0), f"truth {truth}, guess {guess}: {span_f1(truth, guess)}")


@holds(F1, "legal or not, and read strictly if asked")
def _(span_f1):
    truth, guess = [["O", "B-a"]], [["O", "I-a"]]
    expect(span_f1(truth, guess)[2] == 1.0, "an I after an O begins a span, as `spans` reads it: F1 should be 1")
    expect(span_f1(truth, guess, True)[2] == 0.0, "read strictly an I after an O is no span: F1 should be 0")


@holds(F1, "sequences of other lengths are an error")
def _(span_f1):
    refused("two sequences for one", "1", span_f1, [["O"]], [["O"], ["O"]])
    refused("a sequence of 3 labels for one of 1", "3", span_f1, [["O"]], [["O", "O", "O"]])
