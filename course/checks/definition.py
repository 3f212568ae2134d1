"""What must hold for the functions of chapter 03, whatever the numbers."""

import numpy as np

from course.checks.measure import distance, draw
from course.checks.run import expect, holds
from course.checks.toys import leaky_step, two_part_step

# --- shapes


@holds("03-definition/shapes", "no weight depends on the length or on the batch")
def _(shapes):
    weights = ("W_xh", "W_hh", "b_h", "W_hy", "b_y", "dW_hy")
    short, long = shapes(2, 3, 4, 5, 6), shapes(9, 8, 4, 5, 6)
    for name in weights:
        expect(
            short[name] == long[name],
            f"{name} is {short[name]} for T=2, B=3 but {long[name]} for T=9, B=8; weights are shared by all steps "
            "and sequences",
        )


@holds("03-definition/shapes", "a gradient has the shape of what it belongs to")
def _(shapes):
    found = shapes(7, 4, 3, 5, 2)
    for name, own in (("d_logits", "logits"), ("dW_hy", "W_hy")):
        expect(found[name] == found[own], f"{name} is {found[name]} but {own} is {found[own]}")


# --- from_columns


@holds("03-definition/from_columns", "rows give what columns give")
def _(from_columns):
    W_xh, W_hh, b_h, W_hy, b_y = (draw(*size) for size in ((4, 3), (4, 4), (4,), (2, 4), (2,)))
    x, h = draw(3, seed=4), draw(4, seed=5)
    cell, readout = from_columns(W_xh, W_hh, b_h, W_hy, b_y)
    gap = distance(x[None] @ cell["W_xh"] + h[None] @ cell["W_hh"] + cell["b_h"], (W_xh @ x + W_hh @ h + b_h)[None])
    expect(gap < 1e-12, f"with n=3, m=4 the sum before squashing differs by {gap:.3g} between rows and columns")
    gap = distance(h[None] @ readout["W_hy"] + readout["b_y"], (W_hy @ h + b_y)[None])
    expect(gap < 1e-12, f"with m=4, k=2 the scores differ by {gap:.3g} between rows and columns")


# --- softmax


@holds("03-definition/softmax", "each row sums to 1 and nothing is negative")
def _(softmax):
    p = softmax(draw(4, 5))
    sums = p.sum(axis=-1)
    expect(distance(sums, np.ones(4)) < 1e-12, f"the rows of a (4, 5) batch sum to {sums.round(4)}, expected 1 each")
    expect(bool((p >= 0).all()), f"the smallest entry is {p.min():.4g}; a probability is not negative")


@holds("03-definition/softmax", "adding a constant to a row changes nothing")
def _(softmax):
    z = draw(3, 4)
    for shift in (1.0, 800.0, -800.0):
        with np.errstate(all="ignore"):
            gap = distance(softmax(z + shift), softmax(z))
        expect(
            gap < 1e-9,
            f"adding {shift:g} to every score changes a probability by {gap:.3g}; only differences of scores count",
        )


# --- cross_entropy


@holds("03-definition/cross_entropy", "equal scores cost log K")
def _(cross_entropy):
    for K in (2, 7):
        loss, _ = cross_entropy(np.zeros((3, 2, K)), np.zeros((3, 2), dtype=np.int64))
        expect(
            abs(loss - np.log(K)) < 1e-12,
            f"with {K} equal scores everywhere the loss is {loss:.6g}, expected log {K} = {np.log(K):.6g}",
        )


@holds("03-definition/cross_entropy", "the gradient is the slope of the loss")
def _(cross_entropy):
    z, targets = draw(3, 2, 4), np.array([[0, 1], [2, 3], [3, 0]])
    mask = np.array([[True, True], [True, True], [True, False]])
    _, grad = cross_entropy(z.copy(), targets, mask)
    for at in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[at] += 1e-5
        down[at] -= 1e-5
        slope = (cross_entropy(up, targets, mask)[0] - cross_entropy(down, targets, mask)[0]) / 2e-5
        expect(
            abs(slope - grad[at]) < 1e-7,
            f"nudging the score at {list(at)} changes the loss by {slope:.6g} per unit, the gradient says "
            f"{grad[at]:.6g}",
        )


