"""What must hold for the functions of chapter 10, whatever the numbers."""

from functools import partial
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import distance, draw, slopes
from course.checks.peak import peak_bytes
from course.checks.run import expect, holds, refuses_float32
from course.checks.toys import (
    fast_and_slow_step,
    fast_and_slow_step_backward,
    flat_floor,
    run_fast_and_slow,
    run_fast_and_slow_back,
    run_leaky,
    run_leaky_back,
    spoils_its_input,
    squares,
    straight_line,
    sum_of_cubes,
)

RIGHT = 1e-6  # what gradient_check gives at most for a right gradient in float64


def _refusal(function: Any, *args: Any, error: type[Exception] = ValueError) -> str | None:
    """The message of the error that a call ends in; None where it goes through."""
    try:
        function(*args)
    except error as problem:
        return str(problem)
    return None


def _said(message: str | None, error: str = "ValueError") -> str:
    return f"no {error}" if message is None else repr(message)


# --- numerical_gradient

refuses_float32("10-bptt/numerical_gradient")


@holds("10-bptt/numerical_gradient", "half the width, a quarter of the error")
def _(numerical_gradient):
    x = np.array([0.5, -1.0, 2.0])
    off = [numerical_gradient(sum_of_cubes, x.copy(), eps) - 3 * x**2 for eps in (1e-2, 5e-3)]
    want = [(eps * np.maximum(1, np.abs(x))) ** 2 for eps in (1e-2, 5e-3)]
    expect(
        distance(off[0], want[0]) < 1e-9 and distance(off[1], want[1]) < 1e-9,
        f"the sum of cubes at {x}: central differences are off by the square of the half-width, {want[0]} for "
        f"eps = 0.01 and {want[1]} for 0.005; yours are off by {off[0]} and {off[1]}. A one-sided difference is off by "
        "the half-width itself.",
    )


@holds("10-bptt/numerical_gradient", "the width grows with the coordinate")
def _(numerical_gradient):
    for number in (3e8, -2e9, 0.1, 0.0):
        got = numerical_gradient(squares, np.array([number]))
        off = distance(got, np.array([number])) / max(1, abs(number))
        expect(
            off < 1e-6,
            f"half the square at {number:g}: the slope is that number itself, yours is {np.ravel(got)}. Beside 3e8 a "
            "step of 1e-5 drowns in rounding, and at 0 a step of 0 is none: it is eps times max(1, |x_i|).",
        )


@holds("10-bptt/numerical_gradient", "each coordinate is nudged alone, in any number of axes")
def _(numerical_gradient):
    for shape in ((6,), (2, 3), (3, 1, 2), ()):
        x = draw(*shape) if shape else np.array(0.5)
        want = np.arange(1.0, x.size + 1).reshape(shape)
        got = numerical_gradient(straight_line, x.copy())
        expect(
            distance(got, want) < 1e-7,
            f"x of shape {shape}, slopes {want.ravel()}: got {np.round(np.ravel(got), 4)} in shape {np.shape(got)}",
        )


@holds("10-bptt/numerical_gradient", "the function may write into what it gets")
def _(numerical_gradient):
    x = np.array([0.5, -2.0, 1.5])
    got = numerical_gradient(spoils_its_input, x.copy())
    expect(
        distance(got, 2 * x) < 1e-7,
        f"a function that overwrites its argument, with slopes {2 * x}: got {np.round(np.ravel(got), 4)}. Hand it a "
        "copy each time, and look at nothing that it has had.",
    )


@holds("10-bptt/numerical_gradient", "float32 is an error, and so is what is no array")
def _(numerical_gradient):
    for x, kind in ((np.ones(3, np.float32), "float32"), (np.arange(3), "int"), ([1.0, 2.0], "list")):
        message = _refusal(numerical_gradient, squares, x, error=TypeError)
        expect(
            message is not None and kind in message,
            f"x is of {kind}, and the call ends in {_said(message, 'TypeError')}. In float32 "
            "numbers near 1 lie 1e-7 apart: a step of 1e-5 leaves two digits. Say what came.",
        )


