"""Padded, masked, bucketed and packed batches: what PyTorch's utilities and its nets on packed sequences compute."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import CELL_FUNCTIONS, SIZES, Sizes, assert_all_close, assert_close, make_case, make_cell_case
from test_rnnlib_directions import KINDS, flat, grads_of, load
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch_side import linear_grads, load_linear, tensor, torch_cross_entropy

from rnnlib.batching import bucket, mask_from_lengths, masked_mean_loss, pad
from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.packing import pack, packed_backward, packed_forward, unpack
from rnnlib.padded import padded_loss
from rnnlib.sequence import rnn_forward
from rnnlib.types import Array

STEPS = {"elman": (elman_step, elman_step_backward)} | {k: entry[2:] for k, entry in CELL_FUNCTIONS.items()}
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_cell = pytest.mark.parametrize("cell", STEPS)
both_ways = pytest.mark.parametrize("both", [False, True], ids=["one-way", "both-ways"])


def lengths_of(sizes: Sizes) -> Array:
    """From 1 to T, one of them T; with three sequences or more, their order by length is not its own inverse."""
    return np.clip(np.array([sizes.T // 2 if sizes.B > 2 else sizes.T, 2, sizes.T, 1])[: sizes.B], 1, sizes.T)


@pytest.mark.parametrize("axes", [(), (3,), (2, 4)], ids=str)
@pytest.mark.parametrize("value", [0.0, -7.5])
def test_pad_is_torch_pad_sequence(axes: tuple[int, ...], value: float, rng: np.random.Generator) -> None:
    """The same array, for sequences of numbers, of vectors and of matrices, one of them empty; and their lengths."""
    sequences = [rng.normal(size=(n, *axes)) for n in (4, 0, 7, 1, 7)]
    sequences[0][1:3] = 0  # steps that look like padding
    xs, lengths = pad(sequences, value)
    expected = pad_sequence([torch.from_numpy(s) for s in sequences], padding_value=value)
    assert_all_close({"xs": xs, "lengths": lengths}, {"xs": expected, "lengths": [4, 0, 7, 1, 7]}, tol=0.0)


def test_pad_takes_a_dtype_that_holds_all_sequences() -> None:
    """Whole numbers stay whole; whole numbers beside others are not cut."""
    assert pad([np.array([1, 2]), np.array([3])], -1)[0].dtype.kind == "i"
    xs, _ = pad([np.array([1, 2]), np.array([0.5])])
    assert_close("xs", xs, [[1, 0.5], [2, 0]], tol=0.0)


@pytest.mark.parametrize("T", [None, 5, 9])
def test_mask_counts_as_many_steps_as_a_sequence_has(T: int | None) -> None:
    """Each column is True for as many steps as its sequence has, from the first on."""
    lengths = np.array([5, 0, 2, 1])
    mask = mask_from_lengths(lengths, T)
    assert mask.shape == (T or 5, 4)
    assert mask.dtype == bool
    for b, n in enumerate(lengths):
        assert mask[:n, b].all()
        assert not mask[n:, b].any()


@every_size
def test_masked_mean_loss_and_its_gradient_are_torch_s(sizes: Sizes) -> None:
    """Sum over the places that count divided by how many they are, with autograd's gradient, NaN in the padding."""
    case = make_case(sizes)
    values = case.logits[..., 0].copy()
    losses = tensor(values)
    expected = losses[torch.from_numpy(case.mask)].mean()
    expected.backward()
    values[~case.mask] = np.nan
    loss, dlosses = masked_mean_loss(values, case.mask)
    assert_all_close({"loss": loss, "dlosses": dlosses}, {"loss": expected.detach(), "dlosses": losses.grad})


@pytest.mark.parametrize("seed", range(5))
def test_pack_is_torch_pack_padded_sequence(seed: int) -> None:
    """data, batch_sizes and sorted_indices are the same to the bit, and unpack gives back what torch's does."""
    rng = np.random.default_rng(seed)
    lengths = rng.permutation(12)[:7] + 1  # all different: torch leaves the order of equal ones open
    xs = rng.normal(size=(13, 7, 3))
    theirs = pack_padded_sequence(torch.from_numpy(xs), torch.from_numpy(lengths), enforce_sorted=False)
    back, their_lengths = pad_packed_sequence(theirs, padding_value=-2.0)
    data, batch_sizes, order = pack(xs, lengths)
    again, found = unpack((data, batch_sizes, order), -2.0)
    assert_all_close(
        {"data": data, "batch_sizes": batch_sizes, "order": order, "xs": again, "lengths": found},
        {
            "data": theirs.data,
            "batch_sizes": theirs.batch_sizes,
            "order": theirs.sorted_indices,
            "xs": back,
            "lengths": their_lengths,
        },
        tol=0.0,
    )


