"""Inputs for 08-bidirectional/stacked with toy nets, and a loop over layers and steps that knows their formulas."""

import itertools

import numpy as np

from course.checks.toys import run_leaky, run_two_part

RETURNS = ("hs", "lasts", "caches")


def inputs(rng):
    """Two layers and three, of different widths; one alone; states of two arrays; sizes that are all equal."""
    for T, B, widths in ((4, 3, (2, 4, 3)), (3, 2, (3, 2, 5, 4)), (3, 2, (2, 3)), (3, 3, (3, 3, 3))):
        layers = [
            {"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))} for D, H in itertools.pairwise(widths)
        ]
        yield (
            run_leaky,
            layers,
            rng.standard_normal((T, B, widths[0])),
            [(rng.standard_normal((B, H)),) for H in widths[1:]],
        )
    states = [(rng.standard_normal((2, 3)), rng.standard_normal((2, 3))) for _ in range(2)]
    yield run_two_part, [{"keep": 0.5}, {"keep": -0.7}], rng.standard_normal((4, 2, 3)), states


def oracle(run, layers, xs, states):
    """Step by step instead of layer by layer: at each step all layers, from below."""
    states, caches = [tuple(state) for state in states], [[] for _ in layers]
    top = []
    for x in xs:
        below = x
        for i, own in enumerate(layers):
            caches[i].append((below, *states[i]))
            if run.__name__ == "run_leaky":
                states[i] = (own["keep"] * states[i][0] + np.einsum("bd,dh->bh", below, own["W"]),)
            else:
                states[i] = (np.tanh(states[i][0] + own["keep"] * below), states[i][1] + 1)
            below = states[i][0]
        top.append(below)
    return np.array(top), states, caches
