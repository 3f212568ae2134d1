"""The Jordan cell: what the net remembers is what it put out.

Chapter: 05-jordan
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["jordan_as_elman", "jordan_init", "jordan_step", "jordan_step_backward", "jordan_teacher_forced"]


def jordan_init(
    rng: np.random.Generator, input_size: int, hidden_size: int, output_size: int, dtype: DTypeLike = np.float64
) -> Params:
    """Random weights scaled by their fan-in, and zero biases.

    Parameters
    ----------
    rng          the only source of randomness.
    input_size   D, at least 1.
    hidden_size  H, at least 1.
    output_size  K, at least 1.
    dtype        of the arrays returned.

    Returns
    -------
    W_xh (D, H) from N(0, 1/D), W_yh (K, H) from N(0, 1/K), b_h (H,) of zeros,
    W_hy (H, K) from N(0, 1/H), b_y (K,) of zeros.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 05-jordan. Equation: jordan-init.
    """
    D, H, K = input_size, hidden_size, output_size
    if min(D, H, K) < 1:
        raise ValueError(f"jordan_init: sizes must be at least 1, got input {D}, hidden {H} and output {K}")
    W_xh = rng.standard_normal((D, H)) / np.sqrt(D)
    W_yh = rng.standard_normal((K, H)) / np.sqrt(K)
    W_hy = rng.standard_normal((H, K)) / np.sqrt(H)
    params = {"W_xh": W_xh, "W_yh": W_yh, "b_h": np.zeros(H), "W_hy": W_hy, "b_y": np.zeros(K)}
    return {name: value.astype(dtype) for name, value in params.items()}


def jordan_step(params: Params, x: Array, state: State, phi: str = "tanh", psi: str = "linear") -> tuple[State, Cache]:
    """One step of a Jordan cell for a batch: the state is the output.

        h_t = phi(W_xh x_t + W_yh y_{t-1} + b_h),    y_t = psi(W_hy h_t + b_y)

    Parameters
    ----------
    params  W_xh (D, H), W_yh (K, H), b_h (H,), W_hy (H, K), b_y (K,).
    x       this step's input, (B, D).
    state   (y_prev,), y_prev (B, K): the output of the step before, or the target it should have had.
    phi     "tanh" or "relu".
    psi     "linear" or "tanh".

    Returns
    -------
    (state (y,) with y (B, K), cache (x, y_prev, h, y))

    Raises
    ------
    ValueError  a shape does not fit, or phi or psi is none of these.

    Chapter: 05-jordan. Equation: jordan-step. Source: Jordan (1986).
    """
    (y_prev,) = state
    _check("jordan_step", params, x, y_prev, phi, psi)
    a = x @ params["W_xh"] + y_prev @ params["W_yh"] + params["b_h"]
    h = np.tanh(a) if phi == "tanh" else np.maximum(a, 0)
    z = h @ params["W_hy"] + params["b_y"]
    y = np.tanh(z) if psi == "tanh" else z
    return (y,), (x, y_prev, h, y)


def jordan_step_backward(
    params: Params, dstate: State, cache: Cache, phi: str = "tanh", psi: str = "linear"
) -> tuple[Array, State, Params]:
    """Gradients of one Jordan step, from those of the output that is also its state.

    Parameters
    ----------
    params  as in `jordan_step`.
    dstate  (dy,), dL/dy of this step's output, from its loss and from the next step together, (B, K).
    cache   (x, y_prev, h, y) from `jordan_step`.
    phi     "tanh" or "relu", as in the forward step.
    psi     "linear" or "tanh", as in the forward step.

    Returns
    -------
    (dx (B, D), dstate_prev (dy_prev,) with dy_prev (B, K), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit, or phi or psi is none of these.

    Chapter: 05-jordan. Equation: jordan-step-backward. Source: Jordan (1986).
    """
    (dy,), (x, y_prev, h, y) = dstate, cache
    _check("jordan_step_backward", params, x, y_prev, phi, psi)
    match_shapes("jordan_step_backward", "y: B K, dy: B K, W_hy: H K, h: B H", y, dy, params["W_hy"], h)
    dz = dy * (1 - y * y) if psi == "tanh" else dy
    dh = dz @ params["W_hy"].T
    da = dh * (1 - h * h if phi == "tanh" else (h > 0).astype(h.dtype))
    grads = {
        "W_xh": x.T @ da,
        "W_yh": y_prev.T @ da,
        "b_h": da.sum(axis=0),
        "W_hy": h.T @ dz,
        "b_y": dz.sum(axis=0),
    }
    return da @ params["W_xh"].T, (da @ params["W_yh"].T,), grads


def jordan_teacher_forced(
    params: Params, xs: Array, targets: Array, start: State, phi: str = "tanh", psi: str = "linear"
) -> tuple[Array, Cache]:
    """All steps of a sequence at once, when each is fed the output that the step before should have given.

        y_t = step(x_t, target_{t-1}),    target_0 = start

    Parameters
    ----------
    params   as in `jordan_step`.
    xs       inputs, (T, B, D).
    targets  the wanted outputs, (T, B, K); the last one is fed to no step.
    start    (y_0,), y_0 (B, K).
    phi      "tanh" or "relu".
    psi      "linear" or "tanh".

    Returns
    -------
    (ys (T, B, K), the cache of the one `jordan_step` that computed them, for T * B rows, time first)

    Raises
    ------
    ValueError  a shape does not fit, or phi or psi is none of these.

    Chapter: 05-jordan. Equation: jordan-teacher-forced. Source: Williams & Zipser (1989).
    """
    (y_0,) = start
    match_shapes("jordan_teacher_forced", "xs: T B D, targets: T B K, start: B K", xs, targets, y_0)
    fed = np.concatenate([y_0[None], targets[:-1]])
    rows, fed_rows = xs.reshape(-1, xs.shape[-1]), fed.reshape(-1, fed.shape[-1])
    (ys,), cache = jordan_step(params, rows, (fed_rows,), phi, psi)
    return ys.reshape(targets.shape), cache


def jordan_as_elman(params: Params) -> Params:
    """The Elman cell that has the hidden states of a Jordan cell with linear output.

        W_yh (W_hy h + b_y) + b_h  =  (W_yh W_hy) h + (W_yh b_y + b_h)

    Parameters
    ----------
    params  of a Jordan cell, as in `jordan_step`.

    Returns
    -------
    W_xh (D, H), W_hh (H, H) of rank at most K, b_h (H,): an Elman cell whose state after each step is
    the Jordan cell's h, if it starts from an h_0 whose output is the Jordan cell's y_0.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 05-jordan. Equation: jordan-as-elman.
    """
    names = ("W_xh", "W_yh", "b_h", "W_hy", "b_y")
    W_xh, W_yh, b_h, W_hy, b_y = take("jordan_as_elman", params, *names)
    match_shapes("jordan_as_elman", "W_xh: D H, W_yh: K H, b_h: H, W_hy: H K, b_y: K", W_xh, W_yh, b_h, W_hy, b_y)
    return {"W_xh": W_xh.copy(), "W_hh": W_hy @ W_yh, "b_h": b_h + b_y @ W_yh}


def _check(where: str, params: Params, x: Array, y_prev: Array, phi: str, psi: str) -> None:
    weights = take(where, params, "W_xh", "W_yh", "b_h", "W_hy", "b_y")
    spec = "x: B D, y_prev: B K, W_xh: D H, W_yh: K H, b_h: H, W_hy: H K, b_y: K"
    match_shapes(where, spec, x, y_prev, *weights)
    if phi not in ("tanh", "relu"):
        raise ValueError(f"{where}: phi is {phi!r}, expected 'tanh' or 'relu'")
    if psi not in ("linear", "tanh"):
        raise ValueError(f"{where}: psi is {psi!r}, expected 'linear' or 'tanh'")
