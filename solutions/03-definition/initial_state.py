"""Inputs for 03-definition/initial_state, and the same copies made by PyTorch."""

import torch

RETURNS = "state"


def inputs(rng):
    """A state of one array, a state of two, a batch as large as the state, a batch of one."""
    yield (rng.standard_normal(3),), 4
    yield (rng.standard_normal(3), rng.standard_normal(2)), 5
    yield (rng.standard_normal(3),), 3
    yield (rng.standard_normal(2), rng.standard_normal(2)), 1


def oracle(start, batch_size):
    return tuple(torch.from_numpy(vector).expand(batch_size, -1).numpy().copy() for vector in start)
