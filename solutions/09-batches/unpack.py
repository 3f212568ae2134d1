"""Inputs for 09-batches/unpack, and what PyTorch pads again."""

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

RETURNS = ("xs", "lengths")


def inputs(rng):
    """An order that is not its own inverse; another filler; symbols; as many steps as sequences; one alone."""
    for sizes, order, axes in (
        ([4, 3, 2, 1, 1], [1, 3, 0, 2], (2,)),
        ([5, 3, 3, 1], [4, 0, 3, 1, 2], (3,)),
        ([3, 2, 1], [1, 2, 0], (3,)),
        ([1, 1, 1, 1], [0], (2, 2)),
    ):
        yield ((rng.standard_normal((sum(sizes), *axes)), np.array(sizes), np.array(order)),)
    yield (rng.standard_normal((8, 2)), np.array([3, 3, 2]), np.array([2, 0, 1])), -7.5
    yield (np.arange(7) + 1, np.array([3, 2, 2]), np.array([2, 0, 1])), -1


def oracle(packed, value=0):
    data, batch_sizes, order = (torch.from_numpy(part) for part in packed)
    xs, lengths = pad_packed_sequence(PackedSequence(data, batch_sizes, order), padding_value=value)
    return xs.numpy(), lengths.numpy()
