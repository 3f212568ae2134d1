"""Both decoders with attention, and the whole loss from source to target, are PyTorch's to 1e-10 with all gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import arrays_in, assert_all_close, assert_close

from rnnlib.attention_decoder import (
    attention_init,
    attention_seq2seq_loss,
    attention_weights,
    bahdanau_step,
    bahdanau_step_backward,
    luong_step,
    luong_step_backward,
    next_word,
)
from rnnlib.seq2seq import encode, greedy_decode

STEPS = {"luong": (luong_step, luong_step_backward), "bahdanau": (bahdanau_step, bahdanau_step_backward)}
KINDS = ("dot", "general", "concat", "additive")
every_way = pytest.mark.parametrize("way", STEPS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def _leaves(tree: Any) -> Any:
    """The same tree with PyTorch's tensors in it."""
    if isinstance(tree, dict):
        return {name: _leaves(value) for name, value in tree.items()}
    return torch.tensor(tree, requires_grad=True)


def _grads(tree: Any) -> Any:
    return {name: _grads(value) for name, value in tree.items()} if isinstance(tree, dict) else tree.grad.numpy()


def _gru(cell: Any, x: Any, h: Any) -> Any:
    """One step of a GRU that resets before the product."""
    H = h.shape[-1]
    a, W = x @ cell["W_xh"] + cell["b_h"], cell["W_hh"]
    z, r = torch.sigmoid(a[:, : 2 * H] + h @ W[:, : 2 * H]).split(H, dim=1)
    return (1 - z) * h + z * torch.tanh(a[:, 2 * H :] + (r * h) @ W[:, 2 * H :])


def _read(params: Any, query: Any, keys: Any, mask: Any) -> tuple[Any, Any]:
    """Scores, a softmax over what the mask allows, and the mean by these weights; keys (S, B, K)."""
    if "W_q" in params:
        scores = torch.tanh(query @ params["W_q"] + keys @ params["W_k"]) @ params["v"]
    elif "v" in params:
        pairs = torch.cat([query.expand(len(keys), -1, -1), keys], dim=-1)
        scores = torch.tanh(pairs @ params["W"]) @ params["v"]
    else:
        scores = (keys * (query @ params["W"] if params else query)).sum(dim=-1)
    weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=0)
    return (weights[..., None] * keys).sum(dim=0), weights


def _torch_step(way: str, params: Any, x: Any, state: Any, keys: Any, mask: Any) -> tuple[Any, Any, Any]:
    h, o = state
    if way == "luong":
        h = _gru(params["cell"], torch.cat([x, o], dim=1), h)
        context, weights = _read(params.get("score", {}), h, keys, mask)
    else:
        context, weights = _read(params.get("score", {}), h, keys, mask)
        h = _gru(params["cell"], torch.cat([x, context], dim=1), h)
    return h, torch.tanh(torch.cat([context, h], dim=1) @ params["combine"]["W_c"]), weights


# S, B, D, H, H_k, A: all different; a source of one step; one sequence.
SIZES = [(5, 3, 2, 4, 6, 7), (1, 2, 3, 4, 2, 5), (4, 1, 5, 3, 2, 4)]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "S{}-B{}-D{}-H{}-K{}-A{}".format(*s))
@every_kind
@every_way
def test_a_step_and_its_gradients_are_pytorchs(way: str, kind: str, sizes: tuple[int, ...]) -> None:
    """State, weights, and the gradients of word, old state, keys and every weight, for sizes that all differ."""
    S, B, D, H, K, A = sizes
    K = H if kind == "dot" else K
    rng = np.random.default_rng(0)
    forms: dict[str, dict[str, tuple[int, ...]]] = {
        "dot": {},
        "general": {"W": (H, K)},
        "concat": {"W": (H + K, 3), "v": (3,)},
        "additive": {"W_q": (H, 3), "W_k": (K, 3), "v": (3,)},
    }
    inputs = D + (A if way == "luong" else K)
    params = {
        "cell": {
            "W_xh": rng.standard_normal((inputs, 3 * H)),
            "W_hh": rng.standard_normal((H, 3 * H)),
            "b_h": rng.standard_normal(3 * H),
        },
        "score": {name: rng.standard_normal(shape) for name, shape in forms[kind].items()},
        "combine": {"W_c": rng.standard_normal((K + H, A))},
    }
    x, keys = rng.standard_normal((B, D)), rng.standard_normal((S, B, K))
    state, dstate = ((rng.standard_normal((B, H)), rng.standard_normal((B, A))) for _ in range(2))
    mask = rng.random((S, B)) < 0.6
    mask[0] = True

    there, tx, tk = _leaves(params), _leaves(x), _leaves(keys)
    ts = [_leaves(part) for part in state]
    h, o, weights = _torch_step(way, there, tx, ts, tk, torch.from_numpy(mask))
    torch.autograd.backward([h, o], [torch.from_numpy(d) for d in dstate])
    if ts[1].grad is None:
        ts[1].grad = torch.zeros_like(ts[1])

    step, back = STEPS[way]
    new, cache = step(params, x, state, keys, mask)
    dx, dprev, dkeys, grads = back(params, dstate, cache)
    assert_all_close(
        {"h": new[0], "o": new[1], "weights": cache[2]}, {"h": h.detach(), "o": o.detach(), "weights": weights.detach()}
    )
    got = {"x": dx, "keys": dkeys, "h": dprev[0], "o": dprev[1], **dict(arrays_in(grads))}
    want = {"x": tx.grad, "keys": tk.grad, "h": ts[0].grad, "o": ts[1].grad, **dict(arrays_in(_grads(there)))}
    assert_all_close(got, want)


