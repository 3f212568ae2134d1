"""Inputs for 17-attention/attend, and PyTorch's batched product of a row of weights with a matrix of values."""

import numpy as np
import torch

RETURNS = ("context", ("weights", "values"))


def inputs(rng):
    """Sizes that all differ, twice; zeros behind the ends; one step; all sizes equal; weights whose sum is not 1."""
    for S, lengths, H in ((5, [5, 2, 3], 4), (2, [2, 1, 2, 2], 7), (1, [1], 3), (4, [4, 3, 2, 4], 4)):
        mask = np.arange(S)[:, None] < np.array(lengths)
        weights = np.where(mask, rng.uniform(0, 1, mask.shape), 0)
        yield weights / weights.sum(axis=0), rng.standard_normal((*mask.shape, H))
    yield rng.uniform(0, 0.3, (3, 2)), rng.standard_normal((3, 2, 5))


def oracle(weights, values):
    rows, matrices = torch.from_numpy(weights).T[:, None], torch.from_numpy(values).transpose(0, 1)
    return torch.bmm(rows, matrices)[:, 0].numpy(), (weights, values)
