"""What must hold for the functions of chapter 09, whatever the numbers."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks.driver import drive
from course.checks.measure import distance, draw, slopes
from course.checks.ragged import (
    CELLS,
    both_runs,
    cell_of,
    first_state,
    new_net,
    pack_and_run,
    pad_and_learn,
    walk_back,
    weights,
)
from course.checks.run import expect, holds, refused
from course.checks.toys import fast_and_slow_step, fast_and_slow_step_backward, leaky_step, run_leaky, run_leaky_back


def _told(numbers: Any) -> str:
    """An array of integers as a list, without NumPy's names for them."""
    return str(np.asarray(numbers).tolist())


# --- pad


@holds("09-batches/pad", "every sequence is there, from the first step on")
def _(pad):
    sequences = [draw(n, 2, seed=n) for n in (3, 6, 1)]
    xs, lengths = pad([s.copy() for s in sequences])
    expect(np.shape(xs) == (6, 3, 2), f"three sequences of 3, 6 and 1 steps of 2 numbers: xs has {np.shape(xs)}")
    for b, n in enumerate((3, 6, 1)):
        expect(np.array_equal(xs[:n, b], sequences[b]), f"the first {n} steps of xs[:, {b}] are not sequence {b}")
    expect(list(lengths) == [3, 6, 1], f"lengths are {_told(lengths)}, expected [3, 6, 1]")


@holds("09-batches/pad", "what fills up is `value`, and whole numbers stay whole")
def _(pad):
    for value in (0, -1):
        xs, _ = pad([np.array([4, 5]), np.array([6]), np.array([7, 8, 9])], value)
        expect(xs.tolist() == [[4, 6, 7], [5, value, 8], [value, value, 9]], f"value {value}: got {xs.tolist()}")
        expect(xs.dtype.kind == "i", f"sequences of whole numbers come back as {xs.dtype}; keep their dtype")


@holds("09-batches/pad", "what cannot be padded is an error")
def _(pad):
    refused("an empty list of sequences", "no sequence", pad, [])
    refused("sequences of width 3 and 2", "(4, 2)", pad, [np.ones((2, 3)), np.ones((4, 2))])
    refused("sequences of width 3 and 1", "(4, 1)", pad, [np.ones((2, 3)), np.ones((4, 1))])


# --- mask_from_lengths


@holds("09-batches/mask_from_lengths", "each column counts its own steps")
def _(mask_from_lengths):
    lengths = np.array([2, 0, 5, 1])
    mask = mask_from_lengths(lengths, 6)
    expect(np.shape(mask) == (6, 4), f"4 sequences, T = 6: the mask has shape {np.shape(mask)}, expected (6, 4)")
    expect(mask.dtype == bool, f"the mask holds {mask.dtype}; as an index only True and False pick places")
    sums = mask.sum(axis=0).tolist()
    expect(sums == lengths.tolist(), f"the columns hold {sums} times True, expected {lengths.tolist()}")
    expect(bool(mask[0, 0]) and not mask[-1, 0], "the steps that count are the first ones, the padding is behind them")


@holds("09-batches/mask_from_lengths", "it fits what it masks, and not what is turned over")
def _(mask_from_lengths):
    mask = mask_from_lengths(np.array([3, 1, 1]), 3)
    expect(
        np.array_equal(mask, [[True, True, True], [True, False, False], [True, False, False]]),
        "lengths [3, 1, 1], T = 3: the first *column* should be all True, since time is the first axis. Three steps, "
        "three sequences: a mask turned over has the same shape, and nothing but the numbers tells you.",
    )


@holds("09-batches/mask_from_lengths", "lengths that do not fit are an error")
def _(mask_from_lengths):
    refused("a length of 5 with T = 4", "4", mask_from_lengths, np.array([3, 5, 1]), 4)
    refused("a length of -1", "-1", mask_from_lengths, np.array([3, -1]), 4)
    refused("lengths that are floats", "integers", mask_from_lengths, np.array([3.0, 1.0]), 4)


