"""Jordan, LSTM with its variants, and GRU: steps, whole sequences and gradients are PyTorch's, in float64 to 1e-10.

Where PyTorch has the cell, its cell is asked. Where it has not, the equations are written down once more in torch
operations, gate by gate with matrices of their own, and autograd takes the gradients.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import PHIS, SIZES, Sizes, assert_all_close, make_cell_case
from torch_side import tensor

from rnnlib import gru, jordan, lstm, lstm_variants
from rnnlib.bptt import backward_through_time
from rnnlib.gradcheck import gradient_check
from rnnlib.last_step import loss_at_the_end
from rnnlib.sequence import rnn_forward
from rnnlib.torch_layout import (
    elman_from_torch,
    elman_to_torch,
    gru_from_torch,
    gru_to_torch,
    lstm_from_torch,
    lstm_to_torch,
)
from rnnlib.types import Array, Params

every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)


def blocks(W: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    return W.chunk(count, dim=-1)


def torch_lstm(p: dict[str, torch.Tensor], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    W, U, b = (blocks(p[name], 4) for name in ("W_xh", "W_hh", "b_h"))
    i, f, o = (torch.sigmoid(x @ W[k] + h @ U[k] + b[k]) for k in range(3))
    c = f * c + i * torch.tanh(x @ W[3] + h @ U[3] + b[3])
    return o * torch.tanh(c), c


def torch_peephole(p: dict[str, torch.Tensor], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    W, U, b = (blocks(p[name], 4) for name in ("W_xh", "W_hh", "b_h"))
    a = [x @ W[k] + h @ U[k] + b[k] for k in range(4)]
    new = torch.sigmoid(a[1] + p["p_f"] * c) * c + torch.sigmoid(a[0] + p["p_i"] * c) * torch.tanh(a[3])
    return torch.sigmoid(a[2] + p["p_o"] * new) * torch.tanh(new), new


def torch_coupled(p: dict[str, torch.Tensor], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    W, U, b = (blocks(p[name], 3) for name in ("W_xh", "W_hh", "b_h"))
    f, o = (torch.sigmoid(x @ W[k] + h @ U[k] + b[k]) for k in range(2))
    c = f * c + (1 - f) * torch.tanh(x @ W[2] + h @ U[2] + b[2])
    return o * torch.tanh(c), c


def torch_gru(reset: str, p: dict[str, torch.Tensor], x: Any, h: Any) -> tuple[Any]:
    W, U, b = (blocks(p[name], 3) for name in ("W_xh", "W_hh", "b_h"))
    z, r = (torch.sigmoid(x @ W[k] + h @ U[k] + b[k]) for k in range(2))
    recalled = (r * h) @ U[2] if reset == "before" else r * (h @ U[2] + p["b_hh"])
    return (h - z * h + z * torch.tanh(x @ W[2] + recalled + b[2]),)


def torch_jordan(phi: str, psi: str, p: dict[str, torch.Tensor], x: Any, y: Any) -> tuple[Any]:
    h = getattr(torch, phi)(x @ p["W_xh"] + y @ p["W_yh"] + p["b_h"])
    z = h @ p["W_hy"] + p["b_y"]
    return (torch.tanh(z) if psi == "tanh" else z,)


Cell = tuple[str, Any, Any, Callable[..., Any]]  # the kind of parameters, step, backward step, the same in torch
CELLS: dict[str, Cell] = {
    "lstm": ("lstm", lstm.lstm_step, lstm.lstm_step_backward, torch_lstm),
    "peephole": (
        "peephole",
        lstm_variants.peephole_lstm_step,
        lstm_variants.peephole_lstm_step_backward,
        torch_peephole,
    ),
    "coupled": ("coupled", lstm_variants.coupled_lstm_step, lstm_variants.coupled_lstm_step_backward, torch_coupled),
}
for reset in ("before", "after"):
    CELLS[f"gru-{reset}"] = (
        f"gru-{reset}",
        partial(gru.gru_step, reset=reset),
        partial(gru.gru_step_backward, reset=reset),
        partial(torch_gru, reset),
    )
for phi in PHIS:
    for psi in ("linear", "tanh"):
        CELLS[f"jordan-{phi}-{psi}"] = (
            "jordan",
            partial(jordan.jordan_step, phi=phi, psi=psi),
            partial(jordan.jordan_step_backward, phi=phi, psi=psi),
            partial(torch_jordan, phi, psi),
        )

every_cell = pytest.mark.parametrize("name", CELLS)


def named(prefix: str, arrays: Any) -> dict[str, Any]:
    return {f"{prefix}{i}": array for i, array in enumerate(arrays)}


@every_size
@every_cell
def test_step_and_its_gradients_are_those_of_autograd(name: str, sizes: Sizes) -> None:
    """State, gradient of the input, of every array of the state and of every parameter agree."""
    kind, step, back, in_torch = CELLS[name]
    case = make_cell_case(kind, sizes)
    p, x = {k: tensor(v) for k, v in case.params.items()}, tensor(case.xs[0])
    start = [tensor(array) for array in case.state]
    expected = in_torch(p, x, *start)
    torch.autograd.backward(expected, [torch.from_numpy(d) for d in case.dstate])

    state, cache = step(case.params, case.xs[0], case.state)
    dx, dstart, grads = back(case.params, case.dstate, cache)

    assert_all_close(
        {"dx": dx, **named("state", state), **named("dstart", dstart), **grads},
        {
            "dx": x.grad,
            **named("state", [e.detach() for e in expected]),
            **named("dstart", [s.grad for s in start]),
            **{k: v.grad for k, v in p.items()},
        },
    )


@every_size
@every_cell
def test_a_whole_sequence_and_its_gradients_are_those_of_autograd(name: str, sizes: Sizes) -> None:
    """Gradient enters at every step and at the last state too, and comes out everywhere as autograd says."""
    kind, step, back, in_torch = CELLS[name]
    case = make_cell_case(kind, sizes)
    p, xs = {k: tensor(v) for k, v in case.params.items()}, tensor(case.xs)
    start = [tensor(array) for array in case.state]
    state, outputs = tuple(start), []
    for x in xs:
        state = in_torch(p, x, *state)
        outputs.append(state[0])
    seen = [torch.stack(outputs), *state]
    torch.autograd.backward(seen, [torch.from_numpy(d) for d in (case.dhs, *case.dstate)])

    hs, last, caches = rnn_forward(step, case.params, case.xs, case.state)
    dxs, dstart, grads = backward_through_time(back, case.params, case.dhs, case.dstate, caches)

    assert_all_close(
        {"hs": hs, "dxs": dxs, **named("last", last), **named("dstart", dstart), **grads},
        {
            "hs": seen[0].detach(),
            "dxs": xs.grad,
            **named("last", [s.detach() for s in state]),
            **named("dstart", [s.grad for s in start]),
            **{k: v.grad for k, v in p.items()},
        },
    )


@every_cell
def test_step_gradients_match_central_differences(name: str) -> None:
    """Each gradient is the slope of <dstate, state>, asked without torch."""
    kind, step, back, _ = CELLS[name]
    case = make_cell_case(kind, Sizes(1, 3, 2, 4, 5), seed=1)
    values = {"x": case.xs[0], **named("state", case.state), **case.params}
    _, cache = step(case.params, case.xs[0], case.state)
    dx, dstart, grads = back(case.params, case.dstate, cache)
    for what, grad in {"x": dx, **named("state", dstart), **grads}.items():

        def f(value: Array, what: str = what) -> float:
            v = values | {what: value}
            start = tuple(v[f"state{i}"] for i in range(len(case.state)))
            state, _ = step({k: v[k] for k in case.params}, v["x"], start)
            return float(sum((s * d).sum() for s, d in zip(state, case.dstate, strict=True)))

        error = gradient_check(f, values[what], grad)
        assert error < 1e-6, f"d{what} of {name}: relative error {error:.1e}"


# --- PyTorch's own cells, with weights in its layout


def torch_cell(kind: str, D: int, H: int, weights: Params) -> Any:
    cell = {"elman": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind]
    net = cell(D, H, dtype=torch.float64)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return net


PORTS: dict[str, tuple[str, Any, Any, Any]] = {
    "elman": ("elman", elman_to_torch, elman_from_torch, None),
    "lstm": ("lstm", lstm_to_torch, lstm_from_torch, lstm.lstm_step),
    "gru": ("gru-after", gru_to_torch, gru_from_torch, partial(gru.gru_step, reset="after")),
}
every_port = pytest.mark.parametrize("kind", PORTS)


@every_size
@every_port
def test_weights_in_torch_layout_drive_torch_cells(kind: str, sizes: Sizes) -> None:
    """PyTorch's own cell, loaded with what `*_to_torch` gives, puts out our states."""
    from rnnlib.elman import elman_step

    params_kind, to_torch, _, step = PORTS[kind]
    case = make_cell_case(params_kind, sizes)
    net = torch_cell(kind, sizes.D, sizes.H, to_torch(case.params))
    given = [torch.from_numpy(array) for array in case.state]
    expected = net(torch.from_numpy(case.xs[0]), tuple(given) if kind == "lstm" else given[0])
    expected = expected if kind == "lstm" else (expected,)
    state, _ = (step or elman_step)(case.params, case.xs[0], case.state)
    assert_all_close(named("state", state), named("state", [e.detach() for e in expected]))


