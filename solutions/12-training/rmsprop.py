"""Inputs for 12-training/rmsprop, and the step of torch.optim.RMSprop."""

import torch

RETURNS = ("params", "state")


def inputs(rng):
    """A first step, and one with a memory behind it; an eps that counts."""
    shapes = {"W_xh": (3, 4), "b_h": (4,)}

    def draw():
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    for started, rate, keep, eps in ((True, 0.1, 0.7, 0.1), (True, 0.3, 0.95, 1e-8), (False, 0.05, 0.9, 0.02)):
        before = {"square": {name: value**2 for name, value in draw().items()}}
        yield draw(), draw(), before if started else {}, rate, keep, eps


def oracle(params, grads, state, rate, keep=0.99, eps=1e-8):
    weights = {name: torch.tensor(W, requires_grad=True) for name, W in params.items()}
    optimizer = torch.optim.RMSprop(weights.values(), rate, alpha=keep, eps=eps)
    for name, W in weights.items():
        W.grad = torch.tensor(grads[name])
        if state:
            optimizer.state[W] = {"step": torch.tensor(3.0), "square_avg": torch.tensor(state["square"][name])}
    optimizer.step()
    square = {name: optimizer.state[W]["square_avg"].numpy() for name, W in weights.items()}
    return {name: W.detach().numpy() for name, W in weights.items()}, {"square": square}
