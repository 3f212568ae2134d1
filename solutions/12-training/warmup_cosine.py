"""Inputs for 12-training/warmup_cosine, and the rates of PyTorch's LinearLR and CosineAnnealingLR."""

import warnings

import torch

RETURNS = "rate"


def inputs(rng):
    """On the way up, at the top, on the way down, at the end, past it; with a floor; without a way up."""
    total, warmup = int(rng.integers(40, 60)), int(rng.integers(5, 10))
    for step in (1, 3, warmup, warmup + 1, warmup + 7, total - 1, total):
        yield step, total, 0.02, warmup, 0.003
    yield total + 9, total, 0.02, warmup, 0.003
    yield 1, 10, 0.5
    yield 4, 10, 0.5
    yield 10, 10, 0.5


def oracle(step, total, peak, warmup=0, floor=0.0):
    step = min(step, total)
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=peak)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step of the optimizer is taken: only its rate is looked at
        if step <= warmup:
            schedule, calls = (
                torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, 1.0, max(warmup - 1, 1)),
                step - 1,
            )
            if warmup == 1:
                return float(peak)
        else:
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warmup, floor)
            calls = step - warmup
        for _ in range(calls):
            schedule.step()
    return float(optimizer.param_groups[0]["lr"])
