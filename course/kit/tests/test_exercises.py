"""The checks of every exercise, one test each.

pytest                                                     all of them
pytest -m "exercise(id='04-elman/elman_step_backward')"    those of one exercise
pytest -k 04-elman                                         those of one chapter
"""

from pathlib import Path

import pytest

from course.checks import UNWRITTEN, check_names, run_checks
from course.exercises import catalogue
from course.workspace import answer

ROOT = Path(__file__).resolve().parent.parent
CASES = [
    pytest.param(exercise, name, id=f"{exercise.id}: {name}", marks=pytest.mark.exercise(id=exercise.id))
    for exercise in catalogue().values()
    for name in check_names(exercise)
]


@pytest.mark.parametrize(("exercise", "name"), CASES)
def test_exercise(exercise, name):
    try:
        function = answer(exercise, ROOT)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
    results = run_checks(exercise, function, only=name)
    assert results, f"{exercise.id} has no check called {name!r}"
    for result in results:
        if not result.passed:
            pytest.fail(UNWRITTEN if result.name == UNWRITTEN else result.message, pytrace=False)