# --- masked_mean_loss


def _ragged(T: int, lengths: list[int]) -> np.ndarray:
    """A mask, written down column by column."""
    return np.array([[True] * n + [False] * (T - n) for n in lengths]).T


@holds("09-batches/masked_mean_loss", "what stands in the padding, and how much of it, does not matter")
def _(masked_mean_loss):
    losses, lengths = np.abs(draw(4, 3)), [4, 1, 2]
    want = masked_mean_loss(losses.copy(), _ragged(4, lengths))[0]
    for T, junk in ((4, 1e6), (9, 0.0), (9, np.nan), (9, np.inf)):
        mask = _ragged(T, lengths)
        longer = np.full((T, 3), junk)
        longer[:4][mask[:4]] = losses[mask[:4]]
        got = masked_mean_loss(longer, mask)[0]
        expect(
            abs(got - want) < 1e-12,
            f"the same losses, with {junk:g} in the padding and {T} steps in place of 4: the loss was {want:.6g}, now "
            f"it is {got:.6g}. Divide by the number that count, and pick the losses instead of multiplying them by 0.",
        )


@holds("09-batches/masked_mean_loss", "every loss that counts has the same weight, and the weights add up to 1")
def _(masked_mean_loss):
    for mask in (_ragged(5, [5, 1, 3]), _ragged(2, [2, 2]), _ragged(3, [0, 1])):
        loss, dlosses = masked_mean_loss(np.full(mask.shape, 0.75), mask)
        expect(abs(loss - 0.75) < 1e-12, f"all losses are 0.75, their mean is {loss:.6g}")
        expect(np.shape(dlosses) == mask.shape, f"the gradient has shape {np.shape(dlosses)}, expected {mask.shape}")
        expect(abs(dlosses.sum() - 1) < 1e-12, f"the gradient adds up to {dlosses.sum():.6g}, expected 1")
        expect(not dlosses[~mask].any(), "padding gets a gradient")
        spread = float(np.ptp(dlosses[mask]))
        expect(spread < 1e-12, f"the weights of the losses that count differ by {spread:.3g}")


@holds("09-batches/masked_mean_loss", "no mean without losses, no mask of another shape")
def _(masked_mean_loss):
    refused("a mask that is False everywhere", "", masked_mean_loss, draw(3, 2), np.zeros((3, 2), bool))
    refused("losses (3, 2) with a mask (2, 3)", "(2, 3)", masked_mean_loss, draw(3, 2), np.ones((2, 3), bool))
    refused("losses (3, 2) with a mask (3, 1)", "(3, 1)", masked_mean_loss, draw(3, 2), np.ones((3, 1), bool))


# --- padded_loss


LENGTHS = np.array([4, 6, 1, 3])


def _batch(kind: str, both: bool) -> tuple[Any, ...]:
    """A net of 4 units with 3 scores, inputs and targets (6, 4), and first states."""
    rng = np.random.default_rng(11)
    net, state = new_net(rng, kind, both, 4, 2, 3)
    return net, rng.standard_normal((6, 4, 2)), rng.integers(3, size=(6, 4)), state


def _alone(kind: str, both: bool, net: Any, xs: np.ndarray, targets: np.ndarray, state: Any) -> tuple[Any, ...]:
    """Loss and gradients of a batch without padding: there is nothing to mask."""
    from rnnlib.losses import cross_entropy
    from rnnlib.output import output_layer, output_layer_backward

    forth, back = both_runs(kind, both, np.full(xs.shape[1], len(xs)))
    states, last, kept = forth(net["cell"], xs, state)
    scores, seen = output_layer(net["out"], states)
    loss, asked = cross_entropy(scores, targets)
    dstates, of_out = output_layer_backward(net["out"], asked, seen)
    nothing = _each(np.zeros_like, last)
    asked_of_xs, _, of_cell = back(net["cell"], dstates, nothing, kept)
    return loss, asked_of_xs, {"cell": of_cell, "out": of_out}


