"""Inputs for 11-gradients/clipped_step, and a step of torch.optim.SGD after clipping."""

import torch

RETURNS = ("params", "norm")


def inputs(rng):
    """Gradients too long and short enough, at two rates."""
    for rate, max_norm, size in ((0.1, 1.0, 3.0), (0.5, 10.0, 0.2), (2.0, 0.3, 1.0)):
        shapes = {"W_hh": (3, 3), "b_h": (3,)}
        params, grads = ({name: rng.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2))
        yield params, {name: size * grad for name, grad in grads.items()}, rate, max_norm


def oracle(params, grads, rate, max_norm):
    tensors = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in params.items()}
    flat = torch.cat([torch.from_numpy(grad).reshape(-1) for grad in grads.values()])
    norm = torch.linalg.vector_norm(flat).item()
    for name, tensor in tensors.items():
        tensor.grad = torch.from_numpy(grads[name]) * min(1.0, max_norm / norm)
    torch.optim.SGD(tensors.values(), lr=rate).step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}, norm
