"""The demo without nbgrader: what each student of the class must get, and what the command does where she does not."""

import pytest
from test_cli import course

from course import demo
from course.sources import SOLUTIONS, Chapter


@pytest.fixture(scope="module")
def expected():
    chapter = Chapter(SOLUTIONS / demo.SLUG)
    told = demo.stories(chapter)
    points = {exercise.name: exercise.total_points for exercise in chapter.exercises}
    return {story.student: sum(points[name] for name in story.earns) if story.graded else None for story in told}


def test_the_class_is_of_every_kind(expected):
    """Full points, some, none; and one notebook that stock nbgrader does not find."""
    assert len(expected) == 12
    full = expected["01-perfect"]
    assert full > 0
    assert expected["06-untouched"] == expected["11-deleted"] == expected["12-tampered"] == 0
    assert expected["10-renamed"] is None
    for broken in ("02-half", "07-syntax", "08-exception", "09-endless"):
        assert 0 < expected[broken] < full, broken


@pytest.mark.parametrize(("score", "code"), [(3.0, 0), (2.0, 1), (None, 1)])
def test_a_score_that_is_not_what_it_must_be_fails_the_command(monkeypatch, score, code):
    """CI runs `make demo`: a wrong score, and a notebook that was not graded, must end it."""
    rows = [demo.Graded("ada", "all right", 5.0, 5.0), demo.Graded("bob", "half", score, 3.0)]
    monkeypatch.setattr(demo, "run_all", lambda folder, console: iter(rows))
    shown = course("demo", code=code)
    assert "bob" in shown
    assert ("1 scores are not what they must be" in shown) == bool(code)