def _each(change: Callable[..., Any], *trees: Any) -> Any:
    """A tree of dicts and tuples with `change` applied to the arrays in the same place."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: _each(change, *(tree[name] for tree in trees)) for name in first}
    if isinstance(first, tuple):
        return tuple(_each(change, *parts) for parts in zip(*trees, strict=True))
    return change(*trees)


def _farthest(got: Any, want: Any) -> tuple[float, str]:
    """The largest relative difference among the arrays of two trees, and where it is."""
    if isinstance(want, dict):
        if not isinstance(got, dict) or set(got) != set(want):
            return np.inf, f"(the names are {sorted(got) if isinstance(got, dict) else type(got).__name__})"
        found = [(_farthest(got[name], want[name]), name) for name in want]
        ((gap, inner), name) = max(found, key=lambda entry: entry[0][0])
        return gap, f"[{name!r}]{inner}"
    if isinstance(want, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(want):
            return np.inf, f"(expected {len(want)} parts)"
        found = [(_farthest(g, w), i) for i, (g, w) in enumerate(zip(got, want, strict=True))]
        ((gap, inner), i) = max(found, key=lambda entry: entry[0][0])
        return gap, f"[{i}]{inner}"
    gap = distance(got, want) / max(1.0, float(np.abs(want).max(initial=0.0)))
    return (np.inf if np.isnan(gap) else gap), ""


def _padding_changes_nothing(padded_loss: Callable[..., Any], kind: str, both: bool) -> None:
    name = f"{kind}{', both ways' if both else ''}"
    net, xs, targets, state = _batch(kind, both)
    loss, dxs, grads = drive(pad_and_learn, padded_loss, kind, both, net, xs, targets, LENGTHS, state)
    N, total, sums = int(LENGTHS.sum()), 0.0, _each(np.zeros_like, net)
    for b, n in enumerate(LENGTHS):
        own = _each(lambda part, b=b: part[b : b + 1], state)
        single, asked, of_net = _alone(kind, both, net, xs[:n, b : b + 1], targets[:n, b : b + 1], own)
        total += n / N * single
        sums = _each(lambda whole, one, n=n: whole + n / N * one, sums, of_net)
        gap = distance(dxs[:n, b], n / N * asked[:, 0])
        expect(
            gap < 1e-10,
            f"{name}: dxs of sequence {b} is {gap:.3g} away from n/N times that of the sequence alone, "
            f"n = {n} of N = {N} steps",
        )
        expect(not np.any(dxs[n:, b]), f"{name}: behind the end of sequence {b} its inputs get a gradient")
    expect(
        abs(loss - total) < 1e-10,
        f"{name}: the loss of the batch is {loss:.6g}; the losses of its sequences alone, each weighted by its steps, "
        f"give {total:.6g}",
    )
    gap, where = _farthest(grads, sums)
    expect(
        gap < 1e-10,
        f"{name}: the gradient grads{where} of the batch is {gap:.3g} away from the sum over its sequences alone, each "
        "weighted by its share of the steps",
    )


@holds("09-batches/padded_loss", "a batch asks what its sequences ask, one by one: every cell")
def _(padded_loss):
    for kind in CELLS:
        _padding_changes_nothing(padded_loss, kind, False)


@holds("09-batches/padded_loss", "and both ways")
def _(padded_loss):
    for kind in ("Elman", "LSTM"):
        _padding_changes_nothing(padded_loss, kind, True)


@holds("09-batches/padded_loss", "it does not matter what pads, nor how much")
def _(padded_loss):
    cell = {"keep": np.linspace(0.4, 0.9, 4), "W": draw(2, 4)}
    net = {"cell": cell, "out": {"W_hy": draw(4, 3, seed=4), "b_y": draw(3, seed=5)}}
    xs, targets, state = draw(6, 4, 2, seed=6), np.arange(24).reshape(6, 4) % 3, (draw(4, 4, seed=7),)
    want = padded_loss(run_leaky, run_leaky_back, net, xs, targets, LENGTHS, state)
    for T, junk, target in ((6, -3.0, 2), (9, 0.0, 0), (9, 1000.0, -1), (9, np.nan, 99)):
        longer, more = np.full((T, 4, 2), junk), np.full((T, 4), target)
        for b, n in enumerate(LENGTHS):
            longer[:n, b], more[:n, b] = xs[:n, b], targets[:n, b]
        got = padded_loss(run_leaky, run_leaky_back, net, longer, more, LENGTHS, state)
        what = f"with {junk:g} and targets {target} in the padding, and T = {T} in place of 6,"
        gap = abs(got[0] - want[0])
        expect(gap < 1e-12, f"{what} the loss is {got[0]:.6g}, it was {want[0]:.6g}")
        gap, where = _farthest(got[2], want[2])
        expect(gap < 1e-12, f"{what} the gradient grads{where} moves by {gap:.3g}")
        gap = distance(got[1][:6], want[1])
        expect(gap < 1e-12, f"{what} dxs moves by {gap:.3g}")


# --- bucket


def _batches(bucket: Callable[..., Any], lengths: np.ndarray, size: int, seed: int) -> list[np.ndarray]:
    found = bucket(lengths, size, np.random.default_rng(seed))
    expect(isinstance(found, list), f"expected a list of arrays, got a {type(found).__name__}")
    for batch in found:
        whole = isinstance(batch, np.ndarray) and batch.ndim == 1 and np.issubdtype(batch.dtype, np.integer)
        expect(whole, "each batch is an array of integers, the numbers of its sequences")
    return found


LONG = np.array([5, 9, 2, 7, 2, 8, 3, 9, 4, 6, 11])


@holds("09-batches/bucket", "every sequence is in one batch")
def _(bucket):
    for seed, size in itertools.product(range(3), (1, 3, 4, 11, 20)):
        batches = _batches(bucket, LONG, size, seed)
        sizes = sorted(map(len, batches), reverse=True)
        want = [size] * (11 // size) + [11 % size] * (11 % size > 0)
        seen = sorted(int(b) for batch in batches for b in batch)
        missing, twice = sorted(set(range(11)) - set(seen)), sorted({b for b in seen if seen.count(b) > 1})
        faults = {"are missing": missing, "come twice": twice, "do not exist": sorted(set(seen) - set(range(11)))}
        wrong = ", ".join(f"sequences {found} {fault}" for fault, found in faults.items() if found)
        expect(not wrong, f"11 sequences in batches of {size}: {wrong}")
        expect(sizes == want, f"11 sequences in batches of {size}: the batches hold {sizes}, expected {want}")


@holds("09-batches/bucket", "the sequences of a batch are about equally long")
def _(bucket):
    for seed in range(3):
        ranges = sorted((int(LONG[b].min()), int(LONG[b].max())) for b in _batches(bucket, LONG, 3, seed))
        for (_, most), (least, _) in itertools.pairwise(ranges):
            expect(
                most <= least,
                f"one batch reaches up to length {most} and the next one begins at {least}: sorted by length and cut, "
                f"no two batches overlap. The batches' shortest and longest: {ranges}",
            )


@holds("09-batches/bucket", "the batches come in random order, and so do sequences of equal length")
def _(bucket):
    firsts = {int(LONG[_batches(bucket, LONG, 3, seed)[0]].min()) for seed in range(20)}
    expect(
        len(firsts) > 1,
        f"for 20 seeds the first batch is always the one that begins at length {min(firsts)}: a net that reads short "
        "sequences first and long ones last in every epoch is trained on other data. Shuffle the batches.",
    )
    same = np.full(6, 4)
    company = {frozenset(map(int, b)) for seed in range(20) for b in _batches(bucket, same, 3, seed)}
    expect(
        len(company) > 2,
        "six sequences of equal length in batches of 3: for 20 seeds the same ones meet. Shuffle before you sort.",
    )


@holds("09-batches/bucket", "all randomness comes from rng")
def _(bucket):
    def told(batches: list[np.ndarray]) -> list[list[int]]:
        return [batch.tolist() for batch in batches]

    for seed in range(3):
        once, again = (told(_batches(bucket, LONG, 3, seed)) for _ in range(2))
        expect(once == again, "two generators with the same seed give different batches: draw from `rng` alone")
    rng = np.random.default_rng(0)
    epochs = [told(bucket(LONG, 3, rng)) for _ in range(5)]
    expect(
        any(epoch != epochs[0] for epoch in epochs), "five calls with one generator give the same batches: use `rng`"
    )


@holds("09-batches/bucket", "a batch holds at least one sequence")
def _(bucket):
    for size in (0, -2):
        refused(f"batch_size {size}", str(size), bucket, LONG, size, np.random.default_rng(0))


# --- pack and unpack

# Sequences of 3, 1 and 4 steps, packed by hand: in which rows of the data each of them stands.
SIZES, ORDER, ENDS = np.array([3, 2, 2, 1]), np.array([2, 0, 1]), np.array([3, 1, 4])
ROWS = ([1, 4, 6], [2], [0, 3, 5, 7])


@holds("09-batches/pack", "the rows of a sequence are its steps, and nothing is lost")
def _(pack):
    xs = draw(6, 3, 2)
    data, batch_sizes, order = pack(xs, ENDS)
    expect(list(order) == list(ORDER), f"sequences of 3, 1 and 4 steps: order is {_told(order)}, expected [2, 0, 1]")
    expect(list(batch_sizes) == list(SIZES), f"batch_sizes are {_told(batch_sizes)}, expected [3, 2, 2, 1]")
    expect(np.shape(data) == (8, 2), f"data has shape {np.shape(data)}; 3 + 1 + 4 steps of 2 numbers make (8, 2)")
    for b, rows in enumerate(ROWS):
        n = len(rows)
        expect(
            np.array_equal(data[rows], xs[:n, b]),
            f"sequence {b}, {n} step{'s' * (n > 1)}, should stand in rows {rows} of the data, and something else does",
        )


@holds("09-batches/pack", "what stands in the padding does not matter, zeros in a sequence do")
def _(pack):
    xs = draw(6, 3, 2)
    xs[1, 0], xs[3, 2] = 0, 0
    want = pack(xs.copy(), ENDS)
    for b, n in enumerate(ENDS):
        xs[n:, b] = 1000.0
    got = pack(xs, ENDS)
    same = all(np.array_equal(g, w) for g, w in zip(got, want, strict=True))
    expect(same, "with other numbers behind the ends of the sequences the packed batch is another one")
    expect(len(got[0]) == 8, f"steps that are zero count too: data has {len(got[0])} rows, expected 8")


@holds("09-batches/pack", "the data are a new array")
def _(pack):
    xs = draw(3, 2, 2)
    expect(not np.shares_memory(pack(xs, np.array([3, 3]))[0], xs), "data is a view of xs: make a copy")


@holds("09-batches/pack", "lengths that do not fit are an error")
def _(pack):
    for lengths in (np.array([3, 0, 4]), np.array([3, 1, 7]), np.array([3, 1])):
        refused(f"lengths {lengths.tolist()} for xs (6, 3, 2)", "", pack, draw(6, 3, 2), lengths)


@holds("09-batches/unpack", "every sequence is back where it was")
def _(unpack):
    data = draw(8, 2)
    xs, lengths = unpack((data.copy(), SIZES.copy(), ORDER.copy()), -5.0)
    expect(np.shape(xs) == (4, 3, 2), f"xs has shape {np.shape(xs)}, expected (4, 3, 2): time, sequences, numbers")
    expect(list(lengths) == list(ENDS), f"lengths are {_told(lengths)}, expected [3, 1, 4]")
    for b, rows in enumerate(ROWS):
        n = len(rows)
        expect(np.array_equal(xs[:n, b], data[rows]), f"sequence {b} is not what stands in rows {rows} of the data")
        expect(bool((xs[n:, b] == -5).all()), f"behind the end of sequence {b} stands something else than `value`")


@holds("09-batches/unpack", "parts that do not belong together are an error")
def _(unpack):
    for wrong in (
        (draw(9, 2), SIZES, ORDER),
        (draw(8, 2), np.array([2, 3, 2, 1]), ORDER),
        (draw(8, 2), SIZES, np.array([2, 0, 2])),
        (draw(8, 2), SIZES, np.array([1, 0])),
    ):
        shown = f"{len(wrong[0])} rows, batch_sizes {wrong[1].tolist()}, order {wrong[2].tolist()}"
        refused(shown, "", unpack, wrong)


# --- packed_forward


@holds("09-batches/packed_forward", "each sequence ends in its own last state")
def _(packed_forward):
    data, start = draw(8, 3), draw(3, 3, seed=4)
    hs, last, _ = packed_forward(leaky_step, {"keep": 0.7}, (data, SIZES, ORDER), (start.copy(),))
    for b, rows in enumerate(ROWS):
        h = start[b]
        for row in rows:
            h = 0.7 * h + data[row]
            gap = distance(np.asarray(hs)[row], h)
            expect(gap < 1e-12, f"the state of sequence {b} in row {row} of hs is off by {gap:.3g}")
        gap = distance(last[0][b], h)
        expect(
            gap < 1e-12,
            f"sequence {b} has {len(rows)} of 4 steps; the last state told for it is off by {gap:.3g} from its state "
            f"after step {len(rows)}",
        )


def _packed_case(kind: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(21)
    params, state = weights(rng, kind, 2, 4), first_state(rng, kind, 3, 4)
    return params, rng.standard_normal((8, 2)), state, rng.standard_normal((8, 4)), first_state(rng, kind, 3, 4)


@holds("09-batches/packed_forward", "with every cell, each sequence is as if alone")
def _(packed_forward):
    from rnnlib.sequence import rnn_forward

    for kind in CELLS:
        params, data, state, _, _ = _packed_case(kind)
        hs, last = drive(pack_and_run, packed_forward, kind, 0, params, (data, SIZES, ORDER), state)
        for b, rows in enumerate(ROWS):
            own = tuple(part[b : b + 1] for part in state)
            want, end, _ = rnn_forward(cell_of(kind)[0], params, data[rows][:, None], own)
            gap = distance(hs[rows], want[:, 0])
            expect(gap < 1e-12, f"{kind}: the states of sequence {b} are off by {gap:.3g} from the sequence alone")
            gap, where = _farthest(tuple(part[b] for part in last), tuple(part[0] for part in end))
            expect(gap < 1e-12, f"{kind}: the last state{where} of sequence {b} is off by {gap:.3g}")


@holds("09-batches/packed_forward", "parts that do not belong together are an error")
def _(packed_forward):
    for (data, sizes, order), B in (
        ((draw(9, 3), SIZES, ORDER), 3),
        ((draw(8, 3), SIZES, ORDER), 4),
        ((draw(8, 3), np.array([3, 2, 3]), ORDER), 3),
    ):
        shown = f"{len(data)} rows, batch_sizes {sizes.tolist()}, order {order.tolist()}, a state of {B} sequences"
        packed = data, sizes, order
        refused(shown, "", packed_forward, leaky_step, {"keep": 0.7}, packed, (draw(B, 3),))


# --- packed_backward


def _toy_loss(data: np.ndarray, W: np.ndarray, start: tuple[np.ndarray, ...], dhs: np.ndarray, dlast: Any) -> float:
    """What the toy's states are worth: dhs and dlast are its gradients."""
    total = 0.0
    for b, rows in enumerate(ROWS):
        state = tuple(part[b : b + 1] for part in start)
        for row in rows:
            state, _ = fast_and_slow_step({"W": W}, data[row : row + 1], state)
            total += float((state[0] * dhs[row]).sum())
        total += sum(float((part * d[b]).sum()) for part, d in zip(state, dlast, strict=True))
    return total


