"""A training run as a value: all that decides how it goes on, kept in memory or in a file.

A run is a dictionary: `params`, the memory of the `optimizer`, the number of the last `step`, the random generator
`rng` as it stands, and for early stopping `best_params`, their `best_loss`, and how often validation has `waited`.

Chapter: 12-training
"""

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from rnnlib.types import Array, Params

__all__ = ["TrainingRun", "arrays_to_run", "keep_best", "load_run", "new_run", "run_to_arrays", "save_run"]

TrainingRun = dict[str, Any]


def new_run(params: Params, rng: np.random.Generator) -> TrainingRun:
    """A run before its first step.

    Parameters
    ----------
    params  first weights.
    rng     the generator that batches and masks will be drawn from; copied.

    Returns
    -------
    a dictionary with params, optimizer, step, rng, best_params, best_loss, waited.

    Chapter: 12-training.
    """
    start = {"params": params, "optimizer": {}, "step": 0, "rng": copy.deepcopy(rng)}
    return start | {"best_params": params, "best_loss": float("inf"), "waited": 0}


def keep_best(run: TrainingRun, loss: float) -> TrainingRun:
    """Note a validation loss: keep the weights that gave the lowest, and count how long it has not been beaten.

    Parameters
    ----------
    run   as `new_run` makes it; not changed.
    loss  of `run["params"]` on data that they were not trained on; nan counts as not better.

    Returns
    -------
    a new run. If the loss is below best_loss: best_loss is the loss, best_params are the params, waited is 0.
    If not: waited is one more. Everything else is as it was.

    Chapter: 12-training. Equation: keep-best. Source: Prechelt (1998).
    """
    if loss < run["best_loss"]:
        return run | {"best_loss": float(loss), "best_params": run["params"], "waited": 0}
    return run | {"waited": run["waited"] + 1}


def run_to_arrays(run: TrainingRun) -> dict[str, Array]:
    """A run as arrays by name, flat, so that `np.savez` can write it without pickle.

    Parameters
    ----------
    run  a dictionary of arrays, numbers, random generators, and dictionaries of these.

    Returns
    -------
    a dictionary of arrays. What lies in a dictionary has its name in front, `params/W_xh`, `optimizer/mean/W_xh`;
    a number is an array without axes; a generator is its state, `rng.bit_generator.state`, as JSON, in bytes (uint8).

    Chapter: 12-training.
    """
    arrays: dict[str, Array] = {}
    for name, part in run.items():
        if isinstance(part, np.random.Generator):
            part = np.frombuffer(json.dumps(part.bit_generator.state).encode(), np.uint8)
        if isinstance(part, dict):
            arrays |= {f"{name}/{key}": item for key, item in run_to_arrays(part).items()}
        else:
            arrays[name] = np.array(part)
    return arrays


def arrays_to_run(arrays: dict[str, Array], rng: np.random.Generator) -> TrainingRun:
    """What `run_to_arrays` took apart, put together again.

    Parameters
    ----------
    arrays  from `run_to_arrays`, or from a file.
    rng     any generator of the same kind as the run's; a copy of it takes up the stored state.

    Returns
    -------
    the run, equal to the bit.

    Chapter: 12-training.
    """
    run: TrainingRun = {"optimizer": {}}  # empty before the first step, so no array tells of it
    for path, array in arrays.items():
        *folders, name = path.split("/")
        place = run
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = array.item() if array.ndim == 0 else array
    generator = copy.deepcopy(rng)
    generator.bit_generator.state = json.loads(bytes(run["rng"]))
    return run | {"rng": generator}


def save_run(path: str | Path, run: TrainingRun) -> None:
    """Write a run to a file, in one stroke: whoever looks finds the old file or the new one, never half of one.

    The bytes go to a file beside it, `path` with `.part` at its end, and to the disk; then that file takes the name.

    Raises
    ------
    TypeError  a part of the run is neither an array of numbers nor a number.

    Chapter: 12-training.
    """
    arrays, target = run_to_arrays(run), Path(path)
    strange = [name for name, array in arrays.items() if array.dtype.hasobject]
    if strange:
        raise TypeError(f"save_run: {', '.join(strange)} could only be pickled; a run holds arrays and numbers")
    unfinished = target.with_name(target.name + ".part")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, target)


def load_run(path: str | Path, rng: np.random.Generator) -> TrainingRun:
    """Read a run that `save_run` wrote; nothing in the file is executed.

    Parameters
    ----------
    path  of the file.
    rng   any generator of the same kind as the run's; a copy of it takes up the stored state.

    Returns
    -------
    the run, equal to the bit.

    Raises
    ------
    FileNotFoundError  there is no such file.

    Chapter: 12-training.
    """
    with np.load(path, allow_pickle=False) as file:
        return arrays_to_run({name: file[name] for name in file.files}, rng)
