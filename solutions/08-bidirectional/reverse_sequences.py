"""Inputs for 08-bidirectional/reverse_sequences, and each sequence turned around on its own, number by number."""

import numpy as np

RETURNS = "reversed"


def inputs(rng):
    """Different lengths; no lengths; one step alone and none at all; equal lengths; sizes that are equal."""
    yield rng.standard_normal((5, 3, 2)), np.array([5, 2, 4])
    yield (rng.standard_normal((4, 2, 3)),)
    yield rng.standard_normal((4, 3, 1)), np.array([1, 0, 3])
    yield rng.standard_normal((3, 4, 2)), np.array([2, 2, 2, 2])
    yield rng.standard_normal((3, 3, 3)), np.array([2, 3, 1])


def oracle(xs, lengths=None):
    T, B = xs.shape[:2]
    turned = []
    for b in range(B):
        n = T if lengths is None else int(lengths[b])
        turned.append([xs[n - 1 - t, b] for t in range(n)] + [xs[t, b] for t in range(n, T)])
    return np.array(turned).swapaxes(0, 1)
