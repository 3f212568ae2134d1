"""What a net is fed while it learns to speak: the teacher's word or its own.

Chapter: 12-training
"""

import numpy as np

from rnnlib.types import Array

__all__ = ["choose_input"]


def choose_input(rng: np.random.Generator, truth: Array, said: Array, chance: float) -> Array:
    """For each sequence a coin of its own: the right input with this chance, else what the net said.

    Parameters
    ----------
    rng     the only source of randomness: one number from 0 to 1 for each sequence.
    truth   the right inputs, (B, ...): words as integers (B,), or vectors (B, K).
    said    what the net put out one step before, of the same shape and dtype.
    chance  of the truth, 0 to 1.

    Returns
    -------
    (B, ...), a new array: each row one of truth or one of said, whole.

    Raises
    ------
    ValueError  truth and said differ in shape, or chance is not between 0 and 1.

    Chapter: 12-training. Equation: choose-input. Source: Bengio et al. (2015).
    """
    if truth.shape != said.shape or not 0 <= chance <= 1:
        raise ValueError(f"choose_input: truth {truth.shape}, said {said.shape}, chance {chance}")
    coins = rng.random(len(truth)) < chance
    return np.where(coins.reshape(-1, *(1,) * (truth.ndim - 1)), truth, said)
