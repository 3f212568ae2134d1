"""One label for a whole sequence: symbols or vectors in, any run of any cell, a pooling, an output layer; and back.

A net is a dict of dicts: "cell", what the run takes as its parameters; "out", W_hy (H, K) and b_y (K,); and for
sequences of symbols "embedding", E (V, D).

Chapter: 13-classification
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlib.batching import mask_from_lengths
from rnnlib.embedding import embed, embed_backward
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.types import Array, Cache, Run, RunBack

__all__ = ["classifier_backward", "classifier_forward", "classifier_loss", "input_influence"]

Pool = Callable[[Array, Array], tuple[Array, Cache]]
PoolBack = Callable[[Array, Cache], Array]


def classifier_forward(
    run: Run, pool: Pool, net: dict[str, Any], inputs: Array, lengths: Array, state: Any
) -> tuple[Array, tuple[Any, ...]]:
    """Scores of the classes for each sequence of a padded batch; the padding changes none of them.

        z_b = W_hy p_b + b_y,    p = pool(h),    h = run(x)

    Parameters
    ----------
    run      runs a cell, such as `partial(rnn_forward, lstm_step)` or `gru_forward`.
    pool     such as `pool_mean`.
    net      "cell", "out", and "embedding" if the inputs are symbols.
    inputs   symbols (T, B), integers, or vectors (T, B, D); behind the end of a sequence may stand anything.
    lengths  (B,) integers from 1 to T.
    state    the state before the first step, as `run` takes it.

    Returns
    -------
    (logits (B, K), cache (inputs, zero in the padding; last state; caches of run, pooling, output layer))

    Chapter: 13-classification. Equation: classifier.
    """
    mask = mask_from_lengths(lengths, len(inputs))
    inputs = np.where(mask if inputs.ndim == 2 else mask[..., None], inputs, 0)
    xs = embed(net["embedding"], inputs)[0] if "embedding" in net else inputs
    hs, last, caches = run(net["cell"], xs, state)
    pooled, pooling = pool(hs, lengths)
    logits, scored = output_layer(net["out"], pooled)
    return logits, (inputs, last, caches, pooling, scored)


def classifier_backward(
    run_back: RunBack, pool_back: PoolBack, net: dict[str, Any], dlogits: Array, cache: tuple[Any, ...]
) -> tuple[Array, dict[str, Any]]:
    """Gradients of `classifier_forward`.

    Parameters
    ----------
    run_back   the way back of the run: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    pool_back  the way back of the pooling, such as `pool_mean_backward`.
    net        as in the forward pass.
    dlogits    dL/dz, (B, K).
    cache      of `classifier_forward`.

    Returns
    -------
    (dxs (T, B, D), gradient of the vectors that the cell read; gradients in the shape of net)

    Chapter: 13-classification. Equation: classifier-backward.
    """
    inputs, last, caches, pooling, scored = cache
    dpooled, d_out = output_layer_backward(net["out"], dlogits, scored)
    dxs, _, d_cell = run_back(net["cell"], pool_back(dpooled, pooling), _silent(last), caches)
    grads = {"cell": d_cell, "out": d_out}
    if "embedding" in net:
        grads["embedding"] = embed_backward(net["embedding"], dxs, (inputs,))
    return dxs, grads


def classifier_loss(
    run: Run,
    run_back: RunBack,
    pool: Pool,
    pool_back: PoolBack,
    net: dict[str, Any],
    inputs: Array,
    lengths: Array,
    state: Any,
    labels: Array,
) -> tuple[float, dict[str, Any]]:
    """Mean cross-entropy of the labels of a batch, with the gradient of every weight.

    Parameters
    ----------
    run        runs a cell; `run_back` is its way back.
    run_back   takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    pool       such as `pool_max`; `pool_back` is its way back.
    pool_back  such as `pool_max_backward`.
    net        "cell", "out", and "embedding" if the inputs are symbols.
    inputs     symbols (T, B) or vectors (T, B, D); behind the end of a sequence may stand anything.
    lengths    (B,) integers from 1 to T.
    state      the state before the first step, as `run` takes it.
    labels     (B,), integers in 0 .. K-1: one for each sequence.

    Returns
    -------
    (loss in nats, gradients in the shape of net)

    Chapter: 13-classification. Equation: classifier-loss.
    """
    logits, cache = classifier_forward(run, pool, net, inputs, lengths, state)
    loss, dlogits = cross_entropy(logits, labels)
    return loss, classifier_backward(run_back, pool_back, net, dlogits, cache)[1]


def input_influence(
    run: Run,
    run_back: RunBack,
    pool: Pool,
    pool_back: PoolBack,
    net: dict[str, Any],
    inputs: Array,
    lengths: Array,
    state: Any,
    classes: Array,
) -> Array:
    """How much each step speaks for a class: the gradient of the class's score, times the input.

        s_{t,b} = x_{t,b} . dz_{b,k} / dx_{t,b}         to first order, what the score loses where x_{t,b} is zero

    Parameters
    ----------
    run        runs a cell; `run_back` is its way back.
    run_back   takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    pool       such as `pool_max`; `pool_back` is its way back.
    pool_back  such as `pool_max_backward`.
    net        as in the forward pass; so are inputs, lengths, state.
    inputs     symbols (T, B) or vectors (T, B, D).
    lengths    (B,) integers from 1 to T.
    state      before the first step.
    classes    k, (B,), integers: for each sequence the class whose score is asked about.

    Returns
    -------
    s (T, B), zero behind the ends

    Chapter: 13-classification. Equation: influence. Source: Simonyan et al. (2014), Shrikumar et al. (2016).
    """
    scores, cache = classifier_forward(run, pool, net, inputs, lengths, state)
    dlogits = np.zeros_like(scores)
    dlogits[np.arange(len(classes)), classes] = 1
    dxs, _ = classifier_backward(run_back, pool_back, net, dlogits, cache)
    xs = embed(net["embedding"], cache[0])[0] if "embedding" in net else cache[0]
    return (xs * dxs).sum(axis=-1)


def _silent(state: Any) -> Any:
    """Zeros in the shape of a state: a last state that nobody reads sends no gradient back."""
    return tuple(map(_silent, state)) if isinstance(state, tuple) else np.zeros_like(state)
