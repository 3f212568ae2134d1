"""Jacobians, clipping, first weights, layer norm, long tasks: against PyTorch, differences, and their own laws."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, assert_all_close, assert_close, make_case, make_cell_case

from rnnlib.clipping import clip_by_norm, clip_by_value, clipped_step
from rnnlib.diagnostics import elman_jacobian, gradient_norm_profile, product_norms, state_jacobian
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.initialization import identity, orthogonal, xavier_uniform
from rnnlib.layer_norm import layer_norm, layer_norm_backward
from rnnlib.long_tasks import adding_problem, copy_task
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.sequence import rnn_forward

CELLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "elman": (elman_step, elman_step_backward),
    "lstm": (lstm_step, lstm_step_backward),
    "gru-before": (gru_step, gru_step_backward),
    "gru-after": (partial(gru_step, reset="after"), partial(gru_step_backward, reset="after")),
}
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
every_cell = pytest.mark.parametrize("kind", CELLS)


# --- Jacobians


def torch_step(kind: str, params: dict[str, torch.Tensor], x: torch.Tensor, state: list[torch.Tensor]) -> Any:
    """One step of a cell for one sequence, written in PyTorch."""
    W, U, b = params["W_xh"], params["W_hh"], params["b_h"]
    h = state[0]
    if kind == "elman":
        return [torch.tanh(x @ W + h @ U + b)]
    if kind == "lstm":
        i, f, o, g = (x @ W + h @ U + b).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c), c]
    (a_z, a_r, a_n), (U_z, U_r, U_n) = (x @ W + b).chunk(3, dim=-1), U.chunk(3, dim=-1)
    z, r = torch.sigmoid(a_z + h @ U_z), torch.sigmoid(a_r + h @ U_r)
    recalled = (r * h) @ U_n if kind == "gru-before" else r * (h @ U_n + params["b_hh"])
    return [(1 - z) * h + z * torch.tanh(a_n + recalled)]


@every_size
@every_cell
def test_state_jacobian_is_that_of_autograd(kind: str, sizes: Sizes) -> None:
    """Every slope of every new number in every old one agrees with torch.autograd.functional.jacobian."""
    case = make_cell_case(kind, sizes)
    params = {name: torch.from_numpy(value) for name, value in case.params.items()}
    got = state_jacobian(*CELLS[kind], case.params, case.xs[0], case.state)
    widths = [part.shape[1] for part in case.state]
    for b in range(sizes.B):

        def flat(state: torch.Tensor, b: int = b) -> torch.Tensor:
            return torch.cat(torch_step(kind, params, torch.from_numpy(case.xs[0, b]), list(state.split(widths))))

        start = torch.from_numpy(np.concatenate([part[b] for part in case.state]))
        assert_close(f"sequence {b}", got[b], torch.autograd.functional.jacobian(flat, start))


@every_size
def test_the_formula_is_the_jacobian_of_an_elman_step(sizes: Sizes) -> None:
    """diag(1 - h^2) W_hh is what the backward step says."""
    case = make_case(sizes)
    (h,), _ = elman_step(case.params, case.xs[0], case.state)
    whole = state_jacobian(elman_step, elman_step_backward, case.params, case.xs[0], case.state)
    assert_close("jacobian", elman_jacobian(case.params, h), whole)


@every_cell
def test_the_profile_is_made_by_the_products_of_the_jacobians(kind: str) -> None:
    """k steps back, the length is that of (J_T ... J_{T-k+1})^T applied to the gradient; no length exceeds its norm."""
    case = make_cell_case(kind, Sizes(7, 3, 2, 4, 5))
    step, back = CELLS[kind]
    state, jacobians, caches = case.state, [], []
    for x in case.xs:
        jacobians.append(state_jacobian(step, back, case.params, x, state))
        state, cache = step(case.params, x, state)
        caches.append(cache)
    profile = gradient_norm_profile(back, case.params, case.dstate, caches)
    assert profile.shape == (8, 3)
    message = np.concatenate(case.dstate, axis=1)
    for k, jacobian in enumerate([None, *jacobians[::-1]]):
        message = message if jacobian is None else np.einsum("bij,bi->bj", jacobian, message)
        assert_close(f"{k} steps back", profile[k], np.sqrt((message**2).sum(axis=1)))
    for b in range(3):
        norms = product_norms(np.stack([jacobian[b] for jacobian in jacobians]))
        assert (profile[1:, b] <= norms * profile[0, b] * (1 + 1e-12)).all()


def test_product_norms_are_the_largest_stretches() -> None:
    """No vector is stretched more than the norm says, and one is as much; the product runs from the end."""
    jacobians = np.random.default_rng(0).standard_normal((5, 4, 4))
    norms = product_norms(jacobians)
    for k in range(1, 6):
        product = torch.linalg.multi_dot(
            [torch.eye(4, dtype=torch.float64), *torch.from_numpy(jacobians[::-1][:k].copy())]
        )
        assert_close(f"{k} steps", norms[k - 1], torch.linalg.matrix_norm(product, 2))


def test_a_matrix_with_eigenvalues_below_one_may_stretch_first() -> None:
    """The example of the chapter: both eigenvalues are 0.9, and ten steps stretch more than fifteenfold."""
    norms = product_norms(np.stack([np.array([[0.9, 4.0], [0.0, 0.9]])] * 100))
    assert norms.argmax() == pytest.approx(9, abs=1)
    assert norms.max() > 15 > 1 > norms[-1]


# --- clipping


def some_grads(seed: int = 0, size: float = 1.0, dtype: Any = np.float64) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: (size * rng.standard_normal(shape)).astype(dtype) for name, shape in {"W": (3, 4), "b": (4,)}.items()}


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 4.0, 1e3])
def test_clip_by_norm_is_that_of_torch(max_norm: float) -> None:
    """Norm and gradients agree with clip_grad_norm_, which divides by the norm plus 1e-6."""
    grads = some_grads()
    tensors = {name: torch.nn.Parameter(torch.zeros(grad.shape, dtype=torch.float64)) for name, grad in grads.items()}
    for name, tensor in tensors.items():
        tensor.grad = torch.from_numpy(grads[name].copy())
    norm = torch.nn.utils.clip_grad_norm_(tensors.values(), max_norm).item()
    got, ours = clip_by_norm(grads, max_norm)
    assert_close("norm", ours, norm)
    assert type(ours) is float
    factor = (1 + 1e-6 / norm) if norm > max_norm else 1.0  # take torch's 1e-6 out again
    assert_all_close(got, {name: t.grad.numpy() * factor for name, t in tensors.items() if t.grad is not None})


@pytest.mark.parametrize("limit", [0.01, 0.5, 10.0])
def test_clip_by_value_is_that_of_torch(limit: float) -> None:
    """Entries agree with torch.clamp to the bit."""
    grads = some_grads()
    expected = {name: torch.from_numpy(grad).clamp(-limit, limit).numpy() for name, grad in grads.items()}
    assert_all_close(clip_by_value(grads, limit), expected, tol=0.0)


def test_a_float32_gradient_that_overflows_when_squared_is_clipped_all_the_same() -> None:
    """Entries of 1e25 have squares beyond float32; the norm is found in float64."""
    grads, norm = clip_by_norm(some_grads(size=1e25, dtype=np.float32), 1.0)
    assert np.isfinite(norm)
    assert norm > 1e25
    length = math.sqrt(sum(float((grad.astype(float) ** 2).sum()) for grad in grads.values()))
    assert length == pytest.approx(1, abs=1e-6)


def test_zero_gradients_stay_and_broken_ones_are_told() -> None:
    """A norm of 0 divides nothing; one of nan is returned for the caller to see."""
    grads, norm = clip_by_norm({"W": np.zeros((2, 2))}, 1.0)
    assert norm == 0
    assert not grads["W"].any()
    assert math.isnan(clip_by_norm({"W": np.array([1.0, np.nan])}, 1.0)[1])
    with np.errstate(invalid="ignore"):  # 0 times infinity
        assert clip_by_norm({"W": np.array([1.0, np.inf])}, 1.0)[1] == math.inf


def test_clipped_step_is_torch_sgd_after_clipping() -> None:
    """Two steps agree with torch.optim.SGD on gradients that were clipped first."""
    params, rate = some_grads(1), 0.3
    tensors = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in params.items()}
    optimizer = torch.optim.SGD(tensors.values(), lr=rate)
    for seed in (2, 3):
        grads = some_grads(seed)
        length = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        for name, tensor in tensors.items():
            tensor.grad = torch.from_numpy(grads[name] * min(1.0, 2.0 / length))
        optimizer.step()
        params, norm = clipped_step(params, grads, rate, 2.0)
        assert_close("norm", norm, length)
    assert_all_close(params, {name: tensor.detach().numpy() for name, tensor in tensors.items()})


# --- first weights


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 5), (3, 8), (8, 3), (40, 40)])
def test_orthogonal_has_one_singular_value(rows: int, columns: int) -> None:
    """All singular values are the gain, whichever side is longer."""
    W = orthogonal(np.random.default_rng(0), rows, columns, gain=1.7)
    assert W.shape == (rows, columns)
    assert_close("singular values", np.linalg.svd(W, compute_uv=False), np.full(min(rows, columns), 1.7))


def test_orthogonal_is_uniform_over_all_turns() -> None:
    """The mean of the trace is 0 and that of its square is 1, as for Haar's measure; without the signs it is not."""
    rng = np.random.default_rng(0)
    traces = np.array([np.trace(orthogonal(rng, 6, 6)) for _ in range(4000)])
    assert traces.mean() == pytest.approx(0, abs=0.06)
    assert (traces**2).mean() == pytest.approx(1, abs=0.08)
    unsigned = np.array([np.trace(np.linalg.qr(rng.standard_normal((6, 6)))[0]) for _ in range(4000)])
    assert abs(unsigned.mean()) > 0.3, "the reason for the signs is gone"
    corners = np.array([orthogonal(rng, 6, 3)[0, 0] for _ in range(2000)])
    assert corners.mean() == pytest.approx(0, abs=0.04)