# --- gradient_check


@holds("10-bptt/gradient_check", "a right gradient has an error below 1e-6")
def _(gradient_check):
    for size in (1e-6, 1.0, 1e3):
        x = size * np.array([0.3, -0.7, 1.1, 2.0])
        error = gradient_check(squares, x.copy(), x.copy())
        expect(bool(error < RIGHT), f"half the sum of squares at {x}, with the right gradient: error {error:.3g}")


@holds("10-bptt/gradient_check", "the size of the loss does not matter")
def _(gradient_check):
    for size in (1e-6, 1.0, 1e3):
        x = size * np.array([1.0, -2.0, 3.0])
        error, want = gradient_check(squares, x.copy(), 1.5 * x), 0.2
        expect(
            bool(abs(error - want) < 1e-3),
            f"half the sum of squares at {x}, and a gradient that is too large by a half: error {error:.4g}, expected "
            "|1.5 - 1| / (1.5 + 1) = 0.2. An error in absolute numbers says nothing about a small gradient.",
        )


@holds("10-bptt/gradient_check", "one wrong entry among many decides")
def _(gradient_check):
    for at in (0, 57, 99):
        for factor in (1.1, 0.9):
            x = np.full(100, 2.0)
            grad = x.copy()
            grad[at] *= factor
            error, want = gradient_check(squares, x, grad), 0.1 / (1 + factor)
            expect(
                bool(abs(error - want) < 1e-4),
                f"100 entries, entry {at} is {factor} times what it should be: error {error:.4g}, expected {want:.4g}. "
                "Take the largest error, not a mean of all.",
            )


@holds("10-bptt/gradient_check", "nan is not right")
def _(gradient_check):
    x = np.array([1.0, 2.0, 3.0])
    error = gradient_check(squares, x.copy(), np.array([1.0, np.nan, 3.0]))
    expect(
        not error < RIGHT,
        f"a gradient with a nan in it gets the error {error:.3g}, and passes. `nan` compared with anything is False, "
        "so a maximum that passes over it lets it through.",
    )


@holds("10-bptt/gradient_check", "flat entries do not decide by their rounding")
def _(gradient_check):
    x = np.array([0.3, 0.7, -0.2])
    for grad in ([1000.0, 0.0, 0.0], [1000.0, 1e-13, 0.0]):
        error = gradient_check(flat_floor, x.copy(), np.array(grad))
        expect(
            bool(error < RIGHT),
            f"the slopes are 1000, 0, 0 and the gradient is {grad}: error {error:.3g}. Rounding over rounding is no "
            "error: the denominator is at least 1e-4 of the largest slope.",
        )
    error = gradient_check(flat_floor, x.copy(), np.array([1000.0, 0.5, 0.0]))
    expect(bool(error > 0.1), f"0.5 for a slope of 0 beside 1000 is an error of 0.83, not {error:.3g}")


@holds("10-bptt/gradient_check", "another shape is an error")
def _(gradient_check):
    message = _refusal(gradient_check, squares, np.ones((2, 3)), np.ones(3))
    expect(
        message is not None and "(3,)" in message and "(2, 3)" in message,
        f"a gradient (3,) for x (2, 3) ends in {_said(message)}; it would be broadcast. Say both shapes.",
    )


# --- backward_through_time


def _walk(T: int = 6) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, tuple[np.ndarray, ...], list[Any]]:
    """A toy cell, inputs, gradients of the outputs and of the last state, and caches: 3 rows, 2 inputs, 4 units."""
    params, xs = {"W": draw(2, 4)}, draw(T, 3, 2, seed=4)
    return params, xs, draw(T, 3, 4, seed=5), (draw(3, 4, seed=6), draw(3, 4, seed=7)), [(x,) for x in xs]


