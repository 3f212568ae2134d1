"""Inputs for 13-classification/pool_max_backward, and PyTorch's gradient of the states at the steps of the cache."""

import numpy as np
import torch

RETURNS = "dhs"


def inputs(rng):
    """Each unit with a step of its own; as many steps as sequences, and as units; all at one step; one alone."""
    for T, lengths, H in ((5, [5, 2, 3], 4), (3, [2, 1, 3], 3), (4, [4, 4], 3), (6, [1, 4], 2), (1, [1], 2)):
        mask = np.arange(T)[:, None] < np.array(lengths)
        steps = rng.integers(np.array(lengths)[:, None], size=(len(lengths), H))
        yield rng.standard_normal((len(lengths), H)), (mask, steps)


def oracle(dpooled, cache):
    mask, steps = cache
    hs = torch.zeros((*mask.shape, dpooled.shape[1]), dtype=torch.float64, requires_grad=True)
    found = torch.gather(hs, 0, torch.from_numpy(steps)[None])[0]
    found.backward(torch.from_numpy(dpooled))
    return hs.grad.numpy()