@every_size
@every_port
def test_weights_from_torch_layout_drive_our_cells(kind: str, sizes: Sizes) -> None:
    """A fresh PyTorch cell, both of whose biases are random, has its states computed by ours."""
    from rnnlib.elman import elman_step

    params_kind, _, from_torch, step = PORTS[kind]
    torch.manual_seed(0)
    net = torch_cell(kind, sizes.D, sizes.H, PORTS[kind][1](make_cell_case(params_kind, sizes).params))
    net.reset_parameters()
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    case = make_cell_case(params_kind, sizes, seed=2)
    given = [torch.from_numpy(array) for array in case.state]
    expected = net(torch.from_numpy(case.xs[0]), tuple(given) if kind == "lstm" else given[0])
    expected = expected if kind == "lstm" else (expected,)
    state, _ = (step or elman_step)(from_torch(weights), case.xs[0], case.state)
    assert_all_close(named("state", state), named("state", [e.detach() for e in expected]))


@every_size
@every_port
def test_way_to_torch_and_back_is_exact(kind: str, sizes: Sizes) -> None:
    """Not a bit changes, no array is shared, and the dtype stays."""
    params_kind, to_torch, from_torch, _ = PORTS[kind]
    for dtype in (np.float64, np.float32):
        params = make_cell_case(params_kind, sizes, dtype=dtype).params
        weights = to_torch(params)
        again = from_torch(weights)
        assert again.keys() == params.keys()
        for name, array in params.items():
            np.testing.assert_array_equal(again[name], array)
            assert again[name].dtype == dtype
            assert not any(np.shares_memory(array, other) for other in (*weights.values(), *again.values()))


