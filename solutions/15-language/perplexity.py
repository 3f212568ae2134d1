"""Inputs for 15-language/perplexity, and PyTorch's exponential of a mean."""

import numpy as np
import torch

RETURNS = "perplexity"


def inputs(rng):
    """A vector, a batch, a batch with a mask with unequal columns, a mask of one, an impossible symbol that does not count."""
    yield np.log(rng.uniform(0.05, 1.0, 9)), None
    yield np.log(rng.uniform(0.01, 0.9, (5, 3))), None
    yield np.log(rng.uniform(0.001, 0.9, (6, 3))), np.arange(6)[:, None] < np.array([6, 1, 3])
    yield -5 * rng.random((4, 2, 3)), rng.random((4, 2, 3)) < 0.5
    yield np.log(rng.uniform(0.1, 0.9, (3, 2))), np.array([[False, False], [False, True], [False, False]])
    yield np.array([-0.5, -np.inf, -1.0]), np.array([True, False, True])


def oracle(log_probs, mask=None):
    told = torch.from_numpy(log_probs)
    if mask is not None:
        told = torch.masked_select(told, torch.from_numpy(mask))
    return torch.exp(-told.mean()).item()
