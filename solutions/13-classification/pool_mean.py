"""Inputs for 13-classification/pool_mean, and PyTorch's mean of each sequence alone."""

import numpy as np
import torch

RETURNS = ("pooled", ("mask",))


def inputs(rng):
    """Different ends; as many steps as sequences; none padded; one alone; large numbers and NaN in the padding."""
    for T, lengths, H, junk in (
        (5, [5, 2, 3], 4, 0.0),
        (3, [3, 1, 2], 2, 50.0),
        (4, [4, 4], 3, 0.0),
        (6, [1, 4], 3, np.nan),
        (1, [1], 2, 0.0),
    ):
        hs = rng.standard_normal((T, len(lengths), H))
        hs[np.arange(T)[:, None] >= np.array(lengths)] = junk
        yield hs, np.array(lengths)


def oracle(hs, lengths):
    mask = np.array([[t < n for n in lengths] for t in range(len(hs))])
    means = [torch.from_numpy(hs[:n, b].copy()).mean(dim=0).numpy() for b, n in enumerate(lengths)]
    return np.array(means), (mask,)