# --- what the cells are for


def test_an_lstm_with_shut_input_and_open_forget_gate_keeps_its_memory() -> None:
    """The constant error carousel: with f = 1 and i = 0 the memory and its gradient pass 100 steps unchanged."""
    H = 3
    params = {"W_xh": np.zeros((2, 4 * H)), "W_hh": np.zeros((H, 4 * H)), "b_h": np.zeros(4 * H)}
    params["b_h"][:H], params["b_h"][H : 2 * H] = -800, 800
    start = (np.zeros((1, H)), np.array([[0.5, -2.0, 7.0]]))
    _, (_, c), caches = rnn_forward(lstm.lstm_step, params, np.ones((100, 1, 2)), start)
    np.testing.assert_array_equal(c, start[1])
    dlast = (np.zeros((1, H)), np.array([[1.0, -3.0, 0.25]]))
    _, (_, dc), _ = backward_through_time(lstm.lstm_step_backward, params, np.zeros((100, 1, H)), dlast, caches)
    np.testing.assert_array_equal(dc, dlast[1])


@pytest.mark.parametrize("gate", ["i", "f", "o"])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_clamped_gate_is_1_or_0_at_every_step_and_asks_for_nothing(gate: str, is_open: bool) -> None:
    """In float64 and float32, whatever comes in; its block's gradients are zero, the other blocks are as they were."""
    k = "ifo".index(gate)
    for dtype in (np.float64, np.float32):
        case = make_cell_case("lstm", Sizes(1, 4, 3, 5, 2), dtype=dtype)
        params = lstm.clamp_gate(case.params, gate, is_open)
        _, cache = lstm.lstm_step(params, 50 * case.xs[0], case.state)
        assert (cache[3 + k] == (1 if is_open else 0)).all()
        _, _, grads = lstm.lstm_step_backward(params, case.dstate, cache)
        for name, grad in grads.items():
            assert not np.split(grad, 4, axis=-1)[k].any(), name
            for n, (new, old) in enumerate(
                zip(np.split(params[name], 4, axis=-1), np.split(case.params[name], 4, axis=-1), strict=True)
            ):
                assert n == k or (new == old).all(), f"{name}, block {n}"
            assert params[name].dtype == dtype