def _toy_loss(params: Any, xs: Any, state: Any, dhs: np.ndarray, dlast: tuple[np.ndarray, ...]) -> float:
    loss = 0.0
    for x, dh in zip(xs, dhs, strict=True):
        state, _ = fast_and_slow_step(params, x, state)
        loss += float((dh * state[0]).sum())
    return loss + sum(float((d * part).sum()) for d, part in zip(dlast, state, strict=True))


@holds("10-bptt/backward_through_time", "agrees with central differences")
def _(backward_through_time):
    params, xs, dhs, dlast, caches = _walk()
    start = (draw(3, 4, seed=8), draw(3, 4, seed=9))
    dxs, dstart, grads = backward_through_time(fast_and_slow_step_backward, params, dhs.copy(), dlast, caches)
    for name, got, value, loss in (
        ("W", grads["W"], params["W"], lambda v: _toy_loss({"W": v}, xs, start, dhs, dlast)),
        ("xs", dxs, xs, lambda v: _toy_loss(params, v, start, dhs, dlast)),
        ("the fast part of the start", dstart[0], start[0], lambda v: _toy_loss(params, xs, (v, start[1]), dhs, dlast)),
        ("the slow part of the start", dstart[1], start[1], lambda v: _toy_loss(params, xs, (start[0], v), dhs, dlast)),
    ):
        gap = distance(got, slopes(loss, value, 1e-5))
        expect(gap < 1e-6, f"a toy cell, 6 steps: the gradient of {name} is off by {gap:.3g} from central differences")


@holds("10-bptt/backward_through_time", "a step hears of all later steps, and of no earlier one")
def _(backward_through_time):
    params, _, _, _, caches = _walk()
    silent = (np.zeros((3, 4)), np.zeros((3, 4)))
    for at in (0, 2, 5):
        dhs = np.zeros((6, 3, 4))
        dhs[at] = 1.0
        dxs, dstart, _ = backward_through_time(fast_and_slow_step_backward, params, dhs, silent, caches)
        heard = [t for t in range(6) if np.abs(np.asarray(dxs)[t]).max() > 0]
        expect(
            heard == list(range(at + 1)),
            f"the only loss is at step {at} of 0 to 5, and the inputs of steps {heard} get a gradient, expected steps "
            f"{list(range(at + 1))}: those that came before it, and its own",
        )
        expect(bool(np.abs(dstart[0]).max() > 0), f"a loss at step {at} does not arrive at the state before step 0")


@holds("10-bptt/backward_through_time", "two halves, one after the other, are the whole")
def _(backward_through_time):
    params, _, dhs, dlast, caches = _walk()
    back = partial(backward_through_time, fast_and_slow_step_backward, params)
    dxs, dstart, grads = back(dhs, dlast, caches)
    late, middle, second = back(dhs[4:], dlast, caches[4:])
    early, first, own = back(dhs[:4], middle, caches[:4])
    gap = max(distance(np.concatenate([early, late]), dxs), *map(distance, first, dstart))
    gap = max(gap, distance(own["W"] + second["W"], grads["W"]))
    expect(
        gap < 1e-12,
        f"steps 4 and 5 first, and then steps 0 to 3 with the message that the others sent, differ from all six at "
        f"once by {gap:.3g}",
    )


@holds("10-bptt/backward_through_time", "as many gradients as steps, or an error")
def _(backward_through_time):
    params, _, dhs, dlast, caches = _walk()
    for given, kept in ((dhs[:4], caches), (dhs, caches[:5]), (dhs[:0], [])):
        message = _refusal(backward_through_time, fast_and_slow_step_backward, params, given, dlast, kept)
        expect(
            message is not None and str(len(given)) in message and str(len(kept)) in message,
            f"{len(given)} gradients for {len(kept)} steps end in {_said(message)}; say both numbers",
        )


# --- truncated_bptt and checkpointed_bptt


