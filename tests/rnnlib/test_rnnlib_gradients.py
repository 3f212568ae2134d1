"""Every backward function against central differences, and the checker itself against known gradients."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from rnnlib_checks import (
    PHIS,
    Sizes,
    assert_close,
    integrator_step,
    integrator_step_backward,
    make_case,
)
from torch_side import tensor

from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gradcheck import gradient_check, numerical_gradient
from rnnlib.losses import cross_entropy
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.sequence import initial_state, initial_state_backward, rnn_forward
from rnnlib.types import Array

RIGHT = 1e-6  # what gradient_check's docstring promises for a right gradient in float64
SMALL = Sizes(5, 3, 2, 4, 6)


def expect_gradient(name: str, f: Callable[[Array], float], x: Array, grad: Array) -> None:
    error = gradient_check(f, x, grad)
    assert error < RIGHT, f"d{name}: relative error {error:.1e} against central differences, expected below {RIGHT}"


# --- every backward


@pytest.mark.parametrize("phi", PHIS)
@pytest.mark.parametrize("name", ["x", "h_prev", "W_xh", "W_hh", "b_h"])
def test_elman_step_backward_matches_central_differences(name: str, phi: str) -> None:
    """Each gradient of one step is the slope of <dh, h> in that array."""
    case = make_case(SMALL)
    values = {"x": case.xs[0], "h_prev": case.state[0], **case.params}

    def f(value: Array) -> float:
        v = values | {name: value}
        (h,), _ = elman_step({k: v[k] for k in case.params}, v["x"], (v["h_prev"],), phi)
        return float((h * case.dstate[0]).sum())

    _, cache = elman_step(case.params, case.xs[0], case.state, phi)
    dx, (dh_prev,), grads = elman_step_backward(case.params, case.dstate, cache, phi)
    expect_gradient(name, f, values[name], {"x": dx, "h_prev": dh_prev, **grads}[name])


@pytest.mark.parametrize("name", ["h", "W_hy", "b_y"])
def test_output_layer_backward_matches_central_differences(name: str) -> None:
    """Each gradient of the output layer is the slope of <dlogits, logits> in that array."""
    case = make_case(SMALL)
    values = {"h": case.dhs, **case.out}
    logits, cache = output_layer(case.out, case.dhs)
    d_logits = np.random.default_rng(1).normal(size=logits.shape)

    def f(value: Array) -> float:
        v = values | {name: value}
        return float((output_layer({"W_hy": v["W_hy"], "b_y": v["b_y"]}, v["h"])[0] * d_logits).sum())

    dh, grads = output_layer_backward(case.out, d_logits, cache)
    expect_gradient(name, f, values[name], {"h": dh, **grads}[name])


@pytest.mark.parametrize("masked", [False, True], ids=["all-count", "masked"])
def test_cross_entropy_gradient_matches_central_differences(masked: bool) -> None:
    """dL/dlogits is the slope of the mean loss, zero where a position does not count."""
    case = make_case(SMALL)
    mask = case.mask if masked else None
    logits = np.random.default_rng(1).normal(size=(SMALL.T, SMALL.B, SMALL.K))
    expect_gradient(
        "logits",
        lambda z: cross_entropy(z, case.targets, mask)[0],
        logits,
        cross_entropy(logits, case.targets, mask)[1],
    )


def test_initial_state_backward_matches_central_differences() -> None:
    """The gradient of a learned start is the slope of <dstate, state>, for a state of two arrays."""
    rng = np.random.default_rng(1)
    start = (rng.normal(size=3), rng.normal(size=4))
    dstate = (rng.normal(size=(5, 3)), rng.normal(size=(5, 4)))
    for i, grad in enumerate(initial_state_backward(dstate)):

        def f(vector: Array, i: int = i) -> float:
            changed = tuple(vector if j == i else other for j, other in enumerate(start))
            return float(sum((h * d).sum() for h, d in zip(initial_state(changed, 5), dstate, strict=True)))

        expect_gradient(f"start[{i}]", f, start[i], grad)


@pytest.mark.parametrize("phi", PHIS)
@pytest.mark.parametrize("name", ["xs", "state", "W_xh", "W_hh", "b_h"])
def test_bptt_of_elman_matches_central_differences(name: str, phi: str) -> None:
    """Each gradient through five steps is the slope of <dhs, hs> + <dstate, last state> in that array."""
    case = make_case(SMALL)
    values = {"xs": case.xs, "state": case.state[0], **case.params}
    step = partial(elman_step, phi=phi)

    def f(value: Array) -> float:
        v = values | {name: value}
        hs, (last,), _ = rnn_forward(step, {k: v[k] for k in case.params}, v["xs"], (v["state"],))
        return float((hs * case.dhs).sum() + (last * case.dstate[0]).sum())

    caches = rnn_forward(step, case.params, case.xs, case.state)[2]
    back = partial(elman_step_backward, phi=phi)
    dxs, (d_start,), grads = backward_through_time(back, case.params, case.dhs, case.dstate, caches)
    expect_gradient(name, f, values[name], {"xs": dxs, "state": d_start, **grads}[name])


@pytest.mark.parametrize("name", ["xs", "h", "c", "W"])
def test_bptt_carries_every_array_of_a_state(name: str) -> None:
    """A cell whose state is two arrays gets right gradients too: the output's gradient enters the first only."""
    rng = np.random.default_rng(2)
    T, B, D, H = 6, 2, 3, 4
    values = {
        "xs": rng.normal(size=(T, B, D)),
        "h": rng.normal(size=(B, H)),
        "c": rng.normal(size=(B, H)),
        "W": 0.5 * rng.normal(size=(D, H)),
    }
    dhs, dlast = rng.normal(size=(T, B, H)), (rng.normal(size=(B, H)), rng.normal(size=(B, H)))

    def run(v: dict[str, Array]) -> tuple[Array, tuple[Array, ...], list[tuple[Array, ...]]]:
        return rnn_forward(integrator_step, {"W": v["W"]}, v["xs"], (v["h"], v["c"]))

    def f(value: Array) -> float:
        hs, last, _ = run(values | {name: value})
        return float((hs * dhs).sum() + sum((s * d).sum() for s, d in zip(last, dlast, strict=True)))

    caches = run(values)[2]
    dxs, (dh, dc), grads = backward_through_time(integrator_step_backward, {"W": values["W"]}, dhs, dlast, caches)
    expect_gradient(name, f, values[name], {"xs": dxs, "h": dh, "c": dc, **grads}[name])


