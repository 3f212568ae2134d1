"""Chapter 10: windows, segments, streams and tables against PyTorch, and the unrolled net name by name."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, assert_all_close, assert_close, make_case, make_cell_case
from torch_side import linear_grads, load_linear, load_rnn, rnn_grads, tensor

from rnnlib.bptt import backward_through_time, truncated_bptt
from rnnlib.checkpointing import checkpointed_bptt
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.embedding import embed, embed_backward, embedding_init
from rnnlib.gradcheck import gradient_check
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.losses import cross_entropy
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.sequence import rnn_forward
from rnnlib.stateful import stateful_batches
from rnnlib.types import Array

every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
ELMAN = partial(rnn_forward, elman_step), partial(backward_through_time, elman_step_backward)
CELLS = {
    "elman": ELMAN,
    "lstm": (partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)),
    "gru-before": (partial(rnn_forward, gru_step), partial(backward_through_time, gru_step_backward)),
}


def stretch(kind: str, sizes: Sizes) -> tuple[Any, ...]:
    """A cell with an output layer, inputs, targets and a start, as the two functions take them."""
    cell, other = make_cell_case(kind, sizes), make_case(sizes)
    return cell.params | other.out, cell.xs, other.targets, cell.state


def torch_windows(case: Any, window: int) -> tuple[Any, Any, Any, dict[str, Array]]:
    """The loss and gradients of torch.nn.RNN over windows, the state detached between them."""
    params, xs, targets, (h,) = case
    T, inputs, state = len(xs), tensor(xs), torch.from_numpy(h)[None]
    rnn, linear = load_rnn(params, "tanh"), load_linear(params)
    loss = torch.zeros((), dtype=torch.float64)
    for first in range(0, T, window):
        hs, state = rnn(inputs[first : first + window], state.detach())
        scores, wanted = linear(hs).flatten(0, 1), torch.from_numpy(targets[first : first + window]).flatten()
        loss = loss + torch.nn.functional.cross_entropy(scores, wanted, reduction="sum") / targets.size
    loss.backward()
    return loss.detach(), inputs.grad, state[0].detach(), rnn_grads(rnn) | linear_grads(linear)


@every_size
@pytest.mark.parametrize("window", [1, 2, 4, 5, 100])
def test_truncated_bptt_is_torch_with_a_detached_state(sizes: Sizes, window: int) -> None:
    """Loss, gradients and last state agree for windows that fit, that leave a rest, that are longer."""
    case = stretch("elman", sizes)
    loss, dxs, (last,), grads = truncated_bptt(*ELMAN, *case, window)
    want = torch_windows(case, window)
    assert_all_close({"loss": loss, "dxs": dxs, "last": last}, dict(zip(("loss", "dxs", "last"), want, strict=False)))
    assert_all_close(grads, want[3])


@every_size
@pytest.mark.parametrize("segment", [None, 1, 2, 4, 5, 100])
def test_checkpointed_bptt_is_torch_without_a_cut(sizes: Sizes, segment: int | None) -> None:
    """Whatever the segment, the gradients are those of one graph over the whole sequence."""
    case = stretch("elman", sizes)
    loss, dxs, (last,), grads = checkpointed_bptt(*ELMAN, *case, segment)
    want = torch_windows(case, 1000)
    assert_all_close({"loss": loss, "dxs": dxs, "last": last}, dict(zip(("loss", "dxs", "last"), want, strict=False)))
    assert_all_close(grads, want[3])


@pytest.mark.parametrize("kind", CELLS)
def test_one_window_is_full_bptt_and_so_is_any_segment(kind: str) -> None:
    """For three cells: a window of T is loss and `backward_through_time`, and segments change nothing."""
    sizes = Sizes(11, 3, 2, 5, 4)
    params, xs, targets, state = case = stretch(kind, sizes)
    run, back = CELLS[kind]
    hs, last, caches = run(params, xs, state)
    logits, cache = output_layer(params, hs)
    loss, dz = cross_entropy(logits, targets)
    dhs, out = output_layer_backward(params, dz, cache)
    dxs, _, grads = back(params, dhs, tuple(map(np.zeros_like, last)), caches)
    want = {"loss": loss, "dxs": dxs, **dict(enumerate(last)), **grads, **out}
    pieces = [(truncated_bptt, size) for size in (11, 12, 50)] + [
        (checkpointed_bptt, size) for size in (None, 1, 3, 4, 11, 50)
    ]
    for function, size in pieces:
        loss, dxs, last, grads = function(run, back, *case, size)
        assert_all_close({"loss": loss, "dxs": dxs, **dict(enumerate(last)), **grads}, want)


def test_grads_of_a_run_back_may_lack_the_output_layer() -> None:
    """A way back that names the cell's parameters alone, as a faster path may, gives the same sums."""
    case = stretch("elman", Sizes(6, 2, 3, 4, 5))

    def bare(params: Any, dhs: Array, dlast: Any, caches: Any) -> Any:
        dxs, start, grads = ELMAN[1](params, dhs, dlast, caches)
        return dxs, start, {name: grads[name] for name in ("W_xh", "W_hh", "b_h")}

    for function in (truncated_bptt, checkpointed_bptt):
        want = function(*ELMAN, *case, 4)[3]
        assert_all_close(function(ELMAN[0], bare, *case, 4)[3], want)