@holds("03-definition/cross_entropy", "what stands in the padding does not matter")
def _(cross_entropy):
    z, targets = draw(3, 2, 4), np.array([[0, 1], [2, 3], [3, 0]])
    mask = np.array([[True, True], [True, True], [True, False]])
    loss, grad = cross_entropy(z, targets, mask)
    for junk in (1e4, np.inf, np.nan):
        other, other_targets = z.copy(), targets.copy()
        other[~mask], other_targets[~mask] = junk, -100
        with np.errstate(all="ignore"):
            again, again_grad = cross_entropy(other, other_targets, mask)
        expect(
            abs(again - loss) < 1e-12 and distance(again_grad, grad) < 1e-12,
            f"with {junk:g} at a masked position the loss is {again:.6g} instead of {loss:.6g}. Multiplying by 0 does "
            "not remove it (0 times nan is nan): replace masked scores before you use them.",
        )


@holds("03-definition/cross_entropy", "a target that counts must exist, and something must count")
def _(cross_entropy):
    z = draw(2, 4)
    for what, targets, mask in (
        ("target 4 with 4 classes", np.array([0, 4]), None),
        ("target -1", np.array([0, -1]), None),
        ("a mask that is False everywhere", np.array([0, 1]), np.zeros(2, dtype=bool)),
    ):
        try:
            with np.errstate(all="ignore"):
                loss, _ = cross_entropy(z, targets, mask)
        except ValueError:
            continue
        except IndexError:
            loss = "an IndexError"
        expect(
            False,
            f"{what} gives {loss}, expected a ValueError; `_check_targets(targets that count, K)` in the module "
            "raises it",
        )


# --- elman_step


def _elman_params(D: int, H: int) -> dict[str, np.ndarray]:
    return {"W_xh": draw(D, H), "W_hh": draw(H, H, seed=4), "b_h": draw(H, seed=5)}


@holds("03-definition/elman_step", "the sequences of a batch do not touch each other")
def _(elman_step):
    params, x, h = _elman_params(3, 4), draw(5, 3, seed=6), draw(5, 4, seed=7)
    (together,), _ = elman_step(params, x, (h,))
    for b in range(5):
        (alone,), _ = elman_step(params, x[b : b + 1], (h[b : b + 1],))
        gap = distance(alone[0], together[b])
        expect(gap < 1e-12, f"sequence {b} alone and in a batch of 5 differ by {gap:.3g}")


@holds("03-definition/elman_step", "zero weights leave phi of the bias")
def _(elman_step):
    params = {"W_xh": np.zeros((3, 2)), "W_hh": np.zeros((2, 2)), "b_h": np.array([-1.0, 0.5])}
    for phi, want in (("tanh", np.tanh(params["b_h"])), ("relu", np.array([0.0, 0.5]))):
        (h,), _ = elman_step(params, draw(4, 3), (draw(4, 2),), phi)
        gap = distance(h, np.tile(want, (4, 1)))
        expect(
            gap < 1e-12,
            f'with zero weights, b_h = [-1, 0.5] and phi="{phi}" each row of h should be {want.round(4)}, got {h[0]}',
        )


# --- output_layer


@holds("03-definition/output_layer", "a sequence at once equals step by step")
def _(output_layer):
    params = {"W_hy": draw(3, 2), "b_y": draw(2, seed=4)}
    hs = draw(5, 4, 3, seed=5)
    logits, _ = output_layer(params, hs)
    for t in range(5):
        gap = distance(output_layer(params, hs[t])[0], logits[t])
        expect(gap < 1e-12, f"step {t} alone and within the sequence (5, 4, 3) differ by {gap:.3g}")


# --- output_layer_backward


@holds("03-definition/output_layer_backward", "the gradients are slopes")
def _(output_layer_backward):
    h, weights = draw(3, 2, 4, seed=6), draw(3, 2, 5, seed=7)
    params = {"W_hy": draw(4, 5), "b_y": draw(5, seed=4)}
    dh, grads = output_layer_backward(params, weights, (h,))

    def total(W_hy, b_y, h):
        return float((weights * (h @ W_hy + b_y)).sum())

    point = {"W_hy": params["W_hy"], "b_y": params["b_y"], "h": h}
    for name, grad in (("W_hy", grads["W_hy"]), ("b_y", grads["b_y"]), ("h", dh)):
        for at in np.ndindex(point[name].shape):
            nudge = np.zeros_like(point[name])
            nudge[at] = 1e-4
            up, down = (total(**(point | {name: point[name] + sign * nudge})) for sign in (1, -1))
            slope = (up - down) / 2e-4
            expect(
                abs(slope - grad[at]) < 1e-7,
                f"nudging {name}{list(at)} changes the result by {slope:.6g} per unit, dh or grads say {grad[at]:.6g}",
            )


