"""Inputs for 10-bptt/truncated_bptt, and PyTorch's gradients where the state is detached between windows."""

import torch

from course.checks.toys import run_fast_and_slow, run_fast_and_slow_back, run_leaky, run_leaky_back

RETURNS = ("loss", "dxs", "state", "grads")


def inputs(rng):
    """Windows that fit and that leave a rest; of one step; as long as the sequence and longer; one step in all."""
    for kind, T, B, D, H, K, window in (
        ("leaky", 7, 3, 2, 4, 3, 3),
        ("both", 6, 2, 3, 5, 2, 2),
        ("leaky", 5, 1, 3, 2, 4, 1),
        ("both", 4, 2, 2, 3, 3, 4),
        ("leaky", 5, 2, 3, 3, 2, 9),
        ("both", 7, 2, 2, 3, 2, 4),
        ("leaky", 1, 3, 2, 3, 4, 2),
    ):
        params = {"W": rng.standard_normal((D, H)), "W_hy": rng.standard_normal((H, K)), "b_y": rng.standard_normal(K)}
        if kind == "leaky":
            params["keep"] = rng.uniform(0.3, 0.9, H)
        runs = (run_leaky, run_leaky_back) if kind == "leaky" else (run_fast_and_slow, run_fast_and_slow_back)
        state = tuple(rng.standard_normal((B, H)) for _ in range(1 if kind == "leaky" else 2))
        xs, targets = rng.standard_normal((T, B, D)), rng.integers(K, size=(T, B))
        yield *runs, params, xs, targets, state, window


def oracle(run, run_back, params, xs, targets, state, window):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    inputs = torch.tensor(xs, requires_grad=True)
    now, losses = [torch.tensor(part) for part in state], []
    for t, x in enumerate(inputs):
        if t % window == 0:
            now = [part.detach() for part in now]
        if len(now) == 1:
            now = [p["keep"] * now[0] + x @ p["W"]]
        else:
            slow = 0.9 * now[1] + x @ p["W"]
            now = [0.5 * now[0] + slow, slow]
        scores = now[0] @ p["W_hy"] + p["b_y"]
        losses.append(torch.nn.functional.cross_entropy(scores, torch.from_numpy(targets[t])))
    loss = torch.stack(losses).mean()
    loss.backward()
    last = tuple(part.detach().numpy() for part in now)
    return loss.item(), inputs.grad.numpy(), last, {name: w.grad.numpy() for name, w in p.items()}
