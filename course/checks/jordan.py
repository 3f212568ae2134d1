"""What must hold for the functions of chapter 05, whatever the numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from course.checks.measure import distance, draw, expect_sum_of_sequences, slopes
from course.checks.run import CheckFailed, expect, holds, run_checks
from course.exercises import find

OWN_STEP = "05-jordan/jordan_step"


def _params(D: int, H: int, K: int, seed: int = 3) -> dict[str, np.ndarray]:
    shapes = {"W_xh": (D, H), "W_yh": (K, H), "b_h": (H,), "W_hy": (H, K), "b_y": (K,)}
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@contextmanager
def _a_right_step() -> Iterator[None]:
    """Some checks run the learner's jordan_step: say so where that is what is wrong."""
    try:
        yield
    except NotImplementedError:
        raise
    except Exception:
        from rnnlib.jordan import jordan_step

        if all(result.passed for result in run_checks(find(OWN_STEP), jordan_step, "gives the expected answers")):
            raise
        raise CheckFailed(
            "your jordan_step does not give the expected answers, and this check runs it. Mend that one first."
        ) from None


# --- jordan_step


@holds(OWN_STEP, "the sequences of a batch do not touch each other")
def _(jordan_step):
    params, x, y_prev = _params(3, 5, 2), draw(5, 3, seed=6), draw(5, 2, seed=7)
    (together,), _ = jordan_step(params, x, (y_prev,))
    for b in range(5):
        (alone,), _ = jordan_step(params, x[b : b + 1], (y_prev[b : b + 1],))
        gap = distance(alone[0], together[b])
        expect(gap < 1e-12, f"sequence {b} alone and in a batch of 5 differ by {gap:.3g}")


@holds(OWN_STEP, "nothing but the output is handed on")
def _(jordan_step):
    params = _params(3, 4, 2) | {"W_hy": np.zeros((4, 2))}
    for psi, want in (("linear", params["b_y"]), ("tanh", np.tanh(params["b_y"]))):
        state, _ = jordan_step(params, draw(3, 3), (draw(3, 2),), "tanh", psi)
        expect(
            isinstance(state, tuple) and len(state) == 1,
            f"the state is {type(state).__name__} of {len(state)}, expected a tuple with the output alone, (y,)",
        )
        gap = distance(state[0], np.tile(want, (3, 1)))
        expect(gap < 1e-12, f"with W_hy = 0 and psi={psi!r} each row must be psi(b_y); it is {gap:.3g} off")


@holds(OWN_STEP, "rnn_forward runs it over a sequence")
def _(jordan_step):
    from rnnlib.sequence import rnn_forward

    params, xs, start = _params(3, 5, 2), draw(6, 4, 3, seed=8), draw(4, 2, seed=9)
    ys, last, caches = rnn_forward(jordan_step, params, xs, (start,))
    expect(ys.shape == (6, 4, 2), f"rnn_forward collects outputs of shape {ys.shape}, expected (6, 4, 2)")
    for t, cache in enumerate(caches):
        gap = distance(cache[1], start if t == 0 else ys[t - 1])
        expect(gap < 1e-12, f"step {t + 1} was fed something else than the output of step {t}: {gap:.3g} off")
    expect(distance(last[0], ys[-1]) < 1e-12, "the last state is not the last output")


# --- jordan_step_backward


def _step(phi: str = "tanh", psi: str = "linear", B: int = 4) -> tuple[Any, ...]:
    """Parameters, a gradient that comes in, and the cache of a step, made by the learner's jordan_step."""
    from rnnlib.jordan import jordan_step

    params = _params(3, 5, 2)
    _, cache = jordan_step(params, draw(B, 3, seed=6), (draw(B, 2, seed=7),), phi, psi)
    return params, draw(B, 2, seed=8), cache


@holds("05-jordan/jordan_step_backward", "agrees with central differences of your jordan_step")
@_a_right_step()
def _(jordan_step_backward):
    from rnnlib.jordan import jordan_step

    for phi, psi in (("tanh", "linear"), ("tanh", "tanh"), ("relu", "linear")):
        params, dy, cache = _step(phi, psi)
        inputs = params | {"x": cache[0], "y_prev": cache[1]}

        def loss(name, value, inputs=inputs, dy=dy, how=(phi, psi)):
            now = inputs | {name: value}
            (y,), _ = jordan_step(now, now["x"], (now["y_prev"],), *how)
            return float((dy * y).sum())

        dx, (dy_prev,), grads = jordan_step_backward(params, (dy.copy(),), cache, phi, psi)
        for name, got in (grads | {"x": dx, "y_prev": dy_prev}).items():
            nudged = slopes(partial(loss, name), inputs[name])
            gap = distance(got, nudged)
            expect(
                gap < 1e-6,
                f"for phi={phi!r}, psi={psi!r} the gradient of {name} is off by {gap:.3g} from central differences",
            )


@holds("05-jordan/jordan_step_backward", "a batch is the sum of its sequences")
@_a_right_step()
def _(jordan_step_backward):
    params, dy, cache = _step(psi="tanh")
    back = partial(jordan_step_backward, params, phi="tanh", psi="tanh")
    expect_sum_of_sequences(back, (dy,), cache, "dx", "dy_prev")


