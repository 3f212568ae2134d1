"""Inputs for 03-definition/shapes, and the shapes of a net that PyTorch builds and runs."""

import torch

NAMES = ("W_xh", "W_hh", "b_h", "W_hy", "b_y", "xs", "h_0", "hs", "logits", "targets", "d_logits", "dW_hy")


def inputs(rng):
    """Five sizes that all differ; a single step of a single sequence; a net as wide as its input."""
    yield (7, 4, 3, 5, 2)
    yield (1, 1, 3, 2, 4)
    yield (6, 2, 3, 3, 3)
    yield tuple(int(size) for size in 1 + rng.permutation(9)[:5])


def oracle(T, B, D, H, K):
    cell, readout = torch.nn.RNN(D, H), torch.nn.Linear(H, K)
    xs, h_0 = torch.zeros(T, B, D), torch.zeros(1, B, H)
    hs, _ = cell(xs, h_0)
    logits = readout(hs)
    logits.retain_grad()
    targets = torch.zeros(T, B, dtype=torch.long)
    torch.nn.functional.cross_entropy(logits.reshape(-1, K), targets.reshape(-1)).backward()
    weights = (cell.weight_ih_l0.T, cell.weight_hh_l0.T, cell.bias_ih_l0, readout.weight.T, readout.bias)
    arrays = (*weights, xs, h_0[0], hs, logits, targets, logits.grad, readout.weight.grad.T)
    return {name: tuple(array.shape) for name, array in zip(NAMES, arrays, strict=True)}
