"""Inputs for 11-gradients/elman_jacobian, and the slopes that PyTorch's autograd finds."""

import numpy as np
import torch

RETURNS = "jacobian"


def inputs(rng):
    """Several sequences, one, one unit; states that are nearly at their ends."""
    for B, H, size in ((3, 4, 1), (1, 5, 1), (4, 1, 1), (2, 3, 3)):
        yield {"W_hh": rng.standard_normal((H, H))}, np.tanh(size * rng.standard_normal((B, H)))


def oracle(params, h):
    W = torch.from_numpy(params["W_hh"])
    rows = []
    for new in torch.from_numpy(h):
        rest = torch.atanh(new)  # what the sum was; the part that does not come through h_prev = 0
        slopes = torch.autograd.functional.jacobian(lambda old, rest=rest: torch.tanh(rest + old @ W), 0 * new)
        rows.append(slopes)
    return torch.stack(rows).numpy()