@holds("05-jordan/jordan_step_backward", "the gradient that comes in is left as it was")
@_a_right_step()
def _(jordan_step_backward):
    for psi in ("linear", "tanh"):
        params, dy, cache = _step(psi=psi)
        before, views = dy.copy(), [array.copy() for array in cache]
        dx, (dy_prev,), grads = jordan_step_backward(params, (dy,), cache, "tanh", psi)
        changed = distance(dy, before) > 0 or any(distance(a, b) > 0 for a, b in zip(cache, views, strict=True))
        expect(not changed, "dy or the cache is not what it was before the call: something was written into it.")
        answer = {"dx": dx, "dy_prev": dy_prev} | {f"the gradient of {name}": grad for name, grad in grads.items()}
        shared = [name for name, a in answer.items() for b in (dy, *cache) if np.shares_memory(a, b)]
        expect(not shared, f"{', '.join(shared)} shares memory with what came in: change one and you change both.")


# --- jordan_teacher_forced


def _sequence(T: int = 6, B: int = 4) -> tuple[Any, ...]:
    return _params(3, 5, 2), draw(T, B, 3, seed=6), draw(T, B, 2, seed=7), (draw(B, 2, seed=8),)


@holds("05-jordan/jordan_teacher_forced", "equals a loop that is fed the targets")
@_a_right_step()
def _(jordan_teacher_forced):
    from rnnlib.jordan import jordan_step

    params, xs, targets, state = _sequence()
    ys, _ = jordan_teacher_forced(params, xs, targets, state, "tanh", "tanh")
    for t, x in enumerate(xs):
        (y,), _ = jordan_step(params, x, state, "tanh", "tanh")
        gap = distance(ys[t], y)
        expect(
            gap < 1e-12,
            f"step {t + 1} of 6 differs by {gap:.3g} from one jordan_step that is fed "
            + ("the start" if t == 0 else f"the target of step {t}"),
        )
        state = (targets[t],)


@holds("05-jordan/jordan_teacher_forced", "the last target changes nothing")
@_a_right_step()
def _(jordan_teacher_forced):
    params, xs, targets, start = _sequence()
    other = targets.copy()
    other[-1] = 100
    ys, _ = jordan_teacher_forced(params, xs, targets, start)
    changed, _ = jordan_teacher_forced(params, xs, other, start)
    gap = distance(ys, changed)
    expect(gap == 0, f"with another last target, which no step is fed, the outputs differ by {gap:.3g}")


@holds("05-jordan/jordan_teacher_forced", "a step hears of one target alone")
@_a_right_step()
def _(jordan_teacher_forced):
    params, xs, targets, start = _sequence()
    other = targets.copy()
    other[2] += 1
    ys, _ = jordan_teacher_forced(params, xs, targets, start)
    changed, _ = jordan_teacher_forced(params, xs, other, start)
    moved = [t + 1 for t in range(6) if distance(ys[t], changed[t]) > 0]
    expect(moved == [4], f"another target at step 3 changed the outputs of steps {moved}, expected [4] alone")


@holds("05-jordan/jordan_teacher_forced", "the sequences of a batch do not touch each other")
@_a_right_step()
def _(jordan_teacher_forced):
    params, xs, targets, (y_0,) = _sequence()
    ys, _ = jordan_teacher_forced(params, xs, targets, (y_0,))
    for b in range(4):
        one = slice(b, b + 1)
        alone, _ = jordan_teacher_forced(params, xs[:, one], targets[:, one], (y_0[one],))
        gap = distance(alone[:, 0], ys[:, b])
        expect(gap < 1e-12, f"sequence {b} alone and in a batch of 4 differ by {gap:.3g}")


# --- jordan_as_elman


@holds("05-jordan/jordan_as_elman", "the Elman cell has the hidden states of the Jordan cell")
@_a_right_step()
def _(jordan_as_elman):
    from rnnlib.elman import elman_step
    from rnnlib.jordan import jordan_step
    from rnnlib.sequence import rnn_forward

    for D, H, K in ((3, 5, 2), (2, 4, 6)):
        params, xs, h_0 = _params(D, H, K), draw(7, 3, D, seed=6), draw(3, H, seed=7)
        elman = jordan_as_elman(params)
        y_0 = h_0 @ params["W_hy"] + params["b_y"]
        _, _, caches = rnn_forward(jordan_step, params, xs, (y_0,))
        hs, _, _ = rnn_forward(elman_step, elman, xs, (h_0,))
        for t, (_, _, h, _) in enumerate(caches):
            gap = distance(hs[t], h)
            expect(
                gap < 1e-9,
                f"H={H}, K={K}, started from an h_0 and from its output y_0: after step {t + 1} the hidden units of "
                f"the two differ by {gap:.3g}",
            )


@holds("05-jordan/jordan_as_elman", "the recurrent matrix has rank K at most")
def _(jordan_as_elman):
    for H, K in ((8, 1), (8, 3), (4, 6)):
        rank = int(np.linalg.matrix_rank(jordan_as_elman(_params(3, H, K))["W_hh"]))
        expect(rank <= K, f"for H={H} and K={K} W_hh has rank {rank}: more than {K} numbers get from step to step")


@holds("05-jordan/jordan_as_elman", "the Elman cell shares no array with the Jordan cell")
def _(jordan_as_elman):
    params = _params(3, 5, 2)
    shared = [
        f"{name} with the Jordan cell's {other}"
        for name, mine in jordan_as_elman(params).items()
        for other, theirs in params.items()
        if np.shares_memory(mine, theirs)
    ]
    expect(not shared, f"{', '.join(shared)} shares memory: train one cell and you change both. Copy it.")
