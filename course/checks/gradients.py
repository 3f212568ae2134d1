"""What must hold for the functions of chapter 11, whatever the numbers."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course.checks.measure import closest_scale, distance, draw
from course.checks.run import CheckFailed, expect, holds
from course.checks.toys import fast_and_slow_step, fast_and_slow_step_backward

DRAWS = 60  # matrices drawn to see whether a sign comes half of the time


def _elman(D: int, H: int, seed: int = 3) -> dict[str, np.ndarray]:
    shapes = {"W_xh": (D, H), "W_hh": (H, H), "b_h": (H,)}
    return {name: draw(*shape, seed=seed + n) for n, (name, shape) in enumerate(shapes.items())}


def _raises(call: Callable[[], Any], what: str, *numbers: object) -> None:
    """Fail unless the call is a ValueError whose message says the numbers that came."""
    try:
        call()
    except ValueError as error:
        missing = [str(number) for number in numbers if str(number) not in str(error)]
        expect(not missing, f"{what}: the message does not say {', '.join(missing)}, which came: {error}")
    else:
        raise CheckFailed(f"{what} goes through; raise a ValueError that says what came")


# --- Jacobians


@holds("11-gradients/elman_jacobian", "it is what a small change does")
def _(elman_jacobian):
    params, x, h_prev = _elman(2, 4), draw(1, 2, seed=7), np.tanh(draw(1, 4, seed=8))

    def new(old: np.ndarray) -> np.ndarray:
        return np.tanh(x @ params["W_xh"] + old @ params["W_hh"] + params["b_h"])

    got = elman_jacobian(params, new(h_prev))
    expect(np.shape(got) == (1, 4, 4), f"for one sequence and 4 units the shape is {np.shape(got)}, expected (1, 4, 4)")
    for j in range(4):
        bump = 1e-6 * np.eye(4)[j : j + 1]
        slope = (new(h_prev + bump) - new(h_prev - bump))[0] / 2e-6
        off = np.abs(got[0][:, j] - slope)
        i = int(off.argmax())
        expect(
            bool(off[i] < 1e-7),
            f"nudging old unit {j} moves new unit {i} with a slope of {slope[i]:.6g}; entry [0, {i}, {j}] is "
            f"{got[0][i, j]:.6g}",
        )


def _toy(B: int = 2, H: int = 2) -> tuple[Any, ...]:
    state = (draw(B, H, seed=4), draw(B, H, seed=5))
    return fast_and_slow_step, fast_and_slow_step_backward, {"W": draw(3, H)}, draw(B, 3, seed=6), state


@holds("11-gradients/state_jacobian", "a cell whose matrix is known")
def _(state_jacobian):
    got = state_jacobian(*_toy())
    one, none = np.eye(2), np.zeros((2, 2))
    want = np.block([[0.5 * one, 0.9 * one], [none, 0.9 * one]])
    expect(np.shape(got) == (2, 4, 4), f"2 sequences, two arrays of 2 units: shape {np.shape(got)}, expected (2, 4, 4)")
    expect(distance(got[1], want) < 1e-12, f"the toy cell's matrix is\n{want}\nand yours\n{np.round(got[1], 3)}")


@holds("11-gradients/state_jacobian", "each sequence has its own")
def _(state_jacobian):
    from rnnlib.elman import elman_step, elman_step_backward

    params, x, h = _elman(2, 3), draw(4, 2, seed=7), np.tanh(draw(4, 3, seed=8))
    cell = (elman_step, elman_step_backward, params)
    together = state_jacobian(*cell, x, (h,))
    for b in range(4):
        alone = state_jacobian(*cell, x[b : b + 1], (h[b : b + 1],))[0]
        gap = distance(alone, together[b])
        expect(gap < 1e-12, f"sequence {b} alone and in a batch of 4 differ by {gap:.3g}")


@holds("11-gradients/state_jacobian", "an LSTM's memory is kept by its forget gates")
def _(state_jacobian):
    from rnnlib.lstm import lstm_step, lstm_step_backward

    f = np.array([0.9, 0.5, 0.2])
    b_h = np.concatenate([np.zeros(3), np.log(f / (1 - f)), np.zeros(6)])
    params = {"W_xh": np.zeros((2, 12)), "W_hh": np.zeros((3, 12)), "b_h": b_h}
    state = (draw(1, 3, seed=8), draw(1, 3, seed=9))
    got = state_jacobian(lstm_step, lstm_step_backward, params, draw(1, 2, seed=7), state)
    expect(np.shape(got) == (1, 6, 6), f"an LSTM with 3 units has 6 numbers in its state; the shape is {np.shape(got)}")
    gap = distance(got[0, 3:, 3:], np.diag(f))
    expect(
        gap < 1e-12,
        f"without weights the slope of new memory in old is diag{tuple(f.tolist())}; the lower right block is\n"
        f"{np.round(got[0, 3:, 3:], 3)}",
    )
    expect(distance(got[0, :, :3], np.zeros((6, 3))) == 0, "without weights nothing depends on the old h; yours does")


@holds("11-gradients/product_norms", "no vector is stretched more, and one is as much")
def _(product_norms):
    jacobians = draw(4, 3, 3, seed=11)
    norms = product_norms(jacobians)
    expect(np.shape(norms) == (4,), f"4 Jacobians give an answer of shape {np.shape(norms)}, expected (4,)")
    sent = draw(2000, 3, seed=12)
    sent /= np.linalg.norm(sent, axis=1, keepdims=True)
    for k, jacobian in enumerate(jacobians[::-1], start=1):
        sent = sent @ jacobian
        longest = float(np.linalg.norm(sent, axis=1).max())
        expect(
            longest <= norms[k - 1] * (1 + 1e-9) and longest > 0.97 * norms[k - 1],
            f"of 2,000 messages of length 1 the longest is {longest:.4g} after {k} steps back; n_{k} is "
            f"{norms[k - 1]:.4g}, and should be that or hardly more",
        )


@holds("11-gradients/product_norms", "one Jacobian is the same from either side")
def _(product_norms):
    jacobian = draw(1, 4, 4, seed=13)
    gap = distance(product_norms(jacobian), product_norms(jacobian.transpose(0, 2, 1)))
    expect(gap < 1e-12, f"a matrix and its transpose have the same singular values; the answers differ by {gap:.3g}")


@holds("11-gradients/product_norms", "no step at all is an error")
def _(product_norms):
    _raises(lambda: product_norms(np.zeros((0, 3, 3))), "an array of shape (0, 3, 3)", "(0, 3, 3)")


def _caches(T: int, B: int, D: int, H: int, seed: int = 20) -> tuple[dict[str, np.ndarray], list[Any]]:
    params, h, caches = _elman(D, H), np.zeros((B, H)), []
    for x in draw(T, B, D, seed=seed):
        h_prev, h = h, np.tanh(x @ params["W_xh"] + h @ params["W_hh"] + params["b_h"])
        caches.append((x, h_prev, h))
    return params, caches


@holds("11-gradients/gradient_norm_profile", "twice the gradient is twice the length, everywhere")
def _(gradient_norm_profile):
    from rnnlib.elman import elman_step_backward

    params, caches = _caches(5, 3, 2, 4)
    d = draw(3, 4, seed=21)
    one, two = (gradient_norm_profile(elman_step_backward, params, (k * d,), caches) for k in (1.0, 2.0))
    expect(np.shape(one) == (6, 3), f"5 steps, 3 sequences: the shape is {np.shape(one)}, expected (6, 3)")
    expect(distance(two, 2 * one) < 1e-12, f"it is off from twice by up to {distance(two, 2 * one):.3g}")
    expect(distance(one[0], np.linalg.norm(d, axis=1)) < 1e-12, "row 0 is not the length of the gradient that came")


@holds("11-gradients/gradient_norm_profile", "the message goes on from where it is")
def _(gradient_norm_profile):
    from rnnlib.elman import elman_step_backward

    params, caches = _caches(5, 2, 3, 4)
    d = draw(2, 4, seed=22)
    whole = gradient_norm_profile(elman_step_backward, params, (d,), caches)
    _, sent, _ = elman_step_backward(params, (d,), caches[-1])
    rest = gradient_norm_profile(elman_step_backward, params, sent, caches[:-1])
    gap = distance(whole[1:], rest)
    expect(gap < 1e-12, f"one step by hand and the profile of the rest differ from the whole profile by {gap:.3g}")


# --- clipping


def _grads(size: float = 1.0, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    return {
        "W_xh": (size * draw(2, 3)).astype(dtype),
        "W_hh": (size * draw(3, 3, seed=4)).astype(dtype),
        "b_h": (0.01 * size * draw(3, seed=5)).astype(dtype),
    }


def _norm(grads: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float((np.asarray(g, np.float64) ** 2).sum()) for g in grads.values()))


@holds("11-gradients/clip_by_norm", "all arrays together are as long as allowed, and point where they did")
def _(clip_by_norm):
    grads = _grads()
    new, norm = clip_by_norm(grads, 0.5)
    expect(abs(norm - _norm(grads)) < 1e-9, f"the norm told is {norm:.6g}; before clipping it was {_norm(grads):.6g}")
    expect(abs(_norm(new) - 0.5) < 1e-9, f"clipped to 0.5, all arrays together have length {_norm(new):.6g}")
    factors = {name: float(np.median(new[name] / grads[name])) for name in grads}
    same = max(factors.values()) - min(factors.values()) < 1e-9
    expect(same, f"the arrays were multiplied by different numbers, {factors}: the direction has changed")


@holds("11-gradients/clip_by_norm", "a short gradient stays as it is")
def _(clip_by_norm):
    for size in (1e-3, 0.0):
        grads = _grads(size)
        new, norm = clip_by_norm(grads, 5.0)
        gap = max(distance(new[name], grads[name]) for name in grads)
        expect(gap == 0, f"a gradient of length {_norm(grads):.3g} with 5 allowed is changed by {gap:.3g}")
        expect(abs(norm - _norm(grads)) < 1e-12, f"its norm is told as {norm:.4g}, expected {_norm(grads):.4g}")


@holds("11-gradients/clip_by_norm", "a huge gradient in float32")
def _(clip_by_norm):
    grads = _grads(1e25, np.float32)
    new, norm = clip_by_norm(grads, 1.0)
    expect(
        math.isfinite(norm) and abs(norm / _norm(grads) - 1) < 1e-5,
        f"entries near 1e25 in float32: the norm is told as {norm:.4g}, expected {_norm(grads):.4g}. Their squares are "
        "beyond float32: square and add up in float64.",
    )
    expect(abs(_norm(new) - 1) < 1e-5, f"clipped to 1, it has length {_norm(new):.4g}")
    wrong = {name: str(value.dtype) for name, value in new.items() if value.dtype != np.float32}
    expect(not wrong, f"float32 gradients come back as {wrong}")


@holds("11-gradients/clip_by_norm", "the arrays are new, also where nothing is clipped")
def _(clip_by_norm):
    for max_norm in (0.1, 100.0):
        grads = _grads()
        new, _ = clip_by_norm(grads, max_norm)
        shared = [name for name in grads if np.shares_memory(new[name], grads[name])]
        expect(not shared, f"max_norm={max_norm:g}: {', '.join(shared)} shares memory with what came in")


@holds("11-gradients/clip_by_norm", "a limit that is not above 0 is an error")
def _(clip_by_norm):
    for limit in (0.0, -1.5):
        _raises(partial(clip_by_norm, _grads(), limit), f"max_norm = {limit}", limit)


@holds("11-gradients/clip_by_value", "every entry stays within the limit, with its sign")
def _(clip_by_value):
    grads = _grads(3.0)
    new = clip_by_value(grads, 0.7)
    for name, old in grads.items():
        inside = np.abs(old) <= 0.7
        expect(
            bool((np.abs(new[name]) <= 0.7).all()), f"{name} has an entry of {np.abs(new[name]).max():.4g}, limit 0.7"
        )
        expect(distance(new[name][inside], old[inside]) == 0, f"an entry of {name} within the limit is changed")
        expect(distance(new[name][~inside], 0.7 * np.sign(old[~inside])) < 1e-12, f"{name}: beyond the limit, not ±0.7")
        expect(not np.shares_memory(new[name], old), f"{name} shares memory with what came in")


@holds("11-gradients/clip_by_value", "a limit that is not above 0 is an error")
def _(clip_by_value):
    for limit in (0.0, -1.5):
        _raises(partial(clip_by_value, _grads(), limit), f"limit = {limit}", limit)


@holds("11-gradients/clipped_step", "no step is longer than the rate times the limit")
def _(clipped_step):
    params = {name: draw(*value.shape, seed=30) for name, value in _grads().items()}
    for size in (1e-3, 1.0, 1e6):
        grads = _grads(size)
        new, norm = clipped_step(params, grads, 0.1, 2.0)
        step = {name: params[name] - new[name] for name in params}
        want = 0.1 * min(2.0, _norm(grads))
        expect(
            abs(_norm(step) - want) < 1e-7,
            f"gradient of length {_norm(grads):.4g}, rate 0.1, limit 2: the step has length {_norm(step):.4g}, "
            f"expected {want:.4g}",
        )
        down = sum(float((step[name] * grads[name]).sum()) for name in grads)
        expect(down > 0, "the step goes up: the gradient is subtracted")
        expect(abs(norm / _norm(grads) - 1) < 1e-9, f"the norm told is {norm:.4g}, before clipping {_norm(grads):.4g}")


# --- first weights


@holds("11-gradients/orthogonal", "turns without stretching")
def _(orthogonal):
    for rows, columns in ((5, 5), (6, 3), (2, 5)):
        W = orthogonal(np.random.default_rng(0), rows, columns)
        expect(np.shape(W) == (rows, columns), f"asked for {rows} x {columns}, the shape is {np.shape(W)}")
        inner = W.T @ W if rows >= columns else W @ W.T
        what = "columns" if rows >= columns else "rows"
        gap = distance(inner, np.eye(min(rows, columns)))
        lengths = np.sqrt(np.diag(inner))
        told = (
            f"their lengths are {lengths.round(3)}"
            if np.abs(lengths - 1).max() > 1e-9
            else "each has length 1, but two of them are not at right angles"
        )
        expect(gap < 1e-10, f"{rows} x {columns}: the {what} are not orthonormal; {told}")


@holds("11-gradients/orthogonal", "the gain is every singular value")
def _(orthogonal):
    for gain in (0.5, 2.0):
        values = np.linalg.svd(orthogonal(np.random.default_rng(1), 4, 6, gain), compute_uv=False)
        off = float(np.abs(values - gain).max())
        expect(off < 1e-10, f"gain={gain:g}: the singular values are {values.round(4)}, expected {gain:g}")


@holds("11-gradients/orthogonal", "every turn is equally likely")
def _(orthogonal):
    rng = np.random.default_rng(2)
    drawn = np.array([orthogonal(rng, 3, 3) for _ in range(DRAWS)])
    positive = (np.diagonal(drawn, axis1=1, axis2=2) > 0).sum(axis=0)
    # Right: each count is binomial, 60 coin tosses, and beyond 12 to 48 in 1 of 10^6 cases.
    expect(
        bool(((positive > 12) & (positive < 48)).all()),
        f"of {DRAWS} matrices the diagonal entries are positive in {positive.tolist()}; expected about {DRAWS // 2} "
        "each. `qr` prefers some signs: multiply the columns of Q by the signs of R's diagonal.",
    )


@holds("11-gradients/orthogonal", "all randomness comes from rng")
def _(orthogonal):
    _rng_decides(lambda rng: orthogonal(rng, 4, 4))


@holds("11-gradients/orthogonal", "the dtype is the one asked for")
def _(orthogonal):
    _dtype_asked(lambda dtype: orthogonal(np.random.default_rng(3), 3, 4, 1.0, dtype))


@holds("11-gradients/orthogonal", "a size below 1 is an error")
def _(orthogonal):
    for rows, columns in ((0, 3), (3, -1)):
        number = min(rows, columns)
        _raises(partial(orthogonal, np.random.default_rng(0), rows, columns), f"{rows} x {columns}", number)


def _rng_decides(make: Callable[[np.random.Generator], Any]) -> None:
    first, again, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
    expect(distance(first, again) == 0, "two generators with the same seed give different numbers")
    expect(distance(first, other) > 0, "another seed gives the same numbers: draw from `rng`")
    rng = np.random.default_rng(7)
    expect(distance(make(rng), make(rng)) > 0, "two draws from one generator are the same: do not seed it anew")


def _dtype_asked(make: Callable[[Any], Any]) -> None:
    for dtype in (np.float64, np.float32):
        got = make(dtype)
        expect(got.dtype == dtype, f"asked for {np.dtype(dtype)}, got {got.dtype}")


@holds("11-gradients/identity", "a state goes through as it is, times the scale")
def _(identity):
    h = draw(3, 4)
    for scale in (1.0, 0.3):
        gap = distance(h @ identity(4, scale), scale * h)
        expect(gap < 1e-12, f"scale={scale:g}: h @ W is off from {scale:g} h by {gap:.3g}")


@holds("11-gradients/identity", "the array is new, and of the dtype asked for")
def _(identity):
    _dtype_asked(lambda dtype: identity(3, 0.5, dtype))
    first = identity(3)
    expect(bool(first.flags.writeable), "the array cannot be written into, and a net's first weights must be")
    first[0, 0] = 7
    expect(float(identity(3)[0, 0]) == 1, "writing into one identity changes the next one")


@holds("11-gradients/identity", "a size below 1 is an error")
def _(identity):
    _raises(lambda: identity(0), "size = 0", 0)


@holds("11-gradients/xavier_uniform", "the interval and the variance")
def _(xavier_uniform):
    for rows, columns, gain in ((200, 60, 1.0), (40, 300, 1.0), (100, 100, 1.7)):
        W = xavier_uniform(np.random.default_rng(1), rows, columns, gain)
        expect(np.shape(W) == (rows, columns), f"asked for {rows} x {columns}, the shape is {np.shape(W)}")
        limit = gain * math.sqrt(6 / (rows + columns))
        top, spread = float(np.abs(W).max()), float(np.std(W))
        expect(
            abs(spread / (limit / math.sqrt(3)) - 1) < 0.03 and abs(float(np.mean(W))) < limit / 20,
            f"{rows} x {columns}, gain {gain:g}: spread {spread:.4g} about {np.mean(W):.2g}, expected "
            f"{limit / math.sqrt(3):.4g} about 0; {_which_scale(spread, rows, columns, gain)}",
        )
        expect(
            0.99 * limit < top <= limit,
            f"{rows} x {columns}: the largest entry is {top:.4g}, expected just below the limit {limit:.4g}. Of a "
            "uniform distribution none lies beyond it, of a normal one some do.",
        )


def _which_scale(spread: float, rows: int, columns: int, gain: float) -> str:
    both, scales = rows + columns, {"1, no scaling at all": 1 / math.sqrt(3)}
    scales |= {
        "a half-width of sqrt(2 / (rows + columns)): that is the standard deviation": gain * math.sqrt(2 / both / 3),
        "a half-width of 6 / (rows + columns), without the root": gain * 6 / both / math.sqrt(3),
        "a half-width of 2 / (rows + columns), the variance": gain * 2 / both / math.sqrt(3),
        "the fan-in alone, sqrt(6 / rows)": gain * math.sqrt(2 / rows),
        "the fan-in alone, sqrt(3 / rows)": gain * math.sqrt(1 / rows),
        "the fan-out alone, sqrt(3 / columns)": gain * math.sqrt(1 / columns),
        "an interval from 0 to a": gain * math.sqrt(6 / both / 12),
        "the right one with the gain left out": math.sqrt(2 / both),
        "the right one with the gain squared": gain**2 * math.sqrt(2 / both),
    }
    return closest_scale(spread, scales)


@holds("11-gradients/xavier_uniform", "all randomness comes from rng")
def _(xavier_uniform):
    _rng_decides(lambda rng: xavier_uniform(rng, 4, 4))


@holds("11-gradients/xavier_uniform", "the dtype is the one asked for")
def _(xavier_uniform):
    _dtype_asked(lambda dtype: xavier_uniform(np.random.default_rng(3), 3, 4, 1.0, dtype))


@holds("11-gradients/xavier_uniform", "a size below 1 is an error")
def _(xavier_uniform):
    for rows, columns in ((0, 3), (3, -1)):
        number = min(rows, columns)
        _raises(partial(xavier_uniform, np.random.default_rng(0), rows, columns), f"{rows} x {columns}", number)


# --- layer norm


def _norm_params(H: int, plain: bool = False) -> dict[str, np.ndarray]:
    if plain:
        return {"gain": np.ones(H), "bias": np.zeros(H)}
    return {"gain": draw(H, seed=40), "bias": draw(H, seed=41)}


@holds("11-gradients/layer_norm", "each row has mean 0 and variance 1")
def _(layer_norm):
    y, _ = layer_norm(_norm_params(8, plain=True), 50 + 20 * draw(5, 8), 0.0)
    means, variances = np.mean(y, axis=1), np.var(y, axis=1)
    expect(distance(means, np.zeros(5)) < 1e-12, f"gain 1, bias 0: the rows have means {means.round(4)}, expected 0")
    expect(distance(variances, np.ones(5)) < 1e-9, f"the rows have variances {variances.round(4)}, expected 1")


@holds("11-gradients/layer_norm", "sequences of a batch do not see each other")
def _(layer_norm):
    params, x = _norm_params(4), draw(3, 4, seed=42)
    together, _ = layer_norm(params, x)
    for b in range(3):
        alone, _ = layer_norm(params, x[b : b + 1])
        gap = distance(alone[0], together[b])
        expect(gap < 1e-12, f"row {b} alone and among 3 differ by {gap:.3g}: the mean runs over the units of a row")


@holds("11-gradients/layer_norm", "a row of equal numbers is no division by zero")
def _(layer_norm):
    params = _norm_params(4)
    y, _ = layer_norm(params, np.full((2, 4), 3.0))
    expect(distance(y, np.tile(params["bias"], (2, 1))) < 1e-12, f"a row of threes gives {y[0]}, expected the bias")


def _normed(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    x = 1 + 2 * draw(*shape, seed=43)
    scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) * scale, scale


@holds("11-gradients/layer_norm_backward", "agrees with central differences")
def _(layer_norm_backward):
    params, x, dy = _norm_params(5), 1 + 2 * draw(3, 5, seed=43), draw(3, 5, seed=44)

    def loss(params: dict[str, np.ndarray], x: np.ndarray) -> float:
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        return float((dy * (params["gain"] * (x - x.mean(axis=-1, keepdims=True)) / spread + params["bias"])).sum())

    dx, grads = layer_norm_backward(params, dy.copy(), _normed(3, 5))
    for name, got in {"x": dx, **grads}.items():
        value = x if name == "x" else params[name]
        expect(
            np.shape(got) == value.shape, f"the gradient of {name} has shape {np.shape(got)}, expected {value.shape}"
        )
        for at in np.ndindex(value.shape):
            bump = np.zeros_like(value)
            bump[at] = 1e-6
            ends = [
                loss(params, x + s * bump) if name == "x" else loss(params | {name: value + s * bump}, x)
                for s in (1, -1)
            ]
            slope = (ends[0] - ends[1]) / 2e-6
            expect(
                bool(abs(slope - got[at]) < 1e-6),
                f"nudging {name}{list(at)} changes the loss by {slope:.6g} per unit, the gradient says {got[at]:.6g}",
            )


@holds("11-gradients/layer_norm_backward", "nothing comes back along the mean or along the row itself")
def _(layer_norm_backward):
    cache = _normed(4, 6)
    dx, _ = layer_norm_backward(_norm_params(6), draw(4, 6, seed=45), cache)
    sums, along = np.sum(dx, axis=-1), np.sum(dx * cache[0], axis=-1)
    expect(
        distance(sums, np.zeros(4)) < 1e-10,
        f"the entries of dx in a row add up to {sums.round(4)}, expected 0: adding a number to a row changes nothing",
    )
    expect(
        distance(along, np.zeros(4)) < 1e-3,
        f"dx times the normed row adds up to {along.round(4)}, expected about 0: stretching a row changes nothing",
    )


@holds("11-gradients/layer_norm_backward", "a sequence is the sum of its steps")
def _(layer_norm_backward):
    params, dy, (normed, scale) = _norm_params(4), draw(3, 2, 4, seed=46), _normed(3, 2, 4)
    dx, grads = layer_norm_backward(params, dy, (normed, scale))
    steps = [layer_norm_backward(params, dy[t], (normed[t], scale[t])) for t in range(3)]
    gap = distance(np.stack([one for one, _ in steps]), dx)
    expect(gap < 1e-12, f"dx of 3 steps at once and one by one differ by {gap:.3g}")
    for name in ("gain", "bias"):
        gap = distance(sum(own[name] for _, own in steps), grads[name])
        expect(gap < 1e-12, f"the gradients of {name} of 3 steps do not add up to that of all: {gap:.3g} off")


# --- tasks


def _adding(adding_problem: Callable[..., Any], T: int, B: int) -> tuple[np.ndarray, np.ndarray]:
    answer = adding_problem(np.random.default_rng(50), T, B, np.float64)
    expect(isinstance(answer, tuple) and len(answer) == 2, "return (xs, targets)")
    xs, targets = answer
    expect(np.shape(xs) == (T, B, 2), f"length {T}, {B} sequences: xs has shape {np.shape(xs)}, expected {(T, B, 2)}")
    expect(np.shape(targets) == (B,), f"targets have shape {np.shape(targets)}, expected ({B},)")
    return xs, targets


@holds("11-gradients/adding_problem", "one mark in each half, at any step of it")
def _(adding_problem):
    for T in (2, 5, 12):
        xs, _ = _adding(adding_problem, T, 300)
        marks = xs[:, :, 1]
        expect(bool(np.isin(marks, (0, 1)).all()), f"marks are 0 or 1; there are {np.unique(marks)[:5]}")
        for half, name in ((marks[: T // 2], "first"), (marks[T // 2 :], "second")):
            counts = half.sum(axis=0)
            wrong = counts[counts != 1].astype(int)
            found = " or ".join(map(str, np.unique(wrong)))
            expect(
                wrong.size == 0,
                f"length {T}: {wrong.size} of 300 sequences have {found} marks in their {name} half "
                f"(steps {0 if name == 'first' else T // 2} to {(T // 2 if name == 'first' else T) - 1}), expected 1",
            )
        never = np.flatnonzero(marks.sum(axis=1) == 0)
        expect(never.size == 0, f"length {T}, 300 sequences: step {never[:1]} is never marked")
        share = marks.mean(axis=1) * np.where(np.arange(T) < T // 2, T // 2, T - T // 2)
        expect(bool((share > 0.3).all() and (share < 2.2).all()), f"length {T}: some steps are marked much too often")


@holds("11-gradients/adding_problem", "the values fill 0 to 1, and are all different")
def _(adding_problem):
    xs, _ = _adding(adding_problem, 20, 200)
    values = xs[:, :, 0]
    expect(
        values.min() >= 0 and values.max() < 1 and abs(values.mean() - 0.5) < 0.03 and abs(values.std() - 0.289) < 0.02,
        f"values from {values.min():.3g} to {values.max():.3g}, mean {values.mean():.3f}, spread {values.std():.3f}; "
        "from U(0, 1) come a mean of 0.5 and a spread of 0.289",
    )
    expect(len(np.unique(values)) > 3900, "many values are the same; each step of each sequence has its own")


@holds("11-gradients/adding_problem", "the answer is the sum of the two marked values")
def _(adding_problem):
    xs, targets = _adding(adding_problem, 9, 50)
    marked = [xs[xs[:, b, 1] == 1, b, 0] for b in range(50)]
    for b, pair in enumerate(marked):
        expect(
            bool(abs(targets[b] - pair.sum()) < 1e-12),
            f"sequence {b}: marked are {pair.round(4)}, the target is {targets[b]:.4f}, expected {pair.sum():.4f}",
        )


@holds("11-gradients/adding_problem", "all randomness comes from rng")
def _(adding_problem):
    _rng_decides(lambda rng: adding_problem(rng, 8, 30)[0][:, :, 0])
    _rng_decides(lambda rng: adding_problem(rng, 8, 30)[0][:, :, 1])


@holds("11-gradients/adding_problem", "the dtype is the one asked for")
def _(adding_problem):
    _dtype_asked(lambda dtype: adding_problem(np.random.default_rng(3), 6, 4, dtype)[0])
    _dtype_asked(lambda dtype: adding_problem(np.random.default_rng(3), 6, 4, dtype)[1])


@holds("11-gradients/adding_problem", "too short, or no sequence, is an error")
def _(adding_problem):
    _raises(lambda: adding_problem(np.random.default_rng(0), 1, 4), "length = 1", 1)
    _raises(lambda: adding_problem(np.random.default_rng(0), 6, 0), "batch_size = 0", 0)


def _copying(copy_task: Callable[..., Any], d: int, B: int, n: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """What is read, as numbers, and what is asked."""
    answer = copy_task(np.random.default_rng(51), d, B, n, K, np.float64)
    expect(isinstance(answer, tuple) and len(answer) == 2, "return (xs, targets)")
    xs, targets = answer
    T = d + 2 * n
    given = f"delay {d}, {B} sequences, {n} items, {K} symbols"
    expect(np.shape(xs) == (T, B, K + 2), f"{given}: xs has shape {np.shape(xs)}, expected {(T, B, K + 2)}")
    expect(np.shape(targets) == (T, B), f"{given}: targets have shape {np.shape(targets)}, expected {(T, B)}")
    hot = bool(((xs == 0) | (xs == 1)).all() and (xs.sum(axis=-1) == 1).all())
    expect(hot, f"{given}: an input is not one-hot, a single 1 among zeros")
    expect(np.asarray(targets).dtype.kind in "iu", f"targets have dtype {targets.dtype}, expected integers")
    return xs.argmax(axis=-1), targets


def _plan(row: np.ndarray, K: int) -> str:
    names = {K: "_", K + 1: "!"}
    return " ".join(names.get(int(number), str(int(number))) for number in row)


@holds("11-gradients/copy_task", "items, blanks, the signal, blanks")
def _(copy_task):
    for d, n, K in ((4, 3, 5), (1, 2, 3), (7, 1, 2)):
        read, _ = _copying(copy_task, d, 60, n, K)
        want = np.full(d + 2 * n, K)
        want[n + d - 1], want[:n] = K + 1, read[:n, 0]
        expect(
            bool((read[n:] == want[n:, None]).all()),
            f"delay {d}, {n} items ({K} is the blank _, {K + 1} the signal !): sequence 0 reads\n"
            f"{_plan(read[:, 0], K)}\nand after the items there should stand\n{_plan(want[n:], K)}",
        )
        found = sorted(set(np.unique(read[:n]).tolist()))
        expect(found == list(range(K)), f"in 60 sequences the items are {found}, expected all of 0 to {K - 1}")


@holds("11-gradients/copy_task", "each sequence has its own items")
def _(copy_task):
    read, _ = _copying(copy_task, 3, 60, 3, 5)
    expect(
        bool((read[:3] != read[:3, :1]).any()), "all sequences have the same items: draw (items, batch_size) numbers"
    )
    expect(bool((read[1:3] != read[:1]).any()), "a sequence has one item several times over, in every sequence")


@holds("11-gradients/copy_task", "the answers are blanks, and at the end the items in order")
def _(copy_task):
    for d, n, K in ((4, 3, 5), (1, 2, 3)):
        read, targets = _copying(copy_task, d, 40, n, K)
        want = np.full((d + 2 * n, 40), K)
        want[-n:] = read[:n]
        b = int((targets != want).any(axis=0).argmax())
        expect(
            bool((targets == want).all()),
            f"delay {d}, {n} items, sequence {b} ({K} is the blank _): it reads\n{_plan(read[:, b], K)}\n"
            f"is asked for\n{_plan(targets[:, b], K)}\nand should be asked for\n{_plan(want[:, b], K)}",
        )


@holds("11-gradients/copy_task", "all randomness comes from rng")
def _(copy_task):
    _rng_decides(lambda rng: copy_task(rng, 4, 6)[1])


@holds("11-gradients/copy_task", "the dtype is the one asked for")
def _(copy_task):
    _dtype_asked(lambda dtype: copy_task(np.random.default_rng(3), 3, 4, 2, 3, dtype)[0])


@holds("11-gradients/copy_task", "a size below 1 is an error")
def _(copy_task):
    for sizes in ((0, 4, 3, 5), (3, 0, 2, 5), (3, 4, -1, 5), (3, 4, 2, -7)):
        _raises(partial(copy_task, np.random.default_rng(0), *sizes), f"sizes {sizes}", min(sizes))