@pytest.mark.parametrize("kind", ["i8", "u1"])
def test_equal_lengths_keep_their_order(kind: str) -> None:
    """Sequences of one length stay in the order in which they came, for unsigned lengths too; the rest is torch's."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 5, 40).astype(kind)
    xs = rng.normal(size=(4, 40, 2))
    data, batch_sizes, order = pack(xs, lengths)
    assert list(order) == sorted(range(40), key=lambda b: -int(lengths[b]))
    ready = torch.from_numpy(xs[:, order]), torch.from_numpy(lengths[order].astype(int))
    theirs = pack_padded_sequence(*ready, enforce_sorted=True)
    assert_all_close(
        {"data": data, "batch_sizes": batch_sizes},
        {"data": theirs.data, "batch_sizes": theirs.batch_sizes},
        tol=0.0,
    )


@every_size
@every_kind
def test_packed_run_is_torch_on_a_packed_sequence(kind: str, sizes: Sizes) -> None:
    """States, true last states and every gradient, when gradient enters at all states and at the last ones."""
    name, step, back, *_ = KINDS[kind]
    case, lengths = make_cell_case(name, sizes), lengths_of(sizes)
    net, starts = load(kind, sizes, [[case.params]]), [tensor(part[None]) for part in case.state]
    xs = tensor(case.xs)
    theirs = pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    expected, lasts = net(theirs, tuple(starts) if kind == "lstm" else starts[0])
    lasts = lasts if kind == "lstm" else (lasts,)
    assert isinstance(expected, PackedSequence)
    padded = pad_packed_sequence(expected, total_length=sizes.T)[0]
    dlasts = [torch.from_numpy(part[None]) for part in case.dstate]
    torch.autograd.backward([padded, *lasts], [torch.from_numpy(case.dhs), *dlasts])

    packed = pack(case.xs, lengths)
    hs, last, caches = packed_forward(step, case.params, packed, case.state)
    dhs = pack(case.dhs, lengths)
    ddata, dstart, grads = packed_backward(back, case.params, dhs, case.dstate, caches)
    T = lengths.max()

    def parts(what: str, state: Any) -> dict[str, Any]:
        return {f"{what}{i}": part for i, part in enumerate(state)}

    assert_all_close(
        {
            "hs": unpack((hs, *packed[1:]))[0],
            "dxs": unpack((ddata, *packed[1:]))[0],
            **parts("last", last),
            **parts("dstart", dstart),
            **grads,
        },
        {
            "hs": padded.detach()[:T],
            "dxs": xs.grad[:T] if xs.grad is not None else None,
            **parts("last", [part[0].detach() for part in lasts]),
            **parts("dstart", [part.grad[0] for part in starts if part.grad is not None]),
            **grads_of(kind, net, 0),
        },
    )


@every_size
@every_kind
def test_bidirectional_over_packed_runs_has_torch_s_last_states(kind: str, sizes: Sizes) -> None:
    """With runs that pack, both directions end at their sequence's own end, as torch's do, and so do gradients."""
    name, step, step_back, *_ = KINDS[kind]
    pair, lengths = [make_cell_case(name, sizes, seed=s) for s in (0, 1)], lengths_of(sizes)
    params, states = tuple(c.params for c in pair), tuple(c.state for c in pair)
    net, xs = load(kind, sizes, [list(params)]), tensor(pair[0].xs)
    starts = [tensor(np.stack(parts)) for parts in zip(*states, strict=True)]
    theirs = pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    _, lasts = net(theirs, tuple(starts) if kind == "lstm" else starts[0])
    lasts = lasts if kind == "lstm" else (lasts,)
    dlasts = [np.stack(parts) for parts in zip(*(c.dstate for c in pair), strict=True)]
    torch.autograd.backward(list(lasts), [torch.from_numpy(d) for d in dlasts])

    def padded_again(data: Array, packed: Any) -> Array:
        found = unpack((data, *packed[1:]))[0]
        return np.concatenate([found, np.zeros((sizes.T - len(found), *found.shape[1:]))])

    def run(own: Any, xs: Array, state: Any) -> Any:
        packed = pack(xs, lengths)
        hs, last, caches = packed_forward(step, own, packed, state)
        return padded_again(hs, packed), last, caches

    def run_back(own: Any, dhs: Array, dlast: Any, caches: Any) -> Any:
        packed = pack(dhs, lengths)
        ddata, dstart, grads = packed_backward(step_back, own, packed, dlast, caches)
        return padded_again(ddata, packed), dstart, grads

    hs, last, caches = bidirectional(run, params, pair[0].xs, states, lengths)
    dstates = tuple(c.dstate for c in pair)
    dxs, _, grads = bidirectional_backward(run_back, params, np.zeros_like(hs), dstates, caches, lengths)
    found = {f"last{i}{j}": part for i, state in enumerate(last) for j, part in enumerate(state)}
    assert_all_close(
        {"dxs": dxs, **found, **flat("grad", grads)},
        {
            "dxs": xs.grad,
            **{f"last{i}{j}": part[i].detach() for i in range(2) for j, part in enumerate(lasts)},
            **flat("grad", [grads_of(kind, net, 0), grads_of(kind, net, 0, "_reverse")]),
        },
    )


@every_cell
def test_full_length_packed_is_the_plain_run(cell: str) -> None:
    """With equal lengths, packing changes nothing: `rnn_forward` and `backward_through_time` give the same."""
    sizes = Sizes(5, 3, 2, 4, 6)
    step, back = STEPS[cell]
    case = make_cell_case(cell, sizes)
    packed = pack(case.xs, np.array([5, 5, 5]))
    hs, last, caches = packed_forward(step, case.params, packed, case.state)
    want, want_last, want_caches = rnn_forward(step, case.params, case.xs, case.state)
    dhs = pack(case.dhs, np.array([5, 5, 5]))
    ddata, dstart, grads = packed_backward(back, case.params, dhs, case.dstate, caches)
    dxs, want_start, want_grads = backward_through_time(back, case.params, case.dhs, case.dstate, want_caches)
    assert_all_close(
        {"hs": hs.reshape(want.shape), "last": last[-1], "dxs": ddata.reshape(dxs.shape), "d": dstart[-1], **grads},
        {"hs": want, "last": want_last[-1], "dxs": dxs, "d": want_start[-1], **want_grads},
    )


def padded_case(cell: str, both: bool, seed: int = 0) -> tuple[Any, ...]:
    """A net with an output layer, a padded batch of as many sequences as steps, and its runs for any lengths."""
    sizes = Sizes(6, 6, 3, 4, 5 if cell == "jordan" else 2)
    step, step_back = STEPS[cell]
    cases = [make_cell_case(cell, sizes, seed=seed + i) for i in range(1 + both)]
    rng = np.random.default_rng(seed + 7)
    width, K = cases[0].dhs.shape[-1] * (1 + both), 3
    out = {"W_hy": rng.normal(size=(width, K)), "b_y": rng.normal(size=K)}
    params, state = tuple(c.params for c in cases), tuple(c.state for c in cases)
    net = {"cell": params if both else params[0], "out": out}

    def runs(lengths: Array) -> tuple[Any, Any]:
        run, back = partial(rnn_forward, step), partial(backward_through_time, step_back)
        if not both:
            return run, back
        return (
            partial(bidirectional, run, lengths=lengths),
            partial(bidirectional_backward, back, lengths=lengths),
        )

    targets = rng.integers(K, size=(6, 6))
    return net, cases[0].xs, targets, np.array([4, 6, 1, 3, 4, 5]), state if both else state[0], runs


def leaves(tree: Any) -> list[Array]:
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, tuple | list) else [tree]


def rows(state: Any, b: int) -> Any:
    return tuple(rows(part, b) for part in state) if isinstance(state, tuple) else state[b : b + 1]


@every_cell
@both_ways
def test_padding_never_changes_a_loss_or_a_gradient(cell: str, both: bool) -> None:
    """The batch's loss and gradients are the sums over its sequences alone, each weighted by its steps."""
    net, xs, targets, lengths, state, runs = padded_case(cell, both)
    loss, dxs, grads = padded_loss(*runs(lengths), net, xs, targets, lengths, state)
    total, sums, N = 0.0, [np.zeros_like(leaf) for leaf in leaves(net)], lengths.sum()
    for b, n in enumerate(lengths):
        own = np.array([n])
        alone = padded_loss(*runs(own), net, xs[:n, b : b + 1], targets[:n, b : b + 1], own, rows(state, b))
        total += n * alone[0]
        sums = [whole + n * leaf for whole, leaf in zip(sums, leaves(alone[2]), strict=True)]
        assert_close(f"dxs of sequence {b}", dxs[:n, b], alone[1][:, 0] * n / N)
        assert not dxs[n:, b].any()
    assert_close("loss", loss, total / N)
    for got, whole in zip(leaves(grads), sums, strict=True):
        assert_close("grads", got, whole / N)


