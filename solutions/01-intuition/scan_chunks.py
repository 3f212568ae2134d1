"""Inputs for 01-intuition/scan_chunks, and the answer of one loop over all chunks joined."""

import itertools

from course.checks.toys import count_and_last, fading_echo, running_total

RETURNS = ("state", "outputs")


def inputs(rng):
    """Chunks of different lengths, an empty one among them; one chunk alone; a state of two parts."""
    xs = rng.standard_normal((6, 2))
    yield fading_echo, rng.standard_normal(2), [xs[:3], xs[3:4], xs[4:]]
    yield running_total, 5, [[1, 2], [], [3, 4, 5]]
    yield count_and_last, (0, 1.5), [[float(x) for x in rng.standard_normal(n)] for n in (1, 3, 2)]
    yield fading_echo, rng.standard_normal(2), [rng.standard_normal((3, 2))]


def oracle(step, state, chunks):
    outputs = []
    for x in itertools.chain.from_iterable(chunks):
        state, y = step(state, x)
        outputs.append(y)
    return state, outputs
