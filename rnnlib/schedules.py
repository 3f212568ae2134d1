"""Numbers that change while a net is trained: the rate, and how often the teacher speaks.

Chapter: 12-training
"""

import numpy as np

from rnnlib.activations import sigmoid

__all__ = ["teacher_chance", "warmup_cosine"]


def warmup_cosine(step: int, total: int, peak: float, warmup: int = 0, floor: float = 0.0) -> float:
    """The rate of one step: up in a straight line, then down along half a cosine.

        peak * step / warmup                                          up to step = warmup, where it is peak
        floor + (peak - floor) / 2 * (1 + cos(pi * u))                after it, u from 0 at warmup to 1 at total

    Parameters
    ----------
    step    which step, counted from 1; after the last one the rate stays at the floor.
    total   how many steps there are.
    peak    the highest rate.
    warmup  how many steps the way up takes, below total; 0 for none.
    floor   the rate of the last step.

    Returns
    -------
    the rate, a float.

    Raises
    ------
    ValueError  step below 1, or warmup below 0 or not below total.

    Chapter: 12-training. Equation: warmup-cosine. Source: Loshchilov & Hutter (2017), Goyal et al. (2017).
    """
    if step < 1 or not 0 <= warmup < total:
        raise ValueError(
            f"warmup_cosine: step {step}, warmup {warmup}, total {total}; steps count from 1, warmup < total"
        )
    if step <= warmup:
        return peak * step / warmup
    u = min(1.0, (step - warmup) / (total - warmup))
    return float(floor + (peak - floor) * (1 + np.cos(np.pi * u)) / 2)


def teacher_chance(step: int, k: float, kind: str = "linear", floor: float = 0.0) -> float:
    """How often the right input is fed rather than the net's own, falling from step to step.

        linear  1 - step / k        exponential  k^step        sigmoid  k / (k + exp(step / k))

    Parameters
    ----------
    step   which step, counted from 0.
    k      how slowly it falls: above 0 if linear, between 0 and 1 if exponential, at least 1 if sigmoid.
    kind   "linear", "exponential" or "sigmoid".
    floor  the lowest chance, 0 to 1.

    Returns
    -------
    a float between floor and 1.

    Raises
    ------
    ValueError  step below 0, or a kind that is none of the three.

    Chapter: 12-training. Equation: teacher-chance. Source: Bengio et al. (2015).
    """
    if step < 0:
        raise ValueError(f"teacher_chance: step is {step}, expected 0 or more")
    if kind == "linear":
        chance = 1 - step / k
    elif kind == "exponential":
        chance = k**step
    elif kind == "sigmoid":
        chance = float(sigmoid(np.array(np.log(k) - step / k)))  # the quotient, without a number that overflows
    else:
        raise ValueError(f"teacher_chance: kind is {kind!r}, expected 'linear', 'exponential' or 'sigmoid'")
    return max(floor, chance)
