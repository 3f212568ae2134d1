"""Inputs for 09-batches/packed_forward with toy cells, and their states sequence by sequence, each on its own."""

import numpy as np

from course.checks.toys import fast_and_slow_step, leaky_step, two_part_step

RETURNS = ("hs", "last", "caches")


def inputs(rng):
    """States of one array and of two; an order that is not its own inverse; one step; equal lengths; one alone."""
    for step, sizes, order in (
        (leaky_step, [4, 3, 2, 1, 1], [1, 3, 0, 2]),
        (two_part_step, [5, 3, 3, 1], [4, 0, 3, 1, 2]),
        (fast_and_slow_step, [3, 2, 1], [1, 2, 0]),
        (leaky_step, [3], [2, 0, 1]),
        (two_part_step, [3, 3], [0, 1, 2]),
        (fast_and_slow_step, [1, 1, 1, 1], [0]),
    ):
        B, D, H = len(order), 3, 2 if step is fast_and_slow_step else 3
        params = {"W": rng.standard_normal((D, H))} if step is fast_and_slow_step else {"keep": rng.uniform(0.3, 0.9)}
        packed = rng.standard_normal((sum(sizes), D)), np.array(sizes), np.array(order)
        yield step, params, packed, tuple(rng.standard_normal((B, H)) for _ in range(1 + (step is not leaky_step)))


def oracle(step, params, packed, state):
    data, batch_sizes, order = packed
    starts = np.concatenate([[0], np.cumsum(batch_sizes)])
    hs, last = np.zeros((len(data), state[0].shape[1])), [np.array(part) for part in state]
    seen = [[] for _ in batch_sizes]  # for each step, what each sequence that still runs puts into the cache
    for place, b in enumerate(order):
        own = [part[b] for part in state]
        for t in range(int((batch_sizes > place).sum())):
            x = data[starts[t] + place]
            if step is fast_and_slow_step:
                seen[t].append((x,))
                slow = 0.9 * own[1] + np.einsum("d,dh->h", x, params["W"])
                own = [0.5 * own[0] + slow, slow]
            elif step is two_part_step:
                seen[t].append((x, *own))
                own = [np.tanh(own[0] + x * params["keep"]), own[1] + 1]
            else:
                seen[t].append((x, *own))
                own = [params["keep"] * own[0] + x]
            hs[starts[t] + place] = own[0]
        for part, value in zip(last, own, strict=True):
            part[b] = value
    return hs, tuple(last), [tuple(np.stack(part) for part in zip(*rows, strict=True)) for rows in seen]
