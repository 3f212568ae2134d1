"""Inputs for 13-classification/pool_last, and each sequence cut at its own end."""

import numpy as np

RETURNS = ("pooled", ("mask",))


def inputs(rng):
    """Different ends; as many steps as sequences; none padded; one alone; states, large numbers, NaN in the padding."""
    for T, lengths, H, junk in (
        (5, [5, 2, 3], 4, None),  # the padding differs from step to step: each wrong step has an answer of its own
        (3, [3, 1, 2], 2, 50.0),
        (4, [4, 4], 3, None),
        (6, [1, 4], 3, np.nan),
        (1, [1], 2, None),
    ):
        hs = rng.standard_normal((T, len(lengths), H))
        if junk is not None:
            hs[np.arange(T)[:, None] >= np.array(lengths)] = junk
        yield hs, np.array(lengths)


def oracle(hs, lengths):
    mask = np.array([[t < n for n in lengths] for t in range(len(hs))])
    return np.array([hs[:n, b][-1] for b, n in enumerate(lengths)]), (mask,)
