"""What must hold for the functions of chapter 08, whatever the numbers."""

import itertools
from functools import partial
from typing import Any

import numpy as np

from course.checks.measure import distance, draw, slopes
from course.checks.run import CheckFailed, expect, holds
from course.checks.toys import (
    read_both_ways,
    read_neighbors,
    read_one_thread,
    read_so_far,
    read_to_come,
    run_leaky,
    run_leaky_back,
)

LENGTHS = np.array([6, 2, 4])


def _leaky(D: int, H: int, seed: int) -> dict[str, np.ndarray]:
    """Parameters of the toy `run_leaky`."""
    return {"keep": np.linspace(0.4, 0.9, H), "W": draw(D, H, seed=seed)}


def _refuses(function: Any, *args: Any) -> str | None:
    """The message of the ValueError that a call ends in, or None where it goes through."""
    try:
        function(*args)
    except ValueError as error:
        return str(error)
    return None


# --- reverse_sequences


@holds("08-bidirectional/reverse_sequences", "done twice, it gives back the batch")
def _(reverse_sequences):
    xs = draw(6, 3, 2)
    for lengths in (None, LENGTHS, np.array([0, 1, 6])):
        again = reverse_sequences(reverse_sequences(xs.copy(), lengths), lengths)
        gap = distance(again, xs)
        expect(gap == 0, f"with lengths {_list(lengths)}, reversing twice is {gap:.3g} away from where it began")


@holds("08-bidirectional/reverse_sequences", "what pads a sequence stays where it was")
def _(reverse_sequences):
    xs = draw(6, 3, 2)
    turned = reverse_sequences(xs.copy(), LENGTHS)
    for b, n in enumerate(LENGTHS):
        expect(
            np.array_equal(turned[n:, b], xs[n:, b]),
            f"sequence {b} ends after {n} of 6 steps, and what stands behind its end has changed. Only the steps that "
            "count are turned around.",
        )
        expect(
            np.array_equal(turned[0, b], xs[n - 1, b]),
            f"sequence {b} has {n} steps; step 0 of the answer should be its last one, step {n - 1}",
        )


@holds("08-bidirectional/reverse_sequences", "any trailing axes, any kind of number")
def _(reverse_sequences):
    symbols = np.arange(12).reshape(4, 3)
    turned = reverse_sequences(symbols.copy(), np.array([4, 1, 3]))
    want = np.array([[9, 1, 8], [6, 4, 5], [3, 7, 2], [0, 10, 11]])
    expect(
        np.array_equal(turned, want) and turned.dtype == symbols.dtype,
        f"for integers (4, 3), rows {symbols.tolist()}, with lengths [4, 1, 3]: got "
        f"{np.asarray(turned).tolist()}, expected {want.tolist()}, integers too",
    )


@holds("08-bidirectional/reverse_sequences", "the answer is a new array")
def _(reverse_sequences):
    xs = draw(5, 3, 2)
    for lengths in (None, np.array([5, 5, 5]), np.array([1, 0, 1])):
        turned = reverse_sequences(xs, lengths)
        expect(
            not np.shares_memory(turned, xs),
            f"with lengths {_list(lengths)} the answer is a view of xs: whoever writes into one changes the other. "
            "Make a copy.",
        )


@holds("08-bidirectional/reverse_sequences", "lengths that do not fit are an error")
def _(reverse_sequences):
    for lengths in (np.array([6, 2, 7]), np.array([6, 2, -1]), np.array([6, 2]), np.array([6.0, 2.0, 4.0])):
        try:
            message = _refuses(reverse_sequences, draw(6, 3, 2), lengths)
        except IndexError:
            message = None
        expect(
            message is not None,
            f"lengths {_list(lengths)} for xs of shape (6, 3, 2) go through, or end in an IndexError; "
            "`_check_lengths` in the module raises a ValueError that says what is wrong with them",
        )


def _list(lengths: np.ndarray | None) -> str:
    return "None" if lengths is None else str(lengths.tolist())


# --- bidirectional


def _pair(B: int = 3, D: int = 2, H: int = 4) -> tuple[Any, Any]:
    """Parameters and starts of two toy nets that differ."""
    return (_leaky(D, H, 5), _leaky(D, H, 6)), ((draw(B, H, seed=7),), (draw(B, H, seed=8),))


