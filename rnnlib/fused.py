"""Whole sequences at once: Elman, LSTM and GRU, forward and back, with as little as possible in the loop.

Each pair does what `partial(rnn_forward, step)` and `partial(backward_through_time, step_backward)` do with the cell's
own steps, to rounding, and takes their place. Only what needs the state of the step before stays in the loop:

- W_xh x_t is one product for all steps ahead of it, and gradients of weights and inputs are one product each after it.
- sigma(a) = (1 + tanh(a / 2)) / 2, with the halves folded into the weights: one tanh does all gates of a step.
- The arrays of a step lie in blocks (B, H), one behind the other. Blocks that are treated alike are neighbors, so one
  call works on several, each in contiguous memory. Every call writes into memory that is there already.
- Slopes do not need the gradient: the way back computes them ahead, for as many steps as the processor's cache holds.

The caches are one tuple of arrays, described at each forward function. It holds `xs` and the first state themselves:
what you write into them before the way back changes the gradients, as in the plain path.

Chapter: 10-bptt
"""

from collections.abc import Iterator, Sequence

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["elman_backward", "elman_forward", "gru_backward", "gru_forward", "lstm_backward", "lstm_forward"]

FLOATS_AHEAD = (
    2**18
)  # slopes computed ahead of the loop at a time: 1 MB of float32, half of a common second-level cache


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
    W_xh, W_hh, b_h = _weights("elman_forward", params, 1)
    dtype = _check("elman_forward", (W_xh, W_hh, b_h), xs, state, "h", 1)
    _check_option("elman_forward", "phi", phi, "tanh", "relu")
    T, B, H = *xs.shape[:2], len(W_hh)
    states = np.empty((T + 1, B, H), dtype)
    states[0] = state[0]
    np.matmul(xs, W_xh, out=states[1:])
    states[1:] += b_h
    recalled, zero = np.empty((B, H), dtype), np.zeros((), dtype)
    h_prev = states[0]
    for h in states[1:]:
        np.matmul(h_prev, W_hh, out=recalled)
        np.add(h, recalled, out=h)
        if phi == "tanh":
            np.tanh(h, out=h)
        else:
            np.maximum(h, zero, out=h)
        h_prev = h
    return states[1:].copy(), (h_prev.copy(),), (xs, states)


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
    xs, states = caches
    W_xh, W_hh, _ = _weights("elman_backward", params, 1)
    _check_gradients("elman_backward", states[1:], dhs, dlast, "dh")
    _check_option("elman_backward", "phi", phi, "tanh", "relu")
    das = 1 - states[1:] ** 2 if phi == "tanh" else (states[1:] > 0).astype(states.dtype)  # slopes, for now
    W_back = _contiguous(W_hh.T, states.dtype)
    dh = dlast[0].astype(states.dtype)
    for da, dh_out in zip(das[::-1], dhs[::-1], strict=True):
        np.add(dh, dh_out, out=dh)
        np.multiply(da, dh, out=da)
        np.matmul(da, W_back, out=dh)
    dxs, dW_xh, db_h = _input_gradients(xs, W_xh, das)
    return dxs, (dh,), {"W_xh": dW_xh, "W_hh": _product(states[:-1], das), "b_h": db_h}


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
    (hs (T, B, H), last state (h, c), caches (xs, first h, blocks (T, 6, B, H): o, i, f, g, c_{t-1}, tanh(c_t)))

    Raises
    ------
    ValueError  a shape does not fit, or there is no step.

    Chapter: 10-bptt. Equation: lstm-step. Source: Hochreiter & Schmidhuber (1997), Gers et al. (2000).
    """
    W_xh, W_hh, b_h = _weights("lstm_forward", params, 4)
    dtype = _check("lstm_forward", (W_xh, W_hh, b_h), xs, state, "h c", 4)
    T, B, H = *xs.shape[:2], len(W_hh)
    halves = [0.5, 0.5, 0.5, 1]
    W_x, W_h, b = (_blocks(array, _OIFG, halves, dtype) for array in (W_xh, W_hh, b_h[None]))
    hs, blocks, last_c = np.empty((T, B, H), dtype), np.empty((T, 6, B, H), dtype), np.empty((B, H), dtype)
    np.matmul(xs[:, None], W_x, out=blocks[:, :4])
    blocks[:, :4] += b
    blocks[0, 4] = state[1]
    recalled, added = np.empty((4, B, H), dtype), np.empty((2, B, H), dtype)
    half = np.full((), 0.5, dtype)
    h = state[0]
    for t in range(T):
        gates, o, tanh_c = blocks[t, :4], blocks[t, 0], blocks[t, 5]
        sigmoids, keep, kept = blocks[t, :3], blocks[t, 1:3], blocks[t, 3:5]  # keep: i, f; kept: g, c_{t-1}
        c = blocks[t + 1, 4] if t + 1 < T else last_c
        np.matmul(h, W_h, out=recalled)
        np.add(gates, recalled, out=gates)
        np.tanh(gates, out=gates)
        np.multiply(sigmoids, half, out=sigmoids)
        np.add(sigmoids, half, out=sigmoids)
        np.multiply(keep, kept, out=added)
        np.add(added[0], added[1], out=c)
        np.tanh(c, out=tanh_c)
        h = np.multiply(o, tanh_c, out=hs[t])
    return hs, (h.copy(), last_c), (xs, state[0], blocks)


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
    xs, first_h, blocks = caches
    W_xh, W_hh, _ = _weights("lstm_backward", params, 4)
    _check_gradients("lstm_backward", blocks[:, 0], dhs, dlast, "dh dc")
    T, _, B, H = blocks.shape
    das = np.empty((T, B, 4 * H), blocks.dtype)  # blocks o, i, f, g
    W_back = _contiguous(_columns(W_hh, _OIFG).T, blocks.dtype)
    dh, dc = dlast[0].astype(blocks.dtype), np.empty((B, H), blocks.dtype)
    carry = dlast[1].astype(blocks.dtype)
    for steps in _from_the_end(T, 6 * B * H):
        slopes = _lstm_slopes(blocks[steps])
        for slope, da, dh_out in zip(slopes[::-1], das[steps][::-1], dhs[steps][::-1], strict=True):
            np.add(dh, dh_out, out=dh)
            np.multiply(slope[:2], dh, out=slope[:2])  # what c gets, da_o
            np.add(carry, slope[0], out=dc)
            np.multiply(slope[2:], dc, out=slope[2:])  # da_i, da_f, da_g, what c_{t-1} gets
            np.copyto(da.reshape(B, 4, H), slope[1:5].transpose(1, 0, 2))
            np.matmul(da, W_back, out=dh)
            carry = slope[5]
    h_prev = np.empty((T, B, H), blocks.dtype)
    h_prev[0] = first_h
    np.multiply(blocks[:-1, 0], blocks[:-1, 5], out=h_prev[1:])
    dxs, dW_xh, db_h = _input_gradients(xs, _columns(W_xh, _OIFG), das)
    grads = {"W_xh": dW_xh, "W_hh": _product(h_prev, das), "b_h": db_h}
    return dxs, (dh, carry.copy()), {name: _columns(grad, _IFOG) for name, grad in grads.items()}


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
    (hs (T, B, H), last state (h,), caches (xs, blocks (T, 5, B, H): n, z, r, u, h_{t-1})), where u is what the
    reset gate lets through: W_hh h_{t-1} + b_hh before it acts, or r * h_{t-1}

    Raises
    ------
    ValueError  a shape does not fit, there is no step, or reset is neither of the two.

    Chapter: 10-bptt. Equation: gru-step. Source: Cho et al. (2014).
    """
    _check_option("gru_forward", "reset", reset, "before", "after")
    W_xh, W_hh, b_h, *b_hh = _weights("gru_forward", params, 3, *(["b_hh"] if reset == "after" else []))
    dtype = _check("gru_forward", (W_xh, W_hh, b_h, *b_hh), xs, state, "h", 3)
    T, B, H = *xs.shape[:2], len(W_hh)
    halves = [1, 0.5, 0.5]
    W_x, W_h, b = (_blocks(array, _NZR, halves, dtype) for array in (W_xh, W_hh, b_h[None]))
    blocks, hs = np.empty((T, 5, B, H), dtype), np.empty((T, B, H), dtype)
    np.matmul(xs[:, None], W_x, out=blocks[:, :3])
    blocks[:, :3] += b
    blocks[0, 4] = state[0]
    if reset == "after":
        blocks[:, 3] = b_hh[0]
        W_h = W_h[[1, 2, 0]]
    recalled, half = np.empty((3, B, H), dtype), np.full((), 0.5, dtype)
    change, last_h = recalled[0], np.empty((B, H), dtype)
    for t in range(T):
        n, r, z, u, h_prev = blocks[t, 0], blocks[t, 2], blocks[t, 1], blocks[t, 3], blocks[t, 4]
        gates = blocks[t, 1:3]
        h = blocks[t + 1, 4] if t + 1 < T else last_h
        if reset == "after":
            np.matmul(h_prev, W_h, out=recalled)
            np.add(blocks[t, 1:4], recalled, out=blocks[t, 1:4])
        else:
            np.matmul(h_prev, W_h[1:], out=recalled[1:])
            np.add(gates, recalled[1:], out=gates)
        np.tanh(gates, out=gates)
        np.multiply(gates, half, out=gates)
        np.add(gates, half, out=gates)
        if reset == "after":
            np.multiply(r, u, out=change)
        else:
            np.multiply(r, h_prev, out=u)
            np.matmul(u, W_h[0], out=change)
        np.add(n, change, out=n)
        np.tanh(n, out=n)
        np.subtract(n, h_prev, out=change)
        np.multiply(z, change, out=change)
        np.add(h_prev, change, out=h)
    hs[:-1], hs[-1] = blocks[1:, 4], last_h
    return hs, (last_h,), (xs, blocks)


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
    xs, blocks = caches
    _check_option("gru_backward", "reset", reset, "before", "after")
    W_xh, W_hh, *_ = _weights("gru_backward", params, 3, *(["b_hh"] if reset == "after" else []))
    _check_gradients("gru_backward", blocks[:, 0], dhs, dlast, "dh")
    after = _after_loop if reset == "after" else _before_loop
    das, dh = after(W_hh, dhs, dlast[0], blocks)
    H = len(W_hh)
    u, h_prev = blocks[:, 3], blocks[:, 4]
    dxs, dW_xh, db_h = _input_gradients(xs, _columns(W_xh, _NZR), das[..., : 3 * H])
    if reset == "after":
        dW_hh = _product(h_prev, das[..., H:])
        extra = {"b_hh": _total(das[..., 3 * H :])}
    else:
        dW_hh = np.concatenate([_product(h_prev, das[..., H:]), _product(u, das[..., :H])], axis=-1)
        extra = {}
    grads = {"W_xh": _columns(dW_xh, _ZRN), "W_hh": dW_hh, "b_h": _columns(db_h, _ZRN)}
    return dxs, (dh,), grads | extra


