"""Inputs for 08-bidirectional/stream_outputs: toy nets, and what each puts out while the future is not there."""

import numpy as np

from course.checks.toys import read_both_ways, read_neighbors, read_one_thread, read_so_far, read_to_come

RETURNS = "outputs"


def inputs(rng):
    """A net that reads backward; both ways; neighbors; one that only looks back; one step alone."""
    yield read_to_come, rng.standard_normal((4, 2, 3))
    yield read_both_ways, rng.standard_normal((5, 3, 2))
    yield read_neighbors, rng.standard_normal((4, 3, 2))
    yield read_so_far, rng.standard_normal((4, 2, 3))
    yield read_one_thread, rng.standard_normal((4, 2, 3))
    yield read_both_ways, rng.standard_normal((1, 2, 2))


def oracle(read, xs):
    outputs = []
    for t, x in enumerate(xs):
        so_far = np.array([xs[i] for i in range(t + 1)]).sum(axis=0)
        previous = xs[t - 1] if t else np.zeros_like(x)
        thread = np.zeros_like(x)
        thread[-1, -1] = previous[-1, -1]
        outputs.append(
            {
                "read_so_far": so_far,
                "read_to_come": x + 1,
                "read_both_ways": np.concatenate([so_far, x + 1], axis=-1),
                "read_neighbors": np.concatenate([previous + x, -previous - x], axis=-1),
                "read_one_thread": thread,
            }[read.__name__]
        )
    return np.array(outputs)
