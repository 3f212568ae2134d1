"""Inputs for 13-classification/pool_max, and the largest value of each unit looked up step by step."""

import numpy as np

RETURNS = ("pooled", ("mask", "steps"))


def inputs(rng):
    """Different ends, all states negative; ties; none padded; as many steps as sequences; one; very negative, NaN."""
    for T, lengths, H, kind, junk in (
        (5, [5, 2, 3], 4, "negative", 0.0),
        (6, [6, 3, 4], 3, "ties", 9.0),
        (4, [4, 4], 3, "plain", 0.0),
        (3, [3, 1, 2], 2, "plain", 50.0),
        (1, [1], 2, "plain", 0.0),
        (6, [1, 4], 3, "very negative", np.nan),
    ):
        hs = rng.standard_normal((T, len(lengths), H))
        if "negative" in kind:
            hs = -1 - np.abs(hs)
        if kind == "very negative":
            hs *= 1e30  # below any number that somebody might fill the padding with
        if kind == "ties":
            hs = np.clip(np.round(hs), -1.0, 1.0)
        hs[np.arange(T)[:, None] >= np.array(lengths)] = junk
        yield hs, np.array(lengths)


def oracle(hs, lengths):
    T, B, H = hs.shape
    mask = np.array([[t < n for n in lengths] for t in range(T)])
    pooled, steps = np.zeros((B, H)), np.zeros((B, H), int)
    for b, n in enumerate(lengths):
        for k in range(H):
            found = [float(hs[t, b, k]) for t in range(n)]
            pooled[b, k], steps[b, k] = max(found), found.index(max(found))
    return pooled, (mask, steps)