def _after_loop(W_hh: Array, dhs: Array, dlast: Array, blocks: Array) -> tuple[Array, Array]:
    """Rows (T, B, 4H) of da_n, da_z, da_r, du, and the gradient of the first state."""
    T, _, B, H = blocks.shape
    das = np.empty((T, B, 4 * H), blocks.dtype)
    W_back = _contiguous(W_hh.T, blocks.dtype)
    dh = dlast.astype(blocks.dtype)
    for steps in _from_the_end(T, 5 * B * H):
        n, z, r, u, h_prev = np.moveaxis(blocks[steps], 1, 0)
        slopes = np.empty_like(blocks[steps])
        s_n, s_z, s_r, s_u, s_h = np.moveaxis(slopes, 1, 0)
        np.subtract(1, z, out=s_h)
        s_z[...] = (n - h_prev) * z * s_h
        s_n[...] = z * (1 - n * n)
        np.multiply(s_n, r, out=s_u)
        s_r[...] = s_u * u * (1 - r)
        for slope, da, dh_out in zip(slopes[::-1], das[steps][::-1], dhs[steps][::-1], strict=True):
            np.add(dh, dh_out, out=dh)
            np.multiply(slope, dh, out=slope)
            np.copyto(da.reshape(B, 4, H), slope[:4].transpose(1, 0, 2))
            np.matmul(da[:, H:], W_back, out=dh)
            np.add(dh, slope[4], out=dh)
    return das, dh


