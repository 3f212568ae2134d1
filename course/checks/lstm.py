"""What must hold for the functions of chapter 06, whatever the numbers, and the gate: one bit for 100 steps."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course.checks.bit import GAP, bit_run, bits, overflows, right_answers, train_on_bits
from course.checks.driver import drive
from course.checks.measure import closest_scale, distance, draw, expect_normal, expect_sum_of_sequences, slopes
from course.checks.run import CheckFailed, expect, holds
from course.checks.toys import fast_and_slow_step, fast_and_slow_step_backward

__all__ = ["bits", "right_answers", "train_on_bits"]  # for the notebook's experiments

GATE = 0.98  # share of fresh sequences whose first bit must be told at the end
PASSED_BY = "a right function reached 1.000 on each of 20 seeds"
WIDE = 40.0  # sigma(40) is 1 and sigma(-40) is 0, to the last bit
GATES = "ifog"


def _params(D: int, H: int, seed: int = 3, peepholes: bool = False) -> dict[str, np.ndarray]:
    params = {
        "W_xh": draw(D, 4 * H, seed=seed),
        "W_hh": draw(H, 4 * H, seed=seed + 1),
        "b_h": draw(4 * H, seed=seed + 2),
    }
    return params | ({f"p_{k}": draw(H, seed=seed + 6 + n) for n, k in enumerate("ifo")} if peepholes else {})


def _gates_at(H: int = 3, /, **sums: float) -> dict[str, np.ndarray]:
    """Parameters whose four sums are the given numbers, whatever comes in."""
    b_h = np.repeat([float(sums.get(k, 0.0)) for k in GATES], H)
    return {"W_xh": np.zeros((2, 4 * H)), "W_hh": np.zeros((H, 4 * H)), "b_h": b_h}


# --- sigmoid


@holds("06-lstm/sigmoid", "no input is too large")
def _(sigmoid):
    expect(
        not drive(overflows, sigmoid),
        "for inputs of -1000 or 1000 something overflows on the way, or becomes nan. exp of a large number does: write "
        "sigma with tanh, or take exp of numbers below 0 only.",
    )


@holds("06-lstm/sigmoid", "what opens one way shuts the other")
def _(sigmoid):
    a = draw(50) * 5
    gap = distance(sigmoid(a) + sigmoid(-a), np.ones(50))
    expect(gap < 1e-12, f"sigma(a) + sigma(-a) is off from 1 by up to {gap:.3g}")
    half = float(np.ravel(sigmoid(np.zeros(1)))[0])
    expect(half == 0.5, f"sigma(0) is {half:.4g}, expected 0.5")


@holds("06-lstm/sigmoid", "its slope is s (1 - s)")
def _(sigmoid):
    a = np.linspace(-4, 4, 17)
    s, slope = sigmoid(a), (sigmoid(a + 1e-6) - sigmoid(a - 1e-6)) / 2e-6
    at = int(np.argmax(np.abs(slope - s * (1 - s))))
    expect(
        abs(slope[at] - s[at] * (1 - s[at])) < 1e-7,
        f"at a = {a[at]:g} the value is {s[at]:.4f} and the slope {slope[at]:.4f}, expected s (1 - s) = "
        f"{s[at] * (1 - s[at]):.4f}; every backward step of this chapter relies on that",
    )


# --- lstm_step and peephole_lstm_step


def _state(answer: Any) -> tuple[np.ndarray, np.ndarray]:
    shown = type(answer).__name__ if not isinstance(answer, tuple) else f"a tuple of {len(answer)}"
    expect(isinstance(answer, tuple) and len(answer) == 2, f"the step returns {shown}; expected (state, cache)")
    state = answer[0]
    expect(isinstance(state, tuple) and len(state) == 2, "the state is a tuple of two arrays, (h, c)")
    return state


def _memory_is_guarded(step: Callable[..., Any], more: dict[str, np.ndarray]) -> None:
    x, h, c = draw(4, 2), np.tanh(draw(4, 3, seed=4)), 2 * draw(4, 3, seed=5)
    for what, sums, want_c, want_h in (
        ("forget gate open, input gate shut", {"i": -WIDE, "f": WIDE, "o": WIDE, "g": 1}, c, np.tanh(c)),
        ("forget gate shut, input gate shut", {"i": -WIDE, "f": -WIDE, "o": WIDE, "g": 1}, 0 * c, 0 * c),
        ("forget gate and input gate open", {"i": WIDE, "f": WIDE, "o": WIDE, "g": 9}, c + np.tanh(9), None),
        ("output gate shut", {"i": WIDE, "f": WIDE, "o": -WIDE, "g": -1}, c + np.tanh(-1), 0 * c),
    ):
        new_h, new_c = _state(step(_gates_at(**sums) | more, x.copy(), (h.copy(), c.copy())))
        gap = distance(new_c, want_c)
        expect(
            gap < 1e-9,
            f"{what}: the memory is off by {gap:.3g}. Old: {c[0].round(3)}; new: {np.ravel(new_c)[:3].round(3)}",
        )
        gap = 0.0 if want_h is None else distance(new_h, want_h)
        expect(gap < 1e-9, f"{what}: h is off by {gap:.3g}; it is o times tanh of the new memory")


def _apart(step: Callable[..., Any], params: dict[str, np.ndarray]) -> None:
    x, h, c = draw(5, 3, seed=6), draw(5, 4, seed=7), draw(5, 4, seed=8)
    together = _state(step(params, x, (h, c)))
    for b in range(5):
        alone = _state(step(params, x[b : b + 1], (h[b : b + 1], c[b : b + 1])))
        gap = max(distance(one[0], all_[b]) for one, all_ in zip(alone, together, strict=True))
        expect(gap < 1e-12, f"sequence {b} alone and in a batch of 5 differ by {gap:.3g}")


@holds("06-lstm/lstm_step", "open and shut gates do what they say")
def _(lstm_step):
    _memory_is_guarded(lstm_step, {})


@holds("06-lstm/lstm_step", "the sequences of a batch do not touch each other")
def _(lstm_step):
    _apart(lstm_step, _params(3, 4))


@holds("06-lstm/lstm_step", "h is bounded, the memory is not")
def _(lstm_step):
    params, state = _gates_at(i=WIDE, f=WIDE, o=WIDE, g=WIDE), (np.zeros((1, 3)), np.zeros((1, 3)))
    for _ in range(20):
        state, _ = lstm_step(params, np.zeros((1, 2)), state)
    h, c = state
    expect(distance(c, np.full((1, 3), 20.0)) < 1e-9, f"20 steps that each add 1 end at {np.ravel(c)}, expected 20")
    expect(float(np.abs(h).max()) <= 1, f"h has an entry of {np.abs(h).max():.4g}; o tanh(c) stays between -1 and 1")


# --- lstm_step_backward and peephole_lstm_step_backward


def _check_differences(step_name: str, step_backward: Callable[..., Any], peepholes: bool) -> None:
    from rnnlib import lstm, lstm_variants

    step = getattr(lstm_variants if peepholes else lstm, step_name)
    params, x, h_prev, c_prev = (
        _params(3, 4, 10, peepholes),
        *(draw(2, n, seed=20 + n) for n in (3, 4)),
        draw(2, 4),
    )
    dh, dc = draw(2, 4, seed=30), draw(2, 4, seed=31)
    inputs = params | {"x": x, "h_prev": h_prev, "c_prev": c_prev}

    def loss(name: str, value: np.ndarray) -> float:
        now = inputs | {name: value}
        (h, c), _ = step({k: now[k] for k in params}, now["x"], (now["h_prev"], now["c_prev"]))
        return float((dh * h).sum() + (dc * c).sum())

    _, cache = step(params, x, (h_prev, c_prev))
    dx, (dh_prev, dc_prev), grads = step_backward(params, (dh.copy(), dc.copy()), cache)
    for name, got in (grads | {"x": dx, "h_prev": dh_prev, "c_prev": dc_prev}).items():
        nudged = slopes(partial(loss, name), inputs[name])
        off = np.abs(np.asarray(got) - nudged) if np.shape(got) == nudged.shape else np.full(nudged.shape, np.inf)
        where = ""
        if name in ("W_xh", "W_hh", "b_h"):
            wrong = [k for k, block in zip(GATES, np.split(off, 4, axis=-1), strict=True) if block.max() >= 1e-6]
            where = f" (block{'s' * (len(wrong) > 1)} {', '.join(wrong)})"
        expect(
            off.max() < 1e-6,
            f"the gradient of {name} is off by {off.max():.3g} from central differences{where}. They were taken with "
            f"the {step_name} in your library.",
        )


def _cache(B: int = 4, D: int = 3, H: int = 5, **gates: float) -> tuple[np.ndarray, ...]:
    """A cache written down by hand: (x, h_prev, c_prev, i, f, o, g, tanh_c or c)."""
    drawn = {k: 1 / (1 + np.exp(-draw(B, H, seed=40 + n))) for n, k in enumerate("ifo")}
    drawn |= {k: np.full((B, H), value) for k, value in gates.items()}
    new = np.tanh(draw(B, H, seed=45))
    return (draw(B, D, seed=46), np.tanh(draw(B, H, seed=47)), draw(B, H, seed=48),
            drawn["i"], drawn["f"], drawn["o"], np.tanh(draw(B, H, seed=49)), new)  # fmt: skip


def _check_sums(step_backward: Callable[..., Any], params: dict[str, np.ndarray]) -> None:
    dstate = (draw(4, 5, seed=50), draw(4, 5, seed=51))
    expect_sum_of_sequences(partial(step_backward, params), dstate, _cache(), "dx", "dh_prev", "dc_prev")


def _check_left_alone(step_backward: Callable[..., Any], params: dict[str, np.ndarray]) -> None:
    given = (draw(4, 5, seed=50), draw(4, 5, seed=51), *_cache(f=1.0))
    before = [array.copy() for array in given]
    dx, dprev, grads = step_backward(params, given[:2], given[2:])
    changed = any(distance(a, b) > 0 for a, b in zip(given, before, strict=True))
    expect(
        not changed, "dh, dc or the cache is not what it was before the call: an array of the caller was written into."
    )
    named = {"dx": dx, "dh_prev": dprev[0], "dc_prev": dprev[1]} | {f"the gradient of {k}": v for k, v in grads.items()}
    shared = [name for name, a in named.items() if any(np.shares_memory(a, b) for b in given)]
    expect(not shared, f"{', '.join(shared)} shares memory with what came in: whoever changes one changes the other.")


@holds("06-lstm/lstm_step_backward", "agrees with central differences")
def _(lstm_step_backward):
    _check_differences("lstm_step", lstm_step_backward, peepholes=False)


@holds("06-lstm/lstm_step_backward", "through an open forget gate the message passes unchanged")
def _(lstm_step_backward):
    params, dc = _params(3, 5), draw(4, 5, seed=51)
    _, (_, dc_prev), _ = lstm_step_backward(params, (np.zeros((4, 5)), dc.copy()), _cache(f=1.0))
    expect(distance(dc_prev, dc) == 0, f"with f = 1 and dh = 0, dc_prev is off from dc by {distance(dc_prev, dc):.3g}")
    _, (_, dc_prev), _ = lstm_step_backward(params, (np.zeros((4, 5)), dc.copy()), _cache(f=0.25))
    gap = distance(dc_prev, dc / 4)
    expect(gap < 1e-12, f"with f = 0.25 and dh = 0, dc_prev is off from a quarter of dc by {gap:.3g}")


@holds("06-lstm/lstm_step_backward", "a batch is the sum of its sequences")
def _(lstm_step_backward):
    _check_sums(lstm_step_backward, _params(3, 5))


@holds("06-lstm/lstm_step_backward", "what comes in is left as it was")
def _(lstm_step_backward):
    _check_left_alone(lstm_step_backward, _params(3, 5))


# --- lstm_init


@holds("06-lstm/lstm_init", "names and shapes")
def _(lstm_init):
    got = lstm_init(np.random.default_rng(0), 3, 5)
    shown = sorted(got) if isinstance(got, dict) else type(got).__name__
    expect(
        isinstance(got, dict) and set(got) == {"W_xh", "W_hh", "b_h"},
        f"expected a dict with W_xh, W_hh and b_h, got {shown}",
    )
    for name, shape in (("W_xh", (3, 20)), ("W_hh", (5, 20)), ("b_h", (20,))):
        expect(np.shape(got[name]) == shape, f"for D=3, H=5, {name} has shape {np.shape(got[name])}, expected {shape}")


@holds("06-lstm/lstm_init", "the forget gates' biases, and no others")
def _(lstm_init):
    for bias in (1.0, 5.0, -2.0):
        b_h = np.asarray(lstm_init(np.random.default_rng(0), 3, 4, bias)["b_h"])
        means = dict(zip(GATES, np.split(b_h, 4), strict=True))
        expect(
            bool((means["f"] == bias).all()),
            f"forget_bias={bias:g}: block f is {means['f']}, expected {bias:g} everywhere. The blocks are {means}.",
        )
        other = [k for k in "iog" if np.any(means[k])]
        expect(
            not other, f"b_h is not zero in block {', '.join(other)}; only the forget gates have a first bias: {means}"
        )
    b_h = np.asarray(lstm_init(np.random.default_rng(0), 3, 4)["b_h"])
    expect(bool((b_h[4:8] == 1).all()), f"without forget_bias block f is {b_h[4:8]}, expected 1")


@holds("06-lstm/lstm_init", "the spread is 1/sqrt(fan-in), in every block")
def _(lstm_init):
    for D, H in ((300, 60), (40, 160)):
        got = lstm_init(np.random.default_rng(1), D, H)
        for name, fan_in, letter in (("W_xh", D, "D"), ("W_hh", H, "H")):
            for k, block in zip(GATES, np.split(got[name], 4, axis=-1), strict=True):
                ratio = float(np.std(block)) * math.sqrt(fan_in)
                # The spread of the fewest draws, 40 x 160, is within 4 % of the true one in all but 1 of 10^5 cases.
                expect(
                    abs(ratio - 1) < 0.05,
                    f"for D={D}, H={H} the standard deviation of block {k} of {name} is {ratio:.3f} times "
                    f"1/sqrt({letter}); {_what_else(ratio / math.sqrt(fan_in), D, H)}",
                )


def _what_else(spread: float, D: int, H: int) -> str:
    """The usual other scale that a measured spread is closest to."""
    scales = {"1, no scaling at all": 1.0}
    for n, letter in ((D, "D"), (H, "H")):
        scales |= {
            f"1/{letter}, the variance taken for the standard deviation": 1 / n,
            f"1/sqrt({letter})": 1 / math.sqrt(n),
            f"1/sqrt(4 {letter}): the fan-in is what comes in, not the four blocks that go out": 0.5 / math.sqrt(n),
            f"1/sqrt(3 {letter}), a uniform distribution up to 1/sqrt({letter})": 1 / math.sqrt(3 * n),
        }
    return closest_scale(spread, scales)


@holds("06-lstm/lstm_init", "the weights are normally distributed")
def _(lstm_init):
    got = lstm_init(np.random.default_rng(2), 100, 100)
    expect_normal({name: got[name] for name in ("W_xh", "W_hh")})


@holds("06-lstm/lstm_init", "all randomness comes from rng")
def _(lstm_init):
    first, again, other = (lstm_init(np.random.default_rng(seed), 4, 4) for seed in (5, 5, 6))
    for name in ("W_xh", "W_hh"):
        expect(distance(first[name], again[name]) == 0, f"two generators with the same seed give different {name}")
        expect(distance(first[name], other[name]) > 0, f"another seed gives the same {name}: draw from `rng`")
        blocks = np.split(first[name], 4, axis=-1)
        alike = any(distance(a, b) == 0 for n, a in enumerate(blocks) for b in blocks[:n])
        expect(not alike, f"two blocks of {name} are the same numbers: each gate draws its own")
    rng = np.random.default_rng(7)
    one, two = lstm_init(rng, 4, 4), lstm_init(rng, 4, 4)
    expect(
        distance(one["W_xh"], two["W_xh"]) > 0, "two nets drawn from one generator are the same: do not seed it anew"
    )


@holds("06-lstm/lstm_init", "the dtype is the one asked for")
def _(lstm_init):
    for dtype in (np.float64, np.float32):
        got = lstm_init(np.random.default_rng(8), 3, 4, dtype=dtype)
        wrong = {name: str(value.dtype) for name, value in got.items() if value.dtype != dtype}
        expect(not wrong, f"asked for {np.dtype(dtype)}, got {wrong}")


@holds("06-lstm/lstm_init", "a size below 1 is an error")
def _(lstm_init):
    for sizes in ((0, 4), (3, 0), (-1, 4)):
        try:
            lstm_init(np.random.default_rng(9), *sizes)
        except ValueError as error:
            number = next(str(size) for size in sizes if size < 1)
            expect(number in str(error), f"the message for sizes {sizes} does not say what came: {error}")
        else:
            raise CheckFailed(f"input_size, hidden_size = {sizes} goes through; raise a ValueError that says so")


# --- clamp_gate


@holds("06-lstm/clamp_gate", "the gate is open or shut whatever comes in")
def _(clamp_gate):
    params, x, h = _params(3, 4), 5 * draw(6, 3, seed=6), 5 * draw(6, 4, seed=7)
    for n, gate in enumerate("ifo"):
        for is_open in (True, False):
            new, block = clamp_gate(params, gate, is_open), slice(4 * n, 4 * n + 4)
            sums = x @ new["W_xh"][:, block] + h @ new["W_hh"][:, block] + new["b_h"][block]
            want = WIDE if is_open else -WIDE
            at = int(np.argmax(np.abs(sums - want)))
            expect(
                distance(sums, np.full((6, 4), want)) == 0,
                f'clamp_gate(params, "{gate}", {is_open}): for random inputs the gate\'s sum is up to '
                f"{np.ravel(sums)[at]:.4g}, expected {want:g} always. Weights of 0 leave the bias alone.",
            )
            rest = np.delete(np.arange(16), np.arange(16)[block])
            gap = max(distance(new[name][..., rest], params[name][..., rest]) for name in params)
            expect(gap == 0, f'clamping gate "{gate}" changes another block, by up to {gap:.3g}')


@holds("06-lstm/clamp_gate", "the parameters that came in are left alone")
def _(clamp_gate):
    params = _params(3, 4) | {"W_hy": draw(4, 2, seed=9)}
    new = clamp_gate(params, "f", True)
    expect(set(new) == set(params), f"out come {sorted(new)}, in went {sorted(params)}: the others are copied")
    shared = [name for name in params if np.shares_memory(new[name], params[name])]
    expect(not shared, f"{', '.join(shared)} shares memory with what came in: training the one would move the other")


@holds("06-lstm/clamp_gate", "a name that is no gate is an error")
def _(clamp_gate):
    for gate in ("g", "forget", "if", ""):
        try:
            clamp_gate(_params(3, 4), gate, True)
        except ValueError as error:
            expect(repr(gate) in str(error) or gate in str(error), f"the message for {gate!r} does not say it: {error}")
        else:
            raise CheckFailed(f"clamp_gate(params, {gate!r}, True) goes through; the gates are i, f and o")


# --- loss_at_the_end


def _walk(
    loss_at_the_end: Callable[..., Any], T: int = 6, **changes: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """One call with a toy cell, 3 sequences of T steps, 2 inputs, 4 units and 3 classes."""
    given = {
        "W": draw(2, 4),
        "W_hy": draw(4, 3, seed=4),
        "b_y": draw(3, seed=5),
        "xs": draw(T, 3, 2, seed=6),
    }
    given |= {"fast": draw(3, 4, seed=7), "slow": draw(3, 4, seed=8)} | changes
    params = {name: given[name] for name in ("W", "W_hy", "b_y")}
    steps, state = (fast_and_slow_step, fast_and_slow_step_backward), (given["fast"], given["slow"])
    return loss_at_the_end(*steps, params, given["xs"], state, np.array([0, 2, 1]))


@holds("06-lstm/loss_at_the_end", "the gradients are slopes of the loss")
def _(loss_at_the_end):
    given = {"W": draw(2, 4), "W_hy": draw(4, 3, seed=4), "b_y": draw(3, seed=5)}
    _, grads = _walk(loss_at_the_end)
    expect(set(grads) == set(given), f"the gradients are of {sorted(grads)}, expected of {sorted(given)}")
    for name, value in given.items():
        for at in np.ndindex(value.shape):
            bump = np.zeros_like(value)
            bump[at] = 1e-5
            up, down = (_walk(loss_at_the_end, **{name: value + sign * bump})[0] for sign in (1, -1))
            slope = (up - down) / 2e-5
            expect(
                bool(abs(slope - grads[name][at]) < 1e-7),
                f"a toy cell, 6 steps: nudging {name}{list(at)} changes the loss by {slope:.6g} per unit, the gradient "
                f"says {grads[name][at]:.6g}",
            )


@holds("06-lstm/loss_at_the_end", "only the end is asked")
def _(loss_at_the_end):
    xs = draw(6, 3, 2, seed=6)
    whole, _ = _walk(loss_at_the_end)
    _, fast, slow = None, draw(3, 4, seed=7), draw(3, 4, seed=8)
    for x in xs[:4]:
        (fast, slow), _ = fast_and_slow_step({"W": draw(2, 4)}, x, (fast, slow))
    rest, _ = _walk(loss_at_the_end, xs=xs[4:], fast=fast, slow=slow)
    expect(
        abs(whole - rest) < 1e-12,
        f"6 steps give a loss of {whole:.6g}; the last 2 steps, from the state after the first 4, give {rest:.6g}",
    )


@holds("06-lstm/loss_at_the_end", f"an LSTM trained with it tells a bit after {GAP} steps")
def _(loss_at_the_end):
    params, losses = drive(bit_run, loss_at_the_end, "lstm")
    share = right_answers(params, "lstm")
    expect(
        share >= GATE,
        f"after {len(losses)} batches the loss is {float(np.mean(losses[-20:])):.2f} nats, and the bit is told in "
        f"{share:.3f} of 1,000 fresh sequences, expected {GATE} or more; {PASSED_BY}. A share near 0.5 is a coin toss: "
        "the message does not come back to the first step. An LSTM's message has two parts.",
    )


# --- peepholes


@holds("06-lstm/peephole_lstm_step", "open and shut gates do what they say")
def _(peephole_lstm_step):
    _memory_is_guarded(peephole_lstm_step, {f"p_{k}": np.zeros(3) for k in "ifo"})


@holds("06-lstm/peephole_lstm_step", "which memory each gate sees")
def _(peephole_lstm_step):
    x, h, c = np.zeros((1, 2)), np.zeros((1, 3)), np.array([[1.0, -1.0, 0.0]])
    on, off = 1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(2.0))
    shut = {f"p_{k}": np.zeros(3) for k in "ifo"}
    for gate, other, want in (
        ("f", {"i": -WIDE, "o": WIDE}, c * np.array([[on, off, 0.5]])),
        ("i", {"f": -WIDE, "o": WIDE, "g": WIDE}, np.array([[on, off, 0.5]])),
    ):
        _, got = _state(peephole_lstm_step(_gates_at(**other) | shut | {f"p_{gate}": np.full(3, 2.0)}, x, (h, c)))
        expect(
            distance(got, want) < 1e-9,
            f"p_{gate} = 2, old memory 1, -1, 0: the new memory is {np.ravel(got).round(4)}, expected "
            f"{np.ravel(want).round(4)}; gate {gate} adds p_{gate} times the OLD memory to its sum",
        )
    params = _gates_at(i=WIDE, f=-WIDE, g=WIDE) | shut | {"p_o": np.full(3, 2.0)}
    got, _ = _state(peephole_lstm_step(params, x, (h, c)))
    want = on * math.tanh(1.0)
    expect(
        distance(got, np.full((1, 3), want)) < 1e-9,
        f"p_o = 2, old memory 1, -1, 0, new memory 1: h is {np.ravel(got).round(4)}, expected {want:.4f} everywhere; "
        "the output gate sees the NEW memory",
    )


@holds("06-lstm/peephole_lstm_step", "the sequences of a batch do not touch each other")
def _(peephole_lstm_step):
    _apart(peephole_lstm_step, _params(3, 4, peepholes=True))


@holds("06-lstm/peephole_lstm_step_backward", "agrees with central differences")
def _(peephole_lstm_step_backward):
    _check_differences("peephole_lstm_step", peephole_lstm_step_backward, peepholes=True)


@holds("06-lstm/peephole_lstm_step_backward", "a batch is the sum of its sequences")
def _(peephole_lstm_step_backward):
    _check_sums(peephole_lstm_step_backward, _params(3, 5, peepholes=True))


@holds("06-lstm/peephole_lstm_step_backward", "what comes in is left as it was")
def _(peephole_lstm_step_backward):
    _check_left_alone(peephole_lstm_step_backward, _params(3, 5, peepholes=True))


# --- PyTorch's layout


@holds("06-lstm/lstm_to_torch", "every number arrives once")
def _(lstm_to_torch):
    params = _numbered(3, 2)
    weights = lstm_to_torch(params)
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    expect(isinstance(weights, dict) and sorted(weights) == sorted(names), f"expected a dict with {', '.join(names)}")
    for ours, theirs, shape in zip(("W_xh", "W_hh", "b_h"), names, ((8, 3), (8, 2), (8,)), strict=False):
        expect(np.shape(weights[theirs]) == shape, f"D=3, H=2: {theirs} is {np.shape(weights[theirs])}, not {shape}")
        same = np.array_equal(np.sort(np.ravel(weights[theirs])), np.sort(np.ravel(params[ours])))
        expect(same, f"{theirs} does not hold the numbers of {ours}, each once")
    expect(
        not np.any(weights["bias_hh"]), f"bias_hh is {weights['bias_hh']}, expected zeros: torch adds its two biases"
    )


@holds("06-lstm/lstm_to_torch", "nothing is shared")
def _(lstm_to_torch):
    params = _params(3, 4)
    _shares_nothing(lstm_to_torch(params), params)


@holds("06-lstm/lstm_from_torch", "the two biases are added")
def _(lstm_from_torch):
    weights = {
        "weight_ih": draw(16, 3),
        "weight_hh": draw(16, 4),
        "bias_ih": np.zeros(16),
        "bias_hh": np.zeros(16),
    }
    bias = np.arange(16.0)
    one, two = (lstm_from_torch(weights | {name: bias})["b_h"] for name in ("bias_ih", "bias_hh"))
    expect(distance(one, two) == 0, f"the same bias in bias_ih gives {one}, in bias_hh {two}")
    both = lstm_from_torch(weights | {"bias_ih": bias, "bias_hh": bias})["b_h"]
    expect(distance(both, 2 * one) == 0, f"in both it gives {both}, expected twice {one}")


@holds("06-lstm/lstm_from_torch", "nothing is shared")
def _(lstm_from_torch):
    weights = {
        "weight_ih": draw(16, 3),
        "weight_hh": draw(16, 4),
        "bias_ih": draw(16),
        "bias_hh": np.zeros(16),
    }
    _shares_nothing(lstm_from_torch(weights), weights)


def _numbered(D: int, H: int) -> dict[str, np.ndarray]:
    """Parameters that are all different numbers."""
    sizes = {"W_xh": (D, 4 * H), "W_hh": (H, 4 * H), "b_h": (4 * H,)}
    return {
        name: 100.0 * n + np.arange(1.0, 1 + math.prod(size)).reshape(size)
        for n, (name, size) in enumerate(sizes.items())
    }


def _shares_nothing(out: dict[str, np.ndarray], came: dict[str, np.ndarray]) -> None:
    shared = [name for name, a in out.items() if any(np.shares_memory(a, b) for b in came.values())]
    expect(not shared, f"{', '.join(shared)} shares memory with what came in: a transposed array is a view. Copy it.")
