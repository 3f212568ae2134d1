"""Inputs for 05-jordan/jordan_teacher_forced, and PyTorch's answer, one sequence and one step after the other."""

import torch

RETURNS = ("ys", ("x", "y_prev", "h", "y"))


def inputs(rng):
    """All sizes different; ReLU and tanh outputs; a single step; as many steps as sequences as inputs as outputs."""
    kinds = ((), ("relu",), ("tanh", "tanh"), (), ())
    sizes = ((5, 4, 3, 6, 2), (3, 2, 4, 5, 1), (4, 3, 2, 5, 6), (1, 3, 2, 4, 5), (3, 3, 3, 3, 3))
    for (T, B, D, H, K), kind in zip(sizes, kinds, strict=True):
        shapes = {"W_xh": (D, H), "W_yh": (K, H), "b_h": (H,), "W_hy": (H, K), "b_y": (K,)}
        params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        xs, targets = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, K))
        yield (params, xs, targets, (rng.standard_normal((B, K)),), *kind)


def oracle(params, xs, targets, start, phi="tanh", psi="linear"):
    p = {name: torch.from_numpy(value) for name, value in params.items()}
    squash = {"tanh": torch.tanh, "relu": torch.relu, "linear": torch.nn.Identity()}
    rows = []
    for t in range(len(xs)):
        for b in range(xs.shape[1]):
            x = torch.from_numpy(xs[t, b])
            fed = torch.from_numpy(start[0][b] if t == 0 else targets[t - 1, b])
            h = squash[phi](x @ p["W_xh"] + fed @ p["W_yh"] + p["b_h"])
            rows.append((x, fed, h, squash[psi](h @ p["W_hy"] + p["b_y"])))
    cache = tuple(torch.stack(column).numpy() for column in zip(*rows, strict=True))
    return cache[3].reshape(targets.shape), cache
