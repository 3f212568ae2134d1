"""What must hold for the functions of chapter 07, whatever the numbers."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np

from course.checks.measure import closest_scale, distance, draw, expect_normal, expect_sum_of_sequences, slopes
from course.checks.run import CheckFailed, expect, holds

__all__ = [  # for the notebook's hidden cells
    "judge_agreement",
    "judge_blind_spot",
    "judge_copier",
    "long_waits",
    "net_with_blind_spots",
]

FORMS = ("before", "after")
CLOSE = 0.1  # how near to the wanted value a hand-set unit must be
FAR = 1000.0  # a bias that shuts or opens a gate for good


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _net(D: int, H: int, reset: str = "before", seed: int = 3) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {"W_xh": (D, 3 * H), "W_hh": (H, 3 * H), "b_h": (3 * H,)}
    if reset == "after":
        shapes["b_hh"] = (H,)
    return {name: draw(*shape, seed=seed + i) for i, (name, shape) in enumerate(shapes.items())}


def _with_bias(params: dict[str, np.ndarray], block: int, value: float) -> dict[str, np.ndarray]:
    """The same net, one block of biases (0: z, 1: r, 2: h) set to a number."""
    H, b_h = len(params["W_hh"]), params["b_h"].copy()
    b_h[block * H : (block + 1) * H] = value
    return params | {"b_h": b_h}


# --- gru_step


@holds("07-gru/gru_step", "a shut update gate keeps the state, an open one writes the candidate")
def _(gru_step):
    x, h_prev = draw(4, 3, seed=10), np.tanh(draw(4, 5, seed=11))
    for reset in FORMS:
        net = _net(3, 5, reset)
        (kept,), _ = gru_step(_with_bias(net, 0, -FAR), x, (h_prev,), reset)
        gap = distance(kept, h_prev)
        expect(
            gap < 1e-12,
            f"reset={reset!r}: with the biases of z at {-FAR:g} its gates are shut, so h should be h_prev; it is off "
            f"by {gap:.3g}. The blend is (1 - z) times the old state plus z times the candidate; z is the first block.",
        )
        (written,), cache = gru_step(_with_bias(net, 0, FAR), x, (h_prev,), reset)
        gap = distance(written, cache[4])
        expect(
            gap < 1e-12,
            f"reset={reset!r}: with the gates of z open h should be the candidate n; it is off by {gap:.3g}",
        )


@holds("07-gru/gru_step", "a shut reset gate hides the state from the candidate")
def _(gru_step):
    x = draw(4, 3, seed=12)
    for reset in FORMS:
        net = _with_bias(_net(3, 5, reset), 1, -FAR)
        candidates = [gru_step(net, x, (np.tanh(draw(4, 5, seed=s)),), reset)[1][4] for s in (13, 14)]
        gap = distance(*candidates)
        expect(
            gap < 1e-12,
            f"reset={reset!r}: with the biases of r at {-FAR:g} the candidate should not depend on h_prev; between two "
            f"states it differs by {gap:.3g}. r is the second block, and it guards all that the candidate recalls.",
        )


@holds("07-gru/gru_step", "with the reset gate open the two forms agree")
def _(gru_step):
    net = _with_bias(_net(3, 5, "after"), 1, FAR) | {"b_hh": np.zeros(5)}
    x, state = draw(4, 3, seed=15), (np.tanh(draw(4, 5, seed=16)),)
    (before,), _ = gru_step(net, x, state, "before")
    (after,), _ = gru_step(net, x, state, "after")
    gap = distance(before, after)
    expect(gap < 1e-12, f"with r = 1 and b_hh = 0 both forms compute the same; yours differ by {gap:.3g}")


@holds("07-gru/gru_step", "the sequences of a batch do not touch each other")
def _(gru_step):
    x, h_prev = draw(5, 3, seed=17), np.tanh(draw(5, 4, seed=18))
    for reset in FORMS:
        net = _net(3, 4, reset)
        (together,), _ = gru_step(net, x, (h_prev,), reset)
        for b in range(5):
            (alone,), _ = gru_step(net, x[b : b + 1], (h_prev[b : b + 1],), reset)
            gap = distance(alone[0], together[b])
            expect(gap < 1e-12, f"reset={reset!r}: sequence {b} alone and in a batch of 5 differ by {gap:.3g}")


@holds("07-gru/gru_step", "there are two forms and no third")
def _(gru_step):
    try:
        gru_step(_net(3, 4, "after"), draw(2, 3), (draw(2, 4),), "between")
    except ValueError as error:
        expect("between" in str(error), f"the message does not say which form came: {error}")
    else:
        raise CheckFailed("reset='between' goes through; `_check` in the module raises the ValueError")


# --- gru_init


def _shapes(D: int, H: int, reset: str) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in _net(D, H, reset).items()}


@holds("07-gru/gru_init", "names and shapes, for both forms")
def _(gru_init):
    for reset in FORMS:
        got, want = gru_init(np.random.default_rng(0), 3, 5, reset), _shapes(3, 5, reset)
        expect(
            isinstance(got, dict) and set(got) == set(want),
            f"for reset={reset!r} expected a dict with {', '.join(want)}, got "
            f"{sorted(got) if isinstance(got, dict) else type(got).__name__}",
        )
        for name, shape in want.items():
            expect(
                np.shape(got[name]) == shape, f"for D=3, H=5, {name} has shape {np.shape(got[name])}, expected {shape}"
            )
    default = gru_init(np.random.default_rng(0), 3, 5)
    expect("b_hh" not in default, "without reset the form is 'before', which has no b_hh")


@holds("07-gru/gru_init", "the spread is 1/sqrt(fan-in)")
def _(gru_init):
    for D, H in ((200, 60), (50, 150)):
        got = gru_init(np.random.default_rng(1), D, H)
        for name, fan_in, letter in (("W_xh", D, "D"), ("W_hh", H, "H")):
            spread, want = float(np.std(got[name])), 1 / np.sqrt(fan_in)
            expect(
                abs(spread / want - 1) < 0.05,
                f"for D={D}, H={H} the standard deviation of {name} is {spread:.4f}, expected 1/sqrt({letter}) = "
                f"{want:.4f}; {_what_else(spread, D, H)}",
            )
            blocks = [float(np.std(block)) / want for block in np.split(got[name], 3, axis=-1)]
            expect(
                max(abs(ratio - 1) for ratio in blocks) < 0.1,
                f"for D={D}, H={H} the spreads of the three blocks of {name} are {np.round(blocks, 2)} times what "
                "they must be; all three are drawn alike",
            )
            mean = float(np.mean(got[name]))
            expect(
                abs(mean) < 6 * want / np.sqrt(got[name].size), f"the mean of {name} is {mean:.4f}, expected about 0"
            )


def _what_else(spread: float, D: int, H: int) -> str:
    """The usual other scale that a measured spread is closest to."""
    scales = {
        "1/D, the variance taken for the standard deviation": 1 / D,
        "1/H, the variance taken for the standard deviation": 1 / H,
        "1/sqrt(D)": 1 / np.sqrt(D),
        "1/sqrt(H)": 1 / np.sqrt(H),
        "1/sqrt(3 H), as if the three blocks were inputs": 1 / np.sqrt(3 * H),
        "1/sqrt(3 D), as if the three blocks were inputs, or a uniform distribution": 1 / np.sqrt(3 * D),
        "1, no scaling at all": 1.0,
        "0.01, whatever the size": 0.01,
    }
    return closest_scale(spread, scales)


@holds("07-gru/gru_init", "the weights are normally distributed")
def _(gru_init):
    got = gru_init(np.random.default_rng(2), 120, 120)
    expect_normal({name: got[name] for name in ("W_xh", "W_hh")})


@holds("07-gru/gru_init", "biases are zero")
def _(gru_init):
    got = gru_init(np.random.default_rng(3), 4, 6, "after")
    for name in ("b_h", "b_hh"):
        expect(not np.any(got[name]), f"{name} has entries up to {np.abs(got[name]).max():.3g}, expected zeros")


@holds("07-gru/gru_init", "all randomness comes from rng")
def _(gru_init):
    first, again, other = (gru_init(np.random.default_rng(seed), 4, 4) for seed in (5, 5, 6))
    for name in ("W_xh", "W_hh"):
        expect(distance(first[name], again[name]) == 0, f"two generators with the same seed give different {name}")
        expect(distance(first[name], other[name]) > 0, f"another seed gives the same {name}: draw from `rng`")
        z, r, n = np.split(first[name], 3, axis=-1)
        expect(min(distance(z, r), distance(r, n)) > 0, f"two blocks of {name} are the same numbers: draw 3H columns")
    expect(distance(first["W_xh"], first["W_hh"]) > 0, "for D = H, W_xh and W_hh are the same numbers: draw each anew")
    rng = np.random.default_rng(7)
    one, two = gru_init(rng, 4, 4), gru_init(rng, 4, 4)
    expect(
        distance(one["W_xh"], two["W_xh"]) > 0, "two nets drawn from one generator are the same: do not seed it anew"
    )


@holds("07-gru/gru_init", "the dtype is the one asked for")
def _(gru_init):
    for dtype in (np.float64, np.float32):
        got = gru_init(np.random.default_rng(8), 3, 4, "after", dtype)
        wrong = {name: str(value.dtype) for name, value in got.items() if value.dtype != dtype}
        expect(not wrong, f"asked for {np.dtype(dtype)}, got {wrong}")
    got = gru_init(np.random.default_rng(8), 3, 4)
    expect(all(value.dtype == np.float64 for value in got.values()), "without dtype the arrays must be float64")


@holds("07-gru/gru_init", "a size below 1 is an error, and so is a third form")
def _(gru_init):
    for sizes in ((0, 4), (3, 0), (-1, 4)):
        try:
            gru_init(np.random.default_rng(9), *sizes)
        except ValueError as error:
            numbers = [str(size) for size in sizes if size < 1]
            expect(numbers[0] in str(error), f"the message for sizes {sizes} does not say what came: {error}")
        else:
            raise CheckFailed(f"input_size, hidden_size = {sizes} goes through; raise a ValueError that says so")
    try:
        gru_init(np.random.default_rng(9), 3, 4, "between")
    except ValueError:
        return
    raise CheckFailed("reset='between' goes through; `_check_reset` in the module raises the ValueError")


# --- gru_step_backward


def _step(reset: str, B: int = 4, D: int = 3, H: int = 5) -> tuple[Any, ...]:
    """Parameters, a gradient that comes in, and a cache made of numbers that a step could have left."""
    x, h_prev, n = draw(B, D, seed=20), np.tanh(draw(B, H, seed=21)), np.tanh(draw(B, H, seed=22))
    z, r = np.random.default_rng(23).uniform(0.05, 0.95, (2, B, H))
    return _net(D, H, reset), draw(B, H, seed=24), (x, h_prev, z, r, n)


@holds("07-gru/gru_step_backward", "agrees with central differences of gru_step")
def _(gru_step_backward):
    from rnnlib.gru import gru_step

    for reset in FORMS:
        net = _net(3, 4, reset)
        inputs = net | {"x": draw(2, 3, seed=25), "h_prev": np.tanh(draw(2, 4, seed=26))}
        dh = draw(2, 4, seed=27)

        def loss(name, value, inputs=inputs, dh=dh, reset=reset):
            now = inputs | {name: value}
            (h,), _ = gru_step(now, now["x"], (now["h_prev"],), reset)
            return float((dh * h).sum())

        _, cache = gru_step(net, inputs["x"], (inputs["h_prev"],), reset)
        dx, (dh_prev,), grads = gru_step_backward(net, (dh.copy(),), cache, reset)
        for name, got in (grads | {"x": dx, "h_prev": dh_prev}).items():
            nudged = slopes(partial(loss, name), inputs[name])
            gap = distance(got, nudged)
            expect(
                gap < 1e-6,
                f"for reset={reset!r} the gradient of {name} is off by {gap:.3g} from central differences of your "
                f"gru_step{_which_block(name, got, nudged)}",
            )


def _which_block(name: str, got: Any, want: np.ndarray) -> str:
    """Where a gradient with three blocks is wrong in some of them only."""
    if name not in ("W_xh", "W_hh", "b_h") or np.shape(got) != want.shape:
        return ""
    pairs = zip("zrh", np.split(np.asarray(got), 3, axis=-1), np.split(want, 3, axis=-1), strict=True)
    wrong = [letter for letter, g, w in pairs if distance(g, w) > 1e-6]
    return f", in block {' and '.join(wrong)}" if len(wrong) < 3 else ""


@holds("07-gru/gru_step_backward", "a shut update gate lets the message through whole")
def _(gru_step_backward):
    for reset in FORMS:
        params, dh, (x, h_prev, z, r, n) = _step(reset)
        dx, (dh_prev,), grads = gru_step_backward(params, (dh,), (x, h_prev, np.zeros_like(z), r, n), reset)
        gap = distance(dh_prev, dh)
        expect(
            gap < 1e-12,
            f"reset={reset!r}: with z = 0 the step only copied h_prev, so dh_prev is dh; it is off by {gap:.3g}",
        )
        asked = [name for name, grad in (grads | {"x": dx}).items() if np.abs(grad).max(initial=0.0) > 1e-12]
        expect(not asked, f"reset={reset!r}: with z = 0 nothing was written, yet {', '.join(asked)} get a gradient")


@holds("07-gru/gru_step_backward", "a batch is the sum of its sequences")
def _(gru_step_backward):
    for reset in FORMS:
        params, dh, cache = _step(reset)
        back = partial(gru_step_backward, params, reset=reset)
        expect_sum_of_sequences(back, (dh,), cache, "dx", "dh_prev")


@holds("07-gru/gru_step_backward", "what comes in is left as it was, and shared with nobody")
def _(gru_step_backward):
    for reset in FORMS:
        params, dh, cache = _step(reset)
        before, views = dh.copy(), [array.copy() for array in cache]
        dx, (dh_prev,), grads = gru_step_backward(params, (dh,), cache, reset)
        changed = distance(dh, before) > 0 or any(distance(a, b) > 0 for a, b in zip(cache, views, strict=True))
        expect(not changed, "dh or the cache is not what it was before the call: the caller's array is written into")
        answers = [("dx", dx), ("dh_prev", dh_prev), *((f"the gradient of {k}", g) for k, g in grads.items())]
        shared = [name for name, a in answers for b in (dh, *cache) if np.shares_memory(a, b)]
        expect(not shared, f"{', '.join(shared)} shares memory with what came in")


# --- make_forms_agree


def judge_agreement(got: Any, given: dict[str, np.ndarray], how: str) -> None:
    """Whether both forms give the same with these parameters, and only what may change has changed."""
    H = len(given["W_hh"])
    weights = _four_arrays(got, given)
    _only_there(weights, given, how)
    rng = np.random.default_rng(40)
    x, h = rng.standard_normal((50, len(given["W_xh"]))), rng.uniform(-1, 1, (50, H))
    gate, gap = _recall_gap(weights, x, h)
    expect(
        gap < 1e-10,
        f"how={how!r}, H={H}: at 50 random states what the candidate recalls differs between the forms by up to "
        f"{gap:.3g}{_advice(weights, gate, how)}",
    )
    if how == "gate":
        calm, _ = _recall_gap(weights, np.zeros_like(x), h)
        still, _ = _recall_gap(weights, x, np.zeros_like(h))
        expect(
            min(np.ptp(calm, axis=0).min(), np.ptp(still, axis=0).min()) > 1e-3,
            "how='gate': the reset gate is the same for all states or for all inputs now. A constant gate makes the "
            "forms agree, but it is no gate any more: let all units share one that still looks at x and h.",
        )


def _four_arrays(got: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    shapes = {name: value.shape for name, value in given.items()} | {"b_hh": (len(given["W_hh"]),)}
    expect(type(got) is dict, f"the answer is {_short(got)}, expected a dict with {', '.join(shapes)}")
    expect(set(got) == set(shapes), f"the dict has {', '.join(map(str, got))}; expected {', '.join(shapes)}")
    for name, shape in shapes.items():
        expect(
            isinstance(got[name], np.ndarray) and got[name].shape == shape,
            f"{name} has shape {np.shape(got[name])}, expected an array {shape}",
        )
        expect(bool(np.isfinite(got[name]).all()), f"{name} holds what is not a finite number")
    return got


def _only_there(weights: dict[str, np.ndarray], given: dict[str, np.ndarray], how: str) -> None:
    """Nothing outside the block in question has changed; for the matrix, its diagonal neither."""
    H = len(given["W_hh"])
    for name, letter, block in product(given, "zrh", range(3)):
        if (
            "zrh"[block] != letter
            or (how, letter, name) in (("matrix", "h", "W_hh"),)
            or (how, letter) == ("gate", "r")
        ):
            continue
        part = (..., slice(block * H, (block + 1) * H))
        gap = distance(weights[name][part], given[name][part])
        expect(gap == 0, f"how={how!r}: block {letter} of {name} has changed, by up to {gap:.3g}; leave it as it is")
    if how == "matrix":
        gap = distance(np.diag(weights["W_hh"][:, 2 * H :]), np.diag(given["W_hh"][:, 2 * H :]))
        expect(gap == 0, f"how='matrix': a unit hears itself with another weight than before, {gap:.3g} off")


def _recall_gap(weights: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, float]:
    """The reset gates, and how far apart the two sides of the equation on the card are."""
    H = h.shape[1]
    sums = np.einsum("bd,dk->bk", x, weights["W_xh"]) + np.einsum("bg,gk->bk", h, weights["W_hh"]) + weights["b_h"]
    gate, matrix = 1 / (1 + np.exp(-sums[:, H : 2 * H])), weights["W_hh"][:, 2 * H :]
    by_source = np.einsum("bj,bj,ji->bi", gate, h, matrix)
    by_receiver = np.einsum("bi,bj,ji->bi", gate, h, matrix) + gate * weights["b_hh"]
    return gate, float(np.abs(by_source - by_receiver).max())


def _advice(weights: dict[str, np.ndarray], gate: np.ndarray, how: str) -> str:
    if np.any(weights["b_hh"]):
        return ". b_hh is not zero: the form 'before' has nothing that it could be equal to."
    if how == "gate" and np.ptp(gate, axis=1).max() > 1e-9:
        return f". The gates of the units still differ, by up to {np.ptp(gate, axis=1).max():.2g}."
    if how == "matrix":
        return ". Some unit still hears another one."
    return ""


@holds("07-gru/make_forms_agree", "one gate for all: the forms agree, and it is still a gate")
def _(make_forms_agree):
    for seed, D, H in ((41, 3, 5), (44, 4, 2)):
        given = _net(D, H, seed=seed)
        judge_agreement(make_forms_agree({k: v.copy() for k, v in given.items()}, "gate"), given, "gate")


@holds("07-gru/make_forms_agree", "each unit hears itself alone: the forms agree")
def _(make_forms_agree):
    for seed, D, H in ((47, 3, 5), (50, 4, 2)):
        given = _net(D, H, seed=seed)
        judge_agreement(make_forms_agree({k: v.copy() for k, v in given.items()}, "matrix"), given, "matrix")


@holds("07-gru/make_forms_agree", "new arrays of the same dtype; what came in stays as it was")
def _(make_forms_agree):
    for how in ("gate", "matrix"):
        given = {name: value.astype(np.float32) for name, value in _net(3, 4).items()}
        handed = {name: value.copy() for name, value in given.items()}
        got = make_forms_agree(handed, how)
        wrong = {name: str(value.dtype) for name, value in got.items() if value.dtype != np.float32}
        expect(not wrong, f"how={how!r}: from float32 parameters came {wrong}")
        changed = [name for name in given if distance(given[name], handed[name]) > 0]
        expect(not changed, f"how={how!r}: {', '.join(changed)} of the caller has been written into; copy first")
        shared = [name for name in given if np.shares_memory(got[name], handed[name])]
        expect(not shared, f"how={how!r}: {', '.join(shared)} is the caller's own array; copy it")


# --- blind_spot


def net_with_blind_spots(seed: int, D: int, H: int) -> dict[str, np.ndarray]:
    """A net of the form "after" in which the shortest blind spot of each unit has entries well below 1."""
    rng = np.random.default_rng(seed)
    net = {"W_xh": rng.standard_normal((D, 3 * H)), "W_hh": rng.standard_normal((H, 3 * H))}
    column = net["W_hh"][:, 2 * H :]
    reach = (column**2).sum(axis=0) / np.abs(column).max(axis=0)
    b_hh = rng.uniform(0.3, 0.8, H) * rng.choice([-1.0, 1.0], H) * reach
    return net | {"b_h": rng.standard_normal(3 * H), "b_hh": b_hh}


def judge_blind_spot(spot: Any, net: dict[str, np.ndarray], unit: int) -> None:
    """Whether the gates make no difference there; raise with what is left where they do."""
    H = len(net["W_hh"])
    expect(
        isinstance(spot, np.ndarray) and spot.shape == (H,),
        f"the answer is {_short(spot)}, expected an array of shape ({H},): one state",
    )
    expect(bool(np.isfinite(spot).all()), f"the state holds what is not a finite number: {spot}")
    expect(bool(np.any(spot)), "the state is all zeros, where every unit of the form 'before' is blind too")
    left = float(spot @ net["W_hh"][:, 2 * H + unit] + net["b_hh"][unit])
    like = ""
    for block, letter in ((0, "z"), (1, "r")):
        if abs(spot @ net["W_hh"][:, block * H + unit] + net["b_hh"][unit]) < 1e-9:
            like = f" It is zero with the column of block {letter}."
    if abs(left) > 1e-9 and abs(spot @ net["W_hh"][unit, 2 * H :] + net["b_hh"][unit]) < 1e-9:
        like = " It is zero with the unit's row; what it hears stands in its column."
    if abs(left - 2 * net["b_hh"][unit]) < 1e-9:
        like = " The product is b_hh and not its opposite: a sign."
    expect(
        abs(left) < 1e-9,
        f"H={H}, unit {unit}: at this state there is {left:.3g} for the gate to act on, and there should be 0.{like}",
    )
    expect(bool(np.abs(spot).max() < 1), f"the state has an entry of {np.abs(spot).max():.3g}; no GRU can be there")


@holds("07-gru/blind_spot", "there is nothing left to gate")
def _(blind_spot):
    for seed, D, H in ((60, 3, 4), (61, 2, 1), (62, 1, 6)):
        net = net_with_blind_spots(seed, D, H)
        for unit in range(H):
            judge_blind_spot(blind_spot({k: v.copy() for k, v in net.items()}, unit), net, unit)


@holds("07-gru/blind_spot", "it depends on what the unit recalls and on nothing else")
def _(blind_spot):
    net, other = net_with_blind_spots(63, 3, 4), net_with_blind_spots(64, 3, 4)
    moved = net | {"W_xh": other["W_xh"], "b_h": other["b_h"]}
    moved["W_hh"] = np.concatenate([other["W_hh"][:, :8], net["W_hh"][:, 8:]], axis=1)
    for unit in range(4):
        judge_blind_spot(blind_spot(moved, unit), net, unit)


@holds("07-gru/blind_spot", "the parameters stay as they were, and so does the dtype")
def _(blind_spot):
    net = {name: value.astype(np.float32) for name, value in net_with_blind_spots(65, 3, 4).items()}
    handed = {name: value.copy() for name, value in net.items()}
    spot = blind_spot(handed, 1)
    changed = [name for name in net if distance(net[name], handed[name]) > 0]
    expect(not changed, f"{', '.join(changed)} of the caller has been written into")
    expect(spot.dtype == np.float32, f"from float32 parameters came a state of dtype {spot.dtype}")


# --- copy_or_hold_weights


def judge_copier(params: Any, length: int) -> None:
    """Run the net on every string of that many steps; raise with the shortest one where it is wrong."""
    steps = np.array(list(product(((-1.0, 0.0), (1.0, 0.0), (-1.0, 1.0), (1.0, 1.0)), repeat=length)))
    values, flags = steps[..., 0], steps[..., 1]
    got, want = _copier_states(params, values, flags), _copied(values, flags)
    wrong = ~(np.abs(got - want) < CLOSE)
    if not wrong.any():
        return
    t = int(np.argmax(wrong.any(axis=0)))
    row = int(np.argmax(wrong[:, t]))
    told = ", ".join(f"{v:+.0f}{' with flag' if f else ''}" for v, f in steps[row, : t + 1])
    likely = {
        "It copies where the flag is off and holds where it is on.": _copied(values, 1 - flags),
        "It copies at every step.": values,
        "It never writes.": np.zeros_like(values),
        "It has the right size and the wrong sign.": -want,
        "It forgets at a step without a flag.": values * flags,
    }
    like = next((f" {said}" for said, other in likely.items() if np.abs(got - other).max() < 2 * CLOSE), "")
    raise CheckFailed(
        f"after {told} the unit is at {got[row, t]:.3f}, expected {want[row, t]:.0f} within {CLOSE}. On {length} steps "
        f"it is wrong in {wrong.any(axis=1).sum():,} of {len(steps):,} strings.{like}"
    )


def long_waits(params: Any, seed: int, wait: int) -> None:
    """Streams with one value to be held over many steps, each with the other sign in its way."""
    rng = np.random.default_rng(seed)
    values = rng.choice([-1.0, 1.0], (20, 4 * wait))
    values[::2, 1:wait] = -values[::2, :1]  # the worst case: every step pulls the other way
    flags = np.zeros_like(values)
    flags[:, ::wait] = 1
    gap = np.abs(_copier_states(params, values, flags) - _copied(values, flags))
    first = int(np.argmax((gap >= CLOSE).any(axis=0))) % wait
    why = " A gate that is nearly shut leaks at every step." if first > 1 else ""
    expect(
        gap.max() < CLOSE,
        f"a value that has to wait {wait} steps is off by up to {gap.max():.3f}, by more than {CLOSE} for the first "
        f"time {first} steps after its flag.{why}",
    )


def _copied(values: np.ndarray, flags: np.ndarray) -> np.ndarray:
    held, states = np.zeros(len(values)), []
    for value, flag in zip(values.T, flags.T, strict=True):
        held = np.where(flag == 1, value, held)
        states.append(held)
    return np.array(states).T


def _copier_states(params: Any, values: np.ndarray, flags: np.ndarray) -> np.ndarray:
    from rnnlib.gru import gru_step

    weights, h, states = _copier(params), np.zeros((len(values), 1)), []
    for x in np.stack([values, flags], axis=-1).swapaxes(0, 1):
        (h,), _ = gru_step(weights, x, (h,), "before")
        states.append(h[:, 0])
    return np.array(states).T


def _copier(params: Any) -> dict[str, np.ndarray]:
    """The dict that came, if it is a GRU of one unit and two inputs; else what is wrong with it."""
    shapes: dict[str, tuple[int, ...]] = {"W_xh": (2, 3), "W_hh": (1, 3), "b_h": (3,)}
    expect(type(params) is dict, f"the answer is {_short(params)}, expected a dict with {', '.join(shapes)}")
    expect(
        set(params) == set(shapes),
        f"the dict has {', '.join(map(str, params)) or 'nothing'}; expected {', '.join(shapes)}",
    )
    for name, shape in shapes.items():
        value = params[name]
        expect(
            isinstance(value, np.ndarray) and value.dtype.kind in "fiu",
            f"{name} is {_short(value)}, expected an array of numbers of shape {shape}",
        )
        expect(value.shape == shape, f"{name} has shape {value.shape}, expected {shape}")
        expect(bool(np.isfinite(value).all()), f"{name} holds what is not a finite number")
    return {name: np.asarray(value, float) for name, value in params.items()}


@holds("07-gru/copy_or_hold_weights", "it is a GRU of one unit and two inputs")
def _(copy_or_hold_weights):
    _copier(copy_or_hold_weights())


@holds("07-gru/copy_or_hold_weights", "it is right on every string of six steps")
def _(copy_or_hold_weights):
    judge_copier(copy_or_hold_weights(), 6)


@holds("07-gru/copy_or_hold_weights", "it holds a value for 500 steps")
def _(copy_or_hold_weights):
    long_waits(copy_or_hold_weights(), 70, 500)


# --- cell_cost


@holds("07-gru/cell_cost", "a GRU costs three quarters of an LSTM, and three times an Elman cell")
def _(cell_cost):
    for D, H in ((3, 5), (10, 4), (1, 1)):
        costs = {kind: cell_cost(kind, D, H) for kind in ("rnn", "gru", "lstm")}
        for kind, got in costs.items():
            expect(
                type(got) is tuple and len(got) == 2 and all(type(part) is int for part in got),
                f"cell_cost({kind!r}, {D}, {H}) is {_short(got)}, expected a tuple of two integers",
            )
        for i, what in enumerate(("parameters", "multiplications")):
            rnn, gru, lstm = (cost[i] for cost in costs.values())
            expect(
                4 * gru == 3 * lstm == 12 * rnn,
                f"for D={D}, H={H} the {what} of rnn, gru and lstm are {rnn}, {gru} and {lstm}; they are 1, 3 and 4 "
                "equal blocks",
            )


@holds("07-gru/cell_cost", "the form after has one bias vector more, and multiplies as often")
def _(cell_cost):
    for D, H in ((3, 5), (10, 4)):
        (p, m), (p_after, m_after) = cell_cost("gru", D, H), cell_cost("gru-after", D, H)
        expect(p_after - p == H, f"for H={H} the form after has {p_after - p} parameters more, expected {H}: b_hh")
        expect(m_after == m, f"for D={D}, H={H} the forms multiply {m} and {m_after} times; the products are as large")


# --- gru_to_torch and gru_from_torch


@holds("07-gru/gru_to_torch", "the form before is refused")
def _(gru_to_torch):
    try:
        gru_to_torch(_net(3, 4))
    except KeyError as error:
        expect("b_hh" in str(error), f"the KeyError does not name what is missing, b_hh: {error}")
    else:
        raise CheckFailed("parameters without b_hh go through; torch's cell would compute something else with them")


@holds("07-gru/gru_to_torch", "a shape that does not fit is an error")
def _(gru_to_torch):
    net = _net(3, 4, "after")
    for name, wrong in (("W_xh", draw(3, 11)), ("b_h", draw(11))):
        try:
            gru_to_torch(net | {name: wrong})
        except ValueError:
            continue
        raise CheckFailed(
            f"{name} of shape {wrong.shape} goes through where H is 4; hold the shapes against each other"
        )


def _torch_weights(D: int, H: int) -> dict[str, np.ndarray]:
    shapes = {"weight_ih": (3 * H, D), "weight_hh": (3 * H, H), "bias_ih": (3 * H,), "bias_hh": (3 * H,)}
    return {name: draw(*shape, seed=80 + i) for i, (name, shape) in enumerate(shapes.items())}


@holds("07-gru/gru_from_torch", "of the biases of r and z only the sum matters, in block n each counts")
def _(gru_from_torch):
    weights = _torch_weights(3, 4)
    before = gru_from_torch(weights)
    for block, same in (("r", True), ("z", True), ("n", False)):
        part, moved = (
            slice(4 * "rzn".index(block), 4 * "rzn".index(block) + 4),
            {k: v.copy() for k, v in weights.items()},
        )
        moved["bias_ih"][part] += 1
        moved["bias_hh"][part] -= 1
        after = gru_from_torch(moved)
        gap = max(distance(before[name], after[name]) for name in before)
        if same:
            expect(gap < 1e-12, f"moving 1 from bias_hh to bias_ih in block {block} changes the answer by {gap:.3g}")
        else:
            expect(
                gap > 0.5, "moving 1 from bias_hh to bias_ih in block n changes nothing: there r stands between them"
            )


@holds("07-gru/gru_from_torch", "the arrays are new ones")
def _(gru_from_torch):
    weights = _torch_weights(3, 4)
    got = gru_from_torch(weights)
    shared = [f"{a} and {b}" for a, x in got.items() for b, y in weights.items() if np.shares_memory(x, y)]
    expect(not shared, f"{', '.join(shared)} share memory: whoever trains one net changes the other")


@holds("07-gru/gru_from_torch", "a shape that does not fit is an error")
def _(gru_from_torch):
    weights = _torch_weights(3, 4)
    for name, wrong in (("weight_ih", draw(11, 3)), ("bias_ih", draw(11))):
        try:
            gru_from_torch(weights | {name: wrong})
        except ValueError:
            continue
        raise CheckFailed(
            f"{name} of shape {wrong.shape} goes through where H is 4; hold the shapes against each other"
        )
