"""The book's extension, on a sample book: numbers, links, exercises, caches; and each warning it should give."""

import json
import re
import shutil

import pytest
from bs4 import BeautifulSoup
from conftest import SAMPLE, build_sample

from course.site import check_site
from course.sphinxext import copy_exercises, released_exercises


@pytest.fixture(scope="module")
def chapter(sample):
    return BeautifulSoup(sample.page("07-sample.html"), "html.parser")


def test_the_sample_passes_the_checks_on_the_site(sample):
    """A page with figure, formula, cards and quiz needs nothing from outside and has no dead link."""
    assert check_site(sample.html) == []


def test_chapters_are_numbered_as_their_files(chapter):
    """The file 07-sample is chapter 7 though it is the only one; its section, formula and figure follow."""
    assert chapter.select_one("article h1").get_text().startswith("7. A sample chapter")
    assert chapter.select_one("article h2").get_text().startswith("7.1. A formula")
    assert "(7.1)" in chapter.select_one("div.math .eqno").get_text()
    assert chapter.select_one("figcaption").get_text().strip().startswith("Fig. 7.1")


def test_an_exercise_is_linked_by_its_id(chapter, sample):
    """The role gives the function's name, linked to the anchor in the page made of the notebook."""
    link = chapter.select_one("a.exercise-link")
    assert link["href"] == "exercises/07-sample.html#07-sample/double"
    assert link.get_text() == "double"
    assert 'id="07-sample/double"' in sample.page("exercises/07-sample.html")


def test_figures_are_svg_with_alt_text(chapter):
    """A cell's picture is a vector drawing, described for those who cannot see it."""
    image = chapter.select_one("figure img")
    assert image["src"].endswith(".svg")
    assert image["alt"].startswith("Three steps")


def test_the_table_of_exercises_has_a_row_for_each(sample):
    """Points, minutes and links come from the released notebook's metadata."""
    rows = BeautifulSoup(sample.page("index.html"), "html.parser").select(".exercise-table tbody tr")
    assert [cell.get_text(strip=True) for cell in rows[0].select("td")] == ["7", "double", "Twice", "●○○○○", "5", "2"]
    assert "double" not in rows[-1].get_text()


def test_the_card_of_an_exercise_is_marked_for_the_style_sheet(sample):
    """The table on top of an exercise is told from other tables."""
    assert BeautifulSoup(sample.page("exercises/07-sample.html"), "html.parser").select("table.exercise-card")


def test_a_second_build_runs_no_cell_and_changes_no_page(sample):
    """The cache answers, and the same sources give the same bytes."""
    before = {path: path.read_bytes() for path in sample.html.rglob("*.html")}
    shutil.rmtree(sample.root / "_build" / "html")
    shutil.rmtree(sample.root / "_build" / ".doctrees")
    again = build_sample(sample.root)
    assert again.status == 0
    assert "Using cached" in again.output
    assert "Executing notebook using" not in again.output
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert changed == []


MISTAKES = {
    "no released notebook in the table of contents has the exercise '07-sample/triple'; there are: 07-sample/double": (
        "book/07-sample.md",
        "`07-sample/double`",
        "`07-sample/triple`",
    ),
    "07-sample.yml: question 1: answer 2: `feedback` is empty": (
        "book/_study/07-sample.yml",
        '"That one maps the state."',
        '" "',
    ),
    "08-other.yml: there is no such file": ("book/07-sample.md", "{quiz} 07-sample", "{quiz} 08-other"),
    "ZeroDivisionError": ("book/07-sample.md", "use_style()\n", "use_style(); 1 / 0\n"),
    "duplicate citation|could not find bibtex key|elman1991": ("book/07-sample.md", "`elman1990`", "`elman1991`"),
}


def test_every_mistake_fails_the_build_and_is_named(tmp_path):
    """One build with all the mistakes: each is reported with a text that says what to mend."""

    def edit(root):
        for path, old, new in MISTAKES.values():
            text = (root / path).read_text(encoding="utf-8")
            assert old in text
            (root / path).write_text(text.replace(old, new), encoding="utf-8")

    built = build_sample(tmp_path, edit)
    assert built.status != 0
    unnamed = [message for message in MISTAKES if message not in built.output and not re.search(message, built.output)]
    assert unnamed == []


def test_copies_are_only_rewritten_when_they_change(tmp_path):
    """An unchanged notebook keeps its time stamp, so Sphinx does not read it again; a stale copy goes."""
    source, target = tmp_path / "exercises", tmp_path / "book"
    shutil.copytree(SAMPLE / "exercises", source)
    assert copy_exercises(source, target) == ["07-sample.ipynb"]
    assert copy_exercises(source, target) == []
    (target / "06-gone.ipynb").write_text("{}")
    assert copy_exercises(source, target) == ["06-gone.ipynb"]
    assert [path.name for path in target.iterdir()] == ["07-sample.ipynb"]


def test_without_released_notebooks_nothing_is_copied(tmp_path):
    """A book can be built before any exercise is released."""
    assert copy_exercises(tmp_path / "exercises", tmp_path / "book") == []
    assert released_exercises(tmp_path / "exercises") == {}


def test_a_notebook_that_is_none_is_named(tmp_path):
    """A broken file among the released notebooks is an error with its name."""
    (tmp_path / "05-x").mkdir()
    path = tmp_path / "05-x" / "05-x.ipynb"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"05-x\.ipynb is not a released notebook"):
        released_exercises(tmp_path)
    path.write_text(json.dumps({"metadata": {"course": {"exercises": {"f": {"points": 1}}}}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"05-x\.ipynb is not a released notebook"):
        released_exercises(tmp_path)
