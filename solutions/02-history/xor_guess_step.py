"""Inputs for 02-history/xor_guess_step, and Bayes' rule by listing all cases."""

import numpy as np

RETURNS = (("belief", "before", "last"), "p")


def inputs(rng):
    """Every combination of three bits, with beliefs of all kinds; places ruled out; the place known."""
    for bits in range(8):
        before, last, bit = bits & 1, bits >> 1 & 1, bits >> 2
        yield (rng.dirichlet(np.ones(3)), before, last), bit
    yield (np.full(3, 1 / 3), 1, 0), 1
    yield (np.array([0.0, 1.0, 0.0]), 1, 1), 0
    yield (np.array([0.0, 0.0, 1.0]), 1, 0), 1
    yield (np.array([0.25, 0.0, 0.75]), 1, 0), 0


def oracle(state, bit):
    belief, before, last = state
    cases = {}  # place of the bit after this one, and its value, to their joint probability with this bit
    for place in range(3):
        forced = (before + last) % 2
        chance = (1.0 if bit == forced else 0.0) if place == 2 else 0.5
        for value in (0, 1):
            coming = (place + 1) % 3
            then = (1.0 if value == (last + bit) % 2 else 0.0) if coming == 2 else 0.5
            cases[coming, value] = float(belief[place]) * chance * then
    total = sum(cases.values())
    new = np.array([(cases[place, 0] + cases[place, 1]) / total for place in range(3)])
    return (new, last, bit), sum(cases[place, 1] for place in range(3)) / total