@holds("08-bidirectional/bidirectional", "each half is a run of its own")
def _(bidirectional):
    params, states = _pair()
    xs = draw(6, 3, 2)
    hs = bidirectional(run_leaky, params, xs, states)[0]
    expect(np.shape(hs) == (6, 3, 8), f"two nets of 4 units put out {np.shape(hs)}, expected (6, 3, 8): side by side")
    ahead = run_leaky(params[0], xs, states[0])[0]
    gap = distance(hs[..., :4], ahead)
    expect(gap < 1e-12, f"the first half is {gap:.3g} away from what the forward net puts out alone")
    back = run_leaky(params[1], xs[::-1].copy(), states[1])[0]
    gap, unturned = distance(hs[..., 4:], back[::-1]), distance(hs[..., 4:], back)
    hint = " It is still in the order in which it was read: turn it back." if unturned < 1e-12 else ""
    expect(
        gap < 1e-12,
        f"the second half is {gap:.3g} away from what the backward net puts out when it reads the sequence from its "
        f"end.{hint}",
    )


@holds("08-bidirectional/bidirectional", "a short sequence in a long batch is as if alone")
def _(bidirectional):
    params, states = _pair()
    xs = draw(6, 3, 2)
    hs = bidirectional(run_leaky, params, xs, states, LENGTHS)[0]
    for b, n in enumerate(LENGTHS):
        own = tuple((state[0][b : b + 1],) for state in states)
        alone = bidirectional(run_leaky, params, xs[:n, b : b + 1], own)[0]
        gaps = [distance(hs[:n, b, part], alone[:, 0, part]) for part in (slice(0, 4), slice(4, 8))]
        half = "forward" if gaps[0] > gaps[1] else "backward"
        expect(
            max(gaps) < 1e-12,
            f"sequence {b}, {n} steps of 6, is {max(gaps):.3g} away in its {half} half from the same sequence alone. "
            "The backward net has to begin at the sequence's own last step.",
        )


@holds("08-bidirectional/bidirectional", "what stands in the padding does not matter, and its outputs are zero")
def _(bidirectional):
    params, states = _pair()
    xs = draw(6, 3, 2)
    behind = np.arange(6)[:, None] >= LENGTHS
    hs = bidirectional(run_leaky, params, xs, states, LENGTHS)[0]
    worst = float(np.abs(hs[behind]).max())
    expect(
        worst == 0,
        f"behind the end of a sequence the outputs are up to {worst:.3g}, expected zeros: see `_cut`.",
    )
    xs[behind] = 1000.0
    gap = distance(bidirectional(run_leaky, params, xs, states, LENGTHS)[0], hs)
    expect(gap == 0, f"with other numbers behind the ends of the sequences an output changes by {gap:.3g}")


@holds("08-bidirectional/bidirectional", "read from the other end, the halves change places")
def _(bidirectional):
    params, states = _pair()
    xs = draw(6, 3, 2)
    hs = bidirectional(run_leaky, params, xs, states)[0]
    other = bidirectional(run_leaky, params[::-1], xs[::-1].copy(), states[::-1])[0]
    gap = distance(np.concatenate([other[::-1, :, 4:], other[::-1, :, :4]], axis=-1), hs)
    expect(
        gap < 1e-12,
        "the sequence turned around, with the two nets exchanged, should give the same outputs, turned around and with "
        f"the halves exchanged; they differ by {gap:.3g}",
    )


@holds("08-bidirectional/bidirectional", "an empty sequence is an error")
def _(bidirectional):
    params, states = _pair()
    expect(
        _refuses(bidirectional, run_leaky, params, draw(6, 3, 2), states, np.array([6, 0, 4])) is not None,
        "lengths [6, 0, 4] go through; a sequence without a step has no last step to begin at. "
        "`_check_lengths(..., least=1)` in the module raises the ValueError.",
    )


# --- bidirectional_backward


def _way_back(lengths: np.ndarray | None) -> tuple[Any, ...]:
    """Parameters, starts, inputs and caches of both toy nets; caches as the forward pass keeps them."""
    params, states = _pair()
    xs = draw(6, 3, 2)
    ends = np.full(3, 6) if lengths is None else lengths
    turned = xs.copy()
    for b, n in enumerate(ends):
        turned[:n, b] = xs[:n, b][::-1]
    caches = run_leaky(params[0], xs, states[0])[2], run_leaky(params[1], turned, states[1])[2]
    return params, states, xs, caches


