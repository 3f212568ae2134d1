"""Inputs for 01-intuition/scan with three toy steps, and a loop that knows each of them by its formula."""

from course.checks.toys import count_and_last, fading_echo, running_total

RETURNS = ("state", "outputs")


def inputs(rng):
    """Arrays, numbers, a state of two parts, a single input; starts that are not zero."""
    yield fading_echo, rng.standard_normal(3), rng.standard_normal((4, 3))
    yield running_total, 5, [1, 2, 3]
    yield count_and_last, (0, 1.5), [float(x) for x in rng.standard_normal(5)]
    yield fading_echo, rng.standard_normal((2, 2)), rng.standard_normal((1, 2, 2))


def oracle(step, state, xs):
    if step.__name__ == "running_total":
        sums = [state + sum(xs[: t + 1]) for t in range(len(xs))]
        return sums[-1], [2 * total for total in sums]
    if step.__name__ == "count_and_last":
        before = [state[1], *xs[:-1]]
        return (state[0] + len(xs), xs[-1]), [x - last for x, last in zip(xs, before, strict=True)]
    # After t inputs, input i (from 0) has been halved t - 1 - i times and the start t times.
    states = [
        0.5**t * state + sum((0.5 ** (t - 1 - i) * xs[i] for i in range(t)), 0 * state) for t in range(len(xs) + 1)
    ]
    return states[-1], [x - before for x, before in zip(xs, states, strict=False)]
