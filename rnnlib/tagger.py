"""A label for every step, from any cell: scores of a net, and a chain over them.

Chapter: 14-labeling
"""

from typing import Any

import numpy as np

from rnnlib.batching import mask_from_lengths
from rnnlib.crf import crf_loss
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.types import Array, Run, RunBack

__all__ = ["crf_tagger_loss"]


def crf_tagger_loss(
    run: Run, run_back: RunBack, net: dict[str, Any], xs: Array, labels: Array, lengths: Array, state: Any
) -> tuple[float, Array, dict[str, Any]]:
    """Loss of the labels of a padded batch under a chain, and its gradients: `padded_loss` with another loss.

    Parameters
    ----------
    run       runs a cell, such as `partial(bidirectional, lstm_forward, lengths=lengths)`.
    run_back  the way back of `run`: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    net       "cell": what `run` takes as params; "out": W_hy (H, K), b_y (K,); "crf": transitions, start, stop.
    xs        inputs, (T, B, D); behind the end of a sequence may stand anything, NaN too.
    labels    (T, B), integers; behind the end of a sequence may stand any.
    lengths   (B,) integers from 1 to T.
    state     the state before the first step, as `run` takes it.

    Returns
    -------
    (loss, in nats for each step that counts; dxs (T, B, D), zero behind the ends; gradients in the shape of net)

    Chapter: 14-labeling. Equation: crf-loss. Source: Huang et al. (2015).
    """
    there = mask_from_lengths(lengths, len(xs))[..., None]
    states, last, kept = run(net["cell"], np.where(there, xs, np.zeros((), xs.dtype)), state)
    scores, seen = output_layer(net["out"], states)
    loss, dscores, of_chain = crf_loss(net["crf"], scores, labels, lengths)
    dstates, of_out = output_layer_backward(net["out"], dscores, seen)
    dxs, _, of_cell = run_back(net["cell"], dstates, _silent(last), kept)
    return loss, dxs, {"cell": of_cell, "out": of_out, "crf": of_chain}


def _silent(state: Any) -> Any:
    """Zeros in the shape of a state: a last state that nobody reads sends no gradient back."""
    return tuple(map(_silent, state)) if isinstance(state, tuple) else np.zeros_like(state)
