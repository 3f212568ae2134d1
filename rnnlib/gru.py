"""The GRU cell: two gates and no separate memory, in the two forms that are in use.

The columns of `W_xh`, `W_hh` and `b_h` are three blocks of H, in the order z, r, h. The forms differ in where the
reset gate acts: "before" the recurrent product, as it was published, or "after" it, as cuDNN and PyTorch compute.

Chapter: 07-gru
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.activations import sigmoid
from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["gru_init", "gru_step", "gru_step_backward"]


def gru_init(
    rng: np.random.Generator,
    input_size: int,
    hidden_size: int,
    reset: str = "before",
    dtype: DTypeLike = np.float64,
) -> Params:
    """Random weights scaled by their fan-in, and zero biases.

    Parameters
    ----------
    rng          the only source of randomness.
    input_size   D, at least 1.
    hidden_size  H, at least 1.
    reset        "before" or "after", the form that the weights are for.
    dtype        of the arrays returned.

    Returns
    -------
    W_xh (D, 3H) from N(0, 1/D), W_hh (H, 3H) from N(0, 1/H), b_h (3H,) of zeros; blocks z, r, h.
    For "after" also b_hh (H,) of zeros.

    Raises
    ------
    ValueError  a size below 1, or reset is neither of the two.

    Chapter: 07-gru. Equation: gru-init.
    """
    if input_size < 1 or hidden_size < 1:
        raise ValueError(f"gru_init: sizes must be at least 1, got input {input_size} and hidden {hidden_size}")
    _check_reset("gru_init", reset)
    W_xh = rng.standard_normal((input_size, 3 * hidden_size)) / np.sqrt(input_size)
    W_hh = rng.standard_normal((hidden_size, 3 * hidden_size)) / np.sqrt(hidden_size)
    params = {"W_xh": W_xh.astype(dtype), "W_hh": W_hh.astype(dtype), "b_h": np.zeros(3 * hidden_size, dtype)}
    return params | ({"b_hh": np.zeros(hidden_size, dtype)} if reset == "after" else {})


def gru_step(params: Params, x: Array, state: State, reset: str = "before") -> tuple[State, Cache]:
    """One step of a GRU cell for a batch.

        z, r = sigma(W_x. x_t + W_h. h_{t-1} + b.)        h_t = (1 - z) * h_{t-1} + z * n
        before:  n = tanh(W_xh x_t + W_hh (r * h_{t-1}) + b_h)
        after:   n = tanh(W_xh x_t + r * (W_hh h_{t-1} + b_hh) + b_h)

    Parameters
    ----------
    params  W_xh (D, 3H), W_hh (H, 3H), b_h (3H,), blocks z, r, h; for "after" also b_hh (H,).
    x       this step's input, (B, D).
    state   (h_prev,), h_prev (B, H).
    reset   "before" or "after".

    Returns
    -------
    (state (h,), cache (x, h_prev, z, r, n)), all of them (B, H) but x

    Raises
    ------
    ValueError  a shape does not fit, or reset is neither of the two.

    Chapter: 07-gru. Equation: gru-step. Source: Cho et al. (2014).
    """
    (h_prev,) = state
    _check("gru_step", params, x, h_prev, reset)
    W_z, W_r, W_n = np.split(params["W_hh"], 3, axis=-1)
    a_z, a_r, a_n = np.split(x @ params["W_xh"] + params["b_h"], 3, axis=-1)
    z = sigmoid(a_z + h_prev @ W_z)
    r = sigmoid(a_r + h_prev @ W_r)
    recalled = (r * h_prev) @ W_n if reset == "before" else r * (h_prev @ W_n + params["b_hh"])
    n = np.tanh(a_n + recalled)
    return ((1 - z) * h_prev + z * n,), (x, h_prev, z, r, n)


def gru_step_backward(
    params: Params, dstate: State, cache: Cache, reset: str = "before"
) -> tuple[Array, State, Params]:
    """Gradients of one GRU step, from those of the state it put out.

    Parameters
    ----------
    params  as in `gru_step`.
    dstate  (dh,), (B, H); not changed.
    cache   (x, h_prev, z, r, n) from `gru_step`.
    reset   "before" or "after", as in the forward step.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev,), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit, or reset is neither of the two.

    Chapter: 07-gru. Equation: gru-step-backward. Source: Cho et al. (2014).
    """
    (dh,), (x, h_prev, z, r, n) = dstate, cache
    _check("gru_step_backward", params, x, h_prev, reset)
    match_shapes("gru_step_backward", "h_prev: B H, dh: B H", h_prev, dh)
    W_z, W_r, W_n = np.split(params["W_hh"], 3, axis=-1)
    da_n = dh * z * (1 - n * n)
    da_z = dh * (n - h_prev) * z * (1 - z)
    if reset == "before":
        d_rh = da_n @ W_n.T
        dr, dh_prev, dW_n = d_rh * h_prev, d_rh * r, (r * h_prev).T @ da_n
        extra = {}
    else:
        du = da_n * r
        dr, dh_prev, dW_n = da_n * (h_prev @ W_n + params["b_hh"]), du @ W_n.T, h_prev.T @ du
        extra = {"b_hh": du.sum(axis=0)}
    da_r = dr * r * (1 - r)
    dh_prev = dh_prev + dh * (1 - z) + da_z @ W_z.T + da_r @ W_r.T
    da = np.concatenate([da_z, da_r, da_n], axis=-1)
    dW_hh = np.concatenate([h_prev.T @ da_z, h_prev.T @ da_r, dW_n], axis=-1)
    return da @ params["W_xh"].T, (dh_prev,), {"W_xh": x.T @ da, "W_hh": dW_hh, "b_h": da.sum(axis=0)} | extra


def _check(where: str, params: Params, x: Array, h_prev: Array, reset: str) -> None:
    _check_reset(where, reset)
    weights = take(where, params, "W_xh", "W_hh", "b_h", *(["b_hh"] if reset == "after" else []))
    spec = "x: B D, h_prev: B H, W_xh: D 3H, W_hh: H 3H, b_h: 3H" + (", b_hh: H" if reset == "after" else "")
    match_shapes(where, spec, x, h_prev, *weights)


def _check_reset(where: str, reset: str) -> None:
    if reset not in ("before", "after"):
        raise ValueError(f"{where}: reset is {reset!r}, expected 'before' or 'after'")
