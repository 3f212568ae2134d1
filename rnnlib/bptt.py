"""Backpropagation through time, for any cell.

Chapter: 10-bptt
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.types import Array, Cache, Params, State, StepBackward

__all__ = ["backward_through_time"]


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
