"""Inputs for 05-jordan/jordan_step, and PyTorch's answer from its own linear layers."""

import torch

RETURNS = (("y",), ("x", "y_prev", "h", "y"))


def inputs(rng):
    """All sizes different; every pair of phi and psi; a batch of one; all sizes equal, to show a transpose."""
    kinds = ((), ("relu",), ("tanh", "tanh"), ("relu", "tanh"), (), ("tanh", "tanh"))
    sizes = ((4, 3, 5, 2), (4, 3, 5, 2), (4, 3, 5, 2), (2, 2, 4, 3), (1, 2, 3, 4), (3, 3, 3, 3))
    for (B, D, H, K), kind in zip(sizes, kinds, strict=True):
        shapes = {"W_xh": (D, H), "W_yh": (K, H), "b_h": (H,), "W_hy": (H, K), "b_y": (K,)}
        params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        yield (params, rng.standard_normal((B, D)), (rng.standard_normal((B, K)),), *kind)


def oracle(params, x, state, phi="tanh", psi="linear"):
    p = {name: torch.from_numpy(value) for name, value in params.items()}
    functional = torch.nn.functional
    squash = {"tanh": torch.tanh, "relu": torch.relu, "linear": torch.nn.Identity()}
    heard = functional.linear(torch.from_numpy(x), p["W_xh"].T, p["b_h"])
    said = functional.linear(torch.from_numpy(state[0]), p["W_yh"].T)
    h = squash[phi](heard + said)
    y = squash[psi](functional.linear(h, p["W_hy"].T, p["b_y"]))
    return (y.numpy(),), (x, state[0], h.numpy(), y.numpy())
