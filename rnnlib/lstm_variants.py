"""Two variants of the LSTM cell: gates that see the memory (peepholes), and one gate for two jobs (coupled).

Chapter: 06-lstm
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.activations import sigmoid
from rnnlib.contracts import match_shapes, take
from rnnlib.lstm import lstm_init, lstm_step, lstm_step_backward
from rnnlib.types import Array, Cache, Params, State

__all__ = [
    "coupled_lstm_init",
    "coupled_lstm_step",
    "coupled_lstm_step_backward",
    "peephole_lstm_init",
    "peephole_lstm_step",
    "peephole_lstm_step_backward",
]


# --- peepholes


def peephole_lstm_init(
    rng: np.random.Generator,
    input_size: int,
    hidden_size: int,
    forget_bias: float = 1.0,
    dtype: DTypeLike = np.float64,
) -> Params:
    """The first weights of an LSTM, and peepholes that start shut.

    Returns
    -------
    what `lstm_init` returns, and p_i, p_f, p_o (H,) of zeros, in `dtype`.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 06-lstm. Source: Gers et al. (2002).
    """
    params = lstm_init(rng, input_size, hidden_size, forget_bias, dtype)
    return params | {name: np.zeros(hidden_size, dtype) for name in ("p_i", "p_f", "p_o")}


def peephole_lstm_step(params: Params, x: Array, state: State) -> tuple[State, Cache]:
    """One step of an LSTM whose gates see the memory: input and forget gate the old one, output gate the new one.

        i, f add p_i * c_{t-1}, p_f * c_{t-1} to their sums, o adds p_o * c_t; the rest is `lstm_step`

    Parameters
    ----------
    params  W_xh (D, 4H), W_hh (H, 4H), b_h (4H,), blocks i, f, o, g; p_i, p_f, p_o (H,).
    x       this step's input, (B, D).
    state   (h_prev, c_prev), each (B, H).

    Returns
    -------
    (state (h, c), cache (x, h_prev, c_prev, i, f, o, g, c))

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-peephole. Source: Gers et al. (2002).
    """
    h_prev, c_prev = state
    _check_peephole("peephole_lstm_step", params, x, h_prev, c_prev)
    a = x @ params["W_xh"] + h_prev @ params["W_hh"] + params["b_h"]
    a_i, a_f, a_o, a_g = np.split(a, 4, axis=-1)
    i = sigmoid(a_i + params["p_i"] * c_prev)
    f = sigmoid(a_f + params["p_f"] * c_prev)
    g = np.tanh(a_g)
    c = f * c_prev + i * g
    o = sigmoid(a_o + params["p_o"] * c)
    return (o * np.tanh(c), c), (x, h_prev, c_prev, i, f, o, g, c)


def peephole_lstm_step_backward(params: Params, dstate: State, cache: Cache) -> tuple[Array, State, Params]:
    """Gradients of one peephole step: the memory also hears from the gates that looked at it.

    Parameters
    ----------
    params  as in `peephole_lstm_step`.
    dstate  (dh, dc), each (B, H); not changed.
    cache   (x, h_prev, c_prev, i, f, o, g, c) from `peephole_lstm_step`.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev, dc_prev), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-peephole-backward. Source: Gers et al. (2002).
    """
    (dh, dc), (x, h_prev, c_prev, i, f, o, g, c) = dstate, cache
    _check_peephole("peephole_lstm_step_backward", params, x, h_prev, c_prev)
    match_shapes("peephole_lstm_step_backward", "h_prev: B H, dh: B H, dc: B H", h_prev, dh, dc)
    tanh_c = np.tanh(c)
    da_o = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c * tanh_c) + da_o * params["p_o"]
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da = np.concatenate([da_i, da_f, da_o, da_g], axis=-1)
    grads = {"W_xh": x.T @ da, "W_hh": h_prev.T @ da, "b_h": da.sum(axis=0)}
    seen = {"p_i": da_i * c_prev, "p_f": da_f * c_prev, "p_o": da_o * c}
    grads |= {name: value.sum(axis=0) for name, value in seen.items()}
    dc_prev = dc * f + da_i * params["p_i"] + da_f * params["p_f"]
    return da @ params["W_xh"].T, (da @ params["W_hh"].T, dc_prev), grads


def _check_peephole(where: str, params: Params, x: Array, h_prev: Array, c_prev: Array) -> None:
    weights = take(where, params, "W_xh", "W_hh", "b_h", "p_i", "p_f", "p_o")
    spec = "x: B D, h_prev: B H, c_prev: B H, W_xh: D 4H, W_hh: H 4H, b_h: 4H, p_i: H, p_f: H, p_o: H"
    match_shapes(where, spec, x, h_prev, c_prev, *weights)


# --- coupled gates


def coupled_lstm_init(
    rng: np.random.Generator,
    input_size: int,
    hidden_size: int,
    forget_bias: float = 1.0,
    dtype: DTypeLike = np.float64,
) -> Params:
    """The first weights of an LSTM without an input gate.

    Returns
    -------
    W_xh (D, 3H) from N(0, 1/D), W_hh (H, 3H) from N(0, 1/H), b_h (3H,) of zeros but for block f.
    Blocks f, o, g.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 06-lstm. Source: Greff et al. (2017).
    """
    if min(input_size, hidden_size) < 1:
        sizes = f"input {input_size} and hidden {hidden_size}"
        raise ValueError(f"coupled_lstm_init: sizes must be at least 1, got {sizes}")
    whole = lstm_init(rng, input_size, hidden_size, forget_bias, dtype)
    return {name: value[..., hidden_size:].copy() for name, value in whole.items()}


def coupled_lstm_step(params: Params, x: Array, state: State) -> tuple[State, Cache]:
    """One step of an LSTM that writes exactly as much as it forgets.

        c_t = f * c_{t-1} + (1 - f) * g,    h_t = o * tanh(c_t)

    Since 1 - sigma(a) = sigma(-a), it is an LSTM whose input gate has the forget gate's weights, negated.

    Parameters
    ----------
    params  W_xh (D, 3H), W_hh (H, 3H), b_h (3H,); blocks f, o, g.
    x       this step's input, (B, D).
    state   (h_prev, c_prev), each (B, H).

    Returns
    -------
    (state (h, c), cache (x, h_prev, c_prev, i, f, o, g, tanh_c), in which i is 1 - f)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-coupled. Source: Greff et al. (2017).
    """
    _check_coupled("coupled_lstm_step", params, x, *state)
    return lstm_step(_with_input_gate(params), x, state)


def coupled_lstm_step_backward(params: Params, dstate: State, cache: Cache) -> tuple[Array, State, Params]:
    """Gradients of one coupled step, from those of the state it put out.

    Parameters
    ----------
    params  as in `coupled_lstm_step`.
    dstate  (dh, dc), each (B, H); not changed.
    cache   (x, h_prev, c_prev, i, f, o, g, tanh_c) from `coupled_lstm_step`.

    Returns
    -------
    (dx (B, D), dstate_prev (dh_prev, dc_prev), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-coupled. Source: Greff et al. (2017).
    """
    _check_coupled("coupled_lstm_step_backward", params, *cache[:3])
    match_shapes("coupled_lstm_step_backward", "h_prev: B H, dh: B H, dc: B H", cache[1], *dstate)
    dx, dstate_prev, grads = lstm_step_backward(_with_input_gate(params), dstate, cache)
    return dx, dstate_prev, {name: _without_input_gate(grad) for name, grad in grads.items()}


def _with_input_gate(params: Params) -> Params:
    """Four blocks i, f, o, g for three blocks f, o, g: the input gate is the forget gate, negated."""
    hidden, wide = len(params["W_hh"]), {}
    for name in ("W_xh", "W_hh", "b_h"):
        wide[name] = np.concatenate([-params[name][..., :hidden], params[name]], axis=-1)
    return wide


def _without_input_gate(grad: Array) -> Array:
    """What the four blocks ask for, of the three that there are: f was used twice, once negated."""
    d_i, d_f, d_o, d_g = np.split(grad, 4, axis=-1)
    return np.concatenate([d_f - d_i, d_o, d_g], axis=-1)


def _check_coupled(where: str, params: Params, x: Array, h_prev: Array, c_prev: Array) -> None:
    weights = take(where, params, "W_xh", "W_hh", "b_h")
    spec = "x: B D, h_prev: B H, c_prev: B H, W_xh: D 3H, W_hh: H 3H, b_h: 3H"
    match_shapes(where, spec, x, h_prev, c_prev, *weights)
