"""Learning from one answer at the end of a sequence, with any cell.

Chapter: 06-lstm
"""

import numpy as np

from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.sequence import rnn_forward
from rnnlib.types import Array, Params, State, Step, StepBackward

__all__ = ["loss_at_the_end"]


def loss_at_the_end(
    step: Step, step_backward: StepBackward, params: Params, xs: Array, state: State, targets: Array
) -> tuple[float, Params]:
    """Loss of the answer after the last step, and what it asks of every weight.

    The gradient enters the last h alone. From there the backward step hands on a message with as many parts as
    the state has.

    Parameters
    ----------
    step           a cell's step, such as `lstm_step`.
    step_backward  its backward step.
    params         the cell's parameters and the output layer's, W_hy (H, K) and b_y (K,), in one dict.
    xs             inputs, (T, B, D), T at least 1.
    state          the state before the first step, a tuple of (B, H) arrays; the first of them is h.
    targets        (B,), integers: the class to be told at the end.

    Returns
    -------
    (loss, grads): mean cross-entropy of the B answers; gradients of the cell's parameters and the output layer's

    Chapter: 06-lstm. Equation: loss-at-the-end. Source: Hochreiter & Schmidhuber (1997).
    """
    hs, _, caches = rnn_forward(step, params, xs, state)
    logits, cache = output_layer(params, hs[-1])
    loss, dz = cross_entropy(logits, targets)
    dh, grads = output_layer_backward(params, dz, cache)
    message = (dh, *(np.zeros_like(part) for part in state[1:]))
    for cache in reversed(caches):
        _, message, asked = step_backward(params, message, cache)
        grads |= {name: grads.get(name, 0) + grad for name, grad in asked.items()}
    return loss, grads
