"""Inputs for 09-batches/packed_backward with a toy cell, and PyTorch's gradients, sequence by sequence."""

import numpy as np
import torch

from course.checks.toys import fast_and_slow_step_backward

RETURNS = ("ddata", ("d(first fast part)", "d(first slow part)"), "grads")


def inputs(rng):
    """Orders that are not their own inverse, with gradients of the last states; without; one step; one alone."""
    for sizes, order, D, H, silent in (
        ([4, 3, 2, 1, 1], [1, 3, 0, 2], 3, 2, False),
        ([5, 3, 3, 1], [4, 0, 3, 1, 2], 2, 4, False),
        ([3, 2, 1], [1, 2, 0], 3, 3, True),
        ([3], [2, 0, 1], 2, 3, False),
        ([1, 1, 1, 1], [0], 3, 2, False),
    ):
        data = rng.standard_normal((sum(sizes), D))
        caches = [(x,) for x in np.split(data, np.cumsum(sizes)[:-1])]
        packed = rng.standard_normal((sum(sizes), H)), np.array(sizes), np.array(order)
        dstate = tuple((not silent) * rng.standard_normal((len(order), H)) for _ in range(2))
        yield fast_and_slow_step_backward, {"W": rng.standard_normal((D, H))}, packed, dstate, caches


def oracle(step_backward, params, packed, dstate, caches):
    dhs, batch_sizes, order = packed
    data = torch.tensor(np.concatenate([x for (x,) in caches]), requires_grad=True)
    W = torch.tensor(params["W"], requires_grad=True)
    # The cell is linear in its state: gradients are the same from any start.
    start = [torch.zeros(part.shape, dtype=W.dtype, requires_grad=True) for part in dstate]
    first, loss = np.concatenate([[0], np.cumsum(batch_sizes)]), 0
    for place, b in enumerate(order):
        fast, slow = start[0][b], start[1][b]
        for t in range(int((batch_sizes > place).sum())):
            row = first[t] + place
            slow = 0.9 * slow + data[row] @ W
            fast = 0.5 * fast + slow
            loss = loss + (torch.from_numpy(dhs[row]) * fast).sum()
        loss = loss + (torch.from_numpy(dstate[0][b]) * fast).sum() + (torch.from_numpy(dstate[1][b]) * slow).sum()
    loss.backward()
    return data.grad.numpy(), tuple(part.grad.numpy() for part in start), {"W": W.grad.numpy()}
