"""Inputs for 03-definition/output_layer, and PyTorch's linear layer."""

import torch

RETURNS = ("logits", ("h",))


def inputs(rng):
    """One step, a whole sequence, and as many scores as units, where a transposed weight keeps its shape."""
    for shape, K in (((4, 3), 2), ((5, 4, 3), 2), ((2, 4, 3), 3)):
        params = {"W_hy": rng.standard_normal((3, K)), "b_y": rng.standard_normal(K)}
        yield params, rng.uniform(-1, 1, shape)


def oracle(params, h):
    weight, bias = torch.from_numpy(params["W_hy"].T), torch.from_numpy(params["b_y"])
    return torch.nn.functional.linear(torch.from_numpy(h), weight, bias).numpy(), (h,)
