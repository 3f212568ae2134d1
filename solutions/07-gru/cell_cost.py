"""Inputs for 07-gru/cell_cost, and the count of PyTorch's own cells."""

import torch

RETURNS = ("parameters", "multiplications")
CELLS = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "gru-after": torch.nn.GRUCell}


def inputs(rng):
    """Every kind, more inputs than units and fewer, and one of each."""
    for kind in CELLS:
        yield kind, 3, 5
        yield kind, 9, 2
    yield "gru-after", 1, 1
    yield "lstm", int(rng.integers(10, 60)), int(rng.integers(10, 60))


def oracle(kind, inputs, hidden):
    cell = CELLS[kind](inputs, hidden)
    weights = cell.weight_ih.numel() + cell.weight_hh.numel()
    biases = cell.bias_ih.numel()  # torch has all of them twice
    return weights + biases + (hidden if kind == "gru-after" else 0), weights
