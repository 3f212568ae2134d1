"""Inputs for 13-classification/pool_last_backward, and PyTorch's gradient of each sequence's last state."""

import numpy as np
import torch

RETURNS = "dhs"


def inputs(rng):
    """Different ends; as many steps as sequences; none padded; one alone."""
    for T, lengths, H in ((5, [5, 2, 3], 4), (3, [2, 1, 2], 2), (4, [4, 4], 3), (6, [1, 4], 3), (1, [1], 2)):
        mask = np.arange(T)[:, None] < np.array(lengths)
        yield rng.standard_normal((len(lengths), H)), (mask,)


def oracle(dpooled, cache):
    (mask,) = cache
    hs = torch.zeros((*mask.shape, dpooled.shape[1]), dtype=torch.float64, requires_grad=True)
    last = torch.stack([hs[: int(n), b][-1] for b, n in enumerate(mask.sum(axis=0))])
    last.backward(torch.from_numpy(dpooled))
    return hs.grad.numpy()