def _before_loop(W_hh: Array, dhs: Array, dlast: Array, blocks: Array) -> tuple[Array, Array]:
    """Rows (T, B, 3H) of da_n, da_z, da_r, and the gradient of the first state."""
    T, _, B, H = blocks.shape
    das = np.empty((T, B, 3 * H), blocks.dtype)
    W_back = _contiguous(W_hh.T, blocks.dtype)
    dh, du = dlast.astype(blocks.dtype), np.empty((B, H), blocks.dtype)
    for steps in _from_the_end(T, 5 * B * H):
        n, z, r, u, h_prev = np.moveaxis(blocks[steps], 1, 0)
        slopes = np.empty_like(blocks[steps])
        s_h, s_n, s_z, s_r, s_u = np.moveaxis(slopes, 1, 0)
        np.subtract(1, z, out=s_h)
        s_z[...] = (n - h_prev) * z * s_h
        s_n[...] = z * (1 - n * n)
        s_r[...] = u * (1 - r)
        s_u[...] = r
        for slope, da, dh_out in zip(slopes[::-1], das[steps][::-1], dhs[steps][::-1], strict=True):
            np.add(dh, dh_out, out=dh)
            np.multiply(slope[:3], dh, out=slope[:3])
            np.matmul(slope[1], W_back[2 * H :], out=du)
            np.multiply(slope[3:], du, out=slope[3:])
            np.copyto(da.reshape(B, 3, H), slope[1:4].transpose(1, 0, 2))
            np.matmul(da[:, H:], W_back[: 2 * H], out=dh)
            np.add(dh, slope[0], out=dh)
            np.add(dh, slope[4], out=dh)
    return das, dh


