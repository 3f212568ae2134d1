"""Inputs for 06-lstm/loss_at_the_end, and PyTorch's loss and gradients."""

import torch

from course.checks.toys import fast_and_slow_step, fast_and_slow_step_backward
from rnnlib.elman import elman_step, elman_step_backward

RETURNS = ("loss", "grads")


def inputs(rng):
    """A cell with two state arrays and one with one; several steps and one."""
    for kind, T, B, D, H, K in (
        ("toy", 5, 3, 2, 4, 3),
        ("elman", 4, 2, 3, 5, 2),
        ("toy", 1, 2, 3, 3, 4),
        ("elman", 6, 1, 2, 3, 3),
    ):
        params = {"W_hy": rng.standard_normal((H, K)), "b_y": rng.standard_normal(K)}
        if kind == "toy":
            params |= {"W": rng.standard_normal((D, H))}
            cell, parts = (fast_and_slow_step, fast_and_slow_step_backward), 2
        else:
            weights = {"W_xh": (D, H), "W_hh": (H, H), "b_h": (H,)}
            params |= {name: rng.standard_normal(shape) for name, shape in weights.items()}
            cell, parts = (elman_step, elman_step_backward), 1
        state = tuple(rng.uniform(-1, 1, (B, H)) for _ in range(parts))
        yield *cell, params, rng.standard_normal((T, B, D)), state, rng.integers(K, size=B)


def oracle(step, step_backward, params, xs, state, targets):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    h, *rest = (torch.from_numpy(part) for part in state)
    for x in torch.from_numpy(xs):
        if rest:
            rest = [0.9 * rest[0] + x @ p["W"]]
            h = 0.5 * h + rest[0]
        else:
            h = torch.tanh(x @ p["W_xh"] + h @ p["W_hh"] + p["b_h"])
    loss = torch.nn.functional.cross_entropy(h @ p["W_hy"] + p["b_y"], torch.from_numpy(targets))
    loss.backward()
    return loss.item(), {name: value.grad.numpy() for name, value in p.items()}