@holds("09-batches/packed_backward", "agrees with central differences")
def _(packed_backward):
    data, W, dhs = draw(8, 2), draw(2, 3, seed=4), draw(8, 3, seed=5)
    start, dlast = (draw(3, 3, seed=6), draw(3, 3, seed=7)), (draw(3, 3, seed=8), draw(3, 3, seed=9))
    caches = [(x,) for x in np.split(data, np.cumsum(SIZES)[:-1])]
    packed = dhs.copy(), SIZES, ORDER
    ddata, dstart, grads = packed_backward(fast_and_slow_step_backward, {"W": W}, packed, dlast, caches)
    for name, got, want in (
        ("ddata", ddata, slopes(lambda v: _toy_loss(v, W, start, dhs, dlast), data)),
        ("grads['W']", grads["W"], slopes(lambda v: _toy_loss(data, v, start, dhs, dlast), W)),
        ("d(first fast part)", dstart[0], slopes(lambda v: _toy_loss(data, W, (v, start[1]), dhs, dlast), start[0])),
        ("d(first slow part)", dstart[1], slopes(lambda v: _toy_loss(data, W, (start[0], v), dhs, dlast), start[1])),
    ):
        gap = distance(got, want)
        expect(gap < 1e-6, f"{name} is off by {gap:.3g} from central differences")


