"""Inputs for 14-labeling/bio_allowed, and the rule asked pair by pair."""

import numpy as np

RETURNS = "allowed"


def inputs(rng):
    """Labels in usual order and in others; types of which one begins like another; one label."""
    yield (["O", "B-a", "I-a", "B-b", "I-b"],)
    names = ["I-city", "O", "B-cit", "I-cit", "B-city", "B-a-b", "I-a-b"]
    yield (names,)
    yield ([names[i] for i in rng.permutation(len(names))],)
    yield (["B-x", "I-x"],)
    yield (["O"],)


def oracle(labels):
    def may_follow(first, then):
        return not then.startswith("I-") or first in ("B-" + then[2:], "I-" + then[2:])

    moves = np.array([[may_follow(first, then) for then in labels] for first in labels])
    return {
        "transitions": moves,
        "start": np.array([may_follow("", then) for then in labels]),
        "stop": moves[:, 0] | True,
    }
