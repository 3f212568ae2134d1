"""Inputs for 16-seq2seq/length_penalty, and its logarithm, taken apart."""

import math

RETURNS = "lp"


def inputs(rng):
    """No tokens, one, few, many; no penalty, a usual one, a full one."""
    for length in (0, 1, 2, 7, 40):
        for alpha in (0.0, 0.6, 1.0, 0.1 + 0.8 * float(rng.random())):
            yield length, alpha


def oracle(length, alpha):
    return math.exp(alpha * (math.log(5 + length) - math.log(5 + 1)))