def _batch(rng: np.random.Generator) -> tuple[Any, ...]:
    sources, targets = rng.integers(6, size=(5, 4)), rng.integers(5, size=(6, 4))
    return sources, np.array([5, 2, 4, 1]), targets, np.array([3, 6, 2, 5])


@every_kind
@every_way
def test_the_whole_loss_is_pytorchs(way: str, kind: str) -> None:
    """From the source's words to the target's: loss and every gradient, against sequences taken one at a time."""
    rng = np.random.default_rng(1)
    params = attention_init(rng, 6, 5, 3, 4, kind)
    sources, source_lengths, targets, target_lengths = _batch(rng)
    there, total, count = _leaves(params), torch.zeros((), dtype=torch.float64), 0
    for b, (n, m) in enumerate(zip(source_lengths, target_lengths, strict=True)):
        encoder, decoder = there["encoder"], there["decoder"]
        h, states = torch.zeros((1, 4), dtype=torch.float64), []
        for word in sources[:n, b]:
            h = _gru(encoder["cell"], encoder["embedding"]["E"][word][None], h)
            states.append(h)
        keys, o = torch.stack(states), torch.zeros((1, 4), dtype=torch.float64)
        for t in range(m - 1):
            x = decoder["embedding"]["E"][targets[t, b]][None]
            h, o, _ = _torch_step(way, decoder, x, (h, o), keys, torch.ones((n, 1), dtype=torch.bool))
            scores = o @ decoder["out"]["W_hy"] + decoder["out"]["b_y"]
            total, count = total - torch.log_softmax(scores, dim=1)[0, targets[t + 1, b]], count + 1
    (total / count).backward()
    loss, grads = attention_seq2seq_loss(params, sources, source_lengths, targets, target_lengths, *STEPS[way])
    assert loss == pytest.approx(float((total / count).detach()), abs=1e-12)
    assert_all_close(dict(arrays_in(grads)), dict(arrays_in(_grads(there))))


@every_way
def test_padding_changes_no_loss_and_no_gradient(way: str) -> None:
    """Longer arrays with other words behind the ends give the same loss and gradients."""
    rng = np.random.default_rng(2)
    params = attention_init(rng, 6, 5, 3, 4, "general")
    sources, source_lengths, targets, target_lengths = _batch(rng)
    want = attention_seq2seq_loss(params, sources, source_lengths, targets, target_lengths, *STEPS[way])
    wide, tall = rng.integers(6, size=(9, 4)), rng.integers(5, size=(8, 4))
    for b in range(4):
        wide[: source_lengths[b], b] = sources[: source_lengths[b], b]
        tall[: target_lengths[b], b] = targets[: target_lengths[b], b]
    got = attention_seq2seq_loss(params, wide, source_lengths, tall, target_lengths, *STEPS[way])
    assert got[0] == pytest.approx(want[0], abs=1e-12)
    assert_all_close(dict(arrays_in(got[1])), dict(arrays_in(want[1])))


@every_way
def test_what_is_said_alone_is_what_the_forced_weights_say(way: str) -> None:
    """Greedy decoding feeds its own words: fed to `attention_weights`, they give the weights that it went by."""
    rng = np.random.default_rng(3)
    params = attention_init(rng, 6, 5, 3, 4, "additive")
    sources, lengths = rng.integers(6, size=(5, 3)), np.array([5, 2, 4])
    keys, (h,), _ = encode(params["encoder"], sources, lengths)
    mask, seen = np.arange(5)[:, None] < lengths, []
    step = STEPS[way][0]

    def watched(decoder: Any, *args: Any) -> Any:
        state, cache = step(decoder, *args)
        seen.append(cache[2])
        return state, cache

    def speak(words: Any, state: Any) -> Any:
        return next_word(params["decoder"], keys, mask, words, state, watched)

    said, _ = greedy_decode(speak, (h, np.zeros((3, 4))), 0, 1, 4)
    told = np.concatenate([np.zeros((1, 3), int), said])
    weights = attention_weights(params, sources, lengths, told, step)
    assert_close("first weights", weights[0], seen[0])
    alive = (said[:-1] != 1).all(axis=0)
    assert_close("weights", weights[:, :, alive], np.stack(seen)[: len(said), :, alive])
    assert_close("sums", weights.sum(axis=1), np.ones((len(said), 3)))
