"""Inputs for 16-seq2seq/beam_decode with a toy that speaks from a table, and all answers, or a beam, written out."""

import math

import numpy as np

from course.checks.toys import speak_from_table

RETURNS = "answers"


def inputs(rng):
    """A beam as wide as there are answers; narrow ones; no penalty and a strong one; greedy; scores that are large."""
    for V, start, end, width, longest, alpha, scale in (
        (4, 1, 2, 40, 3, 0.6, 1.0),
        (6, 1, 2, 3, 5, 0.0, 1.0),
        (6, 1, 2, 4, 6, 1.0, 1.5),
        (5, 0, 4, 1, 6, 0.6, 1.0),
        (5, 1, 2, 2, 4, 1.0, 900.0),
    ):
        tables = scale * rng.standard_normal((1, V, V))
        yield speak_from_table, (tables, np.zeros((1, V))), start, end, width, longest, alpha


def oracle(step, state, start, end, width, max_length, alpha=0.6):
    beam, done = [([], 0.0, state)], []
    for _ in range(max_length):
        grown = []
        for tokens, total, own in beam:
            scores, after = step(np.array([tokens[-1] if tokens else start]), own)
            row = scores[0].tolist()
            top = max(row)
            norm = top + math.log(sum(math.exp(z - top) for z in row))
            grown += [([*tokens, k], total + z - norm, after) for k, z in enumerate(row)]
        grown = sorted(grown, key=lambda entry: -entry[1])[:width]
        done += [entry for entry in grown if entry[0][-1] == end]
        beam = [entry for entry in grown if entry[0][-1] != end]
    found = sorted(done + beam, key=lambda entry: -entry[1])[:width]
    scored = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for tokens, total, _ in found]
    return sorted(scored, key=lambda entry: -entry[1])
