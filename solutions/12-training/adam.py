"""Inputs for 12-training/adam, and the step of torch.optim.AdamW."""

import torch

RETURNS = ("params", "state")


def inputs(rng):
    """A first step, and later ones with a memory; an eps that counts; with and without weight decay."""
    shapes = {"W_xh": (3, 4), "b_h": (4,)}

    def draw():
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    for t, rate, betas, eps, decay in (
        (4, 0.1, (0.8, 0.95), 0.1, 0.3),
        (0, 0.1, (0.9, 0.999), 1e-8, 0.0),
        (7, 0.3, (0.6, 0.9), 1e-8, 0.0),
        (0, 0.2, (0.7, 0.9), 0.05, 0.2),
    ):
        memory = {"t": t, "mean": draw(), "square": {name: value**2 for name, value in draw().items()}}
        yield draw(), draw(), memory if t else {}, rate, betas, eps, decay


def oracle(params, grads, state, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    weights = {name: torch.tensor(W, requires_grad=True) for name, W in params.items()}
    optimizer = torch.optim.AdamW(weights.values(), rate, betas=betas, eps=eps, weight_decay=weight_decay)
    for name, W in weights.items():
        W.grad = torch.tensor(grads[name])
        if state:
            optimizer.state[W] = {
                "step": torch.tensor(float(state["t"])),
                "exp_avg": torch.tensor(state["mean"][name]),
                "exp_avg_sq": torch.tensor(state["square"][name]),
            }
    optimizer.step()
    memory = {
        key: {name: optimizer.state[W][theirs].numpy() for name, W in weights.items()}
        for key, theirs in (("mean", "exp_avg"), ("square", "exp_avg_sq"))
    }
    return {name: W.detach().numpy() for name, W in weights.items()}, {"t": state.get("t", 0) + 1} | memory
