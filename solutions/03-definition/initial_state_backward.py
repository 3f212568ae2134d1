"""Inputs for 03-definition/initial_state_backward, and PyTorch's gradient of a start that a batch shares."""

import torch

RETURNS = "dstart"


def inputs(rng):
    """A state of one array, a state of two, a batch as large as the state, a batch of one."""
    for B, sizes in ((4, (3,)), (5, (3, 2)), (3, (3,)), (1, (2, 2))):
        yield (tuple(rng.standard_normal((B, H)) for H in sizes),)


def oracle(dstate):
    grads = []
    for d in dstate:
        start = torch.zeros(d.shape[1], dtype=torch.float64, requires_grad=True)
        start.expand(len(d), -1).backward(torch.from_numpy(d))
        grads.append(start.grad.numpy())
    return tuple(grads)