def test_xavier_uniform_fills_its_interval() -> None:
    """Limits, mean and variance are those of torch's xavier_uniform_ for the same sizes."""
    W = xavier_uniform(np.random.default_rng(0), 300, 200, gain=1.5)
    theirs = torch.nn.init.xavier_uniform_(torch.empty(200, 300, dtype=torch.float64), gain=1.5)
    limit = 1.5 * math.sqrt(6 / 500)
    assert np.abs(W).max() <= limit
    assert np.abs(W).max() == pytest.approx(limit, rel=1e-3)
    assert theirs.abs().max().item() == pytest.approx(limit, rel=1e-3)
    assert W.var() == pytest.approx(limit**2 / 3, rel=0.02)
    assert W.mean() == pytest.approx(0, abs=limit / 100)


def test_identity_is_a_multiple_that_may_be_written_into() -> None:
    """Ones or the scale on the diagonal, in the dtype asked for, in an array of its own."""
    W = identity(3, 0.5, np.float32)
    assert W.dtype == np.float32
    assert_close("W", W, 0.5 * torch.eye(3))
    W[0, 0] = 7
    assert identity(3)[0, 0] == 1


@pytest.mark.parametrize("init", [orthogonal, xavier_uniform])
def test_weights_come_from_the_generator_alone(init: Callable[..., Any]) -> None:
    """One seed, one matrix, in either precision; a second draw is another."""
    first, single = init(np.random.default_rng(7), 3, 4), init(np.random.default_rng(7), 3, 4, 1.0, np.float32)
    assert_close("float32", single, first.astype(np.float32), tol=0.0)
    rng = np.random.default_rng(7)
    assert (init(rng, 3, 4) == first).all()
    assert (init(rng, 3, 4) != first).any()