@holds("03-definition/output_layer_backward", "two halves of a sequence add up")
def _(output_layer_backward):
    params = {"W_hy": draw(3, 2), "b_y": draw(2, seed=4)}
    hs, d = draw(6, 4, 3, seed=5), draw(6, 4, 2, seed=6)
    whole = output_layer_backward(params, d, (hs,))[1]
    first, second = (output_layer_backward(params, d[part], (hs[part],))[1] for part in (slice(0, 2), slice(2, 6)))
    for name in ("W_hy", "b_y"):
        gap = distance(first[name] + second[name], whole[name])
        expect(gap < 1e-12, f"the gradients of {name} of steps 1-2 and 3-6 do not add up to the whole's: {gap:.3g} off")


# --- rnn_forward


@holds("03-definition/rnn_forward", "one step equals the step")
def _(rnn_forward):
    params, xs, start = {"keep": 0.5}, draw(1, 2, 3), (draw(2, 3, seed=4), draw(2, 3, seed=5))
    hs, state, caches = rnn_forward(two_part_step, params, xs, start)
    want, cache = two_part_step(params, xs[0], start)
    gap = max(distance(hs[0], want[0]), *(distance(got, w) for got, w in zip(state, want, strict=True)))
    expect(gap < 1e-12, f"for T = 1 the result differs from the step's own by {gap:.3g}")
    expect(
        len(caches) == 1 and len(caches[0]) == len(cache), "for T = 1 there should be one cache, as the step made it"
    )


@holds("03-definition/rnn_forward", "two chunks equal one pass")
def _(rnn_forward):
    params, xs, start = {"keep": 0.5}, draw(6, 2, 3), (draw(2, 3, seed=4),)
    whole, end, _ = rnn_forward(leaky_step, params, xs, start)
    for cut in (1, 3, 5):
        first, middle, _ = rnn_forward(leaky_step, params, xs[:cut], start)
        second, last, _ = rnn_forward(leaky_step, params, xs[cut:], middle)
        gap = max(distance(np.concatenate([first, second]), whole), distance(last[0], end[0]))
        expect(
            gap < 1e-12,
            f"6 steps at once and {cut} + {6 - cut} steps, carrying the state over, differ by {gap:.3g}",
        )


@holds("03-definition/rnn_forward", "the future does not change the past")
def _(rnn_forward):
    params, xs, start = {"keep": 0.5}, draw(5, 2, 3), (np.zeros((2, 3)),)
    hs, _, _ = rnn_forward(leaky_step, params, xs, start)
    other = xs.copy()
    other[3] += 1
    changed, _, _ = rnn_forward(leaky_step, params, other, start)
    expect(distance(changed[:3], hs[:3]) == 0, "changing the fourth input changes a state before the fourth step")
    expect(distance(changed[3:], hs[3:]) > 0, "changing the fourth input changes no state from the fourth step on")


@holds("03-definition/rnn_forward", "no step is an error")
def _(rnn_forward):
    try:
        rnn_forward(leaky_step, {"keep": 0.5}, np.zeros((0, 2, 3)), (np.zeros((2, 3)),))
    except ValueError:
        return
    expect(False, "xs of shape (0, 2, 3) goes through; with no step there is no state to return: raise a ValueError")


# --- initial_state


@holds("03-definition/initial_state", "the rows are copies")
def _(initial_state):
    vector = np.array([1.0, 2.0])
    (h_0,) = initial_state((vector,), 3)
    expect(h_0.flags.writeable, "the result cannot be written into: it is a view of the start. Make copies.")
    h_0[0, 0] = 99.0
    expect(vector[0] == 1.0, "writing into the state changes the start: its rows are views. Make copies.")
    expect(h_0[1, 0] == 1.0, "writing into one row changes another: the rows are one array. Make copies.")


@holds("03-definition/initial_state", "a batch has at least one sequence")
def _(initial_state):
    try:
        initial_state((np.zeros(2),), 0)
    except ValueError:
        return
    expect(False, "batch_size 0 goes through; raise a ValueError that says so")


# --- initial_state_backward


@holds("03-definition/initial_state_backward", "a batch twice as large has the sum of the gradients")
def _(initial_state_backward):
    one, two = draw(4, 3), draw(2, 3, seed=4)
    (whole,) = initial_state_backward((np.concatenate([one, two]),))
    (first,), (second,) = initial_state_backward((one,)), initial_state_backward((two,))
    gap = distance(first + second, whole)
    expect(gap < 1e-12, f"4 sequences and 2 sequences do not add up to all 6: {gap:.3g} off")
