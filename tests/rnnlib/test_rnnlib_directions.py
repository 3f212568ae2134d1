"""Both directions and several layers: what PyTorch's bidirectional and stacked nets compute, padded or not."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, assert_all_close, make_cell_case
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_side import tensor

from rnnlib.bidirectional import bidirectional, bidirectional_backward, reverse_sequences
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.sequence import rnn_forward
from rnnlib.stacked import stacked, stacked_backward
from rnnlib.torch_layout import elman_from_torch, elman_to_torch, gru_from_torch, lstm_from_torch, lstm_to_torch
from rnnlib.torch_layout import gru_to_torch as to_gru
from rnnlib.types import Array, Params

KINDS: dict[str, tuple[str, Any, Any, Any, Any, type[Any]]] = {
    "elman": ("elman", elman_step, elman_step_backward, elman_to_torch, elman_from_torch, torch.nn.RNN),
    "lstm": ("lstm", lstm_step, lstm_step_backward, lstm_to_torch, lstm_from_torch, torch.nn.LSTM),
    "gru": (
        "gru-after",
        partial(gru_step, reset="after"),
        partial(gru_step_backward, reset="after"),
        to_gru,
        gru_from_torch,
        torch.nn.GRU,
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
ragged = pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])


def runs(kind: str) -> tuple[Any, Any]:
    _, step, back, *_ = KINDS[kind]
    return partial(rnn_forward, step), partial(backward_through_time, back)


def lengths_of(sizes: Sizes) -> Array:
    """From 1 to T, one of them T."""
    lengths = np.random.default_rng(5).integers(1, sizes.T + 1, sizes.B)
    lengths[0] = sizes.T
    return lengths


def load(kind: str, sizes: Sizes, layers: list[list[Params]]) -> Any:
    """torch's net with these parameters, one or two directions for each layer."""
    to_torch, net_type = KINDS[kind][3], KINDS[kind][5]
    net = net_type(sizes.D, sizes.H, len(layers), bidirectional=len(layers[0]) == 2, dtype=torch.float64)
    weights = {}
    for number, directions in enumerate(layers):
        for params, end in zip(directions, ("", "_reverse"), strict=False):
            for name, array in to_torch(params).items():
                weights[f"{name}_l{number}{end}"] = torch.from_numpy(array)
    net.load_state_dict(weights)
    return net