def _two_ways(params: Any, xs: np.ndarray, states: Any, ends: np.ndarray) -> np.ndarray:
    """What both toy nets put out, one sequence at a time."""
    hs = np.zeros((len(xs), xs.shape[1], 8))
    for b, n in enumerate(ends):
        one = xs[:n, b : b + 1]
        hs[:n, b, :4] = run_leaky(params[0], one, (states[0][0][b : b + 1],))[0][:, 0]
        hs[:n, b, 4:] = run_leaky(params[1], one[::-1], (states[1][0][b : b + 1],))[0][::-1, 0]
    return hs


SILENT = ((np.zeros((3, 4)),), (np.zeros((3, 4)),))


@holds("08-bidirectional/bidirectional_backward", "agrees with central differences")
def _(bidirectional_backward):
    for lengths in (None, LENGTHS):
        params, states, xs, caches = _way_back(lengths)
        ends = np.full(3, 6) if lengths is None else lengths
        c = draw(6, 3, 8, seed=9)
        point = {"xs": xs, "the forward start": states[0][0], "the backward start": states[1][0]}
        for i, way in enumerate(("forward", "backward")):
            point |= {f"{way} {name}": value for name, value in params[i].items()}

        def loss(name, value, point=point, ends=ends, c=c):
            now = point | {name: value}
            pair = tuple({k: now[f"{way} {k}"] for k in ("keep", "W")} for way in ("forward", "backward"))
            starts = (now["the forward start"],), (now["the backward start"],)
            return float((c * _two_ways(pair, now["xs"], starts, ends)).sum())

        dxs, dstates, grads = bidirectional_backward(run_leaky_back, params, c.copy(), SILENT, caches, lengths)
        got = {"xs": dxs, "the forward start": dstates[0][0], "the backward start": dstates[1][0]}
        for i, way in enumerate(("forward", "backward")):
            got |= {f"{way} {name}": value for name, value in grads[i].items()}
        for name, grad in got.items():
            gap = distance(grad, slopes(partial(loss, name), point[name], 1e-5))
            where = "without lengths" if lengths is None else f"with lengths {_list(lengths)}"
            expect(gap < 1e-6, f"{where} the gradient of {name} is off by {gap:.3g} from central differences")


@holds("08-bidirectional/bidirectional_backward", "a half that nobody asks leaves its cell alone")
def _(bidirectional_backward):
    params, _, _, caches = _way_back(None)
    for silent, way in ((slice(0, 4), "forward"), (slice(4, 8), "backward")):
        dhs = draw(6, 3, 8, seed=9)
        dhs[..., silent] = 0
        _, _, grads = bidirectional_backward(run_leaky_back, params, dhs, SILENT, caches)
        own, other = grads if way == "forward" else grads[::-1]
        worst = max(float(np.abs(g).max()) for g in own.values())
        expect(
            worst == 0,
            f"the gradient of the {way} half is zero, and the {way} cell gets gradients up to {worst:.3g}; the two "
            "directions share nothing but the inputs",
        )
        expect(
            all(np.abs(g).max() > 0 for g in other.values()),
            f"only the {way} half's gradient is zero, but the other cell gets none either",
        )


@holds("08-bidirectional/bidirectional_backward", "what stands behind the end of a sequence is ignored")
def _(bidirectional_backward):
    params, _, _, caches = _way_back(LENGTHS)
    behind = np.arange(6)[:, None] >= LENGTHS
    dhs = draw(6, 3, 8, seed=9)
    dhs[behind] = 0
    clean = bidirectional_backward(run_leaky_back, params, dhs.copy(), SILENT, caches, LENGTHS)
    dhs[behind] = 1000.0
    dirty = bidirectional_backward(run_leaky_back, params, dhs, SILENT, caches, LENGTHS)
    gap = distance(dirty[0], clean[0])
    for one, two in zip(dirty[2], clean[2], strict=True):
        gap = max(gap, *(distance(one[name], two[name]) for name in two))
    expect(
        gap == 0,
        f"numbers in dhs behind the ends of the sequences change a gradient by {gap:.3g}. The forward pass put out "
        "zeros there, whatever came in: cut dhs in the same way.",
    )
    worst = float(np.abs(clean[0][behind]).max())
    expect(worst == 0, f"inputs behind the end of a sequence get gradients up to {worst:.3g}, expected none")