# --- the checker


def test_numerical_gradient_is_autograd_on_an_awkward_function() -> None:
    """A product, a wave, a bell and a large coordinate: central differences agree with torch to 1e-7."""
    x = np.array([[0.0, -0.7, 1.3], [2.5, 0.01, -3.0], [250.0, 1e-9, 0.4]])

    def f(x: Array) -> float:
        return float(np.sum(np.sin(3 * x) * np.exp(-x * x / 20)) + np.prod(np.cos(x[0])) * np.log1p(x[2, 0] ** 2))

    t = tensor(x)
    awkward = (torch.sin(3 * t) * torch.exp(-t * t / 20)).sum() + torch.cos(t[0]).prod() * torch.log1p(t[2, 0] ** 2)
    awkward.backward()
    assert f(x) == pytest.approx(awkward.item(), abs=1e-12), "the two programs are not the same function"
    assert_close("gradient", numerical_gradient(f, x), t.grad, tol=1e-7)


def test_numerical_gradient_is_exact_up_to_rounding_on_a_quadratic() -> None:
    """Central differences of a quadratic have no truncation error, whatever the width."""
    rng = np.random.default_rng(1)
    A, b, x = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    for eps in (1e-1, 1e-3, 1e-5):
        grad = numerical_gradient(lambda x: float(x @ A @ x + b @ x), x, eps)
        assert_close(f"gradient at eps {eps}", grad, (A + A.T) @ x + b, tol=1e-9)


