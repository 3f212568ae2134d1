"""`%chapter`: which `rnnlib` a notebook works on."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_course import LIBRARY

from course.implement import NoSuchChapter, implement, use_chapter
from course.workspace import start


def folder_of_rnnlib() -> Path:
    return Path(importlib.import_module("rnnlib").__file__).parent


def text_of(name: str) -> str:
    return Path(importlib.import_module(f"rnnlib.{name}").__file__).read_text()


def test_a_workspace_beside_the_notebook_is_used(desk, capsys):
    """Its own rnnlib is imported, and the learner is told that her work is saved."""
    use_chapter("02-two")
    assert capsys.readouterr().out == "Chapter 02-two. What you implement is saved in my-rnn/rnnlib.\n"
    assert folder_of_rnnlib() == desk.root / "rnnlib"
    assert sys.path[0] == str(desk.root)


def test_in_a_workspace_earlier_chapters_are_not_filled_in(desk):
    """It is her library: what she has not written is a stub, in any chapter's notebook."""
    before = desk.files()
    use_chapter("03-three")
    with pytest.raises(NotImplementedError, match="01-one/double"):
        importlib.import_module("rnnlib.sums").double(np.ones(2))
    assert desk.files() == before


@pytest.mark.parametrize(("slug", "written"), [("01-one", []), ("02-two", ["sums"]), ("03-three", ["sums", "cells"])])
def test_without_a_workspace_earlier_chapters_are_filled_in(toy, tmp_path, capsys, slug, written):
    """A temporary library has the answers of the chapters before, and stubs from this one on."""
    use_chapter(slug)
    assert "lives until the kernel stops; earlier chapters are filled in" in capsys.readouterr().out
    assert folder_of_rnnlib() != toy / "rnnlib"
    assert list(tmp_path.iterdir()) == []
    for name in ("sums", "cells", "chain"):
        answered = (toy / "rnnlib" / f"{name}.py").read_text() == text_of(name)
        assert answered == (name in written)
        assert ("raise NotImplementedError" in text_of(name)) == (name not in written)


def test_answers_cannot_be_imported(toy):
    """No module of rnnlib that can be imported now holds the body of a function of this chapter."""
    use_chapter("01-one")
    for name in ("sums", "cells", "chain"):
        assert "np.tanh(double(x)" not in text_of(name)
        assert "y = x + x" not in text_of(name)
    implement("rnnlib.sums.double", "", names := {})
    with pytest.raises(NotImplementedError, match="Exercise 01-one/double is not written yet"):
        names["double"](np.ones(2))


@pytest.mark.parametrize("place", ["workspace", "nowhere"])
def test_rnnlib_imported_before_is_replaced(toy, tmp_path, monkeypatch, place):
    """Whatever `import rnnlib` meant until now, from here on it is the notebook's."""
    monkeypatch.syspath_prepend(str(toy))
    old = importlib.import_module("rnnlib.chain")
    assert folder_of_rnnlib() == toy / "rnnlib"
    if place == "workspace":
        start(tmp_path / "mine")
        monkeypatch.chdir(tmp_path / "mine")
    use_chapter("01-one")
    assert not [name for name in sys.modules if name.partition(".")[0] == "rnnlib"]
    assert importlib.import_module("rnnlib.chain") is not old
    assert folder_of_rnnlib() != toy / "rnnlib"


def test_a_second_chapter_starts_afresh(toy):
    """The same kernel may open another chapter; what was implemented for this session is gone with the library."""
    use_chapter("01-one")
    implement("rnnlib.sums.double", "def double(x):\n    return 99\n", {})
    use_chapter("02-two")
    assert importlib.import_module("rnnlib.sums").double(np.ones(1)).tolist() == [2]


def test_a_notebook_at_the_top_of_a_checkout_does_not_get_the_answers(toy, monkeypatch):
    """There the folder beside it is the reference: a staged copy is used instead."""
    monkeypatch.chdir(toy)
    use_chapter("01-one")
    assert folder_of_rnnlib() != toy / "rnnlib"
    assert "y = x + x" not in text_of("sums")
    assert (toy / "rnnlib" / "sums.py").read_text() == LIBRARY["sums.py"]


@pytest.mark.parametrize("slug", ["", "4", "01", "one", "99-nine", "01-one/double", "../01-one", "01-ONE"])
def test_a_chapter_that_there_is_not_is_told(toy, slug):
    """The names that there are are in the message, and the session is as it was."""
    modules, path = dict(sys.modules), list(sys.path)
    with pytest.raises(NoSuchChapter, match="there are: 01-one, 02-two, 03-three"):
        use_chapter(slug)
    assert (dict(sys.modules), sys.path) == (modules, path)


def test_the_magic_in_a_notebook(desk, shell, capsys):
    """It prints one sentence, and a wrong name is no traceback."""
    shell.run_cell("%chapter 01-one")
    assert capsys.readouterr().out == "Chapter 01-one. What you implement is saved in my-rnn/rnnlib.\n"
    shell.run_cell("%chapter 7-x")
    shown = capsys.readouterr()
    assert (
        shown.out + shown.err
    ).strip() == "'7-x' is not a chapter with exercises; there are: 01-one, 02-two, 03-three"


def test_the_temporary_library_goes_with_the_session(toy):
    """Nothing is left in the folder for temporary files."""
    script = "from course.implement import use_chapter\nuse_chapter('01-one')\nimport rnnlib\nprint(rnnlib.__file__)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    folder = Path(run.stdout.splitlines()[-1]).parent.parent
    assert folder.name.startswith("rnnlib-")
    assert not folder.exists()
