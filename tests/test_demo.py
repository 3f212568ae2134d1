"""The plain way from hand-in to gradebook: nbgrader's own commands on our release give the scores they must."""

import pytest

from course.demo import run_chapter, run_demo
from course.sources import chapters

pytestmark = pytest.mark.grading  # minutes, though it needs no sandbox


@pytest.mark.timeout(600)
def test_a_class_of_twelve_gets_the_scores_it_must(tmp_path):
    """Right, half right, wrong in known ways, broken, renamed, deleted, tampered with: each gets what it earns."""
    rows = {row.student: row for row in run_demo(tmp_path / "class")}
    assert len(rows) == 12
    assert {name: row.score for name, row in rows.items()} == {name: row.expected for name, row in rows.items()}
    full = rows["01-perfect"].score
    assert full is not None
    assert full > 0
    assert rows["06-untouched"].score == rows["11-deleted"].score == rows["12-tampered"].score == 0
    assert rows["10-renamed"].score is None
    for broken in ("02-half", "07-syntax", "08-exception", "09-endless"):
        assert 0 < (rows[broken].score or 0) < full, broken


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chapter", [pytest.param(c, id=c.slug) for c in chapters()])
def test_a_notebook_of_each_chapter_gets_the_points_it_earns(chapter, tmp_path):
    """All right but the last exercise, which was never begun: every point but those of that one."""
    row = run_chapter(chapter, tmp_path)
    whole = sum(exercise.total_points for exercise in chapter.exercises)
    assert row.score == row.expected == whole - chapter.exercises[-1].total_points
    assert 0 < row.expected < whole
