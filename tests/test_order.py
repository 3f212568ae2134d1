"""No chapter, notebook or check uses a name of rnnlib that a later chapter introduces."""

from pathlib import Path

import pytest

from course.audit import early_names, names_used
from course.library import public_names, reference
from course.sources import ROOT, chapters

FIXTURE = Path(__file__).parent / "fixtures" / "early.md"


def _pages():
    for page in sorted((ROOT / "book").glob("[0-9][0-9]-*.md")):
        yield pytest.param(page, page.stem, id=f"book/{page.name}")
    newest = max(page.stem for page in (ROOT / "book").glob("[0-9][0-9]-*.md"))
    for page in sorted((ROOT / "book").glob("[a-z]*.md")):  # landing page and appendices: whatever the book has so far
        yield pytest.param(page, newest, id=f"book/{page.name}")
    for chapter in chapters():
        yield pytest.param(chapter.folder / f"{chapter.slug}.md", chapter.slug, id=f"solutions/{chapter.slug}")
        released = ROOT / "exercises" / chapter.slug / f"{chapter.slug}.ipynb"
        yield pytest.param(released, chapter.slug, id=f"exercises/{chapter.slug}")
    own = {chapter.slug[3:].replace("-", "_"): chapter.slug for chapter in chapters()}
    for checks in sorted((ROOT / "course" / "checks").glob("*.py")):
        yield pytest.param(checks, own.get(checks.stem, newest), id=f"course/checks/{checks.name}")


@pytest.mark.parametrize(("path", "slug"), list(_pages()))
def test_uses_only_names_already_introduced(path, slug):
    """Everything a page takes from rnnlib belongs to its own chapter or to an earlier one."""
    assert not [str(early) for early in early_names(path, slug)]


def test_a_page_ahead_of_itself_is_reported():
    """The check sees an import, and a dotted use, of names of chapter 10 in a page of chapter 04."""
    found = {early.name for early in early_names(FIXTURE, "04-elman")}
    assert found == {"rnnlib.bptt.backward_through_time", "rnnlib.gradcheck", "rnnlib.gradcheck.numerical_gradient"}
    assert not early_names(FIXTURE, "10-bptt")


def test_star_imports_are_refused(tmp_path):
    """`import *` would hide what a page uses."""
    page = tmp_path / "star.md"
    page.write_text(
        FIXTURE.read_text(encoding="utf-8").replace("import backward_through_time", "import *"), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="hides which names"):
        early_names(page, "04-elman")


def test_implement_counts_as_use():
    """A graded cell uses the function that it implements."""
    assert list(names_used("%%implement rnnlib.bptt.backward_through_time")) == ["rnnlib.bptt.backward_through_time"]


def test_every_graded_function_is_introduced_in_its_own_chapter():
    """The chapter in a function's docstring is the chapter whose notebook asks for it."""
    known = public_names(reference())
    for chapter in chapters():
        for exercise in chapter.exercises:
            if exercise.implements:
                assert known[exercise.implements] == chapter.slug, exercise.id