def test_error_of_numerical_gradient_falls_with_the_square_of_eps() -> None:
    """On x^3 at 1/2 the error is eps^2 itself, so half the width leaves a quarter of the error."""
    x = np.array([0.5])
    for eps in (2e-2, 1e-2, 5e-3):
        error = numerical_gradient(lambda x: float((x**3).sum()), x, eps)[0] - 0.75
        assert error == pytest.approx(eps**2, rel=1e-6)


def test_width_of_the_difference_grows_with_the_coordinate() -> None:
    """At 1e6 the function is called 10 away on either side for eps 1e-5, at 0.1 only 1e-5 away."""
    for at, width in ((1e6, 10.0), (-1e6, 10.0), (0.1, 1e-5)):
        seen: list[float] = []
        numerical_gradient(lambda x, seen=seen: seen.append(float(x[0])) or 0.0, np.array([at]), 1e-5)
        assert sorted(seen) == pytest.approx([at - width, at + width], rel=1e-12)


def test_numerical_gradient_takes_any_number_of_axes() -> None:
    """A single number, an empty array and three axes all give a gradient of their own shape."""
    for shape in ((), (0,), (2, 0), (2, 1, 3)):
        x = np.full(shape, 0.5)
        assert_close(f"gradient at shape {shape}", numerical_gradient(lambda x: float((x * x).sum()), x), 2 * x, 1e-9)


def test_numerical_gradient_hands_out_copies() -> None:
    """A function that overwrites its argument changes neither x nor the result."""

    def spoil(x: Array) -> float:
        value = float((x * x).sum())
        x[:] = 99.0
        return value

    x = np.array([0.5, -2.0])
    assert_close("gradient", numerical_gradient(spoil, x), [1.0, -4.0], tol=1e-9)
    assert_close("x", x, [0.5, -2.0], tol=0.0)


def _sines(x: Array) -> float:
    return float(np.sin(x).sum())


POINT = np.linspace(-1.0, 1.0, 11)


def test_gradient_check_passes_a_right_gradient() -> None:
    """The error of a right gradient is below what the docstring promises."""
    assert gradient_check(_sines, POINT, np.cos(POINT)) < RIGHT


@pytest.mark.parametrize(
    ("wrong", "least"),
    [(1.05, 0.02), (2.0, 0.3), (-1.0, 0.99), (0.0, 0.99)],
    ids=["5-percent", "doubled", "sign", "zero"],
)
def test_gradient_check_sees_a_wrong_factor(wrong: float, least: float) -> None:
    """A gradient off by a factor has an error of the size the formula gives."""
    assert gradient_check(_sines, POINT, wrong * np.cos(POINT)) > least


@pytest.mark.parametrize("i", [0, 5, 10])
def test_gradient_check_sees_one_wrong_coordinate(i: int) -> None:
    """One coordinate off by a tenth among eleven decides the result, wherever it stands."""
    grad = np.cos(POINT)
    grad[i] *= 1.1
    assert gradient_check(_sines, POINT, grad) == pytest.approx(0.1 / 2.1, rel=1e-4)


def test_gradient_check_gives_nan_for_nan() -> None:
    """A NaN in the gradient cannot pass `error < tolerance`."""
    grad = np.cos(POINT)
    grad[3] = np.nan
    assert not gradient_check(_sines, POINT, grad) < RIGHT


def test_gradient_check_does_not_let_rounding_of_a_flat_coordinate_decide() -> None:
    """Where the true slope is zero beside a slope of 1e3, the difference's rounding stays below the promise."""
    x = np.array([0.3, 0.7])
    assert gradient_check(lambda x: float(1e3 * x[0] + np.sin(1e3)), x, np.array([1e3, 0.0])) < RIGHT
    f = lambda x: float(1e3 * x[0] + 1e-9 * x[1])  # noqa: E731
    assert gradient_check(f, x, np.array([1e3, 0.0])) < RIGHT


def test_gradient_check_of_a_constant_is_zero() -> None:
    """Zero against zero is no error, not a division by zero."""
    assert gradient_check(lambda x: 4.0, POINT, np.zeros_like(POINT)) == 0.0