def _lstm_slopes(blocks: Array) -> Array:
    """(steps, 6, B, H): dc/dh, then da/dh of o, da/dc of i, f, g, and dc_{t-1}/dc."""
    o, i, f, g, c_prev, tanh_c = np.moveaxis(blocks, 1, 0)
    slopes = np.empty_like(blocks)
    slopes[:, 1:4] = blocks[:, :3] * (1 - blocks[:, :3])
    slopes[:, 0] = o * (1 - tanh_c * tanh_c)
    slopes[:, 1] *= tanh_c
    slopes[:, 2] *= g
    slopes[:, 3] *= c_prev
    slopes[:, 4] = i * (1 - g * g)
    slopes[:, 5] = f
    return slopes


_OIFG, _IFOG = (2, 0, 1, 3), (1, 2, 0, 3)  # from i, f, o, g to o, i, f, g, and back
_NZR, _ZRN = (2, 0, 1), (1, 2, 0)  # from z, r, n to n, z, r, and back


def _columns(array: Array, order: Sequence[int]) -> Array:
    """A copy with the blocks of the last axis in this order."""
    return np.concatenate([np.split(array, len(order), axis=-1)[k] for k in order], axis=-1)


def _blocks(array: Array, order: Sequence[int], factors: Sequence[float], dtype: np.dtype) -> Array:
    """(n, kH) as blocks (k, n, H) in this order, each times its factor; the factors belong to the new order."""
    parts = np.split(array, len(order), axis=-1)
    return np.stack([parts[k] for k in order]).astype(dtype) * np.array(factors, dtype)[:, None, None]


def _from_the_end(T: int, floats_per_step: int) -> Iterator[slice]:
    """Slices of so many steps that their slopes stay in the cache, the last one first."""
    count = max(1, FLOATS_AHEAD // max(1, floats_per_step))
    for stop in range(T, 0, -count):
        yield slice(max(0, stop - count), stop)


def _product(left: Array, right: Array) -> Array:
    """sum over steps and sequences of left_tb right_tb^T, as one matrix product."""
    return _flat(left).T @ _flat(right)


def _total(das: Array) -> Array:
    """Sum over steps and sequences: a product with ones, which is the fastest sum there is."""
    return np.ones(das.shape[0] * das.shape[1], das.dtype) @ _flat(das)


def _flat(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _input_gradients(xs: Array, W_xh: Array, das: Array) -> tuple[Array, Array, Array]:
    """Gradients of the inputs, of W_xh and of the bias."""
    dxs = _flat(das) @ _contiguous(W_xh.T, das.dtype)
    return dxs.reshape(xs.shape), _product(xs, das), _total(das)


def _contiguous(array: Array, dtype: np.dtype) -> Array:
    return np.ascontiguousarray(array, dtype)


def _weights(where: str, params: Params, blocks: int, *more: str) -> tuple[Array, ...]:
    return take(where, params, "W_xh", "W_hh", "b_h", *more)


def _check(where: str, weights: tuple[Array, ...], xs: Array, state: State, names: str, blocks: int) -> np.dtype:
    """The dtype to compute in, if everything fits together."""
    states = ", ".join(f"{name}: B H" for name in names.split())
    spec = f"xs: T B D, {states}, W_xh: D {blocks}H, W_hh: H {blocks}H, b_h: {blocks}H"
    spec += ", b_hh: H" if len(weights) > 3 else ""
    sizes = match_shapes(where, spec, xs, *state, *weights)
    if sizes["T"] == 0:
        raise ValueError(f"{where}: xs has shape {xs.shape}, expected at least one step (T >= 1)")
    return np.result_type(xs, *state, *weights)


def _check_gradients(where: str, hs: Array, dhs: Array, dlast: State, names: str) -> None:
    states = ", ".join(f"{name}: B H" for name in names.split())
    match_shapes(where, f"hs: T B H, dhs: T B H, {states}", hs, dhs, *dlast)


def _check_option(where: str, name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{where}: {name} is {value!r}, expected {' or '.join(map(repr, allowed))}")
