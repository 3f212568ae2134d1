"""Inputs for 10-bptt/stateful_batches, and the same batches symbol by symbol."""

import numpy as np

RETURNS = "batches"


def inputs(rng):
    """A rest at the end, and none; a short last batch; one row; windows of one step; numbers that are no integers."""
    yield rng.integers(10, size=23), 3, 3
    yield rng.integers(10, size=21), 4, 2
    yield rng.permutation(13), 1, 5
    yield rng.permutation(12), 4, 1
    yield rng.permutation(9), 2, 10
    yield rng.standard_normal(16), 5, 2
    yield rng.permutation(4), 3, 3


def oracle(stream, batch_size, window):
    n = (len(stream) - 1) // batch_size
    found = []
    for first in range(0, n, window):
        steps = range(first, min(first + window, n))
        xs = [[stream[b * n + t] for b in range(batch_size)] for t in steps]
        targets = [[stream[b * n + t + 1] for b in range(batch_size)] for t in steps]
        found.append((np.array(xs), np.array(targets)))
    return found
