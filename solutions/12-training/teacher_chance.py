"""Inputs for 12-training/teacher_chance, and the chance to fifty digits."""

from decimal import Decimal, localcontext

RETURNS = "chance"


def inputs(rng):
    """All three forms at their start, in the middle and far out; with a floor."""
    k = float(rng.uniform(20, 40))
    for step in (0, 1, 9, 200):
        yield step, k, "linear"
        yield step, 0.97, "exponential"
        yield step, k, "sigmoid"
    yield 500, k, "linear", 0.25
    yield 7, k, "linear", 0.25
    yield 500, 0.97, "exponential", 0.1
    yield 9000, 5.0, "sigmoid", 0.05
    yield (3, k)


def oracle(step, k, kind="linear", floor=0.0):
    with localcontext() as context:
        context.prec = 50
        i, k = Decimal(step), Decimal(k)
        if kind == "linear":
            chance = 1 - i / k
        elif kind == "exponential":
            chance = k**i
        else:
            chance = k / (k + (i / k).exp())
        return float(max(Decimal(floor), chance))