@holds("08-bidirectional/bidirectional_backward", "an odd number of units is an error")
def _(bidirectional_backward):
    params, _, _, caches = _way_back(None)
    message = _refuses(bidirectional_backward, run_leaky_back, params, draw(6, 3, 7), SILENT, caches)
    expect(
        message is not None and "(6, 3, 7)" in message,
        f"dhs of shape (6, 3, 7) ends in {'no error' if message is None else repr(message)}; it holds two halves of "
        "equal width: raise a ValueError that says which shape came",
    )


# --- stacked


def _layers(widths: tuple[int, ...] = (2, 4, 3, 5), B: int = 3) -> tuple[Any, Any]:
    """Parameters and starts of toy layers, lowest first."""
    sizes = list(itertools.pairwise(widths))
    layers = [_leaky(D, H, 10 + i) for i, (D, H) in enumerate(sizes)]
    return layers, [(draw(B, H, seed=20 + i),) for i, (_, H) in enumerate(sizes)]


@holds("08-bidirectional/stacked", "one layer is the layer")
def _(stacked):
    layers, states = _layers((2, 4))
    xs = draw(5, 3, 2)
    hs, lasts, caches = stacked(run_leaky, layers, xs, states)
    want, last, _ = run_leaky(layers[0], xs, states[0])
    expect(
        isinstance(lasts, list) and isinstance(caches, list) and len(lasts) == len(caches) == 1,
        "for one layer, the last states and the caches should be lists of one entry each",
    )
    gap = max(distance(hs, want), distance(lasts[0][0], last[0]))
    expect(gap < 1e-12, f"a stack of one layer differs by {gap:.3g} from the layer itself")


@holds("08-bidirectional/stacked", "two stacks on top of each other are one")
def _(stacked):
    layers, states = _layers()
    xs = draw(5, 3, 2)
    hs, lasts, _ = stacked(run_leaky, layers, xs, states)
    for cut in (1, 2):
        below, lower, _ = stacked(run_leaky, layers[:cut], xs, states[:cut])
        above, upper, _ = stacked(run_leaky, layers[cut:], below, states[cut:])
        gap = max(distance(above, hs), *(distance(a[0], b[0]) for a, b in zip([*lower, *upper], lasts, strict=True)))
        expect(gap < 1e-12, f"3 layers at once, and {cut} with {3 - cut} on top of it, differ by {gap:.3g}")


@holds("08-bidirectional/stacked", "every layer's start counts, and counts in its place")
def _(stacked):
    layers, states = _layers()
    xs = draw(5, 3, 2)
    lasts = stacked(run_leaky, layers, xs, states)[1]
    for i in range(3):
        moved = [(s + 1,) if j == i else (s,) for j, (s,) in enumerate(states)]
        other = stacked(run_leaky, layers, xs, moved)[1]
        changed = [distance(a[0], b[0]) > 1e-12 for a, b in zip(lasts, other, strict=True)]
        want = [j >= i for j in range(3)]
        expect(
            changed == want,
            f"with another start for layer {i} (of 0, 1, 2) the last states of layers "
            f"{[j for j in range(3) if changed[j]]} change, expected {[j for j in range(3) if want[j]]}: it and those "
            "above it",
        )


@holds("08-bidirectional/stacked", "no layer, or a state too few, is an error")
def _(stacked):
    layers, states = _layers()
    xs = draw(5, 3, 2)
    for what, few, given in (
        ("no layer", [], []),
        ("3 layers with 2 states", layers, states[:2]),
        ("2 layers with 3 states", layers[:2], states),
    ):
        expect(
            _refuses(stacked, run_leaky, few, xs, given) is not None,
            f"{what} goes through; raise a ValueError that says how many came",
        )


# --- stacked_backward


