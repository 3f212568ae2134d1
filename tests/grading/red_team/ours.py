"""What `course grade` makes of an attack."""

import tempfile
from pathlib import Path

import torch  # noqa: F401  (the first test that imports it would spend its time on that)
from made_submissions import SLUG

from course.grading.collect import collect
from course.grading.rebuild import Unreadable
from course.grading.task import Outcome, grade, unreadable
from red_team.attack import Attack, as_expected

__all__ = ["graded", "hand_in", "score_of"]


def hand_in(attack: Attack, submitted: Path) -> None:
    """Put it into a class folder, as nbgrader has it."""
    folder = submitted / (attack.student or attack.name) / SLUG
    folder.mkdir(parents=True)
    attack.place(folder, attack.build(attack.bundle()))


def graded(attack: Attack) -> Outcome:
    """The outcome; what is no plain notebook goes the way through a class folder."""
    bundle = attack.bundle()
    if attack.place is as_expected and not attack.student:
        return grade("mallory", attack.build(bundle), bundle)
    with tempfile.TemporaryDirectory() as folder:
        hand_in(attack, Path(folder))
        (submission,) = collect(Path(folder), SLUG)[0]
        try:
            data = submission.read()
        except Unreadable as error:
            return unreadable(submission.student, bundle, str(error))
    return grade(submission.student, data, bundle, notes=submission.notes)


def score_of(outcome: Outcome) -> float | None:
    """None where a person must look."""
    return None if None in outcome.scores.values() else outcome.score
