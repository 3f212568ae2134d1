"""Inputs for 15-language/train_stateful, and PyTorch's Adam with the state detached between windows."""

import numpy as np
import torch

from course.checks.toys import rising_rate, run_fast_and_slow, run_fast_and_slow_back, run_leaky, run_leaky_back

RETURNS = ("training", "state", "losses")


def inputs(rng):
    """A new run and one that goes on; gradients that are cut and that are not; a state of two arrays; tied."""
    for kind, windows, T, B, D, H, V, max_norm, before, tied in (
        ("leaky", 4, 3, 2, 3, 4, 5, 0.5, 0, False),
        ("leaky", 2, 2, 3, 2, 3, 4, 1000.0, 3, False),
        ("both", 3, 4, 2, 3, 3, 6, 0.2, 0, True),
        ("leaky", 1, 5, 1, 2, 3, 4, 0.1, 0, False),
    ):
        params = {"W": rng.standard_normal((D, H)), "E": rng.standard_normal((V, D)), "b_y": rng.standard_normal(V)}
        if kind == "leaky":
            params["keep"] = rng.uniform(0.3, 0.9, H)
        if not tied:
            params["W_hy"] = rng.standard_normal((H, V))
        memory = {
            "t": before,
            "mean": {name: 0.1 * rng.standard_normal(W.shape) for name, W in params.items()},
            "square": {name: rng.uniform(0.01, 0.1, W.shape) for name, W in params.items()},
        }
        training = {"params": params, "optimizer": memory if before else {}, "step": before, "waited": 0}
        runs = (run_leaky, run_leaky_back) if kind == "leaky" else (run_fast_and_slow, run_fast_and_slow_back)
        state = tuple(rng.standard_normal((B, H)) for _ in range(1 if kind == "leaky" else 2))
        batches = [(rng.integers(V, size=(T, B)), rng.integers(V, size=(T, B))) for _ in range(windows)]
        yield *runs, training, batches, state, rising_rate, max_norm


def oracle(run, run_back, training, batches, state, schedule, max_norm=float("inf")):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in training["params"].items()}
    memory, step = training["optimizer"], training["step"]
    adam = torch.optim.Adam(p.values(), lr=1.0)
    if memory:
        for name, W in p.items():
            adam.state[W] = {
                "step": torch.tensor(float(memory["t"])),
                "exp_avg": torch.tensor(memory["mean"][name]),
                "exp_avg_sq": torch.tensor(memory["square"][name]),
            }
    now, losses = [torch.tensor(part) for part in state], []
    for tokens, targets in batches:
        step += 1
        adam.zero_grad()
        adam.param_groups[0]["lr"] = 0.01 + 0.005 * step
        now, told = [part.detach() for part in now], []
        weight = p["W_hy"].T if "W_hy" in p else p["E"]
        for words, wanted in zip(torch.from_numpy(tokens), torch.from_numpy(targets), strict=True):
            x = torch.nn.functional.embedding(words, p["E"])
            if len(now) == 1:
                now = [p["keep"] * now[0] + x @ p["W"]]
            else:
                slow = 0.9 * now[1] + x @ p["W"]
                now = [0.5 * now[0] + slow, slow]
            told.append(torch.nn.functional.cross_entropy(torch.nn.functional.linear(now[0], weight, p["b_y"]), wanted))
        loss = torch.stack(told).mean()
        loss.backward()
        norm = float(np.sqrt(sum(float((W.grad**2).sum()) for W in p.values())))
        for W in p.values():
            W.grad *= min(1.0, max_norm / norm)
        adam.step()
        losses.append(loss.item())
    memory = {
        key: {name: adam.state[W][theirs].numpy() for name, W in p.items()}
        for key, theirs in (("mean", "exp_avg"), ("square", "exp_avg_sq"))
    }
    params = {name: W.detach().numpy() for name, W in p.items()}
    done = training | {"params": params, "optimizer": {"t": step} | memory, "step": step}
    return done, tuple(part.detach().numpy() for part in now), losses