def _stack_back(widths: tuple[int, ...] = (2, 4, 3, 5)) -> tuple[Any, ...]:
    layers, states = _layers(widths)
    hs, caches = draw(5, 3, widths[0]), []
    for own, start in zip(layers, states, strict=True):
        hs, _, kept = run_leaky(own, hs, start)
        caches.append(kept)
    return layers, states, caches, [(draw(3, H, seed=40 + i),) for i, H in enumerate(widths[1:])]


@holds("08-bidirectional/stacked_backward", "agrees with central differences")
def _(stacked_backward):
    layers, states, caches, dlasts = _stack_back()
    c = draw(5, 3, 5, seed=9)
    point = {"xs": draw(5, 3, 2)} | {f"start of layer {i}": s for i, (s,) in enumerate(states)}
    point |= {f"{name} of layer {i}": value for i, own in enumerate(layers) for name, value in own.items()}

    def loss(name, value):
        now = point | {name: value}
        hs, total = now["xs"], 0.0
        for i in range(3):
            own = {k: now[f"{k} of layer {i}"] for k in ("keep", "W")}
            hs, (last,), _ = run_leaky(own, hs, (now[f"start of layer {i}"],))
            total += float((dlasts[i][0] * last).sum())
        return total + float((c * hs).sum())

    dxs, dstates, grads = stacked_backward(run_leaky_back, layers, c.copy(), dlasts, caches)
    got = {"xs": dxs} | {f"start of layer {i}": d for i, (d,) in enumerate(dstates)}
    got |= {f"{name} of layer {i}": value for i, own in enumerate(grads) for name, value in own.items()}
    for name, grad in got.items():
        gap = distance(grad, slopes(partial(loss, name), point[name], 1e-5))
        expect(gap < 1e-6, f"the gradient of {name} (of 0, 1, 2) is off by {gap:.3g} from central differences")


@holds("08-bidirectional/stacked_backward", "gradients come back lowest layer first")
def _(stacked_backward):
    layers, _, caches, dlasts = _stack_back()
    _, dstates, grads = stacked_backward(run_leaky_back, layers, draw(5, 3, 5, seed=9), dlasts, caches)
    shapes = [np.shape(own["W"]) for own in grads]
    expect(
        isinstance(grads, list) and shapes == [(2, 4), (4, 3), (3, 5)],
        f"the layers' W are (2, 4), (4, 3), (3, 5); their gradients come back as {shapes}. You meet the layers from "
        "the top down, and hand back two lists from the bottom up.",
    )
    shapes = [np.shape(d[0]) for d in dstates]
    expect(
        isinstance(dstates, list) and shapes == [(3, 4), (3, 3), (3, 5)],
        f"the layers' starts are (3, 4), (3, 3), (3, 5); their gradients come back as {shapes}",
    )


@holds("08-bidirectional/stacked_backward", "the top asks, and every layer hears")
def _(stacked_backward):
    layers, _, caches, dlasts = _stack_back()
    silent = [(0 * d,) for (d,) in dlasts]
    dxs, _, grads = stacked_backward(run_leaky_back, layers, draw(5, 3, 5, seed=9), silent, caches)
    deaf = [i for i, own in enumerate(grads) if not np.abs(own["W"]).max() > 0]
    expect(not deaf, f"the gradient enters at the top layer, and layers {deaf} (of 0, 1, 2) hear nothing of it")
    expect(bool(np.abs(dxs).max() > 0), "nothing arrives at the inputs")
    still = stacked_backward(run_leaky_back, layers, np.zeros((5, 3, 5)), silent, caches)
    expect(not np.abs(still[0]).any(), "no gradient comes in, and the inputs get one")


@holds("08-bidirectional/stacked_backward", "lists of different lengths are an error")
def _(stacked_backward):
    layers, _, caches, dlasts = _stack_back((4, 4, 4, 4))  # of equal widths, so that no shape gives it away
    for what, args in (("2 gradients of states", (dlasts[:2], caches)), ("2 lists of caches", (dlasts, caches[1:]))):
        expect(
            _refuses(stacked_backward, run_leaky_back, layers, draw(5, 3, 4), *args) is not None,
            f"{what} for 3 layers go through; raise a ValueError that says how many of each came",
        )


# --- can_see


