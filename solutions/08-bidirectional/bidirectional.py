"""Inputs for 08-bidirectional/bidirectional with toy nets, and their states from a formula, sequence by sequence."""

import numpy as np

from course.checks.toys import run_leaky, run_two_part

RETURNS = (
    "hs",
    ("last state of the forward direction", "last state of the backward direction"),
    ("caches of the forward direction", "caches of the backward direction"),
)


def inputs(rng):
    """A padded batch; one without lengths; a state of two arrays; one step; sizes that are all equal."""
    for T, B, D, H, lengths in (
        (5, 3, 2, 4, [5, 2, 4]),
        (4, 2, 3, 2, None),
        (1, 2, 3, 2, None),
        (3, 3, 3, 3, [1, 3, 2]),
    ):
        params = tuple({"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))} for _ in range(2))
        states = tuple((rng.standard_normal((B, H)),) for _ in range(2))
        arguments = (run_leaky, params, rng.standard_normal((T, B, D)), states)
        yield arguments if lengths is None else (*arguments, np.array(lengths))
    states = tuple((rng.standard_normal((2, 3)), rng.standard_normal((2, 3))) for _ in range(2))
    yield run_two_part, ({"keep": 0.5}, {"keep": -0.7}), rng.standard_normal((4, 2, 3)), states, np.array([3, 4])


def oracle(run, params, xs, states, lengths=None):
    T, B, _ = xs.shape
    ends = [T] * B if lengths is None else [int(n) for n in lengths]
    there = [list(range(T)) for _ in ends]
    back = [[*range(n - 1, -1, -1), *range(n, T)] for n in ends]
    halves, lasts, caches = [], [], []
    for own, start, orders in zip(params, states, (there, back), strict=True):
        read = np.stack([xs[order, b] for b, order in enumerate(orders)], axis=1)
        parts = _two_part(own, read, start) if run.__name__ == "run_two_part" else _leaky(own, read, start)
        shown = np.zeros((T, *parts[0].shape[1:]))
        for b, order in enumerate(orders):
            for step, t in enumerate(order[: ends[b]]):
                shown[t, b] = parts[0][step + 1, b]
        halves.append(shown)
        lasts.append(tuple(part[-1] for part in parts))
        caches.append([(read[t], *(part[t] for part in parts)) for t in range(T)])
    return np.concatenate(halves, axis=-1), tuple(lasts), tuple(caches)


def _leaky(own, read, start):
    """All states, the start first: what came in at step i has faded t - i times."""
    T, keep = len(read), own["keep"]
    came_in = np.einsum("tbd,dh->tbh", read, own["W"])
    return (
        np.stack(
            [keep**t * start[0] + sum((keep ** (t - 1 - i) * came_in[i] for i in range(t)), 0) for t in range(T + 1)]
        ),
    )


def _two_part(own, read, start):
    total, count = [start[0]], [start[1]]
    for x in read:
        total.append(np.tanh(total[-1] + x * own["keep"]))
        count.append(count[-1] + 1)
    return np.stack(total), np.stack(count)
