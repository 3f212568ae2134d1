"""Chains over labels against every path there is, their gradients against autograd, spans against seqeval."""

import itertools
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import Sizes, assert_all_close, assert_close, make_case, make_cell_case
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bio import bio_allowed, forbid, span_f1, spans
from rnnlib.crf import (
    crf_init,
    crf_log_partition,
    crf_loss,
    crf_score,
    log_sum_exp,
    marginals,
    messages_ahead,
    messages_back,
    viterbi,
)
from rnnlib.fused import gru_backward, gru_forward, lstm_backward, lstm_forward
from rnnlib.tagger import crf_tagger_loss
from rnnlib.types import Array, Params

# T, K and how large the scores are; with three sequences or more the lengths are not sorted.
CASES = [(1, 1, 1.0), (1, 4, 1.0), (4, 1, 1.0), (5, 2, 3.0), (3, 3, 1.0), (5, 4, 1.0), (5, 4, 1e4), (2, 4, 1e4)]
every_case = pytest.mark.parametrize(("T", "K", "scale"), CASES, ids=str)
NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]


def make_chain(T: int, K: int, scale: float = 1.0, seed: int = 0) -> tuple[Params, Array, Array, Array]:
    """A chain, scores and labels of four sequences of different lengths, NaN and nonsense behind their ends."""
    rng = np.random.default_rng(seed)
    lengths = np.array([max(1, T // 2), T, 1, max(1, T - 1)])
    params = {"transitions": (K, K), "start": (K,), "stop": (K,)}
    params = {name: scale * rng.standard_normal(shape) for name, shape in params.items()}
    scores, labels = scale * rng.standard_normal((T, 4, K)), rng.integers(K, size=(T, 4))
    behind = np.arange(T)[:, None] >= lengths
    scores[behind], labels[behind] = np.nan, 99
    return params, scores, labels, lengths


def path_score(params: Params, scores: Array, path: tuple[int, ...]) -> float:
    """The score of a path, added up one by one."""
    moves = sum(params["transitions"][i, j] for i, j in itertools.pairwise(path))
    return params["start"][path[0]] + sum(scores[t, k] for t, k in enumerate(path)) + moves + params["stop"][path[-1]]


def all_paths(params: Params, scores: Array) -> tuple[list[tuple[int, ...]], Array]:
    """Every path through one sequence (n, K), and the score of each."""
    paths = list(itertools.product(range(scores.shape[1]), repeat=len(scores)))
    return paths, np.array([path_score(params, scores, path) for path in paths])


def log_sum(values: Array) -> float:
    return float(torch.logsumexp(torch.from_numpy(np.asarray(values)), dim=0))


@every_case
def test_score_and_log_partition_are_those_of_all_paths(T: int, K: int, scale: float) -> None:
    """Every path through every sequence scored one by one, then added up: the same number."""
    params, scores, labels, lengths = make_chain(T, K, scale)
    alone = [all_paths(params, scores[:n, b]) for b, n in enumerate(lengths)]
    right = [path_score(params, scores[:n, b], tuple(labels[:n, b])) for b, n in enumerate(lengths)]
    assert_all_close(
        {"score": crf_score(params, scores, labels, lengths), "log Z": crf_log_partition(params, scores, lengths)},
        {"score": right, "log Z": [log_sum(values) for _, values in alone]},
    )


@every_case
def test_messages_are_sums_over_beginnings_and_ends_of_paths(T: int, K: int, scale: float) -> None:
    """Ahead: all pieces of a path up to a step that end in a label; back: all pieces from there on."""
    params, scores, _, lengths = make_chain(T, K, scale)
    free = {**params, "start": np.zeros(K), "stop": np.zeros(K)}
    back = messages_back(params, scores, lengths)
    for b, n in enumerate(lengths):
        ahead = messages_ahead(params, scores[:n, b : b + 1])
        for t in range(n):
            before, values = all_paths({**free, "start": params["start"]}, scores[: t + 1, b])
            after, rest = all_paths({**free, "stop": params["stop"]}, scores[t:n, b])
            for k in range(K):
                own = [v for path, v in zip(before, values, strict=True) if path[-1] == k]
                assert_close(f"ahead[{t}, {k}]", ahead[t, 0, k], log_sum(np.array(own)))
                own = [v for path, v in zip(after, rest, strict=True) if path[0] == k]
                assert_close(f"back[{t}, {b}, {k}]", back[t, b, k], log_sum(np.array(own)))
        assert not back[n:, b].any(), "behind the end of a sequence stands something"


@every_case
def test_marginals_and_the_best_path_are_those_of_all_paths(T: int, K: int, scale: float) -> None:
    """Probability of a label at a step: that of all paths through it. Best path: the one with the highest score."""
    params, scores, _, lengths = make_chain(T, K, scale)
    shares, (labels, best) = marginals(params, scores, lengths), viterbi(params, scores, lengths)
    for b, n in enumerate(lengths):
        paths, values = all_paths(params, scores[:n, b])
        p = np.exp(values - log_sum(values))
        expected = np.zeros((T, K))
        for path, chance in zip(paths, p, strict=True):
            expected[np.arange(n), path] += chance
        assert_close(f"marginals of sequence {b}", shares[:, b], expected)
        assert tuple(labels[:n, b]) == paths[int(values.argmax())]
        assert_close(f"score of the best path of sequence {b}", best[b], values.max())
        assert not labels[n:, b].any(), "behind the end of a sequence stands a label"


@every_case
def test_loss_and_gradients_are_autograds_over_all_paths(T: int, K: int, scale: float) -> None:
    """Expected minus observed is the derivative of what PyTorch computes from every path."""
    params, scores, labels, lengths = make_chain(T, K, scale)
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    given, total = torch.tensor(np.nan_to_num(scores), requires_grad=True), torch.zeros((), dtype=torch.float64)
    for b, n in enumerate(lengths):
        paths = torch.tensor(list(itertools.product(range(K), repeat=int(n))))
        values = weights["start"][paths[:, 0]] + weights["stop"][paths[:, -1]]
        for t in range(n):
            values = values + given[t, b, paths[:, t]]
        for t in range(n - 1):
            values = values + weights["transitions"][paths[:, t], paths[:, t + 1]]
        right = (paths == torch.from_numpy(labels[:n, b])).all(dim=1)
        total = total + torch.logsumexp(values, dim=0) - values[right][0]
    expected = total / int(lengths.sum())
    expected.backward()
    loss, dscores, grads = crf_loss(params, scores, labels, lengths)
    want = {name: weight.grad.numpy() for name, weight in weights.items() if weight.grad is not None}
    want = {name: np.zeros_like(value) for name, value in params.items()} | want  # T = 1: no transition is used
    assert_all_close(
        {"loss": loss, "dscores": dscores, **grads}, {"loss": expected.detach(), "dscores": given.grad, **want}
    )


def test_padding_changes_nothing() -> None:
    """A batch with more steps of padding: the same scores, losses, gradients, labels, to the bit or to rounding."""
    params, scores, labels, lengths = make_chain(5, 3)
    longer = np.concatenate([scores, np.full((4, 4, 3), 1e300)])
    more = np.concatenate([labels, np.full((4, 4), -7)])
    before, after = crf_loss(params, scores, labels, lengths), crf_loss(params, longer, more, lengths)
    assert_close("loss", after[0], before[0], tol=1e-13)
    assert_close("dscores", after[1][:5], before[1], tol=1e-13)
    assert not after[1][5:].any()
    assert_all_close(after[2], before[2], tol=1e-13)
    assert_close("labels", viterbi(params, longer, lengths)[0][:5], viterbi(params, scores, lengths)[0], tol=0.0)


def test_what_is_forbidden_has_no_share_whatever_the_net_says() -> None:
    """Scores of 1e4 for an illegal path: probability 0, never the best path, no gradient, no NaN."""
    rng = np.random.default_rng(3)
    chain = forbid({name: rng.standard_normal(v.shape) for name, v in crf_init(5).items()}, bio_allowed(NAMES))
    scores = rng.standard_normal((6, 3, 5))
    scores[..., [2, 4]] += 1e4  # the net wants I everywhere
    lengths, legal = np.array([6, 1, 4]), np.array([[1, 0, 0], [2, 0, 1], [2, 0, 2], [2, 0, 0], [3, 0, 0], [4, 0, 0]])
    labels, best = viterbi(chain, scores, lengths)
    assert np.isfinite(crf_score(chain, scores, labels, lengths)).all()
    assert_close("score of the best path", best, crf_score(chain, scores, labels, lengths))
    shares = marginals(chain, scores, lengths)
    assert not shares[0][:, [2, 4]].any()
    assert_close("sums", shares.sum(axis=-1), np.arange(6)[:, None] < lengths)
    loss, dscores, grads = crf_loss(chain, scores, legal, lengths)
    assert np.isfinite(loss)
    assert np.isfinite(dscores).all()
    for name, value in chain.items():
        assert np.isfinite(grads[name]).all()
        assert not grads[name][np.isneginf(value)].any(), f"a forbidden entry of {name} is asked for"


def test_a_chain_of_zeros_is_a_softmax_of_each_step() -> None:
    """Without preferences the steps are independent: softmax, argmax, cross-entropy."""
    case = make_case(Sizes(6, 4, 2, 3, 5))
    chain, lengths = crf_init(5), np.array([6, 6, 6, 6])
    p = torch.softmax(torch.from_numpy(case.logits), dim=-1)
    assert_close("marginals", marginals(chain, case.logits, lengths), p)
    assert_close("labels", viterbi(chain, case.logits, lengths)[0], case.logits.argmax(axis=-1), tol=0.0)
    right = np.take_along_axis(p.numpy(), case.targets[..., None], axis=-1)
    assert_close("loss", crf_loss(chain, case.logits, case.targets, lengths)[0], -np.log(right).mean())


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_sum_exp_is_torchs(axis: int) -> None:
    """Large, small and missing values, along any axis."""
    values = np.random.default_rng(0).standard_normal((4, 3, 5))
    values[0], values[1], values[2, 1] = 1e4 * values[0], -1e4, -np.inf
    values[:, 2, 3] = -np.inf
    expected = torch.logsumexp(torch.from_numpy(values), dim=axis)
    got = log_sum_exp(values, axis)
    finite = np.isfinite(expected.numpy())
    assert (np.isneginf(got) == ~finite).all()
    assert_close("log_sum_exp", got[finite], expected.numpy()[finite])


@pytest.mark.parametrize("cell", ["lstm", "gru-before"])
def test_a_tagger_that_reads_both_ways_has_the_gradients_of_differences(cell: str) -> None:
    """The whole tagger, bidirectional, with a chain: each weight nudged, padding NaN."""
    sizes, lengths = Sizes(4, 3, 2, 3, 5), np.array([2, 4, 1])
    run, back = (lstm_forward, lstm_backward) if cell == "lstm" else (gru_forward, gru_backward)
    pair, case = [make_cell_case(cell, sizes, seed) for seed in (0, 1)], make_case(sizes)
    rng = np.random.default_rng(5)
    net: dict[str, Any] = {
        "cell": tuple(one.params for one in pair),
        "out": {"W_hy": rng.standard_normal((6, 5)), "b_y": rng.standard_normal(5)},
        "crf": {name: rng.standard_normal(value.shape) for name, value in crf_init(5).items()},
    }
    xs, state = pair[0].xs.copy(), tuple(one.state for one in pair)
    xs[np.arange(4)[:, None] >= lengths] = np.nan
    both, both_back = (
        partial(bidirectional, run, lengths=lengths),
        partial(bidirectional_backward, back, lengths=lengths),
    )

    def loss() -> float:
        return crf_tagger_loss(both, both_back, net, xs, case.targets % 5, lengths, state)[0]

    _, dxs, grads = crf_tagger_loss(both, both_back, net, xs, case.targets % 5, lengths, state)
    arrays = [("xs", xs, dxs)]
    arrays += [(f"{part}.{name}", net[part][name], g) for part in ("out", "crf") for name, g in grads[part].items()]
    arrays += [(f"cell{i}.{name}", net["cell"][i][name], g) for i in (0, 1) for name, g in grads["cell"][i].items()]
    for name, value, grad in arrays:
        for at in list(np.ndindex(value.shape))[:: max(1, value.size // 12)]:
            if np.isnan(value[at]):
                assert grad[at] == 0, f"{name}{at} is padding and gets a gradient"
                continue
            old = value[at]
            value[at] = old + 1e-6
            up = loss()
            value[at] = old - 1e-6
            down = loss()
            value[at] = old
            assert_close(f"{name}{list(at)}", grad[at], (up - down) / 2e-6, tol=1e-7)


# --- spans


def random_labels(rng: np.random.Generator, count: int) -> list[list[str]]:
    """Sequences of labels, most of them illegal."""
    return [[NAMES[k] for k in rng.integers(5, size=rng.integers(1, 12))] for _ in range(count)]


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("seed", range(4))
def test_spans_and_their_f1_are_seqevals(seed: int, strict: bool) -> None:
    """The standard implementation, in its two modes, on random labels, legal or not, and on half-right guesses."""
    rng = np.random.default_rng(seed)
    truth = random_labels(rng, 60)
    guess = [[NAMES[rng.integers(5)] if rng.random() < 0.25 else label for label in one] for one in truth]
    mode = {"mode": "strict", "scheme": IOB2} if strict else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [score(truth, guess, **mode) for score in (precision_score, recall_score, f1_score)]
    assert 0.1 < expected[2] < 0.9, "a test in which all or nothing is right says little"
    assert_close("precision, recall, F1", span_f1(truth, guess, strict), expected)
    if not strict:
        for labels in truth:
            assert spans(labels) == [(kind, first, last + 1) for kind, first, last in get_entities(labels)]


def test_nothing_found_scores_zero() -> None:
    """No span guessed, or none there: 0 and no division by zero, as in seqeval."""
    assert span_f1([["O", "O"]], [["O", "O"]]) == (0.0, 0.0, 0.0)
    assert span_f1([["B-a", "O"]], [["O", "O"]]) == (0.0, 0.0, 0.0)
    assert span_f1([], []) == (0.0, 0.0, 0.0)


def test_paths_that_are_allowed_are_the_paths_that_are_read_alike_strictly_or_not() -> None:
    """Of all label sequences of three steps, those with a finite score are those without an I out of place."""
    chain = forbid(crf_init(5), bio_allowed(NAMES))
    for path in itertools.product(range(5), repeat=3):
        names = [NAMES[k] for k in path]
        score = crf_score(chain, np.zeros((3, 1, 5)), np.array(path)[:, None], np.array([3]))[0]
        assert np.isfinite(score) == (spans(names) == spans(names, strict=True)), names


# --- errors

CHAIN, SCORES, LENGTHS, LABELS = crf_init(3), np.zeros((4, 2, 3)), np.array([4, 2]), np.zeros((4, 2), int)
CLOSED = forbid(CHAIN, {"transitions": np.ones((3, 3), bool), "start": np.zeros(3, bool), "stop": np.ones(3, bool)})
WRONG = {
    "no label at all": (lambda: crf_init(0), "label_count is 0"),
    "scores of another width": (lambda: messages_ahead(CHAIN, np.zeros((4, 2, 5))), "transitions has shape (3, 3)"),
    "no step": (lambda: messages_ahead(CHAIN, np.zeros((0, 2, 3))), "from 1 to 0"),
    "a sequence of no step": (lambda: messages_back(CHAIN, SCORES, np.array([4, 0])), "integers from 1 to 4"),
    "a sequence too long": (lambda: crf_log_partition(CHAIN, SCORES, np.array([4, 5])), "integers from 1 to 4"),
    "three lengths": (lambda: viterbi(CHAIN, SCORES, np.array([4, 4, 4])), "expected 2 integers"),
    "labels of another shape": (lambda: crf_score(CHAIN, SCORES, LABELS[:3], LENGTHS), "labels has shape (3, 2)"),
    "a label too high": (lambda: crf_score(CHAIN, SCORES, LABELS + 3, LENGTHS), "run from 0 to 3"),
    "a label below 0": (lambda: crf_loss(CHAIN, SCORES, LABELS - 1, LENGTHS), "run from -1 to 0"),
    "labels that are floats": (lambda: crf_score(CHAIN, SCORES, LABELS + 0.0, LENGTHS), "dtype float64"),
    "shares of nothing": (lambda: marginals(CLOSED, SCORES, LENGTHS), "marginals: sequence 0 has probability 0"),
    "the best of nothing": (lambda: viterbi(CLOSED, SCORES, LENGTHS), "viterbi: sequence 0 has probability 0"),
    "labels that are forbidden": (lambda: crf_loss(CLOSED, SCORES, LABELS, LENGTHS), "forbidden path"),
    "a label with a type too few": (lambda: bio_allowed(["O", "B-"]), "'B-'"),
    "a label of another scheme": (lambda: spans(["O", "E-a"]), "'E-a'"),
    "a mask for another chain": (lambda: forbid(CHAIN, bio_allowed(["O"])), "allowed transitions has shape (1, 1)"),
    "one sequence too few": (lambda: span_f1([["O"], ["O"]], [["O"]]), "[1, 1] in truth and [1] in guess"),
    "one label too many": (lambda: span_f1([["O"]], [["O", "O"]]), "[1] in truth and [2] in guess"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_an_error_that_says_so(wrong: str) -> None:
    """The error has its documented type and names what came."""
    call, says = WRONG[wrong]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        call()
    assert says in str(caught.value)