def _stretch(T: int = 7) -> tuple[Any, ...]:
    """A net with two state arrays and an output layer, inputs, targets and a start: 3 rows, 2 inputs, 4 units."""
    params = {"W": draw(2, 4), "W_hy": draw(4, 3, seed=4), "b_y": draw(3, seed=5)}
    targets = np.random.default_rng(6).integers(3, size=(T, 3))
    return params, draw(T, 3, 2, seed=7), targets, (draw(3, 4, seed=8), draw(3, 4, seed=9))


def _pieces_of(function: Any, size: int | None, T: int = 7, **changes: Any) -> Any:
    params, xs, targets, state = _stretch(T)
    given = {"params": params, "xs": xs, "targets": targets, "state": state} | changes
    return function(run_fast_and_slow, run_fast_and_slow_back, *given.values(), size)


def _gap(one: Any, two: Any) -> float:
    """The largest difference between two answers: loss, gradients of the inputs, last state, gradients."""
    found = [abs(one[0] - two[0]), distance(one[1], two[1]), *map(distance, one[2], two[2])]
    return float(max(*found, *(distance(one[3][name], two[3][name]) for name in two[3])))


def _full_slopes(function: Any, size: int | None) -> None:
    """Fail unless the gradients are the slopes of the loss that the function itself returns."""
    params, xs, _, _ = _stretch()
    loss, dxs, _, grads = _pieces_of(function, size)
    expect(set(grads) == set(params), f"the gradients are of {sorted(grads)}, expected of {sorted(params)}")
    whole = f"with {'one piece' if size and size >= 7 else 'pieces of ' + str(size or 'its own choice')}"
    for name, value in params.items():
        nudged = slopes(partial(_loss_at, function, size, params=params, name=name), value, 1e-5)
        gap = distance(grads[name], nudged)
        expect(gap < 1e-7, f"{whole}, the gradient of {name} is off by {gap:.3g} from slopes of the loss ({loss:.4g})")
    for t in (0, 3, 6):
        nudged = slopes(partial(_loss_at, function, size, xs=xs, t=t), xs[t], 1e-5)
        gap = distance(dxs[t], nudged)
        expect(gap < 1e-7, f"{whole}, the gradient of input {t} of 0 to 6 is off by {gap:.3g} from slopes of the loss")


def _loss_at(function: Any, size: int | None, value: np.ndarray, **place: Any) -> float:
    """The loss with one parameter, or one input, replaced."""
    if "name" in place:
        return _pieces_of(function, size, params=place["params"] | {place["name"]: value})[0]
    xs = place["xs"].copy()
    xs[place["t"]] = value
    return _pieces_of(function, size, xs=xs)[0]


@holds("10-bptt/truncated_bptt", "with one window, the gradients are slopes of the loss")
def _(truncated_bptt):
    _full_slopes(truncated_bptt, 7)


@holds("10-bptt/truncated_bptt", "the loss and the last state do not depend on the window")
def _(truncated_bptt):
    whole = _pieces_of(truncated_bptt, 7)
    for window in (1, 2, 3, 5, 20):
        loss, _, state, _ = _pieces_of(truncated_bptt, window)
        gap = max(map(distance, state, whole[2]))
        expect(gap < 1e-12, f"after 7 steps in windows of {window} the last state is {gap:.3g} from that in one window")
        gap = abs(loss - whole[0])
        expect(
            gap < 1e-12,
            f"in windows of {window} the loss is {loss:.6g}, in one window {whole[0]:.6g}. The state is carried from "
            "window to window, all 7 steps count, and all alike.",
        )


@holds("10-bptt/truncated_bptt", "no gradient crosses the border of a window")
def _(truncated_bptt):
    targets = _stretch()[2]
    dxs = _pieces_of(truncated_bptt, 3)[1]
    other = targets.copy()
    other[3:6] = (other[3:6] + 1) % 3
    moved = _pieces_of(truncated_bptt, 3, targets=other)[1]
    touched = [t for t in range(7) if distance(moved[t], dxs[t]) > 1e-12]
    expect(
        touched == [3, 4, 5],
        f"7 steps, windows 0-2, 3-5, 6. Other targets at steps 3 to 5 change the gradients of inputs {touched}, "
        "expected those of 3, 4 and 5: what lies before the window hears nothing, and what lies after it has no share.",
    )