@every_size
@pytest.mark.parametrize("kind", ["lstm", "peephole", "gru-before"])
def test_the_loss_at_the_end_and_its_gradients_are_those_of_autograd(kind: str, sizes: Sizes) -> None:
    """One question after the last step: loss and gradients of cell and output layer agree, for one and two arrays."""
    _, step, back, in_torch = CELLS[kind]
    case, rng = make_cell_case(kind, sizes), np.random.default_rng(1)
    out = {"W_hy": rng.normal(size=(sizes.H, sizes.K)), "b_y": rng.normal(size=sizes.K)}
    targets = rng.integers(sizes.K, size=sizes.B)
    loss, grads = loss_at_the_end(step, back, case.params | out, case.xs, case.state, targets)

    p = {k: tensor(v) for k, v in (case.params | out).items()}
    state = tuple(torch.from_numpy(array) for array in case.state)
    for x in torch.from_numpy(case.xs):
        state = in_torch(p, x, *state)
    expected = torch.nn.functional.cross_entropy(state[0] @ p["W_hy"] + p["b_y"], torch.from_numpy(targets))
    expected.backward()
    assert_all_close({"loss": loss, **grads}, {"loss": expected.item(), **{k: v.grad for k, v in p.items()}})


def test_the_two_forms_of_a_gru_agree_when_the_reset_gate_is_open() -> None:
    """With r = 1 it does not matter on which side of the product it stands; with r < 1 it does."""
    case = make_cell_case("gru-before", Sizes(1, 4, 2, 3, 5))
    after = case.params | {"b_hh": np.zeros(3)}
    x, state = case.xs[0], case.state
    ((one,), _), ((two,), _) = gru.gru_step(case.params, x, state), gru.gru_step(after, x, state, reset="after")
    assert np.abs(one - two).max() > 1e-3
    for params in (case.params, after):
        params["b_h"][3:6] = 800
    ((one,), _), ((two,), _) = gru.gru_step(case.params, x, state), gru.gru_step(after, x, state, reset="after")
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-15)


def test_a_coupled_lstm_is_an_lstm_whose_input_gate_is_one_minus_its_forget_gate() -> None:
    """sigma(-a) = 1 - sigma(a): negate the forget gate's weights for the input gate and the states are the same."""
    case = make_cell_case("coupled", Sizes(1, 4, 2, 3, 5))
    params = {}
    for name, array in case.params.items():
        f, o, g = np.split(array, 3, axis=-1)
        params[name] = np.concatenate([-f, f, o, g], axis=-1)
    one, _ = lstm_variants.coupled_lstm_step(case.params, case.xs[0], case.state)
    two, _ = lstm.lstm_step(params, case.xs[0], case.state)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-14)


def test_peepholes_that_are_shut_change_nothing() -> None:
    """With p = 0 a peephole LSTM is an LSTM, forward and backward."""
    case = make_cell_case("lstm", Sizes(1, 4, 2, 3, 5))
    shut = case.params | {name: np.zeros(3) for name in ("p_i", "p_f", "p_o")}
    x, state = case.xs[0], case.state
    one, cache = lstm.lstm_step(case.params, x, state)
    two, peephole_cache = lstm_variants.peephole_lstm_step(shut, x, state)
    np.testing.assert_array_equal(one, two)
    dx, dstart, grads = lstm.lstm_step_backward(case.params, case.dstate, cache)
    dx2, dstart2, grads2 = lstm_variants.peephole_lstm_step_backward(shut, case.dstate, peephole_cache)
    assert_all_close(
        {"dx": dx2, **named("d", dstart2), **{k: grads2[k] for k in grads}}, {"dx": dx, **named("d", dstart), **grads}
    )


def test_a_jordan_net_that_puts_out_its_hidden_state_is_an_elman_net() -> None:
    """With W_hy = 1 and b_y = 0 the output is the hidden state, and W_yh is W_hh."""
    from rnnlib.elman import elman_step

    case = make_cell_case("elman", Sizes(6, 2, 3, 4, 5))
    params = {"W_xh": case.params["W_xh"], "W_yh": case.params["W_hh"], "b_h": case.params["b_h"]}
    params |= {"W_hy": np.eye(4), "b_y": np.zeros(4)}
    ys, _, _ = rnn_forward(jordan.jordan_step, params, case.xs, case.state)
    hs, _, _ = rnn_forward(elman_step, case.params, case.xs, case.state)
    np.testing.assert_allclose(ys, hs, rtol=0, atol=1e-14)


@every_size
def test_a_jordan_net_with_linear_output_is_an_elman_net_of_low_rank(sizes: Sizes) -> None:
    """The Elman cell of `jordan_as_elman` has the Jordan net's hidden states, and a recurrent matrix of rank <= K."""
    from rnnlib.elman import elman_step

    case = make_cell_case("jordan", sizes)
    elman = jordan.jordan_as_elman(case.params)
    h_0 = np.random.default_rng(1).normal(size=(sizes.B, sizes.H))
    y_0 = h_0 @ case.params["W_hy"] + case.params["b_y"]
    _, _, caches = rnn_forward(jordan.jordan_step, case.params, case.xs, (y_0,))
    hs, _, _ = rnn_forward(elman_step, elman, case.xs, (h_0,))
    assert_all_close({"hs": np.stack([cache[2] for cache in caches])}, {"hs": hs})
    assert np.linalg.matrix_rank(elman["W_hh"]) == min(sizes.H, sizes.K)


