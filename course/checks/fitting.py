"""Runs of `fit` for the checks of chapter 12; nothing but NumPy and `rnnlib` in here (`course.checks.driver`)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["carried_on", "journey", "overfit", "overfit_task", "steady", "toy_start"]

HIDDEN, LENGTH, COUNT, STEPS = 24, 16, 20, 150


def toy_start(seed: int = 0) -> dict[str, Any]:
    """A run before its first step, with five weights."""
    rng = np.random.default_rng(seed)
    run = {"params": {"W": np.array([[3.0, -4.0], [0.5, 2.0]]), "b": np.array([1.0])}, "optimizer": {}, "step": 0}
    return run | {"rng": rng, "best_params": run["params"], "best_loss": float("inf"), "waited": 0}


def pull(params: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[float, dict[str, np.ndarray]]:
    """A loss whose least point lies near 0.5, somewhere else for each batch that is drawn."""
    grads = {name: W - 0.5 - 0.1 * rng.standard_normal(W.shape) for name, W in params.items()}
    return sum(float((g * g).sum()) for g in grads.values()) / 2, grads


def steady(step: int) -> float:
    """A rate that tells its step: 0.10, 0.11, 0.12 ..."""
    return 0.09 + 0.01 * step


def journey(fit: Callable[..., Any], steps: int, told: list[float] | None = None, **how: Any) -> dict[str, Any]:
    """Run `fit` on the toy and write down all that it does. `told` are the validation losses, in order."""
    diary: dict[str, Any] = {"asked": [], "drawn": [], "steps": [], "looked": [], "reports": [], "start": toy_start()}
    losses = list(told or [])

    def schedule(step: int) -> float:
        diary["asked"].append(step)
        return steady(step)

    def optimizer(params: Any, grads: Any, state: Any, rate: float) -> tuple[Any, Any]:
        length = float(np.sqrt(sum(float((g * g).sum()) for g in grads.values())))
        diary["steps"].append({"before": params, "count": state.get("count", 0), "rate": rate, "length": length})
        return {name: W - rate * grads[name] for name, W in params.items()}, {"count": state.get("count", 0) + 1}

    def loss_and_grads(params: Any, rng: np.random.Generator) -> Any:
        diary["drawn"].append(float(rng.random()))
        return pull(params, rng)

    def validate(params: Any) -> float:
        diary["looked"].append(params)
        return losses.pop(0) if losses else 9.0

    def report(run: Any, numbers: Any) -> None:
        diary["reports"].append({"run": dict(run), "numbers": dict(numbers)})

    if told is not None:
        how = how | {"validate": validate}
    end = fit(diary["start"], loss_and_grads, steps, schedule, optimizer, report=report, **how)
    return diary | {"end": dict(end) if isinstance(end, dict) else end}


def carried_on(fit: Callable[..., Any], stop: int, steps: int, reported: bool) -> tuple[Any, Any, bool]:
    """The run at the end, without a break and with one after step `stop`; and whether the start was left alone.

    With `reported` the second half begins from the run that was reported at that step, while the first went on.
    """
    start, seen = toy_start(), []
    untouched = toy_start()["rng"].bit_generator.state
    told = [5.0, 4.0, 4.5, 3.0, 3.5, 3.6, 2.0, 2.5, 2.6, 1.0]

    def go(run: Any, last: int, report: Callable[..., None] = lambda run, numbers: None) -> Any:
        def validate(params: Any) -> float:
            return told[validate.number]  # type: ignore[attr-defined]

        def keep(run: Any, numbers: Any) -> None:
            validate.number = int(run["step"]) % len(told)  # type: ignore[attr-defined]
            report(run, numbers)

        validate.number = int(run["step"]) % len(told)  # type: ignore[attr-defined]
        return fit(run, pull, last, steady, wandering, validate=validate, report=keep)

    whole = go(start, steps, lambda run, numbers: seen.append(run))
    half = next((run for run in seen if run["step"] == stop), None) if reported else go(start, stop)
    alone = start["rng"].bit_generator.state == untouched and start["step"] == 0
    return whole, None if half is None else go(half, steps), alone


def wandering(params: Any, grads: Any, state: Any, rate: float) -> tuple[Any, Any]:
    """An optimizer with a memory that decides where the next step goes."""
    before = state.get("speed") or {name: np.zeros_like(W) for name, W in params.items()}
    speed = {name: 0.8 * before[name] + g for name, g in grads.items()}
    return {name: W - 0.3 * rate * speed[name] for name, W in params.items()}, {"speed": speed}


def overfit_task(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Twenty different embedded Reber strings of 16 symbols, (16, 20, 7), and for each the toss of a coin."""
    from rnnlib.reber import one_hot, reber_encode, reber_string

    rng = np.random.default_rng(seed)
    strings: list[str] = []
    while len(strings) < COUNT:
        string = reber_string(rng, embedded=True, length=LENGTH)
        strings += [string] * (string not in strings)
    symbols = np.stack([reber_encode(string) for string in strings], axis=1)
    return one_hot(symbols, 7, np.float32), rng.permutation(np.repeat([0, 1], COUNT // 2))


def overfit(fit: Callable[..., Any], seed: int = 0, steps: int = STEPS) -> tuple[dict[str, np.ndarray], list[float]]:
    """Let an Elman net learn twenty strings by heart; its weights, and the loss of each step."""
    from rnnlib.elman import elman_init, elman_step, elman_step_backward
    from rnnlib.last_step import loss_at_the_end
    from rnnlib.optimizers import adam
    from rnnlib.output import output_init
    from rnnlib.runs import new_run
    from rnnlib.schedules import warmup_cosine

    xs, labels = overfit_task(seed)
    rng, losses = np.random.default_rng(seed), []
    params = elman_init(rng, 7, HIDDEN, np.float32) | output_init(rng, HIDDEN, 2, np.float32)
    state = (np.zeros((COUNT, HIDDEN), np.float32),)

    def loss_and_grads(params: Any, rng: Any) -> Any:
        return loss_at_the_end(elman_step, elman_step_backward, params, xs, state, labels)

    rates = partial(warmup_cosine, total=steps, peak=0.02, warmup=10)
    keep = lambda run, numbers: losses.append(float(numbers["loss"]))  # noqa: E731
    run = fit(new_run(params, rng), loss_and_grads, steps, rates, adam, 1.0, report=keep)
    return run["params"], losses
