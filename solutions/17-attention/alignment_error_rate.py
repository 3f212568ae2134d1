"""Inputs for 17-attention/alignment_error_rate, and the formula on sets of links."""

import numpy as np

RETURNS = "rate"


def inputs(rng):
    """Links among several words and parts; sure ones possible and not marked so; all right; all wrong; none guessed."""
    for T, S, chance in ((4, 5, 0.4), (3, 7, 0.3), (6, 2, 0.5)):
        links, sure, possible = rng.random((3, T, S)) < chance
        yield links, sure, possible | sure
    links, sure, possible = rng.random((3, 4, 4)) < 0.4
    yield links, sure, possible & ~sure
    truth = np.eye(4, dtype=bool)
    yield truth, truth, truth
    yield ~truth, truth, truth
    yield np.zeros((2, 3), bool), np.ones((2, 3), bool), np.ones((2, 3), bool)
    yield np.eye(3, dtype=bool), np.zeros((3, 3), bool), np.ones((3, 3), bool)


def oracle(links, sure, possible):
    A, S, P = ({tuple(at) for at in np.argwhere(array).tolist()} for array in (links, sure, possible))
    P = P | S
    return 1 - (len(A & S) + len(A & P)) / (len(A) + len(S))
