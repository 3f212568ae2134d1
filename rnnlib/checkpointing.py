"""Full backpropagation through time in little memory: keep a few states, compute the rest again.

Chapter: 10-bptt
"""

from math import isqrt

import numpy as np

from rnnlib.bptt import _check_stretch
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.types import Array, Params, Run, RunBack, State

__all__ = ["checkpointed_bptt"]


def checkpointed_bptt(
    run: Run, run_back: RunBack, params: Params, xs: Array, targets: Array, state: State, segment: int | None = None
) -> tuple[float, Array, State, Params]:
    """Loss and full gradients of a long sequence, with the caches of one segment at a time.

    A first pass keeps the state before each segment, nothing else. A second one goes from the last segment to
    the first: run it again from its state, send the gradient back through it, hand the message on.

    Parameters
    ----------
    run       runs a cell over a sequence, such as `partial(rnn_forward, lstm_step)`.
    run_back  its way back, such as `partial(backward_through_time, lstm_step_backward)`.
    params    the cell's parameters and the output layer's, W_hy (H, K) and b_y (K,), in one dict.
    xs        inputs, (T, B, D), T at least 1.
    targets   (T, B), integers: a class to be told at every step.
    state     the state before the first step.
    segment   steps in a segment, at least 1; the root of T, rounded up, if None.

    Returns
    -------
    (mean cross-entropy of all T B answers; dxs (T, B, D); the state after the last step; grads)

    Chapter: 10-bptt. Equation: checkpointed-bptt. Source: Chen et al. (2016).
    """
    T = _check_stretch("checkpointed_bptt", "segment", 1 if segment is None else segment, xs, targets)
    size = isqrt(T - 1) + 1 if segment is None else segment
    pieces = [slice(first, first + size) for first in range(0, T, size)]
    starts = []
    for piece in pieces:
        starts.append(state)
        state = run(params, xs[piece], state)[1]
    loss, dxs = 0.0, []
    grads: Params = {}
    message = tuple(np.zeros_like(part) for part in state)
    for piece, start in zip(reversed(pieces), reversed(starts), strict=True):
        hs, _, caches = run(params, xs[piece], start)
        logits, cache = output_layer(params, hs)
        mean, dz = cross_entropy(logits, targets[piece])
        share = len(hs) / T
        dhs, own = output_layer_backward(params, share * dz, cache)
        dx, message, asked = run_back(params, dhs, message, caches)
        loss += share * mean
        dxs.append(dx)
        grads = {name: grads.get(name, 0) + own.get(name, 0) + asked.get(name, 0) for name in params}
    return loss, np.concatenate(dxs[::-1]), state, grads