@every_cell
@both_ways
@pytest.mark.parametrize("junk", [1000.0, np.nan, np.inf])
def test_it_does_not_matter_what_pads_nor_how_much(cell: str, both: bool, junk: float) -> None:
    """More padding, of any kind, NaN too, and impossible targets in it: loss and gradients stay to the bit."""
    net, xs, targets, lengths, state, runs = padded_case(cell, both)
    want = padded_loss(*runs(lengths), net, xs, targets, lengths, state)
    long = np.concatenate([xs, np.zeros((3, *xs.shape[1:]))])
    wide = np.concatenate([targets, np.zeros((3, 6), int)])
    behind = ~mask_from_lengths(lengths, 9)
    long[behind], wide[behind] = junk, -1
    got = padded_loss(*runs(lengths), net, long, wide, lengths, state)
    assert_close("loss", got[0], want[0], tol=1e-14)
    assert_close("dxs", got[1][:6], want[1], tol=1e-14)
    assert not got[1][6:].any()
    for one, two in zip(leaves(got[2]), leaves(want[2]), strict=True):
        assert_close("grads", one, two, tol=1e-14)


@every_size
@every_kind
@both_ways
def test_padded_loss_is_torch_s_on_a_packed_sequence(kind: str, both: bool, sizes: Sizes) -> None:
    """Loss and every gradient of cell and output layer are those of torch's net on packed sequences."""
    name, step, step_back, *_ = KINDS[kind]
    lengths, base = lengths_of(sizes), make_case(sizes)
    cases = [make_cell_case(name, sizes, seed=s) for s in range(1 + both)]
    rng = np.random.default_rng(4)
    out = {"W_hy": rng.normal(size=(sizes.H * (1 + both), sizes.K)), "b_y": rng.normal(size=sizes.K)}
    params, states = tuple(c.params for c in cases), tuple(c.state for c in cases)
    theirs, linear, xs = load(kind, sizes, [list(params)]), load_linear(out), tensor(cases[0].xs)
    starts = [torch.from_numpy(np.stack(parts)) for parts in zip(*states, strict=True)]
    given = pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    packed, _ = theirs(given, tuple(starts) if kind == "lstm" else starts[0])
    hs = pad_packed_sequence(packed, total_length=sizes.T)[0]
    expected = torch_cross_entropy(linear(hs), base.targets, mask_from_lengths(lengths, sizes.T))
    expected.backward()

    run, back = partial(rnn_forward, step), partial(backward_through_time, step_back)
    if both:
        run = partial(bidirectional, run, lengths=lengths)
        back = partial(bidirectional_backward, back, lengths=lengths)
    net = {"cell": params if both else params[0], "out": out}
    state = states if both else states[0]
    loss, dxs, grads = padded_loss(run, back, net, cases[0].xs, base.targets, lengths, state)
    cells = grads["cell"] if both else (grads["cell"],)
    ends = ("", "_reverse")
    assert_all_close(
        {"loss": loss, "dxs": dxs, **grads["out"], **flat("grad", cells)},
        {
            "loss": expected.detach(),
            "dxs": xs.grad,
            **linear_grads(linear),
            **flat("grad", [grads_of(kind, theirs, 0, ends[i]) for i in range(1 + both)]),
        },
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "size"), [(10, 3), (12, 4), (3, 5), (1, 1), (0, 2)])
def test_buckets_hold_every_sequence_once_and_need_the_least_padding(count: int, size: int, seed: int) -> None:
    """Each sequence stands in one batch, no batch is too large, and no two batches' ranges of lengths overlap."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, count)
    batches = bucket(lengths, size, rng)
    assert sorted(b for batch in batches for b in batch) == list(range(count))
    assert len(batches) == -(-count // size)
    assert all(len(batch) <= size for batch in batches)
    by_length = sorted(batches, key=lambda batch: (lengths[batch].min(), lengths[batch].max()))
    for shorter, longer in itertools.pairwise(by_length):
        assert lengths[shorter].max() <= lengths[longer].min()


def test_buckets_are_shuffled() -> None:
    """Batches come in any order, and equal lengths meet in other company from one generator to the next."""
    lengths = np.repeat([2, 5, 9], 4)
    seen = [bucket(lengths, 4, np.random.default_rng(seed)) for seed in range(60)]
    firsts = [lengths[batches[0]][0] for batches in seen]
    assert {int(n) for n in firsts} == {2, 5, 9}
    pairs = {frozenset(map(int, batch)) for seed in range(60) for batch in bucket(np.full(4, 3), 2, _rng(seed))}
    assert len(pairs) == 6


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