@every_size
def test_teacher_forcing_all_steps_at_once_is_feeding_targets_step_by_step(sizes: Sizes) -> None:
    """Outputs are those of a loop that puts the target in place of each output, and so are the gradients."""
    case = make_cell_case("jordan", sizes)
    ys, cache = jordan.jordan_teacher_forced(case.params, case.xs, case.dhs, case.state, psi="tanh")
    state, expected, total = case.state, [], {name: np.zeros_like(a) for name, a in case.params.items()}
    dys = np.random.default_rng(1).normal(size=ys.shape)
    for x, target, dy in zip(case.xs, case.dhs, dys, strict=True):
        (y,), kept = jordan.jordan_step(case.params, x, state, psi="tanh")
        _, _, grads = jordan.jordan_step_backward(case.params, (dy,), kept, psi="tanh")
        total = {name: total[name] + grads[name] for name in total}
        expected.append(y)
        state = (target,)
    rows = dys.reshape(-1, sizes.K)
    _, _, grads = jordan.jordan_step_backward(case.params, (rows,), cache, psi="tanh")
    assert_all_close({"ys": ys, **grads}, {"ys": np.stack(expected), **total})


@pytest.mark.parametrize("scale", [1e-30, 1.0, 40.0, 1e4, 1e300])
def test_sigmoid_is_torch_sigmoid(scale: float, rng: np.random.Generator) -> None:
    """No overflow and no warning, whatever comes."""
    from rnnlib.activations import sigmoid

    a = scale * rng.normal(size=(5, 7))
    np.testing.assert_allclose(sigmoid(a), torch.sigmoid(torch.from_numpy(a)).numpy(), rtol=0, atol=1e-15)


# --- first weights


INITS: dict[str, tuple[Callable[..., Params], int, dict[str, tuple[int, ...]]]] = {
    "lstm": (lstm.lstm_init, 4, {}),
    "peephole": (lstm_variants.peephole_lstm_init, 4, {"p_i": (1,), "p_f": (1,), "p_o": (1,)}),
    "coupled": (lstm_variants.coupled_lstm_init, 3, {}),
    "gru-before": (gru.gru_init, 3, {}),
    "gru-after": (partial(gru.gru_init, reset="after"), 3, {"b_hh": (1,)}),
}


@pytest.mark.parametrize("kind", INITS)
def test_first_weights_have_the_documented_spread(kind: str) -> None:
    """Shapes, variance 1 / fan-in in every block, zero biases but the forget gate's, and the dtype asked for."""
    init, count, more = INITS[kind]
    D, H = 40, 200
    params = init(np.random.default_rng(0), D, H, dtype=np.float32)
    shapes = {"W_xh": (D, count * H), "W_hh": (H, count * H), "b_h": (count * H,)} | dict.fromkeys(more, (H,))
    assert {name: array.shape for name, array in params.items()} == shapes
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}
    for name, fan_in in (("W_xh", D), ("W_hh", H)):
        for block in np.split(params[name], count, axis=-1):
            assert abs(block.var() * fan_in - 1) < 0.08, f"{name}: variance {block.var():.3g}, expected {1 / fan_in}"
            assert abs(block.mean()) < 0.01
    forget = {"lstm": slice(H, 2 * H), "peephole": slice(H, 2 * H), "coupled": slice(0, H)}.get(kind)
    biases = params["b_h"].copy()
    if forget:
        assert (biases[forget] == 1).all()
        biases[forget] = 0
    assert not biases.any()
    assert not any(params[name].any() for name in more)


def test_first_weights_of_a_jordan_net_have_the_documented_spread() -> None:
    """Every matrix is scaled by its own number of rows."""
    params = jordan.jordan_init(np.random.default_rng(0), 50, 200, 100, np.float32)
    assert {name: array.shape for name, array in params.items()} == {
        "W_xh": (50, 200),
        "W_yh": (100, 200),
        "b_h": (200,),
        "W_hy": (200, 100),
        "b_y": (100,),
    }
    for name in ("W_xh", "W_yh", "W_hy"):
        assert abs(params[name].var() * len(params[name]) - 1) < 0.06, name
    assert not params["b_h"].any()
    assert not params["b_y"].any()
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}
