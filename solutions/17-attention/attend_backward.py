"""Inputs for 17-attention/attend_backward, and PyTorch's gradients of its batched product."""

import numpy as np
import torch

RETURNS = ("dweights", "dvalues")


def inputs(rng):
    """Sizes that all differ, twice; zeros behind the ends; one step; all sizes equal."""
    for S, lengths, H in ((5, [5, 2, 3], 4), (2, [2, 1, 2, 2], 7), (1, [1], 3), (4, [4, 3, 2, 4], 4)):
        mask = np.arange(S)[:, None] < np.array(lengths)
        weights = np.where(mask, rng.uniform(0, 1, mask.shape), 0)
        cache = weights / weights.sum(axis=0), rng.standard_normal((*mask.shape, H))
        yield rng.standard_normal((len(lengths), H)), cache


def oracle(dcontext, cache):
    weights, values = (torch.tensor(array, requires_grad=True) for array in cache)
    context = torch.bmm(weights.T[:, None], values.transpose(0, 1))[:, 0]
    context.backward(torch.from_numpy(dcontext))
    return weights.grad.numpy(), values.grad.numpy()
