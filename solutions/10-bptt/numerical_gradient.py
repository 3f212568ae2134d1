"""Inputs for 10-bptt/numerical_gradient, and the same quotient coordinate by coordinate, from lists of numbers."""

import numpy as np

from course.checks.toys import product_and_waves, squares, straight_line, sum_of_cubes

RETURNS = "grad"


def inputs(rng):
    """A vector with the usual width; a wide one on a curve; two and three axes; a large coordinate; one number."""
    yield product_and_waves, rng.uniform(-2, 2, 4)
    yield sum_of_cubes, rng.uniform(0.5, 1, (2, 3)), 1e-2
    yield straight_line, rng.uniform(-1, 1, (2, 1, 3))
    yield squares, np.array([3e8, -2e8])
    yield product_and_waves, rng.uniform(-2, 2, (3, 2)), 1e-3
    yield sum_of_cubes, np.array(0.5), 1e-1


def oracle(f, x, eps=1e-5):
    numbers, slopes = x.ravel().tolist(), []
    for i, number in enumerate(numbers):
        h = eps * max(1.0, abs(number))
        ends = [number + h, number - h]
        values = [f(np.array([*numbers[:i], end, *numbers[i + 1 :]]).reshape(x.shape)) for end in ends]
        slopes.append((values[0] - values[1]) / (ends[0] - ends[1]))
    return np.array(slopes).reshape(x.shape)
