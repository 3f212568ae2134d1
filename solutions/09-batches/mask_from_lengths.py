"""Inputs for 09-batches/mask_from_lengths, and the mask place by place."""

import numpy as np

RETURNS = "mask"


def inputs(rng):
    """Without T; more steps than the longest; as many steps as sequences; an empty sequence; one alone."""
    yield (np.array([3, 1, 4, 2, 1]),)
    yield np.array([2, 5, 1]), 7
    yield np.array([3, 1, 2]), 3
    yield (rng.integers(1, 4, 3) * np.array([1, 0, 1]),)
    yield np.array([4]), 6
    yield np.array([2, 2]), 2


def oracle(lengths, T=None):
    T = max(int(n) for n in lengths) if T is None else T
    return np.array([[t < int(n) for n in lengths] for t in range(T)])
