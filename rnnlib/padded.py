"""Learning from a padded batch as if every sequence had come alone, with any cell, in one direction or both.

Chapter: 09-batches
"""

from typing import Any

import numpy as np

from rnnlib.batching import mask_from_lengths
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.types import Array, Run, RunBack

__all__ = ["padded_loss"]


def padded_loss(
    run: Run, run_back: RunBack, net: dict[str, Any], xs: Array, targets: Array, lengths: Array, state: Any
) -> tuple[float, Array, dict[str, Any]]:
    """Loss of an answer at every step of a padded batch, and its gradients; the padding changes none of them.

        N L = sum_b n_b L_b,    N dL/dw = sum_b n_b dL_b/dw,    L_b of sequence b alone, N = sum_b n_b

    Parameters
    ----------
    run       runs a cell, such as `partial(rnn_forward, lstm_step)` or, both ways, `partial(bidirectional, ...)`.
    run_back  the way back of `run`: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    net       "cell": what `run` takes as params; "out": W_hy (H, K) and b_y (K,).
    xs        inputs, (T, B, D); behind the end of a sequence may stand anything, NaN too.
    targets   (T, B), integers; behind the end of a sequence may stand any.
    lengths   (B,) integers from 0 to T, one at least 1.
    state     the state before the first step, as `run` takes it.

    Returns
    -------
    (loss, mean cross-entropy of the N steps; dxs (T, B, D), zero behind the ends; gradients in the shape of net)

    Chapter: 09-batches. Equation: padding-changes-nothing.
    """
    mask = mask_from_lengths(lengths, len(xs))
    hs, last, caches = run(net["cell"], np.where(mask[..., None], xs, 0), state)
    logits, cache = output_layer(net["out"], hs)
    loss, dlogits = cross_entropy(logits, targets, mask)
    dhs, d_out = output_layer_backward(net["out"], dlogits, cache)
    dxs, _, d_cell = run_back(net["cell"], dhs, _silent(last), caches)
    return loss, dxs, {"cell": d_cell, "out": d_out}


def _silent(state: Any) -> Any:
    """Zeros in the shape of a state: a last state that nobody reads sends no gradient back."""
    return tuple(map(_silent, state)) if isinstance(state, tuple) else np.zeros_like(state)
