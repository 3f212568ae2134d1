"""Inputs for 17-attention/masked_softmax_backward, and PyTorch's gradient of the softmax that gave these weights."""

import numpy as np
import torch

RETURNS = "dscores"


def inputs(rng):
    """Sizes that differ, twice; weights with zeros in them; one step; as many steps as sequences."""
    for S, lengths in ((5, [5, 5, 5]), (4, [4, 2]), (6, [1, 6, 3, 2]), (1, [1, 1]), (3, [3, 2, 3])):
        mask = np.arange(S)[:, None] < np.array(lengths)
        weights = np.where(mask, rng.uniform(0.1, 1, mask.shape), 0)
        yield rng.standard_normal(mask.shape), weights / weights.sum(axis=0)


def oracle(dweights, weights):
    scores = torch.tensor(np.log(np.where(weights > 0, weights, 1)), requires_grad=True)
    masked = scores.masked_fill(torch.from_numpy(weights == 0), -torch.inf)
    torch.softmax(masked, dim=0).backward(torch.from_numpy(dweights))
    return scores.grad.numpy()
