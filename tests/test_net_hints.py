"""What a wrong net of chapter 01 is told: hints that describe mistakes, and the shortest string that shows one."""

from itertools import combinations, product

import numpy as np
import pytest

from course.checks.intuition import A_THEN_B, PARITY, judge_net
from course.checks.run import CheckFailed

TASKS = [pytest.param(PARITY, id="parity"), pytest.param(A_THEN_B, id="a-then-b")]
OR = {
    "W_xh": np.array([[1.0, 0.0]]),
    "W_hh": np.array([[1.0, 0.0], [0.0, 0.0]]),
    "b_h": np.array([-0.5, -0.5]),
    "W_hy": np.array([[1.0], [0.0]]),
    "b_y": np.array([-0.5]),
}


def _by_hand(letters, string):
    """The right answer, read off the string without arrays."""
    if letters == "01":
        return string.count("1") % 2
    return int("b" in string[string.index("a") :] if "a" in string else False)


@pytest.mark.parametrize("task", TASKS)
def test_the_targets_are_what_a_reader_of_the_string_says(task):
    """Parity by counting, "a, later b" by looking, for every string of up to six letters and each of its beginnings."""
    letters = task["letters"]
    strings = np.array(list(product(range(len(letters)), repeat=6)))
    for row, answers in zip(strings, task["target"](strings), strict=True):
        told = "".join(letters[i] for i in row)
        assert [int(a) for a in answers] == [_by_hand(letters, told[: t + 1]) for t in range(6)], told


@pytest.mark.parametrize("task", TASKS)
def test_no_hint_describes_the_right_answer_or_what_another_one_does(task):
    """Each hint stands for a behavior of its own, and for a wrong one."""
    strings = np.array(list(product(range(len(task["letters"])), repeat=5)))
    said = [np.asarray(rule(strings), int) for _, rule in task["likely"]]
    assert not any(np.array_equal(answers, task["target"](strings)) for answers in said)
    assert not any(np.array_equal(one, two) for one, two in combinations(said, 2))


def test_the_shortest_wrong_string_is_shown_with_units_and_counted_once():
    """A net that says whether any 1 has come: wrong first after 11, and on every string with two or more ones."""
    with pytest.raises(CheckFailed) as caught:
        judge_net(OR, PARITY, 4)
    wrong = sum("1" in s and s.count("1") % 2 == 0 for n in range(1, 5) for s in map("".join, product("01", repeat=n)))
    message = str(caught.value)
    assert message.startswith("after 11 the net says 1, expected 0. Its units were (0, 0), then (1, 0), then (1, 0).")
    assert f"wrong on {wrong} of the 30 strings of up to 4 bits" in message
    assert "says whether any 1 has come" in message
