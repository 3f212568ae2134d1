"""Inputs for 14-labeling/forbid, and the chain with its entries replaced one by one."""

import numpy as np

RETURNS = "chain"


def chain(rng, K, scale=1.0):
    return {
        name: scale * rng.standard_normal((K,) * axes) for name, axes in (("transitions", 2), ("start", 1), ("stop", 1))
    }


def inputs(rng):
    """Chains of several sizes, some of it allowed, all of it, nothing of it; scores that are large; zeros."""
    for K, share, scale in ((4, 0.6, 1.0), (3, 0.5, 1e6), (2, 1.1, 1.0), (2, 0.0, 1.0), (5, 0.5, 0.0)):
        params = chain(rng, K, scale)
        yield params, {name: rng.random(value.shape) < share for name, value in params.items()}


def oracle(params, allowed):
    new = {name: value.copy() for name, value in params.items()}
    for name, value in new.items():
        for at in np.ndindex(value.shape):
            if not allowed[name][at]:
                value[at] = -np.inf
    return new
