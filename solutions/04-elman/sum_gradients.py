"""Inputs for 04-elman/sum_gradients, and the same sum by PyTorch."""

import torch

RETURNS = "total"


def inputs(rng):
    """One step, two, and seven; weights, a bias, and an array of a single number."""
    for count in (3, 1, 2, 7):
        shapes = {"W_xh": (2, 3), "W_hh": (3, 3), "b_h": (3,), "scale": ()}
        yield ([{name: rng.standard_normal((*shape, 1)) for name, shape in shapes.items()} for _ in range(count)],)


def oracle(pieces):
    stacks = {name: torch.stack([torch.from_numpy(piece[name]) for piece in pieces]) for name in pieces[0]}
    return {name: stack.sum(dim=0).numpy() for name, stack in stacks.items()}