@holds("10-bptt/truncated_bptt", "the gradients of the windows add up")
def _(truncated_bptt):
    params, xs, targets, state = _stretch()
    got = _pieces_of(truncated_bptt, 3)[3]
    want, now = {name: np.zeros_like(value) for name, value in params.items()}, state
    for first, last in ((0, 3), (3, 6), (6, 7)):
        part = (run_fast_and_slow, run_fast_and_slow_back, params, xs[first:last], targets[first:last], now, 7)
        _, _, now, grads = truncated_bptt(*part)
        want = {name: want[name] + (last - first) / 7 * grads[name] for name in want}
    gap = max(distance(got[name], want[name]) for name in want)
    expect(
        gap < 1e-12,
        f"windows of 3, 3 and 1 steps, taken one by one, each with its share of the 7 steps, sum up to gradients that "
        f"differ by {gap:.3g}",
    )


@holds("10-bptt/truncated_bptt", "a window below 1 is an error, and so is no step")
def _(truncated_bptt):
    _expect_errors(truncated_bptt)


def _expect_errors(function: Any) -> None:
    for size in (0, -2):
        message = _refusal(_pieces_of, function, size)
        expect(
            message is not None and str(size) in message,
            f"{size} steps at a time end in {_said(message)}; `_check_stretch` in rnnlib.bptt raises it",
        )
    nothing: dict[str, Any] = {"xs": np.zeros((0, 3, 2)), "targets": np.zeros((0, 3), int)}
    message = _refusal(partial(_pieces_of, **nothing), function, 3)
    expect(message is not None and "(0, 3, 2)" in message, "xs of shape (0, 3, 2) go through; say what came")


@holds("10-bptt/checkpointed_bptt", "the gradients are slopes of the loss, however it is cut")
def _(checkpointed_bptt):
    _full_slopes(checkpointed_bptt, 3)


@holds("10-bptt/checkpointed_bptt", "the length of a segment changes nothing")
def _(checkpointed_bptt):
    whole = _pieces_of(checkpointed_bptt, 7)
    for segment in (1, 2, 3, 5, 20, None):
        gap = _gap(_pieces_of(checkpointed_bptt, segment), whole)
        expect(
            gap < 1e-12,
            f"segments of {segment} and one segment differ by {gap:.3g}: in loss, in a gradient or in the last state",
        )


@holds("10-bptt/checkpointed_bptt", "a segment below 1 is an error, and so is no step")
def _(checkpointed_bptt):
    _expect_errors(checkpointed_bptt)


@holds("10-bptt/checkpointed_bptt", "four times the steps, twice the memory")
def _(checkpointed_bptt):
    sizes = [64, 256, 1024]
    peaks = drive(peak_bytes, checkpointed_bptt, run_leaky, run_leaky_back, sizes)
    growth = float((peaks[2] / peaks[0]) ** 0.5)
    expect(
        growth < 2.8,
        f"for {sizes} steps the peaks of memory are {[round(peak / 1024) for peak in peaks]} KiB: four times the steps "
        f"take {growth:.1f} times the memory, expected about 2. Keep no caches of the first pass, and where no segment "
        "is given take about the root of T.",
    )


# --- stateful_batches


