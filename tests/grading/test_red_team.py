"""Every hostile or broken submission ends in the score that it deserves, in time, and harms nothing."""

import time

import pytest
from red_team import ATTACKS, Attack

from course.grading.task import UNREADABLE, grade


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_what_it_deserves(attack: Attack) -> None:
    bundle = attack.bundle()
    data = attack.build(bundle)
    began = time.monotonic()
    outcome = grade("mallory", data, bundle)
    took = time.monotonic() - began
    score = None if None in outcome.scores.values() else outcome.score
    assert score == attack.deserved, (outcome.scores, outcome.notes)
    assert (outcome.status != UNREADABLE) if attack.status is None else (outcome.status == attack.status)
    assert attack.says in outcome.notebook.replace('\\"', '"')
    assert took <= attack.seconds
    if attack.after is not None:
        attack.after(outcome)
