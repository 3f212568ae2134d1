"""Inputs for 09-batches/pad, and the array filled number by number."""

import numpy as np

RETURNS = ("xs", "lengths")


def inputs(rng):
    """Vectors; another filler; an empty one; plain numbers; symbols; as many steps as sequences; zeros at an end."""
    yield ([rng.standard_normal((n, 3)) for n in (4, 2, 5)],)
    yield [rng.standard_normal((n, 2)) for n in (1, 3)], -7.5
    yield ([rng.standard_normal((n, 2)) for n in (2, 0, 1)],)
    yield [rng.standard_normal(n) for n in (3, 1, 4, 2)], 9.0
    yield [np.arange(n) + 1 for n in (2, 4)], -1
    yield ([rng.standard_normal((n, 3)) for n in (3, 2, 1)],)
    yield ([np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]), rng.standard_normal((5, 2))],)
    yield ([rng.standard_normal((4, 2, 3))],)


def oracle(sequences, value=0):
    longest = max(len(sequence) for sequence in sequences)
    filler = np.full(sequences[0].shape[1:], value, sequences[0].dtype)
    rows = [[seq[t] if t < len(seq) else filler for seq in sequences] for t in range(longest)]
    return np.array(rows), np.array([len(sequence) for sequence in sequences])