@holds("08-bidirectional/can_see", "the shape of a net's sight")
def _(can_see):
    for read, want, name in (
        (read_so_far, np.tri(5, dtype=bool), "forward: nothing above the diagonal"),
        (read_to_come, np.tri(5, dtype=bool).T, "backward: nothing below the diagonal"),
        (read_both_ways, np.ones((5, 5), dtype=bool), "both ways: everything"),
        (read_neighbors, abs(np.subtract.outer(range(5), range(5))) <= 1, "three steps: a band"),
    ):
        sees = can_see(read, draw(5, 3, 2))
        expect(
            isinstance(sees, np.ndarray) and sees.shape == (5, 5) and sees.dtype == bool,
            f"for five steps the answer should be an array (5, 5) of booleans, got {_what(sees)}",
        )
        hint = " It is turned over: the row is the output, the column the input." if (want == sees.T).all() else ""
        expect(
            np.array_equal(sees, want),
            f"a net that reads {name}. Got rows {sees.astype(int).tolist()}, expected "
            f"{want.astype(int).tolist()}.{hint}",
        )


@holds("08-bidirectional/can_see", "one unit of one sequence is enough")
def _(can_see):
    sees = can_see(read_one_thread, draw(4, 3, 2))
    want = np.eye(4, k=-1, dtype=bool)
    expect(
        np.array_equal(sees, want),
        f"in this toy one unit of one sequence shows the input before. Got {np.asarray(sees).astype(int).tolist()}, "
        f"expected {want.astype(int).tolist()}. Look at all sequences and all units.",
    )


@holds("08-bidirectional/can_see", "it does not depend on what is read")
def _(can_see):
    want = np.tri(4, dtype=bool)
    for xs, name in ((np.zeros((4, 2, 3)), "zeros"), (np.ones((4, 2, 3)), "ones"), (-draw(4, 2, 3), "noise")):
        sees = can_see(read_so_far, xs)
        expect(
            np.array_equal(sees, want),
            f"at inputs that are all {name}, a net that adds up what it has read seems to see "
            f"{np.asarray(sees).astype(int).tolist()}, expected {want.astype(int).tolist()}",
        )


def _what(value: Any) -> str:
    shaped = isinstance(value, np.ndarray)
    return f"an array {value.shape} of {value.dtype}" if shaped else f"a {type(value).__name__}"


# --- stream_outputs


@holds("08-bidirectional/stream_outputs", "for a net that only looks back, streaming changes nothing")
def _(stream_outputs):
    xs = draw(5, 3, 2)
    for read in (read_so_far, read_one_thread):
        got, whole = stream_outputs(read, xs), read(xs)
        expect(np.shape(got) == whole.shape, f"the outputs have shape {np.shape(got)}, expected {whole.shape}")
        gap = distance(got, whole)
        expect(gap < 1e-12, f"the net never looks ahead, and its outputs change by {gap:.3g}")


@holds("08-bidirectional/stream_outputs", "the future does not change an output")
def _(stream_outputs):
    xs = draw(5, 3, 2)
    for read in (read_to_come, read_both_ways, read_neighbors):
        first = stream_outputs(read, xs)
        for t in range(4):
            other = xs.copy()
            other[t + 1 :] = 1000.0
            gap = distance(stream_outputs(read, other)[: t + 1], first[: t + 1])
            expect(gap == 0, f"other inputs after step {t} change an output up to step {t} by {gap:.3g}")


@holds("08-bidirectional/stream_outputs", "the last output has seen everything")
def _(stream_outputs):
    xs = draw(5, 3, 2)
    for read in (read_so_far, read_to_come, read_both_ways):
        gap = distance(stream_outputs(read, xs)[-1], read(xs)[-1])
        expect(
            gap < 1e-12, f"at the last step all inputs have come, and the output is {gap:.3g} away from read(xs)[-1]"
        )


@holds("08-bidirectional/stream_outputs", "no step is an error")
def _(stream_outputs):
    try:
        message = _refuses(stream_outputs, read_so_far, np.zeros((0, 2, 3)))
    except CheckFailed:
        raise
    except Exception as error:
        message, kind = None, type(error).__name__
    else:
        kind = "no error"
    expect(
        message is not None and "(0, 2, 3)" in message,
        f"xs of shape (0, 2, 3) ends in {kind if message is None else f'a message without the shape: {message}'}; "
        "raise a ValueError that says which shape came",
    )