@holds("09-batches/packed_backward", "with every cell, a batch asks what its sequences ask, one by one")
def _(packed_backward):
    from rnnlib.sequence import rnn_forward

    for kind in CELLS:
        params, data, state, dhs, dlast = _packed_case(kind)
        step, back = cell_of(kind)
        singles = []
        for b, rows in enumerate(ROWS):
            own, d = (tuple(part[b : b + 1] for part in whole) for whole in (state, dlast))
            kept = rnn_forward(step, params, data[rows][:, None], own)[2]
            singles.append((kept, walk_back(back, params, dhs[rows][:, None], d, kept)))
        # The caches of the packed run are those of the sequences that still run, side by side.
        caches = [
            tuple(np.concatenate(parts) for parts in zip(*(singles[b][0][t] for b in ORDER[:size]), strict=True))
            for t, size in enumerate(SIZES)
        ]
        packed = dhs, SIZES, ORDER
        ddata, dstart, grads = drive(pack_and_run, packed_backward, kind, 1, params, packed, dlast, caches)
        for b, rows in enumerate(ROWS):
            gap = distance(ddata[rows], singles[b][1][0][:, 0])
            expect(gap < 1e-10, f"{kind}: the inputs' gradients of sequence {b} are off by {gap:.3g}")
            gap, where = _farthest(tuple(p[b] for p in dstart), tuple(p[0] for p in singles[b][1][1]))
            expect(gap < 1e-10, f"{kind}: the gradient of the first state{where} of sequence {b} is off by {gap:.3g}")
        sums = {name: sum(single[2][name] for _, single in singles) for name in params}
        gap, where = _farthest(grads, sums)
        expect(gap < 1e-10, f"{kind}: grads{where} is {gap:.3g} away from the sum over the sequences, one by one")


@holds("09-batches/packed_backward", "parts that do not belong together are an error")
def _(packed_backward):
    caches = [(x,) for x in np.split(draw(8, 2), np.cumsum(SIZES)[:-1])]
    for rows, B, kept in ((9, 3, caches), (8, 4, caches), (8, 3, caches[:-1])):
        dlast = draw(B, 3), draw(B, 3)
        shown = (
            f"{rows} rows of dhs, last states of {B} sequences, {len(kept)} caches, for 8 rows, 3 sequences, 4 steps"
        )
        packed = draw(rows, 3), SIZES, ORDER
        refused(shown, "", packed_backward, fast_and_slow_step_backward, {"W": draw(2, 3)}, packed, dlast, kept)
