"""Run a cell over a whole sequence, from a start that is zero, given, or learned.

Chapter: 03-definition
"""

import numpy as np

from rnnlib.contracts import match_shapes
from rnnlib.scan import scan
from rnnlib.types import Array, Cache, Params, State, Step

__all__ = ["initial_state", "initial_state_backward", "rnn_forward"]


def rnn_forward(step: Step, params: Params, xs: Array, state: State) -> tuple[Array, State, list[Cache]]:
    """Apply one cell, with one set of weights, at every step of a batch of sequences.

        state_t, cache_t = step(params, x_t, state_{t-1})        t = 1 .. T

    Parameters
    ----------
    step    a cell's step function, such as `elman_step`.
    params  its parameters: the same at every step.
    xs      inputs, (T, B, D), T at least 1.
    state   the state before the first step, a tuple of (B, H) arrays.

    Returns
    -------
    (hs (T, B, H), the first array of the state after each step; the state after the last step;
    a list of the T caches, in order of time)

    Raises
    ------
    ValueError  xs is not (T, B, D) or has no step.

    Chapter: 03-definition. Equation: rnn-forward.
    """
    sizes = match_shapes("rnn_forward", "xs: T B D", xs)
    if sizes["T"] == 0:
        raise ValueError(f"rnn_forward: xs has shape {xs.shape}, expected at least one step (T >= 1)")
    caches = []

    def keep(state: State, x: Array) -> tuple[State, Array]:
        state, cache = step(params, x, state)
        caches.append(cache)
        return state, state[0]

    state, hs = scan(keep, state, xs)
    return np.stack(hs), state, caches


def initial_state(start: State, batch_size: int) -> State:
    """Give every sequence of a batch the same start, learned or fixed.

    Parameters
    ----------
    start       a tuple of vectors (H,), one for each array of the cell's state.
    batch_size  B, at least 1.

    Returns
    -------
    a tuple of arrays (B, H), each row a copy of the vector: writing into it leaves `start` as it is.

    Raises
    ------
    ValueError  batch_size below 1, or an entry of `start` that is not a vector.

    Chapter: 03-definition. Equation: initial-state.
    """
    if batch_size < 1:
        raise ValueError(f"initial_state: batch_size is {batch_size}, expected at least 1")
    for vector in start:
        match_shapes("initial_state", "start: H", vector)
    return tuple(np.tile(vector, (batch_size, 1)) for vector in start)


def initial_state_backward(dstate: State) -> State:
    """Gradient of a learned start: every sequence used it, so their gradients add up.

    Parameters
    ----------
    dstate  gradient of the state before the first step, a tuple of (B, H) arrays.

    Returns
    -------
    a tuple of vectors (H,).

    Chapter: 03-definition. Equation: initial-state-backward.
    """
    for d in dstate:
        match_shapes("initial_state_backward", "dstate: B H", d)
    return tuple(d.sum(axis=0) for d in dstate)
