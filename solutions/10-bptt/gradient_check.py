"""Inputs for 10-bptt/gradient_check: known slopes, right and spoiled, and the relative error entry by entry."""

import numpy as np

from course.checks.toys import flat_floor, squares, straight_line, sum_of_cubes

RETURNS = "error"


def inputs(rng):
    """A right gradient; one entry off; all off by a factor; a sign; flat coordinates; a gradient of zeros."""
    x = rng.uniform(0.5, 1.5, 5)
    yield squares, x, x * np.array([1, 1, 1.1, 1, 1])
    yield squares, x, -x
    yield squares, x, 1.05 * x
    yield squares, 1e-3 * x, 1e-3 * x * np.array([1.5, 1, 1, 1, 1])
    yield sum_of_cubes, x, 3 * x * x, 1e-1
    yield sum_of_cubes, x.reshape(5, 1), np.zeros((5, 1))
    grid = rng.uniform(-1, 1, (2, 3))
    yield flat_floor, grid, np.array([[1000.0, 1e-12, 0.0], [0.0, 0.0, 0.0]])
    yield straight_line, grid, np.array([[1.0, 2.0, 2.0], [4.0, 5.0, 6.0]])


def oracle(f, x, grad, eps=1e-5):
    slopes = []
    for i in range(x.size):
        ends = [x.ravel().copy() for _ in range(2)]
        for end, sign in zip(ends, (1, -1), strict=True):
            end[i] += sign * eps * max(1.0, abs(end[i]))
        up, down = (f(end.reshape(x.shape)) for end in ends)
        slopes.append(float((up - down) / (ends[0][i] - ends[1][i])))
    largest, errors = max(map(abs, slopes)), []
    for got, want in zip(grad.ravel().tolist(), slopes, strict=True):
        errors.append(abs(got - want) / max(abs(got) + abs(want), 1e-4 * largest, 1e-300))
    return float("nan") if any(error != error for error in errors) else max(errors)
