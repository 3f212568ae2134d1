"""Whole sequences at once: Elman, LSTM and GRU, forward and back, with as little as possible in the loop.

Each pair does what `partial(rnn_forward, step)` and `partial(backward_through_time, step_backward)` do with the cell's
own steps, to rounding, and takes their place. Only what needs the state of the step before stays in the loop:

- W_xh x_t is one product for all steps ahead of it; the gradients of weights and inputs are one product each behind it.
- sigma(a) = (1 + tanh(a / 2)) / 2, with the inner half folded into the weights: one tanh does all gates of a step.
- The arrays of a step lie in blocks (B, H), one behind the other, and blocks that are treated alike are neighbors: one
  call works on several of them, in contiguous memory. It writes into memory that is there already, its last argument.
- Slopes need no gradient, so the way back computes them ahead of its loop. It goes in stretches of steps that are short
  enough for the slopes to stay in the processor's cache until their step comes.

The caches are one tuple of arrays, (xs, states, blocks), which each forward function describes; they hold `xs` itself,
as those of the plain path do.

Chapter: 10-bptt
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["elman_backward", "elman_forward", "gru_backward", "gru_forward", "lstm_backward", "lstm_forward"]

STRETCH = 2**17  # floats in the slopes of a stretch: with what they are made from, 1 MB of float32, half of a cache

Shape = tuple[int, int, int, np.dtype]  # T, B, H, and what to compute in


def elman_forward(params: Params, xs: Array, state: State, phi: str = "tanh") -> tuple[Array, State, Cache]:
    """Run an Elman cell over a whole sequence.

        h_t = phi(W_xh x_t + W_hh h_{t-1} + b_h)        t = 1 .. T

    Parameters
    ----------
    params  W_xh (D, H), W_hh (H, H), b_h (H,).
    xs      inputs, (T, B, D), T at least 1.
    state   (h,) before the first step, (B, H).
    phi     "tanh" or "relu".

    Returns
    -------
    (hs (T, B, H), last state (h,), caches (xs, states (T+1, B, H) from the first on))

    Raises
    ------
    ValueError  a shape does not fit, there is no step, or phi is neither of the two.

    Chapter: 10-bptt. Equation: rnn-forward. Source: Elman (1990).
    """
    _check_option("elman_forward", "phi", phi, "tanh", "relu")
    T, B, H, dtype = _check("elman_forward", params, xs, state, "h: B H", blocks=1)
    W_hh, zero = _contiguous(params["W_hh"], dtype), np.zeros((), dtype)
    states, recalled = np.empty((T + 1, B, H), dtype), np.empty((B, H), dtype)
    states[0] = state[0]
    np.matmul(xs, params["W_xh"], states[1:])
    states[1:] += np.tile(params["b_h"], (B, 1))
    for h_prev, h in pairwise(states):
        np.matmul(h_prev, W_hh, recalled)
        np.add(h, recalled, h)
        if phi == "tanh":
            np.tanh(h, h)
        else:
            np.maximum(h, zero, out=h)
    return states[1:].copy(), (states[-1].copy(),), (xs, states)


def elman_backward(
    params: Params, dhs: Array, dlast: State, caches: Cache, phi: str = "tanh"
) -> tuple[Array, State, Params]:
    """Gradients of `elman_forward`.

    Parameters
    ----------
    params  as in the forward pass.
    dhs     dL/dh_t from the outputs, (T, B, H).
    dlast   (dh,), gradient of the last state that does not come through dhs; zeros if unused.
    caches  of `elman_forward`.
    phi     as in the forward pass.

    Returns
    -------
    (dxs (T, B, D), gradient of the first state, grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit, or phi is neither of the two.

    Chapter: 10-bptt. Equation: bptt. Source: Werbos (1990).
    """
    _check_option("elman_backward", "phi", phi, "tanh", "relu")
    _check_caches("elman_backward", caches, blocks=0)
    T, B, H, dtype = _check_back("elman_backward", params, dhs, dlast, "dh: B H", caches, blocks=1)
    xs, states = caches
    W_back, W_in = _contiguous(params["W_hh"].T, dtype), _contiguous(params["W_xh"].T, dtype)
    dxs, grads = np.empty(xs.shape, dtype), {name: np.zeros_like(value) for name, value in params.items()}
    dh = dlast[0].astype(dtype)
    for steps in _stretches(T, B * H):
        hs = states[1:][steps]
        das = 1 - hs * hs if phi == "tanh" else (hs > 0).astype(dtype)  # slopes; each becomes da at its step
        for da, dh_out in zip(das[::-1], dhs[steps][::-1], strict=True):
            np.add(dh, dh_out, dh)
            np.multiply(da, dh, da)
            np.matmul(da, W_back, dh)
        rows = _rows(das)
        np.matmul(rows, W_in, _rows(dxs[steps]))
        grads["W_xh"] += _rows(xs[steps]).T @ rows
        grads["W_hh"] += _rows(states[steps]).T @ rows
        grads["b_h"] += _sum(rows)
    return dxs, (dh,), grads


def lstm_forward(params: Params, xs: Array, state: State) -> tuple[Array, State, Cache]:
    """Run an LSTM cell over a whole sequence.

        i, f, o = sigma(W_x. x_t + W_h. h_{t-1} + b.)      g = tanh(W_xg x_t + W_hg h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g                          h_t = o * tanh(c_t)

    Parameters
    ----------
    params  W_xh (D, 4H), W_hh (H, 4H), b_h (4H,); blocks i, f, o, g.
    xs      inputs, (T, B, D), T at least 1.
    state   (h, c) before the first step, each (B, H).

    Returns
    -------
    (hs (T, B, H), last state (h, c), caches (xs, states h (T+1, B, H) from the first on, blocks (T, 6, B, H):
    o, i, f, g, c_{t-1}, tanh(c_t)))

    Raises
    ------
    ValueError  a shape does not fit, or there is no step.

    Chapter: 10-bptt. Equation: lstm-step. Source: Hochreiter & Schmidhuber (1997), Gers et al. (2000).
    """
    T, B, H, dtype = _check("lstm_forward", params, xs, state, "h: B H, c: B H", blocks=4)
    W_xh, W_hh, b_h = _gate_blocks(params, OIFG, [0.5, 0.5, 0.5, 1], B, dtype)
    states, blocks, last_c = np.empty((T + 1, B, H), dtype), np.empty((T, 6, B, H), dtype), np.empty((B, H), dtype)
    states[0], blocks[0, 4] = state
    np.matmul(xs[:, None], W_xh, blocks[:, :4])
    blocks[:, :4] += b_h
    recalled, added, half = np.empty((4, B, H), dtype), np.empty((2, B, H), dtype), np.full((), 0.5, dtype)
    from_input, from_memory = added
    for h_prev, gates, sigmoids, keep, kept, c, tanh_c, o, h in zip(
        states[:-1],
        blocks[:, :4],
        blocks[:, :3],
        blocks[:, 1:3],  # i, f
        blocks[:, 3:5],  # g, c_{t-1}
        [*blocks[1:, 4], last_c],
        blocks[:, 5],
        blocks[:, 0],
        states[1:],
        strict=True,
    ):
        np.matmul(h_prev, W_hh, recalled)
        np.add(gates, recalled, gates)
        np.tanh(gates, gates)
        np.multiply(sigmoids, half, sigmoids)
        np.add(sigmoids, half, sigmoids)
        np.multiply(keep, kept, added)
        np.add(from_input, from_memory, c)
        np.tanh(c, tanh_c)
        np.multiply(o, tanh_c, h)
    return states[1:].copy(), (states[-1].copy(), last_c), (xs, states, blocks)


def lstm_backward(params: Params, dhs: Array, dlast: State, caches: Cache) -> tuple[Array, State, Params]:
    """Gradients of `lstm_forward`.

    Parameters
    ----------
    params  as in the forward pass.
    dhs     dL/dh_t from the outputs, (T, B, H).
    dlast   (dh, dc), gradient of the last state that does not come through dhs; zeros if unused.
    caches  of `lstm_forward`.

    Returns
    -------
    (dxs (T, B, D), gradients of the first state (dh, dc), grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 10-bptt. Equation: bptt, lstm-step-backward. Source: Werbos (1990).
    """
    _check_caches("lstm_backward", caches, blocks=6)
    T, B, H, dtype = _check_back("lstm_backward", params, dhs, dlast, "dh: B H, dc: B H", caches, blocks=4)
    xs, states, blocks = caches
    W_in, W_back = (_contiguous(_reordered(params[name], OIFG).T, dtype) for name in ("W_xh", "W_hh"))
    dxs, grads = np.empty(xs.shape, dtype), {name: np.zeros_like(value) for name, value in params.items()}
    dh, carry, dc = dlast[0].astype(dtype), dlast[1].astype(dtype), np.empty((B, H), dtype)
    for steps in _stretches(T, 6 * B * H):
        slopes = _lstm_slopes(states[1:][steps], blocks[steps])
        das = np.empty((len(slopes), B, 4 * H), dtype)  # o, i, f, g
        for by_dh, to_c, by_dc, to_c_prev, gates, da, da_blocks, dh_out in zip(
            slopes[::-1, :2],  # of c and o
            slopes[::-1, 0],
            slopes[::-1, 2:],  # of i, f, g, and c_{t-1}
            slopes[::-1, 5],
            slopes[::-1, 1:5],
            das[::-1],
            _as_blocks(das, 4)[::-1],
            dhs[steps][::-1],
            strict=True,
        ):
            np.add(dh, dh_out, dh)
            np.multiply(by_dh, dh, by_dh)
            np.add(carry, to_c, dc)
            np.multiply(by_dc, dc, by_dc)
            np.copyto(da_blocks, gates)
            np.matmul(da, W_back, dh)
            carry = to_c_prev
        rows = _rows(das)
        np.matmul(rows, W_in, _rows(dxs[steps]))
        grads["W_xh"] += _rows(xs[steps]).T @ rows
        grads["W_hh"] += _rows(states[steps]).T @ rows
        grads["b_h"] += _sum(rows)
    return dxs, (dh, carry.copy()), grads | {name: _reordered(grads[name], IFOG) for name in ("W_xh", "W_hh", "b_h")}


def gru_forward(params: Params, xs: Array, state: State, reset: str = "before") -> tuple[Array, State, Cache]:
    """Run a GRU cell over a whole sequence, in one of its two forms.

        z, r = sigma(W_x. x_t + W_h. h_{t-1} + b.)        h_t = (1 - z) * h_{t-1} + z * n
        before:  n = tanh(W_xh x_t + W_hh (r * h_{t-1}) + b_h)
        after:   n = tanh(W_xh x_t + r * (W_hh h_{t-1} + b_hh) + b_h)

    Parameters
    ----------
    params  W_xh (D, 3H), W_hh (H, 3H), b_h (3H,), blocks z, r, h; for "after" also b_hh (H,).
    xs      inputs, (T, B, D), T at least 1.
    state   (h,) before the first step, (B, H).
    reset   "before" or "after".

    Returns
    -------
    (hs (T, B, H), last state (h,), caches (xs, states (T+1, B, H) from the first on, blocks (T, 4, B, H): n, z, r, u))
    where u is r * h_{t-1} for "before" and W_hh h_{t-1} + b_hh for "after"

    Raises
    ------
    ValueError  a shape does not fit, there is no step, or reset is neither of the two.

    Chapter: 10-bptt. Equation: gru-step. Source: Cho et al. (2014).
    """
    _check_option("gru_forward", "reset", reset, "before", "after")
    after = reset == "after"
    T, B, H, dtype = _check("gru_forward", params, xs, state, "h: B H", blocks=3, b_hh=after)
    W_xh, W_hh, b_h = _gate_blocks(params, NZR, [1, 0.5, 0.5], B, dtype)
    states, blocks = np.empty((T + 1, B, H), dtype), np.empty((T, 4, B, H), dtype)
    states[0] = state[0]
    np.matmul(xs[:, None], W_xh, blocks[:, :3])
    blocks[:, :3] += b_h
    if after:
        blocks[:, 3] = params["b_hh"]
        W_zru, with_h = W_hh[[1, 2, 0]], blocks[:, 1:]
    else:
        W_zru, with_h = W_hh[1:], blocks[:, 1:3]
    recalled, change = np.empty((len(W_zru), B, H), dtype), np.empty((B, H), dtype)
    half = np.full((), 0.5, dtype)
    for h_prev, sums, gates, n, z, r, u, h in zip(
        states[:-1],
        with_h,
        blocks[:, 1:3],
        *np.moveaxis(blocks, 1, 0),
        states[1:],
        strict=True,
    ):
        np.matmul(h_prev, W_zru, recalled)
        np.add(sums, recalled, sums)
        np.tanh(gates, gates)
        np.multiply(gates, half, gates)
        np.add(gates, half, gates)
        if after:
            np.multiply(r, u, change)
        else:
            np.multiply(r, h_prev, u)
            np.matmul(u, W_hh[0], change)
        np.add(n, change, n)
        np.tanh(n, n)
        np.subtract(n, h_prev, change)
        np.multiply(z, change, change)
        np.add(h_prev, change, h)
    return states[1:].copy(), (states[-1].copy(),), (xs, states, blocks)


def gru_backward(
    params: Params, dhs: Array, dlast: State, caches: Cache, reset: str = "before"
) -> tuple[Array, State, Params]:
    """Gradients of `gru_forward`.

    Parameters
    ----------
    params  as in the forward pass.
    dhs     dL/dh_t from the outputs, (T, B, H).
    dlast   (dh,), gradient of the last state that does not come through dhs; zeros if unused.
    caches  of `gru_forward`.
    reset   as in the forward pass.

    Returns
    -------
    (dxs (T, B, D), gradient of the first state, grads with the names and shapes of params)

    Raises
    ------
    ValueError  a shape does not fit, or reset is neither of the two.

    Chapter: 10-bptt. Equation: bptt, gru-step-backward. Source: Werbos (1990).
    """
    _check_option("gru_backward", "reset", reset, "before", "after")
    after = reset == "after"
    _check_caches("gru_backward", caches, blocks=4)
    T, B, H, dtype = _check_back("gru_backward", params, dhs, dlast, "dh: B H", caches, blocks=3, b_hh=after)
    xs, states, blocks = caches
    W_in, W_back = _contiguous(_reordered(params["W_xh"], NZR).T, dtype), _contiguous(params["W_hh"].T, dtype)
    dxs, grads = np.empty(xs.shape, dtype), {name: np.zeros_like(value) for name, value in params.items()}
    undo = _undo_after if after else _undo_before
    dh = dlast[0].astype(dtype)
    for steps in _stretches(T, 5 * B * H):
        h_prev, (_, _, _, u) = states[steps], np.moveaxis(blocks[steps], 1, 0)
        das = undo(W_back, dhs[steps], dh, h_prev, blocks[steps])
        rows = _rows(das)
        inputs, recurrent = rows[:, : 3 * H], rows[:, H:]
        np.matmul(inputs, W_in, _rows(dxs[steps]))
        grads["W_xh"] += _rows(xs[steps]).T @ inputs
        grads["b_h"] += _sum(inputs)
        if after:
            grads["W_hh"] += _rows(h_prev).T @ recurrent
            grads["b_hh"] += _sum(rows[:, 3 * H :])
        else:
            grads["W_hh"][:, : 2 * H] += _rows(h_prev).T @ recurrent
            grads["W_hh"][:, 2 * H :] += _rows(u).T @ rows[:, :H]
    return dxs, (dh,), grads | {name: _reordered(grads[name], ZRN) for name in ("W_xh", "b_h")}


def _undo_after(W_back: Array, dhs: Array, dh: Array, h_prev: Array, blocks: Array) -> Array:
    """Rows (steps, B, 4H) of da_n, da_z, da_r, du; dh is taken to before the first of these steps, in place."""
    n, z, r, u = np.moveaxis(blocks, 1, 0)
    steps, _, B, H = blocks.shape
    slopes, das = np.empty((steps, 5, B, H), blocks.dtype), np.empty((steps, B, 4 * H), blocks.dtype)
    of_n, of_z, of_r, of_u, of_h = np.moveaxis(slopes, 1, 0)
    np.subtract(1, z, of_h)
    np.subtract(n, h_prev, of_z)
    np.multiply(of_z, z, of_z)
    np.multiply(of_z, of_h, of_z)
    _one_minus_square(n, of_n)
    np.multiply(of_n, z, of_n)
    np.multiply(of_n, r, of_u)
    np.subtract(1, r, of_r)
    np.multiply(of_r, u, of_r)
    np.multiply(of_r, of_u, of_r)
    for slope, gates, to_h, da_recurrent, da_blocks, dh_out in zip(
        slopes[::-1],
        slopes[::-1, :4],
        of_h[::-1],
        das[::-1, :, H:],
        _as_blocks(das, 4)[::-1],
        dhs[::-1],
        strict=True,
    ):
        np.add(dh, dh_out, dh)
        np.multiply(slope, dh, slope)
        np.copyto(da_blocks, gates)
        np.matmul(da_recurrent, W_back, dh)
        np.add(dh, to_h, dh)
    return das


def _undo_before(W_back: Array, dhs: Array, dh: Array, h_prev: Array, blocks: Array) -> Array:
    """Rows (steps, B, 3H) of da_n, da_z, da_r; dh is taken to before the first of these steps, in place."""
    n, z, r, u = np.moveaxis(blocks, 1, 0)
    steps, _, B, H = blocks.shape
    slopes, das = np.empty((steps, 5, B, H), blocks.dtype), np.empty((steps, B, 3 * H), blocks.dtype)
    of_h, of_n, of_z, of_r, of_u = np.moveaxis(slopes, 1, 0)
    np.subtract(1, z, of_h)
    np.subtract(n, h_prev, of_z)
    np.multiply(of_z, z, of_z)
    np.multiply(of_z, of_h, of_z)
    _one_minus_square(n, of_n)
    np.multiply(of_n, z, of_n)
    np.subtract(1, r, of_r)
    np.multiply(of_r, u, of_r)
    np.copyto(of_u, r)
    W_zr, W_n = W_back[: 2 * H], W_back[2 * H :]
    du = np.empty_like(dh)
    for by_dh, da_n, by_du, gates, to_h, through_u, da_zr, da_blocks, dh_out in zip(
        slopes[::-1, :3],
        of_n[::-1],
        slopes[::-1, 3:],
        slopes[::-1, 1:4],
        of_h[::-1],
        of_u[::-1],
        das[::-1, :, H:],
        _as_blocks(das, 3)[::-1],
        dhs[::-1],
        strict=True,
    ):
        np.add(dh, dh_out, dh)
        np.multiply(by_dh, dh, by_dh)
        np.matmul(da_n, W_n, du)
        np.multiply(by_du, du, by_du)
        np.copyto(da_blocks, gates)
        np.matmul(da_zr, W_zr, dh)
        np.add(dh, to_h, dh)
        np.add(dh, through_u, dh)
    return das


def _lstm_slopes(hs: Array, blocks: Array) -> Array:
    """(steps, 6, B, H): of c and a_o by h, of a_i, a_f, a_g and c_{t-1} by c."""
    o, i, f, g, _, tanh_c = np.moveaxis(blocks, 1, 0)
    slopes = np.empty_like(blocks)
    c_by_h, o_by_h, _, _, g_by_c, carry_by_c = np.moveaxis(slopes, 1, 0)
    np.multiply(hs, tanh_c, c_by_h)
    np.subtract(o, c_by_h, c_by_h)  # o (1 - tanh_c^2)
    np.subtract(1, blocks[:, :3], slopes[:, 1:4])
    np.multiply(o_by_h, hs, o_by_h)
    i_and_f = slopes[:, 2:4]
    np.multiply(i_and_f, blocks[:, 1:3], i_and_f)
    np.multiply(i_and_f, blocks[:, 3:5], i_and_f)  # times g and c_{t-1}
    _one_minus_square(g, g_by_c)
    np.multiply(g_by_c, i, g_by_c)
    np.copyto(carry_by_c, f)
    return slopes


OIFG, IFOG = (2, 0, 1, 3), (1, 2, 0, 3)  # an LSTM's blocks i, f, o, g as o, i, f, g, and back
NZR, ZRN = (2, 0, 1), (1, 2, 0)  # a GRU's blocks z, r, n as n, z, r, and back


def _gate_blocks(
    params: Params, order: Sequence[int], factors: Sequence[float], B: int, dtype: np.dtype
) -> list[Array]:
    """W_xh (k, D, H), W_hh (k, H, H) and b_h (k, B, H), blocks in this order, each times the factor of its place."""
    arrays = params["W_xh"], params["W_hh"], np.tile(params["b_h"], (B, 1))
    scale = np.array(factors, dtype)[:, None, None]
    blocks = (array.reshape(len(array), len(order), -1).swapaxes(0, 1) for array in arrays)
    return [_contiguous(block[list(order)] * scale, dtype) for block in blocks]


def _reordered(array: Array, order: Sequence[int]) -> Array:
    """A copy with the blocks of the last axis in this order."""
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return blocks[..., list(order), :].reshape(array.shape)


def _as_blocks(das: Array, count: int) -> Array:
    """A view of rows (steps, B, count H) as blocks (steps, count, B, H)."""
    return das.reshape(*das.shape[:2], count, -1).swapaxes(1, 2)


def _rows(array: Array) -> Array:
    """Steps and sequences one below the other: one product with it adds up over both."""
    return array.reshape(-1, array.shape[-1])


def _sum(rows: Array) -> Array:
    """The sum of all rows, as a product: faster than adding row by row."""
    return np.ones(len(rows), rows.dtype) @ rows


def _one_minus_square(array: Array, out: Array) -> None:
    np.multiply(array, array, out)
    np.subtract(1, out, out)


def _stretches(T: int, floats_per_step: int) -> Iterator[slice]:
    """Slices of about the same number of steps, the last one first."""
    steps = max(1, STRETCH // max(1, floats_per_step))
    steps = -(-T // -(-T // steps))  # the shortest for as many stretches: no short one is left over
    for stop in range(T, 0, -steps):
        yield slice(max(0, stop - steps), stop)


def _contiguous(array: Array, dtype: np.dtype) -> Array:
    return np.ascontiguousarray(array, dtype)


def _check(where: str, params: Params, xs: Array, state: State, states: str, blocks: int, b_hh: bool = False) -> Shape:
    """Sizes and dtype of a forward pass, if everything fits together."""
    weights, spec = _weights(where, params, blocks, b_hh)
    sizes = match_shapes(where, f"xs: T B D, {states}, {spec}", xs, *state, *weights)
    if sizes["T"] == 0:
        raise ValueError(f"{where}: xs has shape {xs.shape}, expected at least one step (T >= 1)")
    return sizes["T"], sizes["B"], sizes["H"], np.result_type(xs, *state, *weights)


def _check_back(
    where: str, params: Params, dhs: Array, dlast: State, dstates: str, caches: Cache, blocks: int, b_hh: bool = False
) -> Shape:
    """Sizes and dtype of the way back; the dtype is that of the forward pass."""
    weights, spec = _weights(where, params, blocks, b_hh)
    xs, hs = caches[0], caches[1][1:]
    sizes = match_shapes(where, f"xs: T B D, hs: T B H, dhs: T B H, {dstates}, {spec}", xs, hs, dhs, *dlast, *weights)
    return sizes["T"], sizes["B"], sizes["H"], hs.dtype


def _weights(where: str, params: Params, blocks: int, b_hh: bool) -> tuple[tuple[Array, ...], str]:
    weights = take(where, params, "W_xh", "W_hh", "b_h", *(["b_hh"] if b_hh else []))
    return weights, f"W_xh: D {blocks}H, W_hh: H {blocks}H, b_h: {blocks}H" + (", b_hh: H" if b_hh else "")


def _check_caches(where: str, caches: Cache, blocks: int) -> None:
    """They are those of the forward function of the same cell, not of the plain path or another cell."""
    shapes = [np.shape(array) for array in caches] if isinstance(caches, tuple) else []
    fits = len(shapes) == 3 and shapes[2][1:2] == (blocks,) if blocks else len(shapes) == 2
    if not fits:
        forward = where.replace("backward", "forward")
        raise TypeError(f"{where}: caches are a {type(caches).__name__} of {len(caches)}, expected those of {forward}")


def _check_option(where: str, name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{where}: {name} is {value!r}, expected {' or '.join(map(repr, allowed))}")
