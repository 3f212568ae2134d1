"""Decoders that look back at the source: a GRU with attention, one step in Luong's order and one in Bahdanau's.

A decoder's parameters are those of its parts, by name: "cell" is a GRU (reset before), "score" the weights of a score
(see `rnnlib.attention.score`; the dot product has none, and no "score"), "combine" holds W_c (H_k + H, A), which joins
what was read with the state. Its state is (h (B, H), o (B, A)); o is what goes to the output layer.

Chapter: 17-attention
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.attention import attend, attend_backward, masked_softmax, masked_softmax_backward, score, score_backward
from rnnlib.batching import mask_from_lengths
from rnnlib.contracts import match_shapes, take
from rnnlib.embedding import embed, embed_backward
from rnnlib.gru import gru_init, gru_step, gru_step_backward
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.seq2seq import Net, add_grads, encode, encode_backward, seq2seq_init
from rnnlib.types import Array, Params, State

__all__ = [
    "attention_init",
    "attention_seq2seq_loss",
    "attention_weights",
    "bahdanau_step",
    "bahdanau_step_backward",
    "luong_step",
    "luong_step_backward",
    "next_word",
]

Parts = dict[str, Params]
Kept = tuple[Any, ...]  # a cache with the caches of its parts in it
AttentionStep = Callable[[Parts, Array, State, Array, Array], tuple[State, Kept]]


def luong_step(params: Parts, x: Array, state: State, keys: Array, mask: Array) -> tuple[State, Kept]:
    """One step of a decoder that first moves, then looks, and is told at its next step what it saw: input feeding.

        h_t = GRU([x_t; o_{t-1}], h_{t-1})     a_t = softmax_m(score(h_t, k))     c_t = sum_s a_{t,s} k_s
        o_t = tanh(W_c [c_t; h_t])

    Parameters
    ----------
    params  "cell" (inputs D + A), "score", "combine": W_c (H_k + H, A); other parts are not looked at.
    x       this step's word as a vector, (B, D).
    state   (h_prev (B, H), o_prev (B, A)).
    keys    the encoder's states, (S, B, H_k): scored and read.
    mask    (S, B), True where the source has a step.

    Returns
    -------
    (state (h, o), cache (cell's cache, score's cache, weights a (S, B), keys, joined [c; h], o))

    Chapter: 17-attention. Equation: luong-step. Source: Luong et al. (2015).
    """
    h_prev, o_prev = state
    W_c = _check("luong_step", params, x, h_prev, o_prev, keys)
    (h,), moved = gru_step(params["cell"], np.concatenate([x, o_prev], axis=-1), (h_prev,))
    scores, asked = score(params.get("score", {}), h, keys)
    weights = masked_softmax(scores, mask)
    context, _ = attend(weights, keys)
    joined = np.concatenate([context, h], axis=-1)
    o = np.tanh(joined @ W_c)
    return (h, o), (moved, asked, weights, keys, joined, o)


def luong_step_backward(params: Parts, dstate: State, cache: Kept) -> tuple[Array, State, Array, Parts]:
    """Gradients of `luong_step`.

    Parameters
    ----------
    params  as in `luong_step`.
    dstate  (dh (B, H), do (B, A)): from the step after; do also from the output layer. Not changed.
    cache   from `luong_step`.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev, do_prev), dkeys (S, B, H_k), grads of "cell", "score" and "combine")

    Chapter: 17-attention. Equation: luong-step-backward. Source: Luong et al. (2015).
    """
    (dh, do), (moved, asked, weights, keys, joined, o) = dstate, cache
    W_c = params["combine"]["W_c"]
    match_shapes("luong_step_backward", "o: B A, do: B A, joined: B J", o, do, joined)
    da = do * (1 - o * o)
    dcontext, dh_read = np.split(da @ W_c.T, [keys.shape[-1]], axis=-1)
    dweights, dvalues = attend_backward(dcontext, (weights, keys))
    dscores = masked_softmax_backward(dweights, weights)
    dquery, dkeys, d_score = score_backward(params.get("score", {}), dscores, asked)
    din, dstate_prev, d_cell = gru_step_backward(params["cell"], (dh + dh_read + dquery,), moved)
    dx, do_prev = np.split(din, [din.shape[-1] - o.shape[-1]], axis=-1)
    grads = {"cell": d_cell, "combine": {"W_c": joined.T @ da}} | ({"score": d_score} if d_score else {})
    return dx, (*dstate_prev, do_prev), dkeys + dvalues, grads


def bahdanau_step(params: Parts, x: Array, state: State, keys: Array, mask: Array) -> tuple[State, Kept]:
    """One step of a decoder that first looks, from where it stands, then moves with what it saw.

        a_t = softmax_m(score(h_{t-1}, k))     c_t = sum_s a_{t,s} k_s     h_t = GRU([x_t; c_t], h_{t-1})
        o_t = tanh(W_c [c_t; h_t])

    Parameters
    ----------
    params  "cell" (inputs D + H_k), "score", "combine": W_c (H_k + H, A); other parts are not looked at.
    x       this step's word as a vector, (B, D).
    state   (h_prev (B, H), o_prev (B, A)); o_prev is not used: what was read is in h_prev already.
    keys    the encoder's states, (S, B, H_k): scored and read.
    mask    (S, B), True where the source has a step.

    Returns
    -------
    (state (h, o), cache (cell's cache, score's cache, weights a (S, B), keys, joined [c; h], o))

    Chapter: 17-attention. Equation: bahdanau-step. Source: Bahdanau et al. (2015), with a plainer output.
    """
    query, o_prev = state
    W_c = _check("bahdanau_step", params, x, query, o_prev, keys)
    e, asked = score(params.get("score", {}), query, keys)
    a = masked_softmax(e, mask)
    c, _ = attend(a, keys)
    (h,), moved = gru_step(params["cell"], np.concatenate([x, c], axis=-1), (query,))
    both = np.concatenate([c, h], axis=-1)
    o = np.tanh(both @ W_c)
    return (h, o), (moved, asked, a, keys, both, o)


def bahdanau_step_backward(params: Parts, dstate: State, cache: Kept) -> tuple[Array, State, Array, Parts]:
    """Gradients of `bahdanau_step`.

    Parameters
    ----------
    params  as in `bahdanau_step`.
    dstate  (dh (B, H), do (B, A)). Not changed.
    cache   from `bahdanau_step`.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev, zeros (B, A)), dkeys (S, B, H_k), grads of "cell", "score" and "combine")

    Chapter: 17-attention. Equation: bahdanau-step-backward. Source: Bahdanau et al. (2015).
    """
    (dh, do), (moved, asked, a, keys, both, o) = dstate, cache
    W_c, H_k = params["combine"]["W_c"], keys.shape[-1]
    match_shapes("bahdanau_step_backward", "o: B A, do: B A, both: B J", o, do, both)
    d_sum = do * (1 - o**2)
    dc, dh_read = np.split(d_sum @ W_c.T, [H_k], axis=-1)
    d_input, (dh_prev,), d_cell = gru_step_backward(params["cell"], (dh + dh_read,), moved)
    dx, dc_fed = np.split(d_input, [d_input.shape[-1] - H_k], axis=-1)
    d_weights, d_read = attend_backward(dc + dc_fed, (a, keys))
    de = masked_softmax_backward(d_weights, a)
    dq, d_scored, d_score = score_backward(params.get("score", {}), de, asked)
    parts = {"cell": d_cell, "combine": {"W_c": both.T @ d_sum}, "score": d_score}
    return dx, (dh_prev + dq, np.zeros_like(do)), d_scored + d_read, {k: v for k, v in parts.items() if v}


def attention_init(
    rng: np.random.Generator,
    sources: int,
    targets: int,
    input_size: int,
    hidden_size: int,
    kind: str = "general",
    dtype: DTypeLike = np.float64,
) -> Net:
    """An encoder as in chapter 16 and a decoder with attention, for Luong's step and for Bahdanau's.

    Parameters
    ----------
    rng          the only source of randomness.
    sources      how many words the source's vocabulary has.
    targets      how many words the target's vocabulary has.
    input_size   D, of the words' vectors.
    hidden_size  H, of encoder, decoder, score and o.
    kind         of the score: "dot", "general", "concat" or "additive".
    dtype        of the arrays returned.

    Returns
    -------
    {"encoder": {"embedding", "cell"}, "decoder": {"embedding", "cell", "score", "combine", "out"}}

    Chapter: 17-attention. Source: Bahdanau et al. (2015), Luong et al. (2015).
    """
    D, H = input_size, hidden_size
    params = seq2seq_init(rng, sources, targets, D, H, dtype)

    def draw(*shape: int) -> Array:
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(dtype)

    forms: dict[str, dict[str, tuple[int, ...]]] = {
        "dot": {},
        "general": {"W": (H, H)},
        "concat": {"W": (2 * H, H), "v": (H,)},
        "additive": {"W_q": (H, H), "W_k": (H, H), "v": (H,)},
    }
    if kind not in forms:
        raise ValueError(f"attention_init: kind is {kind!r}, expected one of {', '.join(forms)}")
    weights = {name: draw(*shape) for name, shape in forms[kind].items()}
    params["decoder"] |= {"cell": gru_init(rng, D + H, H, dtype=dtype), "combine": {"W_c": draw(2 * H, H)}}
    params["decoder"] |= {"score": weights} if weights else {}
    return params


def attention_seq2seq_loss(
    params: Net,
    sources: Array,
    source_lengths: Array,
    targets: Array,
    target_lengths: Array,
    step: AttentionStep | None = None,
    step_backward: Callable[..., Any] | None = None,
) -> tuple[float, Net]:
    """Loss of a padded batch of translations under teacher forcing, and all gradients.

    Parameters
    ----------
    params          as `attention_init` makes them.
    sources         (S, B) integers.
    source_lengths  (B,), from 1 to S.
    targets         (T, B) integers, with the start in front and the end behind.
    target_lengths  (B,), from 2 to T, start and end counted.
    step            one step of the decoder, `luong_step` or `bahdanau_step`; None: Luong's.
    step_backward   its backward step; None: Luong's.

    Returns
    -------
    (mean cross-entropy of the words after the start; gradients in the shape of params)

    Chapter: 17-attention. Equation: attention-loss. Source: Bahdanau et al. (2015).
    """
    step, step_backward = step or luong_step, step_backward or luong_step_backward
    decoder, xs, looked_up, hs, encoded, mask, state = _start(params, sources, source_lengths, targets)
    outs, caches = [], []
    for x in xs:
        state, cache = step(decoder, x, state, hs, mask)
        outs.append(state[1])
        caches.append(cache)
    logits, kept = output_layer(decoder["out"], np.stack(outs))
    loss, dlogits = cross_entropy(logits, targets[1:], mask_from_lengths(target_lengths - 1, len(xs)))
    douts, d_out = output_layer_backward(decoder["out"], dlogits, kept)

    dstate, dhs, dxs = tuple(map(np.zeros_like, state)), np.zeros_like(hs), np.zeros_like(xs)
    grads: Net = {}
    for t in range(len(xs) - 1, -1, -1):
        dxs[t], dstate, dkeys, here = step_backward(decoder, (dstate[0], dstate[1] + douts[t]), caches[t])
        dhs += dkeys
        grads = add_grads(grads, here)
    grads |= {"embedding": embed_backward(decoder["embedding"], dxs, looked_up), "out": d_out}
    return loss, {"encoder": encode_backward(params["encoder"], dhs, (dstate[0],), encoded), "decoder": grads}


def attention_weights(
    params: Net, sources: Array, source_lengths: Array, targets: Array, step: AttentionStep | None = None
) -> Array:
    """Where the decoder looks while it is told the right words: the alignment picture.

    Parameters
    ----------
    params          as `attention_init` makes them.
    sources         (S, B) integers.
    source_lengths  (B,), from 1 to S.
    targets         (T, B) integers, with the start in front.
    step            `luong_step` or `bahdanau_step`; None: Luong's.

    Returns
    -------
    weights (T - 1, S, B): row t - 1 are those under which word t was guessed; each column of a row sums to 1.

    Chapter: 17-attention. Source: Bahdanau et al. (2015), figure 3.
    """
    decoder, xs, _, hs, _, mask, state = _start(params, sources, source_lengths, targets)
    rows = []
    for x in xs:
        state, cache = (step or luong_step)(decoder, x, state, hs, mask)
        rows.append(cache[2])
    return np.stack(rows)


def next_word(
    decoder: Parts, keys: Array, mask: Array, words: Array, state: State, step: AttentionStep | None = None
) -> tuple[Array, State]:
    """Scores of what comes next, and the new state: a decoder's step as `greedy_decode` and beam search take it.

    Parameters
    ----------
    decoder  params["decoder"] of `attention_init`.
    keys     the encoder's states, (S, B, H).
    mask     (S, B), True where the source has a step.
    words    the words said last, (B,) integers.
    state    (h (B, H), o (B, H)); before the first word the encoder's last state and zeros.
    step     `luong_step` or `bahdanau_step`; None: Luong's.

    Returns
    -------
    (logits (B, V), state)

    Chapter: 17-attention.
    """
    state, _ = (step or luong_step)(decoder, embed(decoder["embedding"], words)[0], state, keys, mask)
    return output_layer(decoder["out"], state[1])[0], state


def _start(params: Net, sources: Array, source_lengths: Array, targets: Array) -> tuple[Any, ...]:
    decoder = params["decoder"]
    hs, (h,), encoded = encode(params["encoder"], sources, source_lengths)
    mask = mask_from_lengths(source_lengths, len(sources))
    xs, looked_up = embed(decoder["embedding"], targets[:-1])
    state = (h, np.zeros((len(h), decoder["combine"]["W_c"].shape[1]), h.dtype))
    return decoder, xs, looked_up, hs, encoded, mask, state


def _check(where: str, params: Parts, x: Array, h_prev: Array, o_prev: Array, keys: Array) -> Array:
    (W_c,) = take(where, params["combine"], "W_c")
    spec = "x: B D, h_prev: B H, keys: S B K, W_c: J A, o_prev: B A"
    sizes = match_shapes(where, spec, x, h_prev, keys, W_c, o_prev)
    if sizes["K"] + sizes["H"] != sizes["J"]:
        raise ValueError(f"{where}: W_c has {sizes['J']} rows, expected {sizes['K']} + {sizes['H']}, keys and state")
    return W_c
