"""The checks are tested: every known wrong version is caught, the reference passes, the stub scores nothing."""

import pytest

from course.mutants import notebook_rows, pytest_rows, variants
from course.sources import chapters

MINIMUM = 5
CHUNK = 100  # versions per test: a start-up costs as much as twenty of them, and two workers share the tests


def _chunks():
    for chapter in chapters():
        found = variants(chapter)
        for start in range(0, len(found), CHUNK):
            yield pytest.param(chapter, found[start : start + CHUNK], id=f"{chapter.slug}-{start}")


@pytest.mark.parametrize("chapter", [pytest.param(c, id=c.slug) for c in chapters()])
def test_every_graded_function_has_enough_misconceptions(chapter):
    """At least five realistic wrong versions of each graded function, each with a diagnosis of its own."""
    for exercise in chapter.exercises:
        own = [m for m in chapter.mutants if m.exercise.id == exercise.id]
        assert len(own) >= MINIMUM, f"{exercise.id} has {len(own)}"
        assert len({m.says for m in own}) == len({m.name for m in own}) == len(own), exercise.id


@pytest.mark.parametrize(("chapter", "wanted"), list(_chunks()))
def test_the_graded_cells_tell_right_from_wrong(chapter, wanted):
    """Visible and hidden cells pass the reference, fail the stub and every wrong version, and name the cause."""
    from dataclasses import replace

    rows = list(notebook_rows(chapter, wanted))
    faults = [f"{row.variant.id}: {f}" for row in rows for f in replace(row, pytest=row.visible).faults]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("chapter", "wanted"), list(_chunks()))
def test_pytest_tells_right_from_wrong(chapter, wanted):
    """The checks that a learner runs with pytest pass the reference and fail everything else."""
    for variant, error in zip(wanted, pytest_rows(chapter, wanted), strict=True):
        assert (error is None) == (variant.name == "(reference)"), f"{variant.id}: {error or 'survives'}"
