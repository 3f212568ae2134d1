"""Inputs for 15-language/language_loss, and PyTorch's gradients of the same net, tied and not."""

import torch

from course.checks.toys import run_fast_and_slow, run_fast_and_slow_back, run_leaky, run_leaky_back

RETURNS = ("loss", "state", "grads")


def inputs(rng):
    """Tied and not, a state of one array and of two; symbols that come up twice and never; one step, one sequence."""
    for kind, T, B, D, H, V, tied in (
        ("leaky", 5, 3, 2, 4, 6, False),
        ("leaky", 4, 3, 3, 3, 5, True),
        ("both", 4, 2, 3, 5, 4, False),
        ("both", 6, 2, 4, 4, 7, True),
        ("leaky", 1, 1, 3, 2, 4, False),
    ):
        params = {"W": rng.standard_normal((D, H)), "E": rng.standard_normal((V, D)), "b_y": rng.standard_normal(V)}
        if kind == "leaky":
            params["keep"] = rng.uniform(0.3, 0.9, H)
        if not tied:
            params["W_hy"] = rng.standard_normal((H, V))
        runs = (run_leaky, run_leaky_back) if kind == "leaky" else (run_fast_and_slow, run_fast_and_slow_back)
        state = tuple(rng.standard_normal((B, H)) for _ in range(1 if kind == "leaky" else 2))
        yield *runs, params, rng.integers(V, size=(T, B)), rng.integers(V, size=(T, B)), state


def oracle(run, run_back, params, tokens, targets, state):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    now, losses = [torch.tensor(part) for part in state], []
    weight = p["W_hy"].T if "W_hy" in p else p["E"]
    for words, wanted in zip(torch.from_numpy(tokens), torch.from_numpy(targets), strict=True):
        x = torch.nn.functional.embedding(words, p["E"])
        if len(now) == 1:
            now = [p["keep"] * now[0] + x @ p["W"]]
        else:
            slow = 0.9 * now[1] + x @ p["W"]
            now = [0.5 * now[0] + slow, slow]
        losses.append(torch.nn.functional.cross_entropy(torch.nn.functional.linear(now[0], weight, p["b_y"]), wanted))
    loss = torch.stack(losses).mean()
    loss.backward()
    last = tuple(part.detach().numpy() for part in now)
    return loss.item(), last, {name: w.grad.numpy() for name, w in p.items()}
