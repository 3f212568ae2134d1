"""No line of an answer stands where a learner looks before she has written it."""

import pytest

from course.audit import answer_lines, leaks
from course.sources import ROOT, chapters
from course.workspace import start

LINES = answer_lines(chapters())


def test_there_are_lines_to_look_for():
    """The list that the other tests search with is made of real answers."""
    assert len(LINES) > 30
    assert any("np.tanh" in line for line in LINES)


def test_released_notebooks_hold_no_answer():
    """Neither the answers nor the hidden tests are left in a released notebook."""
    assert not leaks([ROOT / "exercises"], LINES)


def test_the_kit_holds_no_answer(tmp_path):
    """A fresh workspace, and the package that comes with it, give no answer away."""
    start(tmp_path / "kit")
    package = [path for path in (ROOT / "course").rglob("*") if path.suffix in {".py", ".json", ".ini", ".md"}]
    assert not leaks([tmp_path / "kit", *package], LINES)


@pytest.mark.site
def test_the_site_holds_no_answer():
    """Pages, their sources, the search index and downloads give no answer away."""
    site = ROOT / "_build" / "html"
    assert (site / "searchindex.js").exists(), "build the book first: make book"
    assert not leaks([site], LINES)


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("page.html", lambda line: f"<pre><span>{line[:9].replace('<', '&lt;')}</span>{line[9:]}</pre>"),
        ("book.ipynb", lambda line: '{"cells": [{"source": ["' + line.replace('"', '\\"') + '"]}]}'),
        ("searchindex.js", lambda line: f'Search.setIndex({{"x": "{line}"}})'),
        ("module.py", lambda line: f"    {line}  # found"),
    ],
)
def test_a_leak_is_found_in_every_kind_of_file(tmp_path, name, wrap):
    """A planted line is reported, also where tags and quotes cut it up."""
    line = next(line for line in LINES if "np.tanh" in line)
    (tmp_path / name).write_text(wrap(line), encoding="utf-8")
    assert leaks([tmp_path], LINES)
