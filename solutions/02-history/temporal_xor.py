"""Inputs for 02-history/temporal_xor, and the same stream written bit by bit."""

import numpy as np

RETURNS = "stream"


def inputs(rng):
    """One stream, several streams side by side, a single triple, as many streams as triples."""
    for shape in ((5, 2), (4, 2, 3), (1, 2), (2, 2, 2), (3, 2, 2, 4)):
        yield (rng.integers(2, size=shape),)


def oracle(pairs):
    stream = []
    for first, second in pairs:
        stream += [first, second, (first + second) % 2]
    return np.array(stream)