# --- layer norm


@pytest.mark.parametrize("shape", [(1,), (7,), (4, 5), (3, 1), (2, 3, 6)], ids=str)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_layer_norm_and_all_its_gradients_are_those_of_torch(shape: tuple[int, ...], eps: float) -> None:
    """Values, and gradients of input, gain and bias, agree with torch.nn.functional.layer_norm."""
    rng = np.random.default_rng(0)
    x, dy = 3 + 2 * rng.standard_normal(shape), rng.standard_normal(shape)
    params = {"gain": rng.standard_normal(shape[-1]), "bias": rng.standard_normal(shape[-1])}
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in (params | {"x": x}).items()}
    expected = torch.nn.functional.layer_norm(tensors["x"], shape[-1:], tensors["gain"], tensors["bias"], eps)
    expected.backward(torch.from_numpy(dy))
    y, cache = layer_norm(params, x, eps)
    dx, grads = layer_norm_backward(params, dy, cache)
    theirs = {name: tensor.grad for name, tensor in tensors.items()}
    assert_all_close({"y": y, "x": dx, **grads}, {"y": expected.detach(), **theirs})


def test_layer_norm_does_not_see_shift_or_size() -> None:
    """A number added to a row, or a factor, changes nothing but for eps; and no gradient points along either."""
    rng = np.random.default_rng(0)
    params, x = {"gain": rng.standard_normal(6), "bias": rng.standard_normal(6)}, rng.standard_normal((4, 6))
    y, cache = layer_norm(params, x, eps=0.0)
    assert_close("moved and scaled", layer_norm(params, 5 * x + 3, eps=0.0)[0], y)
    dx, _ = layer_norm_backward(params, rng.standard_normal((4, 6)), cache)
    assert_close("sum of dx", dx.sum(axis=1), np.zeros(4))
    assert_close("dx along x", (dx * x).sum(axis=1), np.zeros(4))