def _joined(batches: Any) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and all targets, the batches one behind the other; an error in words if they are no such list."""
    pairs = isinstance(batches, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in batches)
    expect(pairs and len(batches) > 0, "expected a list of pairs (xs, targets), both arrays (T, B)")
    shapes = {tuple(np.shape(part)[1:]) for pair in batches for part in pair}
    expect(len(shapes) == 1 and len(next(iter(shapes))) == 1, f"the batches' shapes after the time axis are {shapes}")
    xs, targets = (np.concatenate([pair[i] for pair in batches]) for i in (0, 1))
    return xs, targets


@holds("10-bptt/stateful_batches", "a column goes on where it stopped")
def _(stateful_batches):
    for N, B, window in ((31, 3, 4), (25, 4, 3), (13, 1, 5), (41, 5, 8)):
        xs, _ = _joined(stateful_batches(np.arange(N), B, window))
        expect(xs.shape[1] == B, f"{N} symbols in {B} rows: a batch has {xs.shape[1]} columns, expected {B}")
        for b in range(B):
            jumps = np.flatnonzero(np.diff(xs[:, b]) != 1)
            where = f"{xs[jumps[0], b]} is followed by {xs[jumps[0] + 1, b]}" if jumps.size else ""
            expect(
                not jumps.size,
                f"the stream 0, 1, 2, ... in {B} rows and windows of {window}: in column {b}, {where}. The state of a "
                "column is carried on, so its symbols must go on too, also from batch to batch.",
            )


@holds("10-bptt/stateful_batches", "the target is the next symbol of the stream")
def _(stateful_batches):
    for N, B, window in ((31, 3, 4), (25, 4, 3), (13, 1, 5)):
        xs, targets = _joined(stateful_batches(np.arange(N), B, window))
        expect(xs.shape == targets.shape, f"the inputs have {xs.shape[0]} steps, the targets {targets.shape[0]}")
        wrong = np.argwhere(targets != xs + 1)
        shown = f"after {xs[tuple(wrong[0])]} comes {targets[tuple(wrong[0])]}" if wrong.size else ""
        expect(not wrong.size, f"the stream 0, 1, 2, ... in {B} rows and windows of {window}: {shown}")


@holds("10-bptt/stateful_batches", "every symbol is read once, but for a rest")
def _(stateful_batches):
    for N, B, window in ((31, 3, 4), (28, 3, 4), (22, 3, 7), (9, 4, 1), (13, 3, 4)):
        batches = stateful_batches(np.arange(N), B, window)
        xs, _ = _joined(batches)
        n = (N - 1) // B
        sizes, want = [len(pair[0]) for pair in batches], [min(window, n - t) for t in range(0, n, window)]
        expect(
            sizes == want,
            f"{N} symbols in {B} rows are {n} steps each; in windows of {window} the batches have {sizes} steps, "
            f"expected {want}. One symbol more is needed than is read: the last target.",
        )
        expect(
            np.array_equal(np.sort(xs, axis=None), np.arange(B * n)),
            f"{N} symbols in {B} rows, windows of {window}: not each of the first {B * n} symbols is read exactly once",
        )


@holds("10-bptt/stateful_batches", "the batches are arrays of their own")
def _(stateful_batches):
    stream = np.arange(31)
    batches = stateful_batches(stream, 3, 4)
    parts = [part for pair in batches for part in pair]
    views = sum(np.shares_memory(part, stream) for part in parts)
    expect(not views, f"{views} of {len(parts)} arrays are views of the stream: whoever writes into one changes it")
    shared = any(np.shares_memory(a, b) for i, a in enumerate(parts) for b in parts[:i])
    expect(not shared, "two of the arrays share memory: whoever writes into the one changes the other")


@holds("10-bptt/stateful_batches", "sizes that cannot be are errors")
def _(stateful_batches):
    for N, B, window in ((10, 0, 3), (10, 3, 0), (10, -1, 3), (4, 4, 1), (3, 5, 2)):
        message = _refusal(stateful_batches, np.arange(N), B, window)
        expect(
            message is not None and "stateful_batches" in message,
            f"{N} symbols, {B} rows, windows of {window}: the call ends in {_said(message)}. `_check_sizes` in the "
            "module raises it.",
        )


# --- embed and embed_backward


@holds("10-bptt/embed", "it is the product with one-hot rows")
def _(embed):
    E = draw(6, 4)
    for shape in ((5, 3), (7,), (2, 3, 2)):
        tokens = np.random.default_rng(4).integers(6, size=shape)
        got = embed({"E": E}, tokens)
        expect(isinstance(got, tuple) and len(got) == 2, "the answer is a tuple of two: (xs, cache)")
        want = np.eye(6)[tokens] @ E
        gap = distance(got[0], want)
        expect(
            gap < 1e-12,
            f"tokens {shape}, a table (6, 4): xs have shape {np.shape(got[0])}, expected {want.shape}; they differ by "
            f"{gap:.3g} from one-hot rows times the table",
        )


@holds("10-bptt/embed", "training what is looked up leaves the table alone")
def _(embed):
    E = draw(6, 4)
    for tokens in (np.array([[1, 2], [2, 3]]), np.array([0, 1, 2, 3, 4, 5])):
        xs, _ = embed({"E": E}, tokens)
        expect(not np.shares_memory(xs, E), "xs are a view of the table: whoever writes into them changes it")


@holds("10-bptt/embed", "a symbol that the table does not have is an error")
def _(embed):
    _refuses_tokens(lambda tokens: embed({"E": draw(6, 4)}, tokens), "embed")


def _refuses_tokens(call: Any, where: str) -> None:
    for tokens, shown in ((np.array([0, 6]), "6"), (np.array([[2, -1]]), "-1"), (np.array([0.0, 1.0]), "float64")):
        try:
            message = _refusal(call, tokens)
        except IndexError:
            message = None
        expect(
            message is not None and shown in message,
            f"tokens {tokens.tolist()} for a table of 6 end in {_said(message)}; "
            f'`_check_tokens("{where}", E, tokens)` in the module raises it. NumPy takes -1 for the last row.',
        )


@holds("10-bptt/embed_backward", "a symbol that comes again is asked again")
def _(embed_backward):
    E = np.zeros((5, 2))
    for tokens in (np.full((4, 3), 2), np.array([[2, 2, 2]]), np.array([[2], [2], [2]])):
        dE = embed_backward({"E": E}, np.ones((*tokens.shape, 2)), (tokens,))["E"]
        expect(np.shape(dE) == (5, 2), f"the gradient of a table (5, 2) has shape {np.shape(dE)}")
        want = np.zeros((5, 2))
        want[2] = tokens.size
        expect(
            distance(dE, want) < 1e-12,
            f"symbol 2 stands in all {tokens.size} places of tokens {tokens.shape}, each with a gradient of 1: row 2 "
            f"gets {np.asarray(dE)[2]}, expected {tokens.size} in each column, and the other rows 0. "
            "`dE[tokens] += dxs` adds once for each row that it meets.",
        )


@holds("10-bptt/embed_backward", "agrees with central differences")
def _(embed_backward):
    E, tokens, d = draw(6, 3), np.random.default_rng(4).integers(5, size=(4, 3)), draw(4, 3, 3, seed=5)
    dE = embed_backward({"E": E}, d.copy(), (tokens,))["E"]
    gap = distance(dE, slopes(lambda table: float((table[tokens] * d).sum()), E))
    expect(gap < 1e-6, f"12 symbols out of 5, of a table of 6: the gradient is off by {gap:.3g} from differences")


@holds("10-bptt/embed_backward", "the gradient is an array of its own")
def _(embed_backward):
    E, tokens, d = draw(4, 3), np.arange(4), draw(4, 3, seed=5)
    dE = embed_backward({"E": E}, d, (tokens,))["E"]
    expect(not (np.shares_memory(dE, E) or np.shares_memory(dE, d)), "it shares memory with the table or with dxs")


@holds("10-bptt/embed_backward", "a symbol that the table does not have is an error")
def _(embed_backward):
    _refuses_tokens(
        lambda tokens: embed_backward({"E": draw(6, 4)}, np.zeros((*tokens.shape, 4)), (tokens,)), "embed_backward"
    )
