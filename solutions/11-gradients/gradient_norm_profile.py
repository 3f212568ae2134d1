"""Inputs for 11-gradients/gradient_norm_profile, and the gradients of the states that PyTorch's autograd finds."""

import numpy as np
import torch

from course.checks.toys import fast_and_slow_step_backward
from rnnlib.elman import elman_step_backward

RETURNS = "profile"


def inputs(rng):
    """A cell with one state array and one with two; several steps and one."""
    for kind, T, B, D, H in (("elman", 4, 3, 2, 5), ("toy", 5, 2, 3, 4), ("elman", 1, 2, 2, 3), ("toy", 3, 1, 2, 2)):
        xs = rng.standard_normal((T, B, D))
        if kind == "toy":
            dstate = rng.standard_normal((B, H)), rng.standard_normal((B, H))
            yield fast_and_slow_step_backward, {"W": rng.standard_normal((D, H))}, dstate, [(x,) for x in xs]
            continue
        shapes = {"W_xh": (D, H), "W_hh": (H, H), "b_h": (H,)}
        params, h, caches = {name: rng.standard_normal(shape) for name, shape in shapes.items()}, np.zeros((B, H)), []
        for x in xs:
            h_prev, h = h, np.tanh(x @ params["W_xh"] + h @ params["W_hh"] + params["b_h"])
            caches.append((x, h_prev, h))
        yield elman_step_backward, params, (rng.standard_normal((B, H)),), caches


def oracle(step_backward, params, dstate, caches):
    p = {name: torch.from_numpy(value) for name, value in params.items()}
    asked = torch.from_numpy(np.concatenate(dstate, axis=1))
    B, S = asked.shape
    start = torch.zeros((B, S), dtype=torch.float64, requires_grad=True)
    states = [start]
    for cache in caches:
        x, old = torch.from_numpy(cache[0]), states[-1]
        if "W" in p:
            fast, slow = old.chunk(2, dim=1)
            slow = 0.9 * slow + x @ p["W"]
            new = torch.cat([0.5 * fast + slow, slow], dim=1)
        else:
            new = torch.tanh(x @ p["W_xh"] + old @ p["W_hh"] + p["b_h"])
        new.retain_grad()
        states.append(new)
    (states[-1] * asked).sum().backward()
    return torch.stack([torch.linalg.vector_norm(state.grad, dim=1) for state in reversed(states)]).numpy()