# --- tasks


@pytest.mark.parametrize("length", [2, 3, 10, 51])
def test_adding_problem_has_one_mark_in_each_half_and_their_sum(length: int) -> None:
    """Marks are ones and zeros, one before length // 2 and one after; targets add up what they mark."""
    xs, targets = adding_problem(np.random.default_rng(0), length, 400, np.float64)
    marks = xs[:, :, 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    assert (marks[: length // 2].sum(axis=0) == 1).all()
    assert (marks[length // 2 :].sum(axis=0) == 1).all()
    assert_close("targets", targets, (xs[:, :, 0] * marks).sum(axis=0))
    assert (marks.sum(axis=1) > 0).all(), "some step is never marked"


def test_who_always_answers_one_has_an_error_of_a_sixth() -> None:
    """The mean squared error of the best constant, 2 / 12."""
    _, targets = adding_problem(np.random.default_rng(0), 4, 100_000, np.float64)
    assert ((targets - 1) ** 2).mean() == pytest.approx(1 / 6, abs=2e-3)


@pytest.mark.parametrize(("delay", "items", "symbols"), [(1, 1, 1), (1, 3, 4), (6, 2, 3), (20, 10, 8)])
def test_copy_task_is_laid_out_as_published(delay: int, items: int, symbols: int) -> None:
    """Items, delay - 1 blanks, the signal, blanks; the targets are blanks and then the items."""
    xs, targets = copy_task(np.random.default_rng(0), delay, 50, items, symbols)
    T = delay + 2 * items
    assert xs.shape == (T, 50, symbols + 2)
    assert targets.shape == (T, 50)
    assert (xs.sum(axis=-1) == 1).all()
    read = xs.argmax(axis=-1)
    assert (read[:items] < symbols).all()
    assert (read[items : items + delay - 1] == symbols).all()
    assert (read[items + delay - 1] == symbols + 1).all()
    assert (read[items + delay :] == symbols).all()
    assert (targets[:-items] == symbols).all()
    assert (targets[-items:] == read[:items]).all()
    assert (read == symbols + 1).sum() == 50


def test_tasks_come_from_the_generator_alone() -> None:
    """One seed, one batch; another draw, another batch."""
    for task in (partial(adding_problem, length=9, batch_size=5), partial(copy_task, delay=9, batch_size=5)):
        rng = np.random.default_rng(3)
        (first, _), (again, _), (other, _) = task(np.random.default_rng(3)), task(rng), task(rng)
        assert (first == again).all()
        assert (first != other).any()


# --- errors

RNG = np.random.default_rng(0)
CASE = make_case(Sizes(4, 3, 2, 5, 6))
NORM = {"gain": np.ones(5), "bias": np.zeros(5)}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: elman_jacobian(CASE.params, np.zeros((3, 4))), ValueError, ("elman_jacobian", "W_hh", "H = 4")),
        (lambda: elman_jacobian({}, np.zeros((3, 4))), KeyError, ("elman_jacobian", "lacks W_hh")),
        (lambda: product_norms(np.zeros((3, 4, 5))), ValueError, ("product_norms", "(3, 4, 5)")),
        (lambda: product_norms(np.zeros((0, 4, 4))), ValueError, ("product_norms", "(0, 4, 4)", "T >= 1")),
        (lambda: clip_by_norm(CASE.params, 0.0), ValueError, ("clip_by_norm", "0.0", "above 0")),
        (lambda: clip_by_norm(CASE.params, -1.0), ValueError, ("clip_by_norm", "-1.0")),
        (lambda: clip_by_norm(CASE.params, math.nan), ValueError, ("clip_by_norm", "nan")),
        (lambda: clip_by_value(CASE.params, 0.0), ValueError, ("clip_by_value", "0.0", "above 0")),
        (lambda: clip_by_value(CASE.params, -2.0), ValueError, ("clip_by_value", "-2.0")),
        (lambda: orthogonal(RNG, 0, 3), ValueError, ("orthogonal", "0 rows", "3 columns")),
        (lambda: identity(0), ValueError, ("identity", "0 rows")),
        (lambda: xavier_uniform(RNG, 3, -1), ValueError, ("xavier_uniform", "3 rows", "-1 columns")),
        (lambda: layer_norm(NORM, np.zeros((3, 4))), ValueError, ("layer_norm", "gain", "(5,)", "H = 4")),
        (lambda: layer_norm({"gain": np.ones(5)}, np.zeros((3, 5))), KeyError, ("layer_norm", "lacks bias")),
        (
            lambda: layer_norm_backward(NORM, np.zeros((2, 5)), (np.zeros((3, 5)), np.ones((3, 1)))),
            ValueError,
            ("layer_norm_backward", "dy", "(2, 5)", "(3,)"),
        ),
        (lambda: adding_problem(RNG, 1, 4), ValueError, ("adding_problem", "length is 1", "at least 2")),
        (lambda: adding_problem(RNG, 5, 0), ValueError, ("adding_problem", "batch_size 0")),
        (lambda: copy_task(RNG, 0, 4), ValueError, ("copy_task", "delay 0")),
        (lambda: copy_task(RNG, 3, 4, items=0), ValueError, ("copy_task", "items 0")),
        (lambda: copy_task(RNG, 3, 4, symbols=0), ValueError, ("copy_task", "symbols 0")),
    ],
)
def test_a_wrong_call_says_what_came(call: Callable[[], Any], error: type[Exception], says: tuple[str, ...]) -> None:
    """The documented error, with what came and what was expected."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert not [part for part in says if part not in message], message


def test_a_step_goes_back_through_no_steps_at_all() -> None:
    """With no cache the profile has one row, the gradient's own length."""
    hs, last, caches = rnn_forward(elman_step, CASE.params, CASE.xs, CASE.state)
    assert len(caches) == len(hs)
    profile = gradient_norm_profile(elman_step_backward, CASE.params, last, [])
    assert_close("profile", profile, np.linalg.norm(last[0], axis=1)[None])
