"""Inputs for 11-gradients/product_norms, and the spectral norms that PyTorch finds."""

import torch

RETURNS = "norms"


def inputs(rng):
    """Several steps; a matrix that is not normal, three times; one step; one number."""
    yield (rng.standard_normal((4, 3, 3)),)
    jacobians = rng.standard_normal((3, 2, 2))
    jacobians[:, 0], jacobians[:, 1] = (0.9, 4.0), (0.0, 0.9)
    yield (jacobians,)
    yield (rng.standard_normal((1, 4, 4)),)
    yield (rng.standard_normal((5, 1, 1)),)


def oracle(jacobians):
    matrices = [torch.from_numpy(j) for j in jacobians[::-1].copy()]
    found = []
    for k in range(1, len(matrices) + 1):
        product = matrices[0]
        for matrix in matrices[1:k]:
            product = torch.mm(product, matrix)
        found.append(torch.linalg.matrix_norm(product, 2))
    return torch.stack(found).numpy()