def test_a_cut_changes_the_gradient_and_not_the_loss() -> None:
    """The loss and the state are those of the whole sequence; the recurrent gradient is not."""
    case = stretch("elman", Sizes(12, 3, 2, 5, 4))
    whole, cut = truncated_bptt(*ELMAN, *case, 12), truncated_bptt(*ELMAN, *case, 3)
    assert cut[0] == pytest.approx(whole[0], abs=1e-14)
    assert_close("state", cut[2][0], whole[2][0], tol=0.0)
    assert np.abs(cut[3]["W_hh"] - whole[3]["W_hh"]).max() > 1e-3


# --- the unrolled net, name by name


@every_size
def test_every_dh_and_da_of_an_elman_net_is_autograds(sizes: Sizes) -> None:
    """At each step the whole message dh_t, the gradient da_t of the sum, and dx_t are torch's retained ones."""
    case = make_case(sizes)
    p = {name: torch.from_numpy(value) for name, value in case.params.items()}
    h, names = torch.from_numpy(case.state[0]).requires_grad_(), {}
    for t, x in enumerate(torch.from_numpy(case.xs)):
        names[f"dx_{t}"] = x = x.clone().requires_grad_()
        names[f"da_{t}"] = a = x @ p["W_xh"] + h @ p["W_hh"] + p["b_h"]
        names[f"dh_{t}"] = h = torch.tanh(a)
        for node in (a, h):
            node.retain_grad()
    hs = [names[f"dh_{t}"] for t in range(sizes.T)]
    torch.autograd.backward([*hs, h], [torch.from_numpy(d) for d in (*case.dhs, case.dstate[0])])

    seen, found = iter(reversed(range(sizes.T))), {}

    def watched(params: Any, dstate: Any, cache: Any) -> Any:
        t = next(seen)
        found[f"dh_{t}"] = dstate[0].copy()
        rows = [elman_step_backward(params, (dstate[0][b : b + 1],), _row(cache, b))[2] for b in range(sizes.B)]
        found[f"da_{t}"] = np.array([row["b_h"] for row in rows])  # of one sequence, the bias's gradient is its da
        return elman_step_backward(params, dstate, cache)

    caches = rnn_forward(elman_step, case.params, case.xs, case.state)[2]
    dxs, _, _ = backward_through_time(watched, case.params, case.dhs, case.dstate, caches)
    found |= {f"dx_{t}": dx for t, dx in enumerate(dxs)}
    assert_all_close(found, {name: node.grad for name, node in names.items()})


@every_size
def test_every_dh_dc_and_gate_of_an_lstm_is_autograds(sizes: Sizes) -> None:
    """dh_t and dc_t as they enter step t, and the gradients of the four sums, by name, are torch's retained ones."""
    case = make_cell_case("lstm", sizes)
    p = {name: torch.from_numpy(value).chunk(4, dim=-1) for name, value in case.params.items()}
    h, c = (torch.from_numpy(part).requires_grad_() for part in case.state)
    names, hs = {}, []
    for t, x in enumerate(torch.from_numpy(case.xs)):
        sums = [x @ W + h @ U + b for W, U, b in zip(p["W_xh"], p["W_hh"], p["b_h"], strict=True)]
        i, f, o = (torch.sigmoid(a) for a in sums[:3])
        c = f * c + i * torch.tanh(sums[3])
        h = o * torch.tanh(c)
        names |= {f"da_{gate}_{t}": a for gate, a in zip("ifog", sums, strict=True)} | {f"dh_{t}": h, f"dc_{t}": c}
        hs.append(h)
    for node in names.values():
        node.retain_grad()
    ends = [torch.from_numpy(d) for d in (*case.dhs, *case.dstate)]
    torch.autograd.backward([*hs, h, c], ends)

    seen, found = iter(reversed(range(sizes.T))), {}

    def watched(params: Any, dstate: Any, cache: Any) -> Any:
        t, (dh, dc) = next(seen), dstate
        o, tanh_c = cache[5], cache[7]
        found[f"dh_{t}"], found[f"dc_{t}"] = dh.copy(), dc + dh * o * (1 - tanh_c**2)
        rows = [
            lstm_step_backward(params, tuple(d[b : b + 1] for d in dstate), _row(cache, b))[2]["b_h"]
            for b in range(sizes.B)
        ]
        for gate, da in zip("ifog", np.split(np.array(rows), 4, axis=-1), strict=True):
            found[f"da_{gate}_{t}"] = da
        return lstm_step_backward(params, dstate, cache)

    caches = rnn_forward(lstm_step, case.params, case.xs, case.state)[2]
    backward_through_time(watched, case.params, case.dhs, case.dstate, caches)
    assert_all_close(found, {name: node.grad for name, node in names.items()})


