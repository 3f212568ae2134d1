"""The Elman cell, also called simple or vanilla RNN: the next state is a squashed sum of input and state.

Chapter: 04-elman
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["elman_init", "elman_step", "elman_step_backward"]


def elman_init(rng: np.random.Generator, input_size: int, hidden_size: int, dtype: DTypeLike = np.float64) -> Params:
    """Random weights scaled by their fan-in, and zero biases.

    Parameters
    ----------
    rng          the only source of randomness.
    input_size   D, at least 1.
    hidden_size  H, at least 1.
    dtype        of the arrays returned; float64 to check, float32 to train.

    Returns
    -------
    W_xh (D, H) drawn from N(0, 1/D), W_hh (H, H) drawn from N(0, 1/H), b_h (H,) of zeros.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 04-elman. Equation: elman-init. Source: LeCun et al. (1998), section 4.6.
    """
    if input_size < 1 or hidden_size < 1:
        raise ValueError(f"elman_init: sizes must be at least 1, got input {input_size} and hidden {hidden_size}")
    W_xh = rng.standard_normal((input_size, hidden_size)) / np.sqrt(input_size)
    W_hh = rng.standard_normal((hidden_size, hidden_size)) / np.sqrt(hidden_size)
    return {"W_xh": W_xh.astype(dtype), "W_hh": W_hh.astype(dtype), "b_h": np.zeros(hidden_size, dtype)}


def elman_step(params: Params, x: Array, state: State, phi: str = "tanh") -> tuple[State, Cache]:
    """One step of an Elman cell for a batch: mix input and previous state, then squash.

        h_t = phi(W_xh x_t + W_hh h_{t-1} + b_h)

    Parameters
    ----------
    params  W_xh (D, H), W_hh (H, H), b_h (H,).
    x       this step's input, (B, D).
    state   (h_prev,), h_prev (B, H).
    phi     "tanh" or "relu".

    Returns
    -------
    (state (h,) with h (B, H), cache (x, h_prev, h))

    Raises
    ------
    ValueError  a shape does not fit, or phi is neither of the two.

    Chapter: 03-definition. Equation: elman-step. Source: Elman (1990).
    """
    (h_prev,) = state
    _check("elman_step", params, x, h_prev, phi)
    a = x @ params["W_xh"] + h_prev @ params["W_hh"] + params["b_h"]
    h = np.tanh(a) if phi == "tanh" else np.maximum(a, 0)
    return (h,), (x, h_prev, h)


def elman_step_backward(params: Params, dstate: State, cache: Cache, phi: str = "tanh") -> tuple[Array, State, Params]:
    """Gradients of one Elman step, from those of the state it put out.

        dh/da = phi'(a),   a = W_xh x_t + W_hh h_{t-1} + b_h

    Parameters
    ----------
    params  W_xh (D, H), W_hh (H, H), b_h (H,).
    dstate  (dh,), dL/dh of the state this step put out, (B, H); not changed.
    cache   (x, h_prev, h) from `elman_step`.
    phi     "tanh" or "relu", as in the forward step.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev,) with dh_prev (B, H), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit, or phi is neither of the two.

    Chapter: 04-elman. Equation: elman-step-backward. Source: Rumelhart et al. (1986).
    """
    (dh,), (x, h_prev, h) = dstate, cache
    _check("elman_step_backward", params, x, h_prev, phi)
    match_shapes("elman_step_backward", "h: B H, dh: B H", h, dh)
    slope = 1 - h * h if phi == "tanh" else (h > 0).astype(h.dtype)
    da = dh * slope
    grads = {"W_xh": x.T @ da, "W_hh": h_prev.T @ da, "b_h": da.sum(axis=0)}
    return da @ params["W_xh"].T, (da @ params["W_hh"].T,), grads


def _check(where: str, params: Params, x: Array, h_prev: Array, phi: str) -> None:
    weights = take(where, params, "W_xh", "W_hh", "b_h")
    match_shapes(where, "x: B D, h_prev: B H, W_xh: D H, W_hh: H H, b_h: H", x, h_prev, *weights)
    if phi not in ("tanh", "relu"):
        raise ValueError(f"{where}: phi is {phi!r}, expected 'tanh' or 'relu'")
