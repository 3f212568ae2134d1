"""Inputs for 08-bidirectional/can_see: toy nets, and what each of them looks at by its definition."""

import numpy as np

from course.checks.toys import read_both_ways, read_neighbors, read_one_thread, read_so_far, read_to_come

RETURNS = "sees"
LOOKS_AT = {
    "read_so_far": lambda t, s: s <= t,
    "read_to_come": lambda t, s: s >= t,
    "read_both_ways": lambda t, s: True,
    "read_neighbors": lambda t, s: abs(t - s) <= 1,
    "read_one_thread": lambda t, s: t - s == 1,
}


def inputs(rng):
    """Forward, backward, both; a net of three steps; one that is alive in one unit only; inputs that are zero."""
    yield read_so_far, rng.standard_normal((4, 2, 3))
    yield read_to_come, rng.standard_normal((4, 2, 3))
    yield read_neighbors, rng.standard_normal((5, 3, 2))
    yield read_one_thread, rng.standard_normal((5, 3, 2))
    yield read_both_ways, np.zeros((3, 2, 2))
    yield read_so_far, rng.standard_normal((1, 2, 3))


def oracle(read, xs):
    T = len(xs)
    return np.array([[LOOKS_AT[read.__name__](t, s) for s in range(T)] for t in range(T)])
