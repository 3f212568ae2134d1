"""Whole sequences at once: Elman, LSTM and GRU, forward and back, with as little as possible in the loop.

Each pair does what `partial(rnn_forward, step)` and `partial(backward_through_time, step_backward)` do with the cell's
own steps, to rounding, and takes their place. Only what needs the state of the step before stays in the loop:

- W_xh x_t is one product for all steps ahead of the loop, with the bias as the weights of one more input that is 1.
- The gradients of weights and inputs are one product each behind it, or a few for long sequences: the way back goes in
  stretches of steps, so that gradients are still in the processor's cache when their product comes.
- sigma(a) = (1 + tanh(a / 2)) / 2, with the inner half folded into the weights: one tanh does all gates of a step.
- The arrays of a step lie in blocks (B, H), one behind the other, and blocks that are treated alike are neighbors: one
  call does several of them. It writes into memory that is there already, which is its last argument.
- LSTM and GRU turn what a step has computed into slopes at once, while it is in the cache; the way back multiplies.

The caches are one tuple of arrays, as each forward function says. `das` are the gradients of the sums a under the
gates, "by h" stands for a derivative. The dtype of the way back is that of the way there.

Chapter: 10-bptt
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Cache, Params, State

__all__ = ["elman_backward", "elman_forward", "gru_backward", "gru_forward", "lstm_backward", "lstm_forward"]

STRETCH = 2**17  # gradients of a stretch: with what they are multiplied by, about 1 MB of float32
OIFG, IFOG = (2, 0, 1, 3), (1, 2, 0, 3)  # an LSTM's blocks i, f, o, g as o, i, f, g, and back
NZR, ZRN = (2, 0, 1), (1, 2, 0)  # a GRU's blocks z, r, n as n, z, r, and back
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
    (hs (T, B, H), last state (h,), caches (inputs and a 1 (T, B, D+1), states from the first on (T+1, B, H)))

    Raises
    ------
    ValueError  a shape does not fit, there is no step, or phi is neither of the two.

    Chapter: 10-bptt. Equation: rnn-forward. Source: Elman (1990).
    """
    _check_option("elman_forward", "phi", phi, "tanh", "relu")
    T, B, H, dtype = _check("elman_forward", params, xs, state, "h: B H", blocks=1)
    inputs, W_in, W_hh = _with_one(xs, dtype), _with_bias(params, dtype), _contiguous(params["W_hh"], dtype)
    states, recalled, zero = np.empty((T + 1, B, H), dtype), np.empty((B, H), dtype), np.zeros((), dtype)
    states[0] = state[0]
    np.matmul(_rows(inputs), W_in, _rows(states[1:]))
    for h_prev, h in pairwise(states):
        np.dot(h_prev, W_hh, recalled)
        np.add(h, recalled, h)
        if phi == "tanh":
            np.tanh(h, h)
        else:
            np.maximum(h, zero, out=h)
    return states[1:].copy(), (states[-1].copy(),), (inputs, states)


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
    TypeError   the caches are not those of `elman_forward`.

    Chapter: 10-bptt. Equation: bptt. Source: Werbos (1990).
    """
    _check_option("elman_backward", "phi", phi, "tanh", "relu")
    T, B, H, dtype = _check_back("elman_backward", params, dhs, dlast, "dh: B H", caches, blocks=1)
    inputs, states = caches
    W_in, W_back = _contiguous(params["W_xh"].T, dtype), _contiguous(params["W_hh"].T, dtype)
    dxs, dW_in, dW_hh = _start_sums(inputs, states, len(W_back))
    dh = dlast[0].astype(dtype, order="C")
    for steps in _stretches(T, B * H):
        hs = states[1:][steps]
        das = 1 - hs * hs if phi == "tanh" else (hs > 0).astype(dtype)  # slopes; each becomes da at its step
        for da, dh_out in zip(das[::-1], dhs[steps][::-1], strict=True):
            np.add(dh, dh_out, dh)
            np.multiply(da, dh, da)
            np.dot(da, W_back, dh)
        rows = _rows(das)
        np.matmul(rows, W_in, _rows(dxs[steps]))
        dW_in += _rows(inputs[steps]).T @ rows
        dW_hh += _rows(states[steps]).T @ rows
    return dxs, (dh,), _named(params, W_xh=dW_in[:-1], b_h=dW_in[-1], W_hh=dW_hh)


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
    (hs (T, B, H), last state (h, c), caches (inputs and a 1 (T, B, D+1), states h from the first on (T+1, B, H),
    slopes (T, 6, B, H): c by h, o by h, i, f, g and c_{t-1} by c))

    Raises
    ------
    ValueError  a shape does not fit, or there is no step.

    Chapter: 10-bptt. Equation: lstm-step. Source: Hochreiter & Schmidhuber (1997), Gers et al. (2000).
    """
    T, B, H, dtype = _check("lstm_forward", params, xs, state, "h: B H, c: B H", blocks=4)
    inputs, (W_in, W_hh) = _with_one(xs, dtype), _gate_blocks(params, OIFG, [0.5, 0.5, 0.5, 1], dtype)
    states, slopes = np.empty((T + 1, B, H), dtype), np.empty((T, 6, B, H), dtype)
    np.matmul(inputs[:, None], W_in, slopes[:, :4])  # what the inputs add to a; each step's slopes take its place
    recalled, left = np.empty((4, B, H), dtype), np.empty((3, B, H), dtype)
    o, _, f, _, c, tanh_c = values = np.empty((6, B, H), dtype)  # o, i, f, g, c, tanh(c)
    h, from_input, from_memory = parts = np.empty((3, B, H), dtype)
    gates, sigmoids, keep, kept = values[:4], values[:3], values[1:3], values[3:5]
    o_and_i, tanh_c_and_g = values[:2], values[5:2:-2]
    h_and_input, both, left_two = parts[:2], parts[1:], left[:2]
    half, one = np.full((), 0.5, dtype), np.ones((), dtype)
    h[...], c[...] = state
    states[0] = h
    for added, c_and_g, gates_by_sums, c_by_c, h_kept in zip(
        slopes[:, :4], slopes[:, 0:5:4], slopes[:, 1:4], slopes[:, 5], states[1:], strict=True
    ):
        np.matmul(h, W_hh, recalled)
        np.add(added, recalled, gates)
        np.tanh(gates, gates)
        np.multiply(sigmoids, half, sigmoids)
        np.add(sigmoids, half, sigmoids)
        np.multiply(keep, kept, both)
        np.add(from_input, from_memory, c)
        np.tanh(c, tanh_c)
        np.multiply(o, tanh_c, h)
        np.copyto(h_kept, h)
        np.subtract(one, sigmoids, left)
        np.multiply(left, parts, gates_by_sums)  # (1 - o) h, (1 - i) i g, (1 - f) f c_{t-1}
        np.multiply(h_and_input, tanh_c_and_g, left_two)
        np.subtract(o_and_i, left_two, c_and_g)  # o - h tanh_c and i - i g g
        np.copyto(c_by_c, f)
    return states[1:].copy(), (h.copy(), c.copy()), (inputs, states, slopes)


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
    TypeError   the caches are not those of `lstm_forward`.

    Chapter: 10-bptt. Equation: bptt, lstm-step-backward. Source: Werbos (1990).
    """
    T, B, H, dtype = _check_back("lstm_backward", params, dhs, dlast, "dh: B H, dc: B H", caches, blocks=4, slopes=6)
    inputs, states, slopes = caches
    W_in, W_back = (_contiguous(_reordered(params[name], OIFG).T, dtype) for name in ("W_xh", "W_hh"))
    dxs, dW_in, dW_hh = _start_sums(inputs, states, len(W_back))
    dh, dc, parts = dlast[0].astype(dtype, order="C"), np.empty((B, H), dtype), np.empty((6, B, H), dtype)
    by_dh, by_dc, to_c, carry, gates = parts[:2], parts[2:], parts[0], parts[5], parts[1:5].swapaxes(0, 1)
    carry[...] = dlast[1]
    for steps in _stretches(T, 4 * B * H):
        das = np.empty((steps.stop - steps.start, B, 4, H), dtype)
        rows = das.reshape(*das.shape[:2], 4 * H)
        for of_h, of_c, da, row, dh_out in zip(
            slopes[steps][::-1, :2], slopes[steps][::-1, 2:], das[::-1], rows[::-1], dhs[steps][::-1], strict=True
        ):
            np.add(dh, dh_out, dh)
            np.multiply(of_h, dh, by_dh)
            np.add(carry, to_c, dc)
            np.multiply(of_c, dc, by_dc)
            np.copyto(da, gates)
            np.dot(row, W_back, dh)
        np.matmul(_rows(rows), W_in, _rows(dxs[steps]))
        dW_in += _rows(inputs[steps]).T @ _rows(rows)
        dW_hh += _rows(states[steps]).T @ _rows(rows)
    dW_in, dW_hh = _reordered(dW_in, IFOG), _reordered(dW_hh, IFOG)
    return dxs, (dh, carry.copy()), _named(params, W_xh=dW_in[:-1], b_h=dW_in[-1], W_hh=dW_hh)


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
    (hs (T, B, H), last state (h,), caches (inputs and a 1 (T, B, D+1), states from the first on (T+1, B, H),
    slopes (T, 5, B, H): h_{t-1}, n, z by h and r, h_{t-1} by u = r * h_{t-1}, or all five by h: h_{t-1}, n, z, r, u))

    Raises
    ------
    ValueError  a shape does not fit, there is no step, or reset is neither of the two.

    Chapter: 10-bptt. Equation: gru-step. Source: Cho et al. (2014).
    """
    _check_option("gru_forward", "reset", reset, "before", "after")
    after = reset == "after"
    T, B, H, dtype = _check("gru_forward", params, xs, state, "h: B H", blocks=3, b_hh=after)
    inputs, (W_in, W_hh) = _with_one(xs, dtype), _gate_blocks(params, NZR, [1, 0.5, 0.5], dtype)
    states, slopes = np.empty((T + 1, B, H), dtype), np.empty((T, 5, B, H), dtype)
    states[0] = state[0]
    np.matmul(inputs[:, None], W_in, slopes[:, 1:4])  # what the inputs add to a; each step's slopes take its place
    if after:
        slopes[:, 4] = params["b_hh"]
    W_h, used = (W_hh[[1, 2, 0]], slice(2, 5)) if after else (W_hh[1:], slice(2, 4))  # z, r, u or z, r
    W_n, recalled = W_hh[0], np.empty((len(W_h), B, H), dtype)
    change, left = np.empty((B, H), dtype), np.empty((B, H), dtype)
    n, z, r, u = values = np.empty((4, B, H), dtype)
    gates, sums = values[1:3], values[1 : 1 + len(W_h)]
    half, one = np.full((), 0.5, dtype), np.ones((), dtype)
    for added, h_by_h, n_by_h, z_by_h, r_by, u_by, h_prev, h in zip(
        slopes[:, used], *slopes.swapaxes(0, 1), states[:-1], states[1:], strict=True
    ):
        np.matmul(h_prev, W_h, recalled)
        np.add(added, recalled, sums)
        np.tanh(gates, gates)
        np.multiply(gates, half, gates)
        np.add(gates, half, gates)
        if after:
            np.multiply(r, u, change)
        else:
            np.multiply(r, h_prev, u)
            np.dot(u, W_n, change)
        np.add(n_by_h, change, n)
        np.tanh(n, n)
        np.subtract(n, h_prev, change)
        np.multiply(z, change, change)
        np.add(h_prev, change, h)
        np.subtract(one, z, h_by_h)
        np.multiply(change, h_by_h, z_by_h)  # (n - h_{t-1}) z (1 - z)
        np.multiply(n, n, n)
        np.subtract(one, n, n)
        np.multiply(n, z, n_by_h)  # z (1 - n^2)
        np.subtract(one, r, left)
        np.multiply(left, u, r_by)
        if after:
            np.multiply(n_by_h, r, u_by)
            np.multiply(r_by, u_by, r_by)
        else:
            np.copyto(u_by, r)
    return states[1:].copy(), (states[-1].copy(),), (inputs, states, slopes)


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
    TypeError   the caches are not those of `gru_forward`.

    Chapter: 10-bptt. Equation: bptt, gru-step-backward. Source: Werbos (1990).
    """
    _check_option("gru_backward", "reset", reset, "before", "after")
    after = reset == "after"
    T, B, H, dtype = _check_back("gru_backward", params, dhs, dlast, "dh: B H", caches, blocks=3, slopes=5, b_hh=after)
    inputs, states, slopes = caches
    W_in, W_hh = _contiguous(_reordered(params["W_xh"], NZR).T, dtype), _contiguous(params["W_hh"].T, dtype)
    W_zr, W_n = W_hh[: 2 * H], W_hh[2 * H :]
    dxs, dW_in, dW_hh = _start_sums(inputs, states, len(W_hh))
    db_hh, dh, du, parts = (
        np.zeros(H, dtype),
        dlast[0].astype(dtype, order="C"),
        np.empty((B, H), dtype),
        np.empty_like(slopes[0]),
    )
    blocks = 4 if after else 3
    by_dh, by_du, to_h, da_n, through_u = parts[:3], parts[3:], parts[0], parts[1], parts[4]
    gates = parts[1 : 1 + blocks].swapaxes(0, 1)
    for steps in _stretches(T, blocks * B * H):
        das = np.empty((steps.stop - steps.start, B, blocks, H), dtype)
        rows = das.reshape(*das.shape[:2], blocks * H)
        for slope, da, da_h, dh_out in zip(
            slopes[steps][::-1], das[::-1], rows[::-1, :, H:], dhs[steps][::-1], strict=True
        ):
            np.add(dh, dh_out, dh)
            if after:
                np.multiply(slope, dh, parts)
                np.copyto(da, gates)
                np.matmul(da_h, W_hh, dh)  # da_z, da_r, du
            else:
                np.multiply(slope[:3], dh, by_dh)
                np.dot(da_n, W_n, du)
                np.multiply(slope[3:], du, by_du)
                np.copyto(da, gates)
                np.matmul(da_h, W_zr, dh)  # da_z, da_r
                np.add(dh, through_u, dh)
            np.add(dh, to_h, dh)
        to_inputs, to_states = _rows(rows[..., : 3 * H]), _rows(rows[..., H:])
        np.matmul(to_inputs, W_in, _rows(dxs[steps]))
        dW_in += _rows(inputs[steps]).T @ to_inputs
        h_prev = states[steps]
        if after:
            dW_hh += _rows(h_prev).T @ to_states
            db_hh += np.ones(len(to_states), dtype) @ to_states[:, 2 * H :]
        else:
            dW_hh[:, : 2 * H] += _rows(h_prev).T @ to_states
            dW_hh[:, 2 * H :] += _rows(h_prev * slopes[steps][:, 4]).T @ to_inputs[:, :H]
    dW_in = _reordered(dW_in, ZRN)
    extra = {"b_hh": db_hh} if after else {}
    return dxs, (dh,), _named(params, W_xh=dW_in[:-1], b_h=dW_in[-1], W_hh=dW_hh, **extra)


def _with_one(xs: Array, dtype: np.dtype) -> Array:
    """A copy with one more input that is always 1."""
    inputs = np.empty((*xs.shape[:-1], xs.shape[-1] + 1), dtype)
    inputs[..., :-1], inputs[..., -1] = xs, 1
    return inputs


def _with_bias(params: Params, dtype: np.dtype) -> Array:
    """W_xh and, below it, the bias: the weights of the input that is always 1."""
    return np.concatenate([params["W_xh"], params["b_h"][None]]).astype(dtype, copy=False)


def _gate_blocks(params: Params, order: Sequence[int], factors: Sequence[float], dtype: np.dtype) -> list[Array]:
    """W_xh with its bias (k, D+1, H) and W_hh (k, H, H), blocks in this order, each times the factor of its place."""
    scale = np.array(factors, dtype)[:, None, None]
    arrays = (_with_bias(params, dtype), params["W_hh"])
    blocks = (array.reshape(len(array), len(order), -1).swapaxes(0, 1) for array in arrays)
    return [_contiguous(block[list(order)] * scale, dtype) for block in blocks]


def _reordered(array: Array, order: Sequence[int]) -> Array:
    """A copy with the blocks of the last axis in this order."""
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return blocks[..., list(order), :].reshape(array.shape)


def _rows(array: Array) -> Array:
    """Steps and sequences one below the other: one product with it adds up over both."""
    return array.reshape(-1, array.shape[-1])


def _start_sums(inputs: Array, states: Array, width: int) -> tuple[Array, Array, Array]:
    """Room for dxs, and zeros for the gradients of W_xh with its bias and of W_hh."""
    *lead, D = inputs.shape[0], inputs.shape[1], inputs.shape[2] - 1
    H, dtype = states.shape[-1], states.dtype
    return np.empty((*lead, D), dtype), np.zeros((D + 1, width), dtype), np.zeros((H, width), dtype)


def _named(params: Params, **grads: Array) -> Params:
    """Gradients under the names of params, in their dtypes; zeros for what the cell does not use."""
    return {
        name: grads[name].astype(value.dtype, copy=False) if name in grads else np.zeros_like(value)
        for name, value in params.items()
    }


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
    where: str,
    params: Params,
    dhs: Array,
    dlast: State,
    dstates: str,
    caches: Cache,
    blocks: int,
    slopes: int = 0,
    b_hh: bool = False,
) -> Shape:
    """Sizes and dtype of the way back, if gradients, parameters and caches fit together."""
    found = [np.shape(array) for array in caches] if isinstance(caches, tuple) else []
    if len(found) != (3 if slopes else 2) or (slopes and found[2][1:2] != (slopes,)):
        expected = where.replace("backward", "forward")
        raise TypeError(f"{where}: caches are a {type(caches).__name__} of {len(caches)}, expected those of {expected}")
    weights, spec = _weights(where, params, blocks, b_hh)
    xs, hs = caches[0][..., :-1], caches[1][1:]
    sizes = match_shapes(where, f"xs: T B D, hs: T B H, dhs: T B H, {dstates}, {spec}", xs, hs, dhs, *dlast, *weights)
    return sizes["T"], sizes["B"], sizes["H"], hs.dtype


def _weights(where: str, params: Params, blocks: int, b_hh: bool) -> tuple[tuple[Array, ...], str]:
    weights = take(where, params, "W_xh", "W_hh", "b_h", *(["b_hh"] if b_hh else []))
    return weights, f"W_xh: D {blocks}H, W_hh: H {blocks}H, b_h: {blocks}H" + (", b_hh: H" if b_hh else "")


def _check_option(where: str, name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise ValueError(f"{where}: {name} is {value!r}, expected {' or '.join(map(repr, allowed))}")
