"""Inputs for 12-training/sgd, and the step of torch.optim.SGD."""

import torch

RETURNS = ("params", "state")


def inputs(rng):
    """Two arrays and one, with and without weight decay."""
    for shapes, rate, decay in (
        ({"W_xh": (3, 4), "b_h": (4,)}, 0.1, 0.0),
        ({"W_xh": (2, 5), "W_hh": (5, 5), "b_h": (5,)}, 0.3, 0.2),
        ({"b_y": (6,)}, 1.0, 0.05),
    ):
        params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        grads = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        yield (params, grads, {}, rate) if decay == 0 else (params, grads, {}, rate, decay)


def oracle(params, grads, state, rate, weight_decay=0.0):
    weights = {name: torch.tensor(W, requires_grad=True) for name, W in params.items()}
    for name, W in weights.items():
        W.grad = torch.tensor(grads[name])
    torch.optim.SGD(weights.values(), rate, weight_decay=weight_decay).step()
    return {name: W.detach().numpy() for name, W in weights.items()}, dict(state)
