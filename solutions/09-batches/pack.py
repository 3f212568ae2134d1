"""Inputs for 09-batches/pack, and what PyTorch packs."""

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence

RETURNS = ("data", "batch_sizes", "order")


def inputs(rng):
    """Unsorted; equal lengths; padding behind the longest too; symbols; as many steps as sequences; one alone."""
    yield rng.standard_normal((5, 4, 2)), np.array([2, 5, 1, 3])
    yield rng.standard_normal((4, 6, 3)), np.array([2, 3, 2, 4, 3, 2])
    yield rng.standard_normal((7, 3, 2)), np.array([1, 4, 2])
    yield rng.integers(7, size=(4, 4)), np.array([3, 1, 4, 2])
    yield rng.standard_normal((3, 3, 3)), np.array([1, 3, 2])
    yield rng.standard_normal((4, 1, 2)), np.array([3])


def oracle(xs, lengths):
    # Torch leaves the order of equal lengths open. Sorted in advance by Python, whose sort keeps it, all is settled.
    order = sorted(range(len(lengths)), key=lambda b: -int(lengths[b]))
    ready = torch.from_numpy(xs[:, order]), torch.from_numpy(lengths[order])
    packed = pack_padded_sequence(*ready, enforce_sorted=True)
    return packed.data.numpy(), packed.batch_sizes.numpy(), np.array(order)
