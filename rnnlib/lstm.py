"""The LSTM cell: a memory that is added to, and three gates that guard it.

The columns of `W_xh`, `W_hh` and `b_h` are four blocks of H, in the order i, f, o, g.

Chapter: 06-lstm
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.activations import sigmoid
from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["clamp_gate", "lstm_init", "lstm_step", "lstm_step_backward"]

WIDE = 40.0  # sigma(40) is 1 and sigma(-40) is 0, to the last bit


def lstm_init(
    rng: np.random.Generator,
    input_size: int,
    hidden_size: int,
    forget_bias: float = 1.0,
    dtype: DTypeLike = np.float64,
) -> Params:
    """Random weights scaled by their fan-in; the forget gates start open.

    Parameters
    ----------
    rng          the only source of randomness.
    input_size   D, at least 1.
    hidden_size  H, at least 1.
    forget_bias  first value of the forget gates' biases; at 1 a memory loses a quarter of itself per step.
    dtype        of the arrays returned.

    Returns
    -------
    W_xh (D, 4H) from N(0, 1/D), W_hh (H, 4H) from N(0, 1/H), b_h (4H,) of zeros but for
    block f. Blocks i, f, o, g.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 06-lstm. Equation: lstm-init. Source: Gers et al. (2000).
    """
    if input_size < 1 or hidden_size < 1:
        raise ValueError(f"lstm_init: sizes must be at least 1, got input {input_size} and hidden {hidden_size}")
    W_xh = rng.standard_normal((input_size, 4 * hidden_size)) / np.sqrt(input_size)
    W_hh = rng.standard_normal((hidden_size, 4 * hidden_size)) / np.sqrt(hidden_size)
    b_h = np.zeros(4 * hidden_size, dtype)
    b_h[hidden_size : 2 * hidden_size] = forget_bias
    return {"W_xh": W_xh.astype(dtype), "W_hh": W_hh.astype(dtype), "b_h": b_h}


def lstm_step(params: Params, x: Array, state: State) -> tuple[State, Cache]:
    """One step of an LSTM cell for a batch.

        i, f, o = sigma(W_x. x_t + W_h. h_{t-1} + b.)      g = tanh(W_xg x_t + W_hg h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g                          h_t = o * tanh(c_t)

    Parameters
    ----------
    params  W_xh (D, 4H), W_hh (H, 4H), b_h (4H,); blocks i, f, o, g.
    x       this step's input, (B, D).
    state   (h_prev, c_prev), each (B, H).

    Returns
    -------
    (state (h, c), cache (x, h_prev, c_prev, i, f, o, g, tanh_c)), all of them (B, H) but x

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-step. Source: Hochreiter & Schmidhuber (1997), Gers et al. (2000).
    """
    h_prev, c_prev = state
    _check("lstm_step", params, x, h_prev, c_prev)
    a = x @ params["W_xh"] + h_prev @ params["W_hh"] + params["b_h"]
    a_i, a_f, a_o, a_g = np.split(a, 4, axis=-1)
    i, f, o, g = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o), np.tanh(a_g)
    c = f * c_prev + i * g
    tanh_c = np.tanh(c)
    return (o * tanh_c, c), (x, h_prev, c_prev, i, f, o, g, tanh_c)


def lstm_step_backward(params: Params, dstate: State, cache: Cache) -> tuple[Array, State, Params]:
    """Gradients of one LSTM step, from those of the state it put out.

    Parameters
    ----------
    params  W_xh (D, 4H), W_hh (H, 4H), b_h (4H,); blocks i, f, o, g.
    dstate  (dh, dc), each (B, H); dc is what comes back through the memory alone. Not changed.
    cache   (x, h_prev, c_prev, i, f, o, g, tanh_c) from `lstm_step`.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev, dc_prev), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-step-backward. Source: Hochreiter & Schmidhuber (1997).
    """
    (dh, dc), (x, h_prev, c_prev, i, f, o, g, tanh_c) = dstate, cache
    _check("lstm_step_backward", params, x, h_prev, c_prev)
    match_shapes("lstm_step_backward", "h_prev: B H, dh: B H, dc: B H", h_prev, dh, dc)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_o = dh * tanh_c * o * (1 - o)
    da_g = dc * i * (1 - g * g)
    da = np.concatenate([da_i, da_f, da_o, da_g], axis=-1)
    grads = {"W_xh": x.T @ da, "W_hh": h_prev.T @ da, "b_h": da.sum(axis=0)}
    return da @ params["W_xh"].T, (da @ params["W_hh"].T, dc * f), grads


def clamp_gate(params: Params, gate: str, is_open: bool) -> Params:
    """A copy of an LSTM's parameters in which one gate stays open, or shut, whatever comes.

    Its weights are 0 and its biases 40 or -40, so that it is 1 or 0 at every step, and its slope is 0: training
    does not move it either.

    Parameters
    ----------
    params   W_xh (D, 4H), W_hh (H, 4H), b_h (4H,), blocks i, f, o, g; other entries are copied. Not changed.
    gate     "i", "f" or "o".
    is_open  True for 1, False for 0.

    Returns
    -------
    parameters with the names, shapes and dtypes of params, in arrays of their own.

    Raises
    ------
    ValueError  gate is none of the three.

    Chapter: 06-lstm. Equation: clamp-gate.
    """
    if gate not in ("i", "f", "o"):
        raise ValueError(f"clamp_gate: gate is {gate!r}, expected 'i', 'f' or 'o'")
    H = len(params["b_h"]) // 4
    block = slice("ifo".index(gate) * H, ("ifo".index(gate) + 1) * H)
    clamped = {name: value.copy() for name, value in params.items()}
    clamped["W_xh"][:, block] = 0
    clamped["W_hh"][:, block] = 0
    clamped["b_h"][block] = WIDE if is_open else -WIDE
    return clamped


def _check(where: str, params: Params, x: Array, h_prev: Array, c_prev: Array) -> None:
    weights = take(where, params, "W_xh", "W_hh", "b_h")
    spec = "x: B D, h_prev: B H, c_prev: B H, W_xh: D 4H, W_hh: H 4H, b_h: 4H"
    match_shapes(where, spec, x, h_prev, c_prev, *weights)
