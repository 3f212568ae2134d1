"""A sequence in, another one out: a GRU that reads, a GRU that writes, and the one state between them.

Parameters are nested dictionaries, "encoder": {"embedding", "cell"}, "decoder": {"embedding", "cell", "out"}. A GRU's
state is its output, so the state that is handed over is the encoder's output at each sequence's own last step.
A decoder is used as `step(words, state) -> (logits, state)`: what decodes knows nothing of what is in the state.

Chapter: 16-seq2seq
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.batching import mask_from_lengths
from rnnlib.contracts import match_lengths, match_shapes
from rnnlib.embedding import embed, embed_backward, embedding_init
from rnnlib.fused import gru_backward, gru_forward
from rnnlib.gru import gru_init, gru_step, gru_step_backward
from rnnlib.losses import cross_entropy
from rnnlib.output import output_init, output_layer, output_layer_backward
from rnnlib.pooling import pool_last, pool_last_backward
from rnnlib.scheduled_sampling import choose_input
from rnnlib.types import Array, Cache, State

__all__ = [
    "Net",
    "Speak",
    "add_grads",
    "decode_step",
    "decode_step_backward",
    "encode",
    "encode_backward",
    "greedy_decode",
    "scheduled_inputs",
    "seq2seq_init",
    "seq2seq_loss",
]

Net = dict[str, Any]  # parameters in dictionaries in dictionaries
Speak = Callable[[Array, State], tuple[Array, State]]  # step(words (B,), state) -> (logits (B, V), state)


def seq2seq_init(
    rng: np.random.Generator,
    sources: int,
    targets: int,
    input_size: int,
    hidden_size: int,
    dtype: DTypeLike = np.float64,
) -> Net:
    """Random weights for an encoder and a decoder.

    Parameters
    ----------
    rng          the only source of randomness.
    sources      how many symbols the encoder reads.
    targets      V, how many the decoder writes, start and end among them.
    input_size   D of both embeddings.
    hidden_size  H of both cells.
    dtype        of the arrays returned.

    Returns
    -------
    {"encoder": {"embedding", "cell"}, "decoder": {"embedding", "cell", "out"}}

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 16-seq2seq.
    """
    encoder = {
        "embedding": embedding_init(rng, sources, input_size, dtype),
        "cell": gru_init(rng, input_size, hidden_size, dtype=dtype),
    }
    decoder = {
        "embedding": embedding_init(rng, targets, input_size, dtype),
        "cell": gru_init(rng, input_size, hidden_size, dtype=dtype),
        "out": output_init(rng, hidden_size, targets, dtype),
    }
    return {"encoder": encoder, "decoder": decoder}


def encode(params: Net, tokens: Array, lengths: Array) -> tuple[Array, State, Cache]:
    """Read a padded batch, and keep the state in which each sequence ends.

        h_s = GRU(E[w_s], h_{s-1}),  h_0 = 0        c_b = h_{n_b, b}

    Parameters
    ----------
    params   "embedding": {"E": (V, D)}, "cell": the parameters of a GRU.
    tokens   w, (S, B) integers; behind the end of a sequence may stand anything.
    lengths  n, (B,) integers from 1 to S.

    Returns
    -------
    (hs (S, B, H), the state after each step, without meaning behind the ends; (c,), c (B, H);
    cache (tokens, zero behind the ends, *cache of `pool_last`, *caches of `gru_forward`))

    Raises
    ------
    ValueError  tokens or lengths do not fit.

    Chapter: 16-seq2seq. Equation: encode. Source: Cho et al. (2014), Sutskever et al. (2014).
    """
    S, B = match_shapes("encode", "tokens: S B", tokens).values()
    match_lengths("encode", lengths, S, B, least=1)
    tokens = np.where(mask_from_lengths(lengths, S), tokens, 0)
    xs, _ = embed(params["embedding"], tokens)
    start = np.zeros((B, len(params["cell"]["W_hh"])), xs.dtype)
    hs, _, caches = gru_forward(params["cell"], xs, (start,))
    c, ends = pool_last(hs, lengths)
    return hs, (c,), (tokens, *ends, *caches)


def encode_backward(params: Net, dhs: Array, dstate: State, cache: Cache) -> Net:
    """Gradients of `encode`, from those of the states after each step and of the one handed over.

    Parameters
    ----------
    params  as in the forward pass.
    dhs     dL/dh_s, (S, B, H), zero behind the ends; all zeros for a decoder that sees no more than c.
    dstate  (dc,), (B, H).
    cache   of `encode`.

    Returns
    -------
    gradients in the shape of params

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 16-seq2seq. Equation: encode-backward.
    """
    (dc,), (tokens, mask, *caches) = dstate, cache
    match_shapes("encode_backward", "tokens: S B, dhs: S B H, dc: B H", tokens, dhs, dc)
    dhs = dhs + pool_last_backward(dc, (mask,))
    dxs, _, d_cell = gru_backward(params["cell"], dhs, (np.zeros_like(dc),), tuple(caches))
    return {"embedding": embed_backward(params["embedding"], dxs, (tokens,)), "cell": d_cell}


def decode_step(params: Net, words: Array, state: State) -> tuple[Array, State, Cache]:
    """One step of the decoder: the word before and the state so far give scores for the next word.

        s_t = GRU(E[y_{t-1}], s_{t-1}),  s_0 = c        z_t = W_hy s_t + b_y

    Parameters
    ----------
    params  "embedding": {"E": (V, D)}, "cell": the parameters of a GRU, "out": W_hy (H, V) and b_y (V,).
    words   y_{t-1}, (B,) integers: the words before, the start symbol at first.
    state   (s_{t-1},), (B, H).

    Returns
    -------
    (logits z_t (B, V), (s_t,), cache (words, *cache of `gru_step`, s_t))

    Raises
    ------
    ValueError  a shape does not fit, or there is no such word.

    Chapter: 16-seq2seq. Equation: decode-step. Source: Sutskever et al. (2014).
    """
    match_shapes("decode_step", "words: B, state: B H", words, *state)
    x, _ = embed(params["embedding"], words)
    state, cache = gru_step(params["cell"], x, state)
    logits, _ = output_layer(params["out"], state[0])
    return logits, state, (words, *cache, state[0])


def decode_step_backward(params: Net, dlogits: Array, dstate: State, cache: Cache) -> tuple[State, Net]:
    """Gradients of one step of the decoder.

    Parameters
    ----------
    params   as in the forward step.
    dlogits  dL/dz_t, (B, V).
    dstate   (ds_t,), (B, H): what the steps that follow ask of the state.
    cache    of `decode_step`.

    Returns
    -------
    ((ds_{t-1},), gradients in the shape of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 16-seq2seq. Equation: decode-step-backward.
    """
    words, *cell_cache, s = cache
    match_shapes("decode_step_backward", "s: B H, dlogits: B V, ds: B H", s, dlogits, *dstate)
    ds, d_out = output_layer_backward(params["out"], dlogits, (s,))
    dx, dstate_prev, d_cell = gru_step_backward(params["cell"], (ds + dstate[0],), tuple(cell_cache))
    d_embedding = embed_backward(params["embedding"], dx, (words,))
    return dstate_prev, {"embedding": d_embedding, "cell": d_cell, "out": d_out}


def seq2seq_loss(
    params: Net,
    sources: Array,
    source_lengths: Array,
    targets: Array,
    target_lengths: Array,
    inputs: Array | None = None,
) -> tuple[float, Net]:
    """Loss of a decoder that is told each right word before it has to say the next, and all gradients.

        L = -(1/N) sum_b sum_{t=1}^{m_b - 1} log p(y_t | y_0 .. y_{t-1}, c_b),    N = sum_b (m_b - 1)

    Parameters
    ----------
    params          as `seq2seq_init` makes them.
    sources         (S, B) integers.
    source_lengths  (B,) integers from 1 to S.
    targets         y, (T, B) integers: the start symbol, the words, the end symbol; behind it may stand any word.
    target_lengths  m, (B,) integers from 2 to T; start and end count.
    inputs          (T-1, B), what the decoder is fed at each step; None: the right words. A constant for the gradient.

    Returns
    -------
    (loss in nats for a word, gradients in the shape of params)

    Raises
    ------
    ValueError  shapes or lengths do not fit.

    Chapter: 16-seq2seq. Equation: seq2seq-loss. Source: Sutskever et al. (2014), Williams & Zipser (1989).
    """
    match_shapes("seq2seq_loss", "sources: S B, targets: T B", sources, targets)
    match_lengths("seq2seq_loss", target_lengths, len(targets), targets.shape[1], least=2)
    inputs, wanted = targets[:-1] if inputs is None else inputs, targets[1:]
    match_shapes("seq2seq_loss", "wanted: T B, inputs: T B", wanted, inputs)
    encoder, decoder = params["encoder"], params["decoder"]
    hs, state, read = encode(encoder, sources, source_lengths)
    logits, caches = [], []
    for words in inputs:
        scores, state, cache = decode_step(decoder, words, state)
        logits.append(scores)
        caches.append(cache)
    loss, dlogits = cross_entropy(np.stack(logits), wanted, mask_from_lengths(target_lengths - 1, len(wanted)))
    dstate: State = (np.zeros_like(state[0]),)
    d_decoder: Net = {}
    for scores, cache in zip(dlogits[::-1], caches[::-1], strict=True):
        dstate, grads = decode_step_backward(decoder, scores, dstate, cache)
        d_decoder = add_grads(d_decoder, grads)
    d_encoder = encode_backward(encoder, np.zeros_like(hs), dstate, read)
    return loss, {"encoder": d_encoder, "decoder": d_decoder}


def greedy_decode(step: Speak, state: State, start: int, end: int, max_length: int) -> tuple[Array, Array]:
    """Say the likeliest word, hear it, say the next, until every sequence of the batch has said the end.

        y_t = argmax_k z_{t,k},    z_t, s_t = step(y_{t-1}, s_{t-1}),    y_0 = start

    Parameters
    ----------
    step        takes (words (B,), state), returns (logits (B, V), state); asked at most `max_length` times.
    state       before the first word, a tuple of arrays (B, ...).
    start       the symbol that is heard first.
    end         the symbol that ends a sequence. What a sequence says after it does not count.
    max_length  how many words a sequence may say, at least 1.

    Returns
    -------
    (words (T, B) integers, without start, `end` at and behind each end, T as few steps as were taken;
    lengths (B,), how many words come before the end)

    Raises
    ------
    ValueError  max_length below 1.

    Chapter: 16-seq2seq. Equation: greedy-decode.
    """
    if max_length < 1:
        raise ValueError(f"greedy_decode: max_length is {max_length}, expected at least 1")
    words = np.full(len(state[0]), start)
    running = np.ones(len(words), dtype=bool)
    said: list[Array] = []
    while running.any() and len(said) < max_length:
        logits, state = step(words, state)
        words = np.where(running, logits.argmax(axis=-1), end)
        running = words != end
        said.append(words)
    answer = np.stack(said)
    return answer, (answer != end).sum(axis=0)


def scheduled_inputs(step: Speak, state: State, targets: Array, chance: float, rng: np.random.Generator) -> Array:
    """What a decoder is fed while it is weaned: the right words, or now and then its own.

        x_1 = y_0        x_{t+1} = y_t with this chance, else argmax_k z_{t,k},    z_t, s_t = step(x_t, s_{t-1})

    Parameters
    ----------
    step     takes (words (B,), state), returns (logits (B, V), state); asked T-2 times.
    state    before the first word, a tuple of arrays (B, ...).
    targets  y, (T, B) integers, T at least 2: the start symbol, the words, the end symbol.
    chance   of the right word, 0 to 1; `choose_input` tosses the coins, a round of them for each step.
    rng      the only source of randomness.

    Returns
    -------
    x, (T-1, B) integers, as `seq2seq_loss` takes its inputs.

    Raises
    ------
    ValueError  targets have fewer than two rows, or chance is not between 0 and 1.

    Chapter: 16-seq2seq. Equation: scheduled-inputs. Source: Bengio et al. (2015).
    """
    match_shapes("scheduled_inputs", "targets: T B", targets)
    if len(targets) < 2:
        raise ValueError(f"scheduled_inputs: targets have shape {targets.shape}, expected start and end at least")
    fed = [targets[0]]
    for truth in targets[1:-1]:
        logits, state = step(fed[-1], state)
        fed.append(choose_input(rng, truth, logits.argmax(axis=-1), chance))
    return np.stack(fed)


def add_grads(total: Net, grads: Net) -> Net:
    """The sum of two sets of gradients, part by part; an empty `total` is nothing yet.

    Parameters
    ----------
    total  nested dictionaries of arrays, or {}; not changed.
    grads  the same names and shapes; not changed.

    Returns
    -------
    nested dictionaries of new arrays

    Chapter: 16-seq2seq.
    """
    if not total:
        return grads
    return {
        name: add_grads(total[name], part) if isinstance(part, dict) else total[name] + part
        for name, part in grads.items()
    }
