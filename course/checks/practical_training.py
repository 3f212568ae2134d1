"""What must hold for the functions of chapter 12, whatever the numbers, and the gate: twenty sequences by heart."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.fitting import COUNT, HIDDEN, carried_on, journey, overfit, overfit_task, steady, toy_start
from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds

GATE = 0.05  # the loss after training on twenty sequences must be below this
PASSED_BY = "a right function ended below 0.001 on each of 20 seeds"
SGD, MOMENTUM, RMSPROP, ADAM = (f"12-training/{name}" for name in ("sgd", "momentum", "rmsprop", "adam"))


# --- the four optimizers


def _steps(optimizer: Callable[..., Any], count: int, *more: Any, grad: float = 1.0, rate: float = 0.1) -> np.ndarray:
    """Where a weight that starts at 0 is after each of so many steps with the same gradient."""
    params, path = {"w": np.zeros(2)}, []
    state: dict[str, Any] = {}
    for _ in range(count):
        params, state = optimizer(params, {"w": np.full(2, grad)}, state, rate, *more)
        path.append(float(np.ravel(params["w"])[0]))
    return np.array(path)


def _names_must_fit(optimizer: Callable[..., Any]) -> None:
    good = {"W": draw(2, 3), "b": draw(3)}
    for grads, wrong in (({"W": draw(2, 3)}, "b"), ({"W": draw(2, 3), "b": draw(4)}, "(4,)")):
        try:
            optimizer(good, grads, {}, 0.1)
        except ValueError as error:
            expect(wrong in str(error), f"the message does not say {wrong!r}: {error}")
            continue
        except KeyError as error:
            came = f"ends in a KeyError, {error}"
        else:
            came = "go through"
        shapes = {name: grad.shape for name, grad in grads.items()}
        raise CheckFailed(
            f"parameters W (2, 3) and b (3,) with gradients {shapes}: {came}; expected a ValueError. The module's "
            "_check words it: call it first."
        )


def _new_arrays(optimizer: Callable[..., Any], key: str | None = None) -> None:
    params, grads = {"W": draw(2, 3)}, {"W": draw(2, 3, seed=4)}
    _, state = optimizer(params, grads, {}, 0.1)
    new, after = optimizer(params, grads, state, 0.0)
    shared = np.shares_memory(new["W"], params["W"]) or np.shares_memory(new["W"], grads["W"])
    expect(not shared, "the new weights lie in an array that came in: whoever changes the one changes the other")
    if key is not None:
        old = state[key]["W"]
        shared = np.shares_memory(after[key]["W"], old) or np.shares_memory(after[key]["W"], grads["W"])
        expect(not shared, f"the new {key} lies in an array that came in: keep a new one for each step")


for _name in (SGD, MOMENTUM, RMSPROP, ADAM):
    holds(_name, "names and shapes must fit")(_names_must_fit)
holds(SGD, "everything that comes out is new")(_new_arrays)
holds(MOMENTUM, "everything that comes out is new")(lambda f: _new_arrays(f, "velocity"))
holds(RMSPROP, "everything that comes out is new")(lambda f: _new_arrays(f, "square"))
holds(ADAM, "everything that comes out is new")(lambda f: _new_arrays(f, "mean"))


@holds(SGD, "decay alone shrinks every weight by the same share")
def _(sgd):
    W = draw(3, 4)
    new, _ = sgd({"W": W}, {"W": np.zeros((3, 4))}, {}, 0.1, 0.5)
    gap = distance(new["W"], 0.95 * W)
    expect(gap < 1e-12, f"gradient 0, rate 0.1, weight_decay 0.5: expected 0.95 of each weight, off by up to {gap:.3g}")


@holds(MOMENTUM, "a steady gradient reaches its last speed")
def _(momentum):
    for nesterov in (False, True):
        path = _steps(momentum, 200, 0.9, nesterov)
        speed = path[-2] - path[-1]
        expect(
            abs(speed - 1.0) < 1e-6,
            f"gradient 1, rate 0.1, mu 0.9, nesterov={nesterov}: after 200 steps a step goes {speed:.4g} far, expected "
            "0.1 / (1 - 0.9) = 1. A step of 0.1 means that the velocity was lost, or that the gradient went in with "
            "a factor of 1 - mu.",
        )
    first, ahead = _steps(momentum, 1, 0.9)[0], _steps(momentum, 1, 0.9, True)[0]
    expect(
        abs(ahead / first - 1.9) < 1e-9,
        f"the first step with Nesterov is {ahead / first:.3g} times the plain one, expected 1 + mu = 1.9",
    )


@holds(RMSPROP, "the scale of the loss does not matter")
def _(rmsprop):
    small, large = (_steps(rmsprop, 5, 0.9, 1e-12, grad=g) for g in (1e-3, 1e3))
    gap = float(np.abs(small / large - 1).max())
    expect(
        gap < 1e-6, f"gradients a million times larger change the steps by a factor of up to {1 + gap:.3g}, expected 1"
    )


@holds(RMSPROP, "a steady gradient ends in steps of the rate")
def _(rmsprop):
    path = _steps(rmsprop, 100, 0.9, 1e-12)
    first, last = -path[0], path[-2] - path[-1]
    expect(
        abs(first - 0.1 / np.sqrt(0.1)) < 1e-9 and abs(last - 0.1) < 1e-4,
        f"gradient 1, rate 0.1, keep 0.9: the first step goes {first:.4g} far, the hundredth {last:.4g}; expected "
        "0.1 / sqrt(1 - 0.9) = 0.3162, then 0.1",
    )


@holds(ADAM, "a steady gradient gives steps of the rate from the first one on")
def _(adam):
    for betas in ((0.9, 0.999), (0.5, 0.8)):
        sizes = -np.diff(np.concatenate([[0.0], _steps(adam, 20, betas, 1e-12)]))
        worst = int(np.argmax(np.abs(np.nan_to_num(sizes, nan=np.inf) - 0.1)))
        expect(
            bool(np.abs(sizes - 0.1).max() < 1e-9),
            f"gradient 1, rate 0.1, betas {betas}: step {worst + 1} goes {sizes[worst]:.4g} far, expected 0.1 at every "
            "step. Mean and square start at 0; divided by 1 - beta^t, t counted from 1, they come out as 1 and 1.",
        )


@holds(ADAM, "weight decay does not go through mean and square")
def _(adam):
    params, grads = {"w": np.array([2.0, -2.0])}, {"w": np.array([1.0, 1.0])}
    plain, first = adam(params, grads, {}, 0.1)
    decayed, second = adam(params, grads, {}, 0.1, (0.9, 0.999), 1e-8, 0.5)
    gap = max(distance(first[key]["w"], second[key]["w"]) for key in ("mean", "square"))
    expect(gap == 0, f"with weight_decay mean or square change by {gap:.3g}; they are of the loss's gradient alone")
    gap = distance(plain["w"] - decayed["w"], 0.05 * params["w"])
    expect(
        gap < 1e-9, f"rate 0.1, weight_decay 0.5: decay takes off 0.05 of the old weight; here it is off by {gap:.3g}"
    )


# --- warmup_cosine


def _rates(warmup_cosine: Callable[..., Any], total: int = 40, **how: Any) -> np.ndarray:
    return np.array([float(warmup_cosine(step, total, 2.0, **how)) for step in range(1, total + 1)])


@holds("12-training/warmup_cosine", "up to the peak, then down to the floor")
def _(warmup_cosine):
    rates = _rates(warmup_cosine, warmup=10, floor=0.5)
    top = int(np.argmax(rates)) + 1
    expect(
        top == 10 and abs(rates.max() - 2.0) < 1e-12,
        f"40 steps, warmup 10, peak 2: the highest rate is {rates.max():.4g} at step {top}, expected 2 at step 10",
    )
    expect(bool((np.diff(rates[:10]) > 0).all()), f"on the way up the rates are {rates[:10].round(3)}, expected rising")
    expect(abs(rates[0] - 0.2) < 1e-12, f"the first of 10 steps of warm-up has rate {rates[0]:.4g}, expected 2 / 10")
    expect(bool((np.diff(rates[9:]) < 0).all()), "after the peak the rate does not fall at every step")
    expect(abs(rates[-1] - 0.5) < 1e-12, f"the last step has rate {rates[-1]:.4g}, expected the floor, 0.5")
    middle = rates[24]  # step 25, halfway between 10 and 40
    expect(abs(middle - 1.25) < 1e-12, f"halfway down the rate is {middle:.4g}, expected 1.25, between 2 and 0.5")


@holds("12-training/warmup_cosine", "after the last step it stays at the floor")
def _(warmup_cosine):
    for late in (41, 60, 90):
        rate = float(warmup_cosine(late, 40, 2.0, 10, 0.5))
        expect(abs(rate - 0.5) < 1e-12, f"step {late} of 40 has rate {rate:.4g}, expected the floor, 0.5")


@holds("12-training/warmup_cosine", "steps and sizes that make no sense are errors")
def _(warmup_cosine):
    for step, total, warmup, what in ((0, 10, 2, "step"), (1, 10, 10, "warmup"), (1, 10, -1, "warmup")):
        try:
            warmup_cosine(step, total, 1.0, warmup)
        except ValueError as error:
            number = step if what == "step" else warmup
            expect(str(number) in str(error), f"the message for {what} {number} does not say it: {error}")
        else:
            raise CheckFailed(
                f"step {step} of {total} with warmup {warmup} goes through; raise a ValueError that says so"
            )


# --- variational_dropout and its way back

DROPOUT = "12-training/variational_dropout"


def _dropped(variational_dropout: Callable[..., Any], xs: np.ndarray, drop: float, seed: int = 0, **how: Any) -> Any:
    answer = variational_dropout(np.random.default_rng(seed), xs, drop, **how)
    expect(isinstance(answer, tuple) and len(answer) == 2, "expected two things, (ys, mask)")
    ys, mask = answer
    expect(np.shape(ys) == xs.shape, f"for xs {xs.shape} the first answer has shape {np.shape(ys)}")
    want = xs.shape[1:]
    expect(
        np.shape(mask) == want,
        f"for xs {xs.shape} the mask has shape {np.shape(mask)}, expected {want}: no axis of time",
    )
    return ys, mask


@holds(DROPOUT, "the same units are silent at every step")
def _(variational_dropout):
    ys, mask = _dropped(variational_dropout, np.ones((6, 5, 40)), 0.5)
    silent = ys == 0
    changed = int((silent != silent[0]).any(axis=0).sum())
    expect(
        changed == 0, f"{changed} of 200 units are silent at some of 6 steps and not at others; draw one mask for all"
    )
    expect(bool((silent[0] == (mask == 0)).all()), "the mask that is returned is not the one that was used")


@holds(DROPOUT, "each unit of each sequence has its own chance")
def _(variational_dropout):
    for drop in (0.2, 0.7):
        _, mask = _dropped(variational_dropout, np.ones((2, 60, 100)), drop)
        share = float((mask == 0).mean())
        # 6,000 coins: a share within 0.03 of its chance is more than four standard errors.
        expect(
            abs(share - drop) < 0.03,
            f"drop={drop}: {share:.3f} of the units are silent"
            + ("; that is what is kept" if abs(share - 1 + drop) < 0.03 else ""),
        )
        same = [axis for axis, name in ((0, "sequence"), (1, "unit")) if (np.ptp(mask, axis=axis) == 0).all()]
        expect(not same, "all sequences, or all units, share one coin: toss one for each unit of each sequence")


@holds(DROPOUT, "what is left is scaled up, so that the mean stays")
def _(variational_dropout):
    xs = 1 + draw(3, 40, 50) ** 2
    for drop in (0.25, 0.6):
        ys, mask = _dropped(variational_dropout, xs.copy(), drop)
        gap = distance(ys, np.where(ys == 0, 0, xs / (1 - drop)))
        expect(
            gap < 1e-9,
            f"drop={drop}: what is not silenced should be multiplied by 1 / (1 - {drop}) = {1 / (1 - drop):.4g}; it is "
            f"multiplied by {float(np.median((ys / xs)[ys != 0])) if (ys != 0).any() else 0:.4g}",
        )
        values = np.unique(mask)
        expect(
            distance(values, np.array([0, 1 / (1 - drop)])) < 1e-9,
            f"drop={drop}: the mask holds {values.round(3)[:4]}, expected 0 and {1 / (1 - drop):.4g} for the way back",
        )


@holds(DROPOUT, "nothing happens when the net is used")
def _(variational_dropout):
    xs, rng = draw(3, 4, 5), np.random.default_rng(5)
    before = rng.bit_generator.state
    ys, mask = variational_dropout(rng, xs, 0.5, False)
    gap = distance(ys, xs)
    expect(
        gap == 0,
        f"training=False: the outputs differ from the inputs by up to {gap:.3g}; the scaling was done in training",
    )
    expect(distance(mask, np.ones((4, 5))) == 0, "training=False: the mask is not all ones")
    expect(rng.bit_generator.state == before, "training=False: a random number was drawn, so that runs part by looking")


@holds(DROPOUT, "all randomness comes from rng; dtype and inputs are kept")
def _(variational_dropout):
    xs = draw(2, 30, 20).astype(np.float32)
    kept = xs.copy()
    first, again, other = (_dropped(variational_dropout, xs, 0.5, seed)[1] for seed in (1, 1, 2))
    expect(distance(first, again) == 0, "two generators with the same seed give different masks")
    expect(distance(first, other) > 0, "another seed gives the same mask: draw from `rng`")
    ys, mask = _dropped(variational_dropout, xs, 0.5)
    expect(ys.dtype == mask.dtype == np.float32, f"from float32 come {ys.dtype} and a mask of {mask.dtype}")
    expect(distance(xs, kept) == 0, "xs is not what it was before the call")
    rng = np.random.default_rng(3)
    one, two = variational_dropout(rng, xs, 0.5)[1], variational_dropout(rng, xs, 0.5)[1]
    expect(distance(one, two) > 0, "two calls with one generator give the same mask: do not seed it anew")


@holds(DROPOUT, "a chance that is none is an error")
def _(variational_dropout):
    for drop in (1.0, -0.1, 1.5):
        try:
            variational_dropout(np.random.default_rng(0), np.ones((2, 2, 2)), drop)
        except ValueError as error:
            expect(str(drop) in str(error), f"the message for drop={drop} does not say it: {error}")
        else:
            raise CheckFailed(f"drop={drop} goes through; raise a ValueError unless 0 <= drop < 1")


@holds("12-training/variational_dropout_backward", "agrees with central differences")
def _(variational_dropout_backward):
    xs, dys, mask = draw(3, 2, 4), draw(3, 2, 4, seed=4), (draw(2, 4, seed=5) > 0) / 0.4
    nudged = slopes(lambda x: float((dys * (x * mask)).sum()), xs)
    gap = distance(variational_dropout_backward(dys.copy(), mask.copy()), nudged)
    expect(gap < 1e-6, f"off by {gap:.3g} from central differences of (x * mask) with the same mask")


@holds("12-training/variational_dropout_backward", "a silent unit gets no gradient")
def _(variational_dropout_backward):
    mask = (draw(3, 5) > 0) * 2.0
    dxs = variational_dropout_backward(np.ones((4, 3, 5)), mask)
    expect(np.shape(dxs) == (4, 3, 5), f"for dys (4, 3, 5) the answer has shape {np.shape(dxs)}")
    wrong = int((dxs[:, mask == 0] != 0).sum())
    expect(wrong == 0, f"{wrong} gradients go to units that were silent; they had no part in the loss")


# --- scheduled sampling


@holds("12-training/teacher_chance", "it falls from near 1, and stays between floor and 1")
def _(teacher_chance):
    for kind, k in (("linear", 50.0), ("exponential", 0.95), ("sigmoid", 12.0)):
        steps = [*range(0, 119, 4), 119]
        chances = np.array([float(teacher_chance(step, k, kind, 0.05)) for step in steps])
        expect(chances[0] > 0.9, f"{kind}: at step 0 the chance of the truth is {chances[0]:.3g}, expected near 1")
        rises = int((np.diff(chances) > 1e-12).sum())
        expect(rises == 0, f"{kind}: the chance rises {rises} times in 119 steps; the teacher speaks less and less")
        low, high = chances.min(), chances.max()
        expect(
            low >= 0.05 - 1e-12 and high <= 1, f"{kind}: chances run from {low:.3g} to {high:.3g}, expected 0.05 to 1"
        )
        expect(
            abs(chances[-1] - 0.05) < 1e-2,
            f"{kind}: at step 119 the chance is {chances[-1]:.3g}, expected the floor, 0.05",
        )


@holds("12-training/teacher_chance", "half way, where the formulas say it is")
def _(teacher_chance):
    for kind, k, step in (
        ("linear", 50.0, 25),
        ("exponential", 0.5 ** (1 / 20), 20),
        ("sigmoid", 12.0, 12 * np.log(12)),
    ):
        chance = float(teacher_chance(step, k, kind))
        expect(
            abs(chance - 0.5) < 1e-9,
            f"{kind}, k = {k:.4g}: at step {step:.4g} the chance is {chance:.4g}, expected 0.5",
        )


@holds("12-training/teacher_chance", "what makes no sense is an error")
def _(teacher_chance):
    for arguments, what in (((-1, 10.0), "-1"), ((3, 10.0, "cosine"), "cosine")):
        try:
            teacher_chance(*arguments)
        except ValueError as error:
            expect(what in str(error), f"the message for {what} does not say it: {error}")
        else:
            raise CheckFailed(f"teacher_chance{arguments} goes through; raise a ValueError that says {what}")


CHOOSE = "12-training/choose_input"


def _chosen(choose_input: Callable[..., Any], B: int, chance: float, seed: int = 0, width: int = 3) -> np.ndarray:
    """For each sequence True where the truth was fed; a row that is neither is an error."""
    truth, said = draw(B, width), draw(B, width, seed=4)
    got = choose_input(np.random.default_rng(seed), truth.copy(), said.copy(), chance)
    expect(np.shape(got) == (B, width), f"for rows {(B, width)} the answer has shape {np.shape(got)}")
    from_truth, from_said = (got == truth).all(axis=1), (got == said).all(axis=1)
    mixed = int((~from_truth & ~from_said).sum())
    expect(
        mixed == 0,
        f"{mixed} of {B} rows are neither the right input nor the net's own: each sequence gets one of the two, whole",
    )
    return from_truth


@holds(CHOOSE, "each sequence gets one of the two, whole")
def _(choose_input):
    _chosen(choose_input, 40, 0.5)
    words = choose_input(np.random.default_rng(0), np.arange(50), np.arange(50) + 100, 0.5)
    expect(np.shape(words) == (50,), f"for 50 words as integers the answer has shape {np.shape(words)}")
    expect(np.asarray(words).dtype.kind == "i", f"integers come back as {np.asarray(words).dtype}")
    expect(
        bool((np.asarray(words) % 100 == np.arange(50)).all()), "some word is neither the right one nor the net's own"
    )


@holds(CHOOSE, "as often as the chance says")
def _(choose_input):
    for chance in (0.2, 0.9):
        share = float(_chosen(choose_input, 3000, chance).mean())
        # 3,000 coins: a share within 0.04 of its chance is four standard errors or more.
        expect(
            abs(share - chance) < 0.04,
            f"chance {chance}: the truth was fed to {share:.3f} of the sequences"
            + ("; that is how often the net's own word should be" if abs(share - 1 + chance) < 0.04 else ""),
        )
    expect(bool(_chosen(choose_input, 200, 1.0).all()), "chance 1: not every sequence got the truth")
    expect(not _chosen(choose_input, 200, 0.0).any(), "chance 0: some sequence got the truth")


@holds(CHOOSE, "a coin for each sequence, tossed by rng alone")
def _(choose_input):
    first, again, other = (_chosen(choose_input, 200, 0.5, seed) for seed in (1, 1, 2))
    expect(bool((first == again).all()), "two generators with the same seed choose differently")
    expect(bool((first != other).any()), "another seed chooses the same: draw from `rng`")
    expect(bool(first.any() and not first.all()), "all 200 sequences got the same kind of input: toss a coin for each")
    rng, truth, said = np.random.default_rng(3), np.arange(200), np.arange(200) + 500
    one, two = (choose_input(rng, truth.copy(), said.copy(), 0.5) for _ in range(2))
    expect(bool((one != two).any()), "two calls with one generator choose the same: do not seed it anew")


@holds(CHOOSE, "what comes in is left as it was")
def _(choose_input):
    truth, said = draw(6, 3), draw(6, 3, seed=4)
    for chance in (0.0, 0.5, 1.0):
        got = choose_input(np.random.default_rng(0), truth, said, chance)
        changed = distance(truth, draw(6, 3)) > 0 or distance(said, draw(6, 3, seed=4)) > 0
        expect(not changed, "truth or said is not what it was before the call: make a new array")
        shared = np.shares_memory(got, truth) or np.shares_memory(got, said)
        expect(not shared, f"chance {chance:g}: the answer lies in an array that came in; make a new one")


@holds(CHOOSE, "what does not fit is an error")
def _(choose_input):
    for truth, said, chance, what in (
        (np.zeros(4), np.zeros(5), 0.5, "(5,)"),
        (np.zeros(4), np.zeros(4), 1.5, "1.5"),
        (np.zeros(4), np.zeros(4), -0.5, "-0.5"),
    ):
        try:
            choose_input(np.random.default_rng(0), truth, said, chance)
        except ValueError as error:
            expect(what in str(error), f"the message does not say {what}: {error}")
        else:
            raise CheckFailed(f"shapes {truth.shape} and {said.shape} with chance {chance} go through")


# --- update_ratio and keep_best


@holds("12-training/update_ratio", "steps and weights of any size")
def _(update_ratio):
    before = {"W": draw(4, 5), "b": draw(5)}
    after = {name: 1.02 * W for name, W in before.items()}
    ratio = update_ratio(before, after)
    expect(abs(ratio - 0.02) < 1e-9, f"every weight grown by 2 %: the ratio is {ratio:.4g}, expected 0.02")
    large = update_ratio({k: 1e3 * v for k, v in before.items()}, {k: 1e3 * v for k, v in after.items()})
    expect(abs(large - ratio) < 1e-9, f"all weights a thousand times as large: {large:.4g}, expected {ratio:.4g} again")
    expect(isinstance(ratio, float), f"the answer is a {type(ratio).__name__}, expected a float")


@holds("12-training/update_ratio", "zeros are an error, not a division by zero")
def _(update_ratio):
    try:
        update_ratio({"b": np.zeros(3)}, {"b": np.ones(3)})
    except ValueError as error:
        expect("zero" in str(error), f"the message does not say what is wrong: {error}")
    else:
        raise CheckFailed("all weights are zero and something comes back; raise a ValueError")


@holds("12-training/keep_best", "the weights of the lowest loss are kept")
def _(keep_best):
    run: dict[str, Any] = {"params": {}, "best_params": {}, "best_loss": float("inf"), "waited": 0, "step": 0}
    waits = []
    for step, loss in enumerate((3.0, 2.0, 2.5, 2.0, 1.5, 1.6, 1.7), start=1):
        run = keep_best(run | {"params": {"w": np.full(2, float(step))}, "step": step}, loss)
        waits.append(run["waited"])
    kept = float(np.ravel(run["best_params"].get("w", np.nan))[0])
    expect(
        kept == 5,
        f"losses 3, 2, 2.5, 2, 1.5, 1.6, 1.7: the weights kept are those of number {kept:g}, expected 5, the lowest",
    )
    expect(run["best_loss"] == 1.5, f"the best loss is {run['best_loss']}, expected 1.5")
    expect(waits == [0, 0, 1, 2, 0, 1, 2], f"waited after each of the seven: {waits}, expected 0, 0, 1, 2, 0, 1, 2")


# --- run_to_arrays

SAVE = "12-training/run_to_arrays"


def _a_run(seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rng.standard_normal(7)
    rng.integers(10, dtype=np.uint32)  # half a word is left over: part of the state too
    memory = {"t": 4, "mean": {"W": draw(2, 3), "b": draw(3)}, "square": {"W": draw(2, 3) ** 2, "b": draw(3) ** 2}}
    run = {"params": {"W": draw(2, 3, seed=5).astype(np.float32), "b": draw(3, seed=6)}, "optimizer": memory}
    run |= {"step": 17, "rng": rng, "best_params": {"W": draw(2, 3, seed=8), "b": draw(3, seed=9)}}
    return run | {"best_loss": 0.1 + 0.2, "waited": 2}


def _stored(run_to_arrays: Callable[..., Any], run: dict[str, Any]) -> dict[str, np.ndarray]:
    arrays = run_to_arrays(run)
    expect(isinstance(arrays, dict), f"expected a dictionary of arrays, got a {type(arrays).__name__}")
    strange = [name for name, value in arrays.items() if not isinstance(value, np.ndarray) or value.dtype.hasobject]
    expect(
        not strange, f"{', '.join(map(str, strange))}: not an array of numbers, so `np.savez` would have to pickle it"
    )
    return arrays


@holds(SAVE, "everything is there, under its path")
def _(run_to_arrays):
    run = _a_run()
    arrays = _stored(run_to_arrays, run)
    names = {"step", "waited", "best_loss", "rng", "optimizer/t"}
    names |= {
        f"{part}/{name}" for part in ("params", "best_params", "optimizer/mean", "optimizer/square") for name in "Wb"
    }
    missing, foreign = sorted(names - set(arrays)), sorted(set(arrays) - names)
    expect(not missing, f"missing: {', '.join(missing)}. There are: {', '.join(sorted(arrays))}")
    expect(not foreign, f"not asked for: {', '.join(foreign)}")
    want = {"params/W": run["params"]["W"], "optimizer/square/b": run["optimizer"]["square"]["b"]}
    want |= {"best_params/b": run["best_params"]["b"], "best_loss": np.array(0.1 + 0.2), "step": np.array(17)}
    want |= {"optimizer/t": np.array(4), "waited": np.array(2)}
    for name, value in want.items():
        expect(
            np.array_equal(arrays[name], value) and arrays[name].dtype.kind == value.dtype.kind,
            f"{name} is {arrays[name].dtype} {arrays[name].shape} {np.ravel(arrays[name])[:3]}, expected {value.dtype} "
            f"{value.shape} {np.ravel(value)[:3]}, to the last bit",
        )
    expect(arrays["params/W"].dtype == np.float32, f"params/W was float32 and is {arrays['params/W'].dtype}")


@holds(SAVE, "the generator goes on where it stood")
def _(run_to_arrays):
    run = _a_run()
    before = run["rng"].bit_generator.state
    arrays = _stored(run_to_arrays, run)
    expect(run["rng"].bit_generator.state == before, "the generator was drawn from, or changed, to store it")
    expect("rng" in arrays, "there is no `rng` among the arrays: the run goes on with other batches after a break")
    try:
        state = json.loads(bytes(np.asarray(arrays["rng"])))
    except ValueError:
        raise CheckFailed("the bytes of `rng` are not the JSON of `rng.bit_generator.state`") from None
    other = np.random.default_rng(99)
    try:
        other.bit_generator.state = state
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"what is stored of `rng` is no state of a generator: {error}") from None
    same = other.bit_generator.state == before
    expect(same, "a generator that takes up the stored state draws other numbers than the run's own")


@holds(SAVE, "a run of any depth, its first step too")
def _(run_to_arrays):
    arrays = _stored(run_to_arrays, toy_start())
    expect("params/W" in arrays and "best_loss" in arrays, f"a run before its first step gives only {sorted(arrays)}")
    expect(float(arrays["best_loss"]) == float("inf"), f"best_loss is infinite and comes out as {arrays['best_loss']}")
    deep = _stored(run_to_arrays, {"a": {"b": {"c": {"d": np.arange(3)}}}, "rng": np.random.default_rng(0)})
    expect("a/b/c/d" in deep, f"four levels deep: {sorted(deep)}, expected a/b/c/d")


# --- fit

FIT = "12-training/fit"


def _journey(fit: Callable[..., Any], steps: int, told: list[float] | None = None, **how: Any) -> dict[str, Any]:
    diary = drive(journey, fit, steps, told, **how)
    end = diary["end"]
    expect(isinstance(end, dict), f"fit returns a {type(end).__name__}, expected the run, a dictionary")
    missing = sorted(set(toy_start()) - set(end))
    expect(not missing, f"the run that comes back has no {', '.join(missing)}; hand on what it had: `run | {{...}}`")
    return diary


@holds(FIT, "as many steps as asked, each with its own rate")
def _(fit):
    diary = _journey(fit, 6)
    expect(
        diary["asked"] == [1, 2, 3, 4, 5, 6],
        f"6 steps: the schedule was asked for steps {diary['asked']}, expected 1 to 6",
    )
    rates = [round(float(step["rate"]), 12) for step in diary["steps"]]
    want = [round(steady(step), 12) for step in range(1, 7)]
    expect(rates == want, f"the optimizer was given the rates {rates}, the schedule says {want}")
    expect(diary["end"]["step"] == 6, f"the run says that its last step was {diary['end']['step']}, expected 6")
    kept = diary["start"]
    left = kept["step"] == 0 and not kept["optimizer"] and kept["params"]["b"][0] == 1.0
    expect(left, "the run that came in was changed; make a new one, `run | {...}`")


@holds(FIT, "each step starts from the last, and the optimizer remembers")
def _(fit):
    diary = _journey(fit, 5)
    counts = [step["count"] for step in diary["steps"]]
    expect(
        counts == [0, 1, 2, 3, 4],
        f"an optimizer that counts its steps was handed the counts {counts}; carry its state on",
    )
    reported = [entry["run"]["params"] for entry in diary["reports"]]
    expect(len(reported) == 5, f"5 steps, {len(reported)} reports")
    begun = [step["before"] for step in diary["steps"]]
    for t in range(1, 5):
        gap = max(distance(begun[t][name], reported[t - 1][name]) for name in begun[t])
        expect(
            gap == 0, f"step {t + 1} does not start from the weights that were reported after step {t}: {gap:.3g} apart"
        )
    gap = distance(diary["end"]["params"]["W"], reported[-1]["W"])
    expect(gap == 0, f"the weights that come back differ by {gap:.3g} from those of the last report")


@holds(FIT, "each step draws a batch of its own")
def _(fit):
    drawn, rng, want = _journey(fit, 5)["drawn"], toy_start()["rng"], []
    for _ in range(5):
        want.append(float(rng.random()))
        rng.standard_normal(5)  # what the toy draws besides
    expect(len(set(drawn)) == len(drawn), "two steps drew the same numbers: the generator goes on from step to step")
    expect(
        drawn == want,
        f"the steps drew {np.round(drawn, 3)}, expected {np.round(want, 3)}, the run's generator going on",
    )


@holds(FIT, "gradients are cut before the step, and their length is told as it was")
def _(fit):
    free, cut = _journey(fit, 4), _journey(fit, 4, max_norm=2.0)
    longest = max(step["length"] for step in cut["steps"])
    expect(longest <= 2 + 1e-9, f"max_norm 2: a gradient of length {longest:.4g} reached the optimizer")
    norms = [float(entry["numbers"]["norm"]) for entry in cut["reports"]]
    gap = abs(norms[0] - free["steps"][0]["length"])
    expect(gap < 1e-9, f"the first gradient has length {free['steps'][0]['length']:.4g}; reported is {norms[0]:.4g}")
    told = [bool(entry["numbers"]["clipped"]) for entry in cut["reports"]]
    expect(told == [norm > 2 for norm in norms], f"norms {np.round(norms, 2)}, max_norm 2: clipped is told as {told}")


@holds(FIT, "a report has the numbers of its step")
def _(fit):
    diary = _journey(fit, 4)
    for t, entry in enumerate(diary["reports"], start=1):
        numbers = entry["numbers"]
        missing = sorted({"loss", "rate", "norm", "clipped", "ratio"} - set(numbers))
        expect(not missing, f"the numbers of step {t} lack {', '.join(missing)}")
        expect(entry["run"]["step"] == t, f"report {t} comes with a run that says step {entry['run']['step']}")
        expect(
            abs(numbers["rate"] - steady(t)) < 1e-12,
            f"step {t} is told with rate {numbers['rate']}, it was {steady(t):.4g}",
        )
        length = diary["steps"][t - 1]["length"]
        loss, half = float(numbers["loss"]), length**2 / 2  # of the toy: half the square of its gradient
        expect(abs(loss - half) < 1e-9, f"step {t}: the loss is told as {loss:.4g}, loss_and_grads gave {half:.4g}")
        before = np.sqrt(sum(float((W**2).sum()) for W in diary["steps"][t - 1]["before"].values()))
        want = steady(t) * length / before
        expect(
            abs(numbers["ratio"] - want) < 1e-9,
            f"step {t}: the ratio is told as {numbers['ratio']:.4g}, expected {want:.4g}",
        )


@holds(FIT, "validation sees the new weights, after each so many steps")
def _(fit):
    told = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    diary = _journey(fit, 8, told, every=3)
    reported = [entry["run"]["params"] for entry in diary["reports"]]
    expect(
        len(diary["looked"]) == 2,
        f"8 steps, every=3: {len(diary['looked'])} validations, expected 2, after steps 3 and 6",
    )
    for seen, t in zip(diary["looked"], (3, 6), strict=True):
        gap = distance(seen["W"], reported[t - 1]["W"])
        expect(gap == 0, f"validation after step {t} saw other weights than the run had then: {gap:.3g} apart")
    end = diary["end"]
    expect(end["best_loss"] == 8.0, f"validation said 9, then 8; best_loss is {end['best_loss']:.4g}")
    gap = distance(end["best_params"]["W"], reported[5]["W"])
    expect(gap == 0, f"the best weights are not those of step 6: {gap:.3g} apart")
    gap = distance(end["params"]["W"], reported[7]["W"])
    expect(gap == 0, f"`params` are not those of step 8, the last: {gap:.3g} apart. The best have a name of their own.")


@holds(FIT, "it stops when patience is at its end, not before and not after")
def _(fit):
    told = [5.0, 4.0, 4.5, 3.0, 3.5, 3.6, 3.7, 3.8, 2.0, 1.0]
    for patience, last in ((1, 3), (2, 6), (4, 8), (5, 10)):
        diary = _journey(fit, 10, list(told), patience=patience)
        got = diary["end"]["step"]
        expect(
            got == last,
            f"validation losses {told[:8]}, patience {patience}: it stopped after step {got}, expected {last}, when "
            f"{patience} in a row had not beaten the best",
        )
        lowest = min(told[:last])
        expect(
            diary["end"]["best_loss"] == lowest,
            f"patience {patience}: best_loss is {diary['end']['best_loss']}, expected {lowest}",
        )
    again = _journey(fit, 10)
    expect(again["end"]["step"] == 10, f"without patience it stopped after step {again['end']['step']} of 10")


@holds(FIT, "a run that was broken off goes on as if it had not been")
def _(fit):
    for stop in (1, 4, 7):
        for reported in (False, True):
            whole, rest, alone = drive(carried_on, fit, stop, 9, reported)
            how = f"{'the run reported at' if reported else 'a first call that ends with'} step {stop}, then to step 9"
            expect(
                alone, "the run that came in, or its generator, was changed; copy the generator before it is drawn from"
            )
            expect(rest is not None, f"no report came with step {stop}")
            for part in ("params", "best_params", "optimizer"):
                tree, other = whole[part], rest[part]
                if part == "optimizer":
                    expect(bool(tree and other), f"{how}: the run has no memory of the optimizer; put its new state in")
                    tree, other = tree["speed"], other["speed"]
                gap = max(distance(tree[name], other[name]) for name in tree)
                expect(
                    gap == 0,
                    f"{how}: {part} differ by {gap:.3g} from those of one call without a break. The batches, the "
                    "optimizer's memory and the number of the step all have to go on where they stood.",
                )
            same = whole["rng"].bit_generator.state == rest["rng"].bit_generator.state
            expect(same, f"{how}: the generator stands elsewhere than after one call without a break")
            counted = [run[key] for run in (whole, rest) for key in ("step", "waited", "best_loss")]
            expect(
                counted[:3] == counted[3:], f"{how}: step, waited, best_loss are {counted[3:]}, expected {counted[:3]}"
            )


@holds(FIT, "twenty sequences are learned by heart")
def _(fit):
    from rnnlib.elman import elman_step
    from rnnlib.output import output_layer
    from rnnlib.sequence import rnn_forward

    params, losses = drive(overfit, fit)
    xs, labels = overfit_task(0)
    hs, _, _ = rnn_forward(elman_step, params, xs, (np.zeros((COUNT, HIDDEN), np.float32),))
    right = int((output_layer(params, hs[-1])[0].argmax(axis=-1) == labels).sum())
    expect(
        right == COUNT and losses[-1] < GATE,
        f"{right} of {COUNT} labels right, loss {losses[-1]:.3g} after {len(losses)} steps, expected all and less than "
        f"{GATE}; {PASSED_BY}. A net that cannot learn twenty sequences by heart will not learn a language.",
    )
