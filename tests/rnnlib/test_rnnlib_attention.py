"""Attention is PyTorch's to 1e-10, forward and back, and padding takes no part in it."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import assert_all_close, assert_close

from rnnlib import attention
from rnnlib.alignment import alignment_error_rate
from rnnlib.attention import (
    additive_score,
    attend,
    attend_backward,
    concat_score,
    dot_score,
    focus,
    focus_backward,
    general_score,
    local_center,
    local_center_backward,
    local_window,
    masked_softmax,
    masked_softmax_backward,
    score,
    score_backward,
)
from rnnlib.gradcheck import numerical_gradient
from rnnlib.types import Array

# S, B, H_q, H_k, A: all different; one step of the source, one sequence, both.
SIZES = [(5, 3, 4, 6, 2), (1, 4, 3, 2, 5), (7, 1, 2, 5, 3), (1, 1, 2, 3, 4), (4, 4, 4, 4, 4)]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "S{}-B{}-Q{}-K{}-A{}".format(*s))


def _weights(rng: np.random.Generator, kind: str, Q: int, K: int, A: int) -> dict[str, Array]:
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "dot": {},
        "general": {"W": (Q, K)},
        "concat": {"W": (Q + K, A), "v": (A,)},
        "additive": {"W_q": (Q, A), "W_k": (K, A), "v": (A,)},
    }
    return {name: rng.standard_normal(shape) for name, shape in shapes[kind].items()}


def _torch_scores(kind: str, params: dict[str, Any], query: Any, keys: Any) -> Any:
    """Each score, one sequence and one step of the source at a time, as the papers write it."""
    rows = []
    for key in keys:
        row = []
        for q, k in zip(query, key, strict=True):
            if kind == "dot":
                row.append(q @ k)
            elif kind == "general":
                row.append(q @ params["W"] @ k)
            elif kind == "concat":
                row.append(params["v"] @ torch.tanh(params["W"].T @ torch.cat([q, k])))
            else:
                row.append(params["v"] @ torch.tanh(params["W_q"].T @ q + params["W_k"].T @ k))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@every_size
@pytest.mark.parametrize("kind", ["dot", "general", "concat", "additive"])
def test_scores_and_their_gradients_are_pytorchs(kind: str, sizes: tuple[int, ...]) -> None:
    """All four scores through `score`, which picks them by the names of their weights, and the way back."""
    S, B, Q, K, A = sizes
    K = Q if kind == "dot" else K
    rng = np.random.default_rng(0)
    params, query, keys = _weights(rng, kind, Q, K, A), rng.standard_normal((B, Q)), rng.standard_normal((S, B, K))
    dscores = rng.standard_normal((S, B))
    there = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    q, k = torch.tensor(query, requires_grad=True), torch.tensor(keys, requires_grad=True)
    expected = _torch_scores(kind, there, q, k)
    expected.backward(torch.from_numpy(dscores))
    scores, cache = score(params, query, keys)
    dquery, dkeys, grads = score_backward(params, dscores, cache)
    assert_close("scores", scores, expected.detach())
    assert_all_close(
        {"query": dquery, "keys": dkeys, **grads},
        {"query": q.grad, "keys": k.grad, **{name: value.grad for name, value in there.items()}},
    )


@every_size
@pytest.mark.parametrize("scaled", [False, True])
def test_one_step_of_attention_is_scaled_dot_product_attention(sizes: tuple[int, ...], scaled: bool) -> None:
    """Score, softmax and reading, forward and back, against torch.nn.functional.scaled_dot_product_attention."""
    S, B, Q, _, A = sizes
    rng = np.random.default_rng(1)
    query, keys, values = (rng.standard_normal(shape) for shape in ((B, Q), (S, B, Q), (S, B, A)))
    mask = rng.random((S, B)) < 0.6
    mask[rng.integers(S, size=B), np.arange(B)] = True
    dcontext = rng.standard_normal((B, A))
    q, k, v = (torch.tensor(a, requires_grad=True) for a in (query, keys, values))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q[:, None],
        k.transpose(0, 1),
        v.transpose(0, 1),
        attn_mask=torch.from_numpy(mask.T[:, None]),
        scale=None if scaled else 1.0,
    )[:, 0]
    expected.backward(torch.from_numpy(dcontext))
    scores, asked = dot_score(query, keys, scaled)
    weights = masked_softmax(scores, mask)
    context, read = attend(weights, values)
    dweights, dvalues = attend_backward(dcontext, read)
    dscores = masked_softmax_backward(dweights, weights)
    dquery, dkeys = attention.dot_score_backward(dscores, asked, scaled)
    assert_all_close(
        {"context": context, "query": dquery, "keys": dkeys, "values": dvalues},
        {"context": expected.detach(), "query": q.grad, "keys": k.grad, "values": v.grad},
    )
    assert (dscores[~mask] == 0).all()


def test_concat_is_additive_with_its_matrices_on_top_of_each_other() -> None:
    """W [q; k] = W_q q + W_k k: the two scores are one."""
    rng = np.random.default_rng(2)
    params, query, keys = (
        _weights(rng, "additive", 3, 4, 5),
        rng.standard_normal((2, 3)),
        rng.standard_normal((6, 2, 4)),
    )
    joined = {"W": np.concatenate([params["W_q"], params["W_k"]]), "v": params["v"]}
    assert_close("scores", concat_score(joined, query, keys)[0], additive_score(params, query, keys)[0])


def test_general_with_the_identity_is_dot() -> None:
    """One matrix takes general to dot; another one makes query and key change places."""
    rng = np.random.default_rng(3)
    query, keys, W = rng.standard_normal((2, 4)), rng.standard_normal((5, 2, 4)), rng.standard_normal((4, 4))
    assert_close("identity", general_score({"W": np.eye(4)}, query, keys)[0], dot_score(query, keys)[0])
    turned = np.stack([general_score({"W": W.T}, key, query[None])[0][0] for key in keys])
    assert_close("turned", turned, general_score({"W": W}, query, keys)[0])


# --- the mask


def test_what_stands_in_the_padding_does_not_matter() -> None:
    """NaN, infinity and numbers of any size there change no bit; a score of -1e30 in the sequence is still read."""
    rng = np.random.default_rng(4)
    scores, mask = rng.standard_normal((6, 3)), np.arange(6)[:, None] < np.array([6, 2, 1])
    want = masked_softmax(np.where(mask, scores, 0), mask)
    for junk in (np.nan, np.inf, -np.inf, 1e300, -1e300):
        assert_close(f"padding {junk}", masked_softmax(np.where(mask, scores, junk), mask), want, tol=0.0)
    low = masked_softmax(np.full((6, 3), -1e30), mask)
    assert_close("all scores -1e30", low, mask / mask.sum(axis=0))
    assert (low[~mask] == 0).all()


@pytest.mark.parametrize("size", [1e-3, 1.0, 700.0, 1e5, 1e300])
def test_weights_are_finite_and_sum_to_one_at_any_scale(size: float) -> None:
    """Scores of any size give weights, not NaN; the columns sum to 1; the softmax is unchanged by a shift."""
    rng = np.random.default_rng(5)
    scores, mask = size * rng.standard_normal((7, 4)), rng.random((7, 4)) < 0.7
    mask[0] = True
    weights = masked_softmax(scores, mask)
    assert_close("sums", weights.sum(axis=0), np.ones(4))
    assert (weights[~mask] == 0).all()


def test_a_source_with_nothing_to_read_is_an_error() -> None:
    """A column without a True is a ValueError that names it, not a column of NaN."""
    mask = np.ones((4, 3), bool)
    mask[:, 1] = False
    with pytest.raises(ValueError, match="no True in column 1"):
        masked_softmax(np.zeros((4, 3)), mask)


@every_size
def test_the_softmaxs_way_back_is_the_slope(sizes: tuple[int, ...]) -> None:
    """Central differences, with a mask; the gradients of a column sum to zero, since a shift changes nothing."""
    S, B = sizes[:2]
    rng = np.random.default_rng(6)
    scores, dweights, mask = rng.standard_normal((S, B)), rng.standard_normal((S, B)), rng.random((S, B)) < 0.6
    mask[-1] = True
    got = masked_softmax_backward(dweights, masked_softmax(scores, mask))
    slopes = numerical_gradient(lambda e: float((dweights * masked_softmax(e, mask)).sum()), scores)
    assert_close("dscores", got, slopes, tol=1e-7)
    assert_close("sums", got.sum(axis=0), np.zeros(B))


# --- local attention


def test_a_window_holds_the_steps_around_its_center() -> None:
    """Against the definition, place by place; a center beyond the end is drawn back to it, so no window is empty."""
    rng = np.random.default_rng(7)
    lengths, half = np.array([6, 1, 3, 5]), 1.5
    for centers in (rng.uniform(-4, 9, 4), np.full(4, 2.0), np.full(4, 99.0), np.array([-3.0, 0.0, 2.0, 4.5])):
        window = local_window(centers, lengths, 6, half)
        for s, b in itertools.product(range(6), range(4)):
            center = min(max(centers[b], 0), lengths[b] - 1)
            assert window[s, b] == (abs(s - center) <= half and s < lengths[b]), (s, b, centers[b])
        assert window.any(axis=0).all()


@pytest.mark.parametrize("sizes", SIZES[:3])
def test_the_guessed_center_and_its_bell_are_pytorchs(sizes: tuple[int, ...]) -> None:
    """local-p: from the query through center and bell to the focused weights, and all gradients."""
    S, B, H, _, A = sizes
    rng = np.random.default_rng(8)
    params = {"W_p": rng.standard_normal((H, A)), "v_p": rng.standard_normal(A)}
    query, weights, dfocused = (rng.standard_normal(shape) for shape in ((B, H), (S, B), (S, B)))
    lengths = rng.integers(1, S + 1, size=B)
    there = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    q, a = torch.tensor(query, requires_grad=True), torch.tensor(weights, requires_grad=True)
    p = torch.from_numpy(lengths - 1) * torch.sigmoid(torch.tanh(q @ there["W_p"]) @ there["v_p"])
    bell = torch.exp(-((torch.arange(S)[:, None] - p) ** 2) / (2 * (3.0 / 2) ** 2))
    (a * bell).backward(torch.from_numpy(dfocused))
    centers, kept = local_center(params, query, lengths)
    focused, cache = focus(weights, centers, 3.0)
    dweights, dcenters = focus_backward(dfocused, cache, 3.0)
    dquery, grads = local_center_backward(params, dcenters, kept)
    assert_all_close(
        {"centers": centers, "focused": focused, "weights": dweights, "query": dquery, **grads},
        {"centers": p.detach(), "focused": (a * bell).detach(), "weights": a.grad, "query": q.grad}
        | {name: value.grad for name, value in there.items()},
    )


# --- errors


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dot_score(np.ones((2, 3)), np.ones((4, 2, 5))), "H = 3 comes from query"),
        (lambda: general_score({"W": np.ones((5, 3))}, np.ones((2, 3)), np.ones((4, 2, 5))), "W has shape"),
        (lambda: concat_score({"W": np.ones((7, 2)), "v": np.ones(2)}, np.ones((2, 3)), np.ones((4, 2, 5))), "3 + 5"),
        (lambda: score({"V": np.ones(2)}, np.ones((2, 3)), np.ones((4, 2, 3))), "no score has weights V"),
        (lambda: attend(np.ones((2, 4)), np.ones((4, 2, 5))), "values has shape"),
        (lambda: masked_softmax(np.ones((2, 4)), np.ones((4, 2), bool)), "mask has shape"),
        (lambda: local_window(np.zeros(2), np.array([3, 0]), 3, 1.0), "integers from 1 to 3"),
        (lambda: local_window(np.zeros(2), np.array([3, 1]), 3, 0.2), "half is 0.2"),
        (lambda: alignment_error_rate(np.zeros(3), np.zeros(3), np.ones(3)), "no rate"),
    ],
)
def test_what_does_not_fit_is_said(call: Callable[[], Any], said: str) -> None:
    """Shapes and names that do not fit are a ValueError with what came."""
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        call()


# --- alignment error rate


def test_the_rate_is_och_and_neys() -> None:
    """Worked by hand: 3 links, 2 of them sure, the third possible, and one sure one missed."""
    links, sure, possible = (np.zeros((3, 4), bool) for _ in range(3))
    links[[0, 1, 2], [0, 1, 3]] = True
    sure[[0, 1, 1], [0, 1, 2]] = True
    possible[2, 3] = True
    assert alignment_error_rate(links, sure, possible) == pytest.approx(1 - (2 + 3) / (3 + 3))
    assert alignment_error_rate(sure, sure, sure) == 0
    assert alignment_error_rate(~sure, sure, sure) == 1


def test_with_one_truth_the_rate_is_one_less_f1() -> None:
    """Where every possible link is sure, AER = 1 - F1, as scikit-learn computes it."""
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(9)
    for _ in range(20):
        links, truth = rng.random((2, 5, 6)) < 0.4
        assert alignment_error_rate(links, truth, truth) == pytest.approx(1 - f1_score(truth.ravel(), links.ravel()))
