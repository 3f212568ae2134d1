"""What a learner is told whose jordan_step is missing or wrong, under the exercises that run it."""

import numpy as np
import pytest

import rnnlib.jordan
from course.checks.run import run_checks
from course.exercises import find

CALLERS = {
    "jordan_step_backward": "agrees with central differences of your jordan_step",
    "jordan_teacher_forced": "equals a loop that is fed the targets",
    "jordan_as_elman": "the Elman cell has the hidden states of the Jordan cell",
}
RIGHT = {name: getattr(rnnlib.jordan, name) for name in ("jordan_step", *CALLERS)}


def _told(name):
    (result,) = run_checks(find(f"05-jordan/{name}"), RIGHT[name], CALLERS[name])
    return result


@pytest.mark.parametrize("name", CALLERS)
def test_a_right_function_beside_a_right_step_passes(name):
    """With the reference's step there is nothing to tell."""
    assert _told(name).passed


@pytest.mark.parametrize("name", CALLERS)
def test_a_missing_step_is_named(name, monkeypatch):
    """The message says that jordan_step comes first, and is not an error of the function that was checked."""

    def stub(params, x, state, phi="tanh", psi="linear"):
        raise NotImplementedError("Exercise 05-jordan/jordan_step is not written yet")

    monkeypatch.setattr(rnnlib.jordan, "jordan_step", stub)
    result = _told(name)
    assert not result.passed
    assert "jordan_step is not written yet, and this check runs it. Write that one first" in result.message


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, "hands on the hidden units") for name in CALLERS),
        # Not jordan_teacher_forced: it calls the same wrong step as the loop, and agrees with it.
        ("jordan_step_backward", "has an output of its own"),
        ("jordan_as_elman", "has an output of its own"),
    ],
)
def test_a_wrong_step_is_named(name, fault, monkeypatch):
    """Whether the wrong step fails with a shape or with a number, it is the one to mend."""

    def wrong(params, x, state, phi="tanh", psi="linear"):
        if fault == "has an output of its own":
            return RIGHT["jordan_step"](params | {"W_hy": np.cos(params["W_hy"])}, x, state, phi, psi)
        _, cache = RIGHT["jordan_step"](params, x, state, phi, psi)
        return (cache[2],), cache

    monkeypatch.setattr(rnnlib.jordan, "jordan_step", wrong)
    result = _told(name)
    assert not result.passed
    assert "your jordan_step does not give the expected answers" in result.message
