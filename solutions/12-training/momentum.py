"""Inputs for 12-training/momentum, and the step of torch.optim.SGD with momentum."""

import torch

RETURNS = ("params", "state")


def inputs(rng):
    """Plain and with Nesterov's look ahead; a first step, and one with a velocity behind it."""
    shapes = {"W_xh": (3, 4), "b_h": (4,)}

    def draw():
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    for started, rate, mu, nesterov in (
        (True, 0.1, 0.8, False),
        (True, 0.3, 0.6, True),
        (False, 0.2, 0.9, False),
        (False, 0.2, 0.9, True),
    ):
        yield draw(), draw(), {"velocity": draw()} if started else {}, rate, mu, nesterov


def oracle(params, grads, state, rate, mu=0.9, nesterov=False):
    weights = {name: torch.tensor(W, requires_grad=True) for name, W in params.items()}
    optimizer = torch.optim.SGD(weights.values(), rate, momentum=mu, nesterov=nesterov)
    for name, W in weights.items():
        W.grad = torch.tensor(grads[name])
        if state:
            optimizer.state[W] = {"momentum_buffer": torch.tensor(state["velocity"][name])}
    optimizer.step()
    velocity = {name: optimizer.state[W]["momentum_buffer"].numpy() for name, W in weights.items()}
    return {name: W.detach().numpy() for name, W in weights.items()}, {"velocity": velocity}