def _row(cache: Any, b: int) -> Any:
    return tuple(part[b : b + 1] for part in cache)


# --- memory


def _peak(function: Callable[..., Any], T: int, size: int | None) -> int:
    case = stretch("lstm", Sizes(T, 16, 1, 16, 2))
    tracemalloc.start()
    try:
        function(*CELLS["lstm"], *case, size)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_checkpointed_bptt_grows_with_the_root_of_the_steps() -> None:
    """From 64 to 576 steps: 9 times for full BPTT, about 3 times with segments of the root."""
    full = [_peak(truncated_bptt, T, T) for T in (64, 576)]
    saved = [_peak(checkpointed_bptt, T, None) for T in (64, 576)]
    assert 7.5 < full[1] / full[0] < 9.5, full
    assert 2.2 < saved[1] / saved[0] < 4, saved
    assert saved[1] < full[1] / 5


# --- streams


@pytest.mark.parametrize(("N", "B", "window"), [(23, 3, 3), (21, 4, 2), (13, 1, 5), (12, 4, 1), (9, 2, 10), (4, 3, 3)])
def test_stateful_batches_are_rows_of_the_stream(N: int, B: int, window: int) -> None:
    """Column b of all batches, one behind the other, is a stretch of the stream, and its targets are one symbol on."""
    stream = np.random.default_rng(0).integers(100, size=N)
    batches = stateful_batches(stream, B, window)
    n = (N - 1) // B
    assert [len(xs) for xs, _ in batches] == [window] * (n // window) + [n % window] * (n % window > 0)
    for b in range(B):
        xs, targets = (np.concatenate([pair[i][:, b] for pair in batches]) for i in (0, 1))
        assert_close("xs", xs, stream[b * n : (b + 1) * n], tol=0.0)
        assert_close("targets", targets, stream[b * n + 1 : (b + 1) * n + 1], tol=0.0)


def test_a_net_that_carries_its_state_reads_stateful_batches_as_one_stream() -> None:
    """Truncated BPTT over the batches, state handed on, has the losses of one long pass over each column."""
    params, _, _, _ = stretch("elman", Sizes(1, 3, 5, 4, 5))
    stream = np.random.default_rng(0).integers(5, size=32)
    (xs, targets), state = stateful_batches(stream, 3, 100)[0], (np.zeros((3, 4)),)
    whole = truncated_bptt(*ELMAN, params, np.eye(5)[xs], targets, state, 4)
    total = 0.0
    for xs, targets in stateful_batches(stream, 3, 4):
        loss, _, state, _ = truncated_bptt(*ELMAN, params, np.eye(5)[xs], targets, state, 4)
        total += loss * len(xs) / 10
    assert total == pytest.approx(whole[0], abs=1e-13)
    assert_close("state", state[0], whole[2][0])


# --- tables


@pytest.mark.parametrize("shape", [(), (6,), (4, 3), (2, 3, 2)], ids=str)
def test_embed_and_its_gradient_are_torchs(shape: tuple[int, ...]) -> None:
    """Rows that are looked up, and the gradient of the table where symbols repeat, agree with F.embedding."""
    rng = np.random.default_rng(0)
    params, tokens = {"E": rng.normal(size=(5, 3))}, np.array(rng.integers(4, size=shape))
    E = tensor(params["E"])
    want = torch.nn.functional.embedding(torch.from_numpy(tokens), E)
    d = rng.normal(size=(*shape, 3))
    want.backward(torch.from_numpy(d))
    xs, cache = embed(params, tokens)
    assert_close("xs", xs, want.detach())
    assert_all_close(embed_backward(params, d, cache), {"E": E.grad})


def test_embed_backward_matches_central_differences_through_a_net() -> None:
    """The table's gradient through an Elman net and a loss, symbols repeated, is the slope of the loss."""
    rng = np.random.default_rng(0)
    params, _, targets, state = stretch("elman", Sizes(6, 2, 3, 4, 5))
    tokens, table = rng.integers(3, size=(6, 2)), rng.normal(size=(4, 3))

    def loss(E: Array) -> float:
        return truncated_bptt(*ELMAN, params, embed({"E": E}, tokens)[0], targets, state, 6)[0]

    xs, cache = embed({"E": table}, tokens)
    dxs = truncated_bptt(*ELMAN, params, xs, targets, state, 6)[1]
    assert gradient_check(loss, table, embed_backward({"E": table}, dxs, cache)["E"]) < 1e-6


def test_embedding_init_draws_normal_numbers_of_size_one() -> None:
    """A table (V, D) with spread 1 whatever its sizes, decided by the generator, in the dtype asked for."""
    E = embedding_init(np.random.default_rng(0), 400, 30)["E"]
    assert E.shape == (400, 30)
    assert abs(E.std() - 1) < 0.03
    assert abs(E.mean()) < 0.03
    single = embedding_init(np.random.default_rng(0), 400, 30, np.float32)["E"]
    assert single.dtype == np.float32
    assert_close("E in float32", single, E.astype(np.float32), tol=0.0)
    assert (embedding_init(np.random.default_rng(1), 400, 30)["E"] != E).any()


# --- errors

NET = stretch("elman", Sizes(4, 3, 2, 5, 6))
TABLE, D_TABLE = {"E": np.ones((4, 2))}, np.ones((3, 2))
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = {
    "window 0": (lambda: truncated_bptt(*ELMAN, *NET, 0), ValueError, ("truncated_bptt", "window is 0", "at least 1")),
    "segment -1": (lambda: checkpointed_bptt(*ELMAN, *NET, -1), ValueError, ("checkpointed_bptt", "segment is -1")),
    "no step": (
        lambda: truncated_bptt(*ELMAN, NET[0], NET[1][:0], NET[2][:0], NET[3], 2),
        ValueError,
        ("truncated_bptt", "(0, 3, 2)", "T >= 1"),
    ),
    "no step to keep": (
        lambda: checkpointed_bptt(*ELMAN, NET[0], NET[1][:0], NET[2][:0], NET[3]),
        ValueError,
        ("checkpointed_bptt", "(0, 3, 2)", "T >= 1"),
    ),
    "targets too few": (
        lambda: truncated_bptt(*ELMAN, NET[0], NET[1], NET[2][:3], NET[3], 2),
        ValueError,
        ("truncated_bptt", "targets", "(3, 3)", "T = 4"),
    ),
    "no row": (lambda: stateful_batches(np.arange(9), 0, 2), ValueError, ("stateful_batches", "batch_size is 0")),
    "no window": (lambda: stateful_batches(np.arange(9), 2, 0), ValueError, ("stateful_batches", "window is 0")),
    "short stream": (lambda: stateful_batches(np.arange(3), 3, 1), ValueError, ("a stream of 3", "at least 4")),
    "two streams": (
        lambda: stateful_batches(np.ones((9, 2)), 3, 1),
        ValueError,
        ("stateful_batches", "(9, 2)", "(N,)"),
    ),
    "no vector": (lambda: embedding_init(np.random.default_rng(0), 3, 0), ValueError, ("embedding_init", "input 0")),
    "symbol too large": (lambda: embed(TABLE, np.array([0, 4])), ValueError, ("embed", "from 0 to 4", "0 to 3")),
    "symbol negative": (lambda: embed(TABLE, np.array([-1])), ValueError, ("embed", "from -1 to -1", "0 to 3")),
    "symbol a float": (lambda: embed(TABLE, np.ones(2)), ValueError, ("embed", "float64", "integers")),
    "no table": (lambda: embed({}, np.arange(2)), KeyError, ("embed", "lacks E")),
    "gradients too few": (
        lambda: embed_backward(TABLE, D_TABLE[:2], (np.arange(3),)),
        ValueError,
        ("embed_backward", "dxs", "(2, 2)", "(3,)", "as in tokens"),
    ),
    "table too wide": (
        lambda: embed_backward(TABLE, np.ones((3, 5)), (np.arange(3),)),
        ValueError,
        ("embed_backward", "E", "(4, 2)", "D = 5"),
    ),
    "symbol of another table": (
        lambda: embed_backward(TABLE, D_TABLE, (np.array([0, 9, 1]),)),
        ValueError,
        ("embed_backward", "from 0 to 9", "0 to 3"),
    ),
}


@pytest.mark.parametrize("wrong", ERRORS)
def test_what_does_not_fit_is_an_error_that_says_so(wrong: str) -> None:
    """The error's kind, and in its message the function, what came and what was expected."""
    call, kind, words = ERRORS[wrong]
    with pytest.raises(kind) as error:
        call()
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{error.value} does not say {missing}"