def grads_of(kind: str, net: Any, number: int, end: str = "") -> Params:
    """The gradients in our layout; torch adds one gradient into both biases, so the second is left out."""
    from_torch = KINDS[kind][4]
    grads = {
        name: getattr(net, f"{name}_l{number}{end}").grad.numpy().copy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    inner = grads["bias_hh"].copy()
    grads["bias_hh"][: (2 * len(inner) // 3 if kind == "gru" else len(inner))] = 0
    return dict(from_torch(grads))


def flat(prefix: str, trees: Any) -> dict[str, Any]:
    return {f"{prefix}{i}{name}": a for i, tree in enumerate(trees) for name, a in tree.items()}


@every_size
@every_kind
@ragged
def test_bidirectional_is_torch_bidirectional(kind: str, padded: bool, sizes: Sizes) -> None:
    """Outputs, gradients of inputs, starts and both cells' weights, with packed sequences where lengths differ."""
    pair = [make_cell_case(KINDS[kind][0], sizes, seed=s) for s in (0, 1)]
    params, states = tuple(c.params for c in pair), tuple(c.state for c in pair)
    net, lengths = load(kind, sizes, [list(params)]), lengths_of(sizes) if padded else None
    xs = tensor(pair[0].xs)
    starts = [tensor(np.stack(parts)) for parts in zip(*states, strict=True)]
    given: Any = xs if lengths is None else pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    found = net(given, tuple(starts) if kind == "lstm" else starts[0])[0]
    expected = found if lengths is None else pad_packed_sequence(found, total_length=sizes.T)[0]
    dhs = np.random.default_rng(3).normal(size=tuple(expected.shape))
    expected.backward(torch.from_numpy(dhs))

    run, run_back = runs(kind)
    hs, last, caches = bidirectional(run, params, pair[0].xs, states, lengths)
    silent = tuple(tuple(np.zeros_like(part) for part in state) for state in last)
    dxs, dstates, grads = bidirectional_backward(run_back, params, dhs, silent, caches, lengths)

    theirs = [grads_of(kind, net, 0), grads_of(kind, net, 0, "_reverse")]
    dstarts = {f"dstart{i}{j}": part for i, state in enumerate(dstates) for j, part in enumerate(state)}
    expected_dstarts = {f"dstart{i}{j}": part.grad[i] for i in range(2) for j, part in enumerate(starts)}
    assert_all_close(
        {"hs": hs, "dxs": dxs, **dstarts, **flat("grad", grads)},
        {"hs": expected.detach(), "dxs": xs.grad, **expected_dstarts, **flat("grad", theirs)},
    )


@every_size
@every_kind
@pytest.mark.parametrize("count", [1, 3])
def test_stacked_is_torch_with_so_many_layers(kind: str, count: int, sizes: Sizes) -> None:
    """Outputs, last states and every gradient, when gradient enters at the outputs and at all last states."""
    below = Sizes(sizes.T, sizes.B, sizes.H, sizes.H, sizes.K)
    cases = [make_cell_case(KINDS[kind][0], below if i else sizes, seed=i) for i in range(count)]
    layers = [case.params for case in cases]
    net, xs = load(kind, sizes, [[p] for p in layers]), tensor(cases[0].xs)
    starts = [tensor(np.stack(parts)) for parts in zip(*(c.state for c in cases), strict=True)]
    expected, lasts = net(xs, tuple(starts) if kind == "lstm" else starts[0])
    lasts = lasts if kind == "lstm" else (lasts,)
    dlasts = [torch.from_numpy(np.stack(parts)) for parts in zip(*(c.dstate for c in cases), strict=True)]
    torch.autograd.backward([expected, *lasts], [torch.from_numpy(cases[0].dhs), *dlasts])

    run, run_back = runs(kind)
    hs, ours, caches = stacked(run, layers, cases[0].xs, [c.state for c in cases])
    back = stacked_backward(run_back, layers, cases[0].dhs, [c.dstate for c in cases], caches)
    dxs, dstates, grads = back

    assert_all_close(
        {
            "hs": hs,
            "dxs": dxs,
            **{f"last{i}{j}": part for i, state in enumerate(ours) for j, part in enumerate(state)},
            **{f"dstart{i}{j}": part for i, state in enumerate(dstates) for j, part in enumerate(state)},
            **flat("grad", grads),
        },
        {
            "hs": expected.detach(),
            "dxs": xs.grad,
            **{f"last{i}{j}": part[i].detach() for i in range(count) for j, part in enumerate(lasts)},
            **{f"dstart{i}{j}": part.grad[i] for i in range(count) for j, part in enumerate(starts)},
            **flat("grad", [grads_of(kind, net, i) for i in range(count)]),
        },
    )


@every_kind
def test_a_stack_of_bidirectional_layers_is_torch_s(kind: str) -> None:
    """A layer of `stacked` may be `bidirectional`: two layers, both ways, a padded batch, forward and backward."""
    sizes = Sizes(7, 3, 4, 5, 2)
    upper = Sizes(7, 3, 10, 5, 2)
    cases = [[make_cell_case(KINDS[kind][0], s, seed=10 * i + j) for j in (0, 1)] for i, s in enumerate((sizes, upper))]
    layers = [tuple(c.params for c in pair) for pair in cases]
    states = [tuple(c.state for c in pair) for pair in cases]
    lengths = lengths_of(sizes)
    net, xs = load(kind, sizes, [list(pair) for pair in layers]), tensor(cases[0][0].xs)
    flat_states = [c.state for pair in cases for c in pair]
    starts = [tensor(np.stack(parts)) for parts in zip(*flat_states, strict=True)]
    packed = pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    expected = pad_packed_sequence(net(packed, tuple(starts) if kind == "lstm" else starts[0])[0], total_length=7)[0]
    dhs = np.random.default_rng(3).normal(size=tuple(expected.shape))
    expected.backward(torch.from_numpy(dhs))

    run, run_back = runs(kind)
    both = partial(bidirectional, run, lengths=lengths)
    hs, last, caches = stacked(both, layers, cases[0][0].xs, states)
    silent = [tuple(tuple(np.zeros_like(a) for a in state) for state in pair) for pair in last]
    both_back = partial(bidirectional_backward, run_back, lengths=lengths)
    dxs, _, grads = stacked_backward(both_back, layers, dhs, silent, caches)

    theirs = [grads_of(kind, net, i, end) for i in range(2) for end in ("", "_reverse")]
    assert_all_close(
        {"hs": hs, "dxs": dxs, **flat("grad", [g for pair in grads for g in pair])},
        {"hs": expected.detach(), "dxs": xs.grad, **flat("grad", theirs)},
    )


def test_what_pads_a_batch_changes_nothing() -> None:
    """Other numbers behind the end of a sequence: same outputs, same gradients, none for the padding."""
    sizes = Sizes(6, 3, 2, 4, 5)
    pair = [make_cell_case("lstm", sizes, seed=s) for s in (0, 1)]
    params, states = tuple(c.params for c in pair), tuple(c.state for c in pair)
    lengths = np.array([6, 1, 3])
    behind = np.arange(6)[:, None] >= lengths
    run, run_back = runs("lstm")
    rng, answers = np.random.default_rng(0), []
    dhs = rng.normal(size=(6, 3, 8))
    for _ in range(2):
        xs, asked = pair[0].xs.copy(), dhs.copy()
        xs[behind], asked[behind] = rng.normal(size=(behind.sum(), 2)), rng.normal(size=(behind.sum(), 8))
        hs, last, caches = bidirectional(run, params, xs, states, lengths)
        assert not hs[behind].any()
        silent = tuple(tuple(np.zeros_like(a) for a in state) for state in last)
        dxs, _, grads = bidirectional_backward(run_back, params, asked, silent, caches, lengths)
        assert not dxs[behind].any()
        answers.append({"hs": hs, "dxs": dxs, **flat("grad", grads)})
    assert_all_close(*answers)


@pytest.mark.parametrize("lengths", [None, [5, 5, 5], [5, 1, 3], [0, 2, 5]], ids=str)
def test_reversing_twice_gives_back_the_batch(lengths: list[int] | None) -> None:
    """Each sequence is turned around on its own, its padding stays, and the reversal undoes itself."""
    xs = np.random.default_rng(0).normal(size=(5, 3, 2))
    given = None if lengths is None else np.array(lengths)
    turned = reverse_sequences(xs, given)
    for b, n in enumerate(lengths or [5, 5, 5]):
        np.testing.assert_array_equal(turned[:n, b], xs[:n, b][::-1])
        np.testing.assert_array_equal(turned[n:, b], xs[n:, b])
    np.testing.assert_array_equal(reverse_sequences(turned, given), xs)
    assert not np.shares_memory(turned, xs)
