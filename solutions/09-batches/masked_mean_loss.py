"""Inputs for 09-batches/masked_mean_loss, and PyTorch's mean of the entries that count, with its gradient."""

import numpy as np
import torch

RETURNS = ("loss", "dlosses")


def inputs(rng):
    """Different lengths; NaN behind the ends; all count; one counts; a mask with holes; as many steps as sequences."""
    for T, lengths in ((5, [5, 2, 3]), (4, [1, 4]), (3, [3, 3, 3, 3]), (3, [0, 0, 1]), (3, [3, 1, 2])):
        mask = np.arange(T)[:, None] < np.array(lengths)
        yield rng.uniform(0.1, 3, mask.shape), mask
    losses = rng.uniform(0.1, 3, (4, 3))
    mask = np.arange(4)[:, None] < np.array([4, 2, 1])
    losses[~mask] = np.nan
    yield losses, mask
    yield rng.standard_normal((4, 3)), np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], bool)


def oracle(losses, mask):
    values = torch.tensor(losses, requires_grad=True)
    loss = values[torch.from_numpy(mask)].mean()
    loss.backward()
    return loss.item(), values.grad.numpy()
