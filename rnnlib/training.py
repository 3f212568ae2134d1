"""The training loop: draw, differentiate, clip, step, look.

Chapter: 12-training
"""

import copy
from collections.abc import Callable

import numpy as np

from rnnlib.clipping import clip_by_norm
from rnnlib.monitor import update_ratio
from rnnlib.optimizers import OptimizerState, adam
from rnnlib.runs import TrainingRun, keep_best
from rnnlib.types import Params

__all__ = ["fit"]

Numbers = dict[str, float]


def _say_nothing(run: TrainingRun, numbers: Numbers) -> None:
    """Where nobody asks for a report."""


def fit(
    run: TrainingRun,
    loss_and_grads: Callable[[Params, np.random.Generator], tuple[float, Params]],
    steps: int,
    schedule: Callable[[int], float],
    optimizer: Callable[[Params, Params, OptimizerState, float], tuple[Params, OptimizerState]] = adam,
    max_norm: float = float("inf"),
    validate: Callable[[Params], float] | None = None,
    every: int = 1,
    patience: float = float("inf"),
    report: Callable[[TrainingRun, Numbers], None] = _say_nothing,
) -> TrainingRun:
    """Train until step number `steps`, or until validation has waited for `patience` times; go on where `run` stands.

    Parameters
    ----------
    run             as `new_run` or `load_run` give it; neither it nor its generator is changed.
    loss_and_grads  takes (params, rng), draws its batch from rng, returns (loss, grads).
    steps           number of the last step, counted from the run's beginning.
    schedule        takes the number of a step, 1 for the first, returns its rate.
    optimizer       such as `adam`: (params, grads, state, rate) -> (params, state).
    max_norm        longer gradients are cut to this length, all parameters taken together.
    validate        takes params, returns a loss on other data; asked after each `every` steps.
    every           see validate.
    patience        stop once so many validations in a row have not beaten the best.
    report          takes (the run after the step, numbers): a progress bar, a picture, a file. The numbers are
                    loss, rate, norm (before it was cut), clipped, ratio (`update_ratio`).

    Returns
    -------
    the run after its last step. The weights to use are its best_params, if there was validation.

    Chapter: 12-training. Equation: fit.
    """
    while run["step"] < steps and run["waited"] < patience:
        params, t, rng = run["params"], run["step"] + 1, copy.deepcopy(run["rng"])
        loss, grads = loss_and_grads(params, rng)
        grads, norm = clip_by_norm(grads, max_norm)
        rate = schedule(t)
        moved, memory = optimizer(params, grads, run["optimizer"], rate)
        numbers = {"loss": loss, "rate": rate, "norm": norm, "clipped": norm > max_norm}
        run = run | {"params": moved, "optimizer": memory, "step": t, "rng": rng}
        if validate is not None and t % every == 0:
            run = keep_best(run, validate(moved))
        report(run, numbers | {"ratio": update_ratio(params, moved)})
    return run
