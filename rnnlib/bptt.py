"""Backpropagation through time, for any cell: all the way back, or one window at a time.

Chapter: 10-bptt
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.types import Array, Cache, Params, Run, RunBack, State, StepBackward

__all__ = ["backward_through_time", "truncated_bptt"]


def backward_through_time(
    step_backward: StepBackward, params: Params, dhs: Array, dstate: State, caches: list[Cache]
) -> tuple[Array, State, Params]:
    """Send gradients back from the last step to the first, adding up what each step asks of the weights.

    A state is used twice: by the output of its own step and by the next step. So the gradient that
    comes back from step t+1 and the one that enters at step t are added before step t is undone.

    Parameters
    ----------
    step_backward  a cell's backward step, such as `elman_step_backward`.
    params         the parameters that `rnn_forward` used.
    dhs            dL/dh_t from the outputs, (T, B, H); zeros where a step has no output.
    dstate         gradient of the state after the last step that does not come through dhs, a tuple
                   of (B, H) arrays; zeros if the last state is not used further.
    caches         the T caches of `rnn_forward`.

    Returns
    -------
    (dxs (T, B, D), gradient of the state before the first step, grads: one array per parameter)

    Raises
    ------
    ValueError  there are not as many gradients as caches, or none, or a shape does not fit.

    Chapter: 10-bptt. Equation: bptt. Source: Werbos (1990).
    """
    if len(dhs) != len(caches) or not caches:
        raise ValueError(f"backward_through_time: {len(dhs)} gradients for {len(caches)} steps, expected one each")
    match_shapes("backward_through_time", "dstate: B H, dhs: T B H", dstate[0], dhs)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dxs = []
    for dh, cache in zip(dhs[::-1], reversed(caches), strict=True):
        dstate = (dstate[0] + dh, *dstate[1:])
        dx, dstate, step_grads = step_backward(params, dstate, cache)
        dxs.append(dx)
        for name, grad in step_grads.items():
            grads[name] += grad
    return np.stack(dxs[::-1]), dstate, grads


def truncated_bptt(
    run: Run, run_back: RunBack, params: Params, xs: Array, targets: Array, state: State, window: int
) -> tuple[float, Array, State, Params]:
    """Loss and gradients of a long sequence, window by window: the state goes on, the gradient stops.

    Parameters
    ----------
    run       runs a cell over a sequence, such as `partial(rnn_forward, lstm_step)`.
    run_back  its way back, such as `partial(backward_through_time, lstm_step_backward)`.
    params    the cell's parameters and the output layer's, W_hy (H, K) and b_y (K,), in one dict.
    xs        inputs, (T, B, D), T at least 1.
    targets   (T, B), integers: a class to be told at every step.
    state     the state before the first step.
    window    steps that a gradient may go back, at least 1; from T on, nothing is cut.

    Returns
    -------
    (mean cross-entropy of all T B answers; dxs (T, B, D); the state after the last step; grads)

    Raises
    ------
    ValueError  window below 1, no step, or a shape that does not fit.

    Chapter: 10-bptt. Equation: truncated-bptt. Source: Williams & Peng (1990).
    """
    T = _check_stretch("truncated_bptt", "window", window, xs, targets)
    loss, dxs = 0.0, []
    grads: Params = {}
    for first in range(0, T, window):
        piece = slice(first, first + window)
        hs, state, caches = run(params, xs[piece], state)
        logits, cache = output_layer(params, hs)
        mean, dz = cross_entropy(logits, targets[piece])
        share = len(hs) / T
        dhs, own = output_layer_backward(params, share * dz, cache)
        nothing = tuple(np.zeros_like(part) for part in state)
        dx, _, asked = run_back(params, dhs, nothing, caches)
        loss += share * mean
        dxs.append(dx)
        grads = {name: grads.get(name, 0) + own.get(name, 0) + asked.get(name, 0) for name in params}
    return loss, np.concatenate(dxs), state, grads


def _check_stretch(where: str, name: str, size: int, xs: Array, targets: Array) -> int:
    """The number of steps T, or the error that says what is wrong with a length, the inputs or the targets."""
    if size < 1:
        raise ValueError(f"{where}: {name} is {size}, expected at least 1")
    T = match_shapes(where, "xs: T B D, targets: T B", xs, targets)["T"]
    if T == 0:
        raise ValueError(f"{where}: xs has shape {xs.shape}, expected at least one step (T >= 1)")
    return T
