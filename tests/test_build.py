"""What is generated is what the sources make, and the same every time."""

import json

import nbformat
import numpy as np
import pytest

from course.build import EXERCISES, _gap, build, released, source_notebook, stale
from course.checks.compare import differences
from course.checks.data_file import load
from course.exercises import DATA
from course.sources import chapters

CHAPTERS = [pytest.param(chapter, id=chapter.slug) for chapter in chapters()]


def test_generated_files_are_current(tmp_path):
    """Notebooks and check data in the repository are what `make exercises` would write."""
    assert not [path.name for path in stale(tmp_path)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_release_is_deterministic(chapter, tmp_path):
    """Two runs of nbgrader in two places give the same bytes."""
    assert released(chapter, tmp_path / "a") == released(chapter, tmp_path / "b")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_released_notebook_is_valid_and_bare(chapter):
    """It is a valid notebook without outputs, answers or hidden tests, and every graded cell is locked."""
    text = (EXERCISES / chapter.slug / f"{chapter.slug}.ipynb").read_text(encoding="utf-8")
    nbformat.validate(json.loads(text))
    for word in ("BEGIN SOLUTION", "BEGIN HIDDEN", "def oracle"):
        assert word not in text
    for cell in nbformat.reads(text, as_version=4).cells:
        assert not cell.get("outputs")
        meta = cell.metadata.get("nbgrader", {})
        assert meta.get("locked", True) or meta["solution"]
        assert meta.get("checksum", "some") is not None


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_exercise_has_card_stub_hints_checks_and_hidden_tests(chapter):
    """The parts that every exercise is made of are there, in order, under one id."""
    notebook = nbformat.read(EXERCISES / chapter.slug / f"{chapter.slug}.ipynb", as_version=4)
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    sources = [cell.source for cell in notebook.cells]
    for exercise in chapter.exercises:
        card = next(i for i, source in enumerate(sources) if f'<a id="{exercise.id}">' in source)
        answer, check, hidden = (ids.index(exercise.token + end) for end in ("", "--check", "--hidden"))
        assert card < answer < check < hidden, exercise.id
        assert exercise.id in sources[answer], f"the stub of {exercise.id} does not name it"
        hints = "".join(sources[card:check]).count("<details>")
        assert hints == 3, f"{exercise.id} has {hints} hints, expected three folds"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_notebook_ends_its_experiments_in_a_picture(chapter):
    """There is at least one experiment, and it draws."""
    experiments = [c.source for c in source_notebook(chapter).cells if "experiment" in c.metadata.get("tags", [])]
    assert any("plt." in source or "figure" in source for source in experiments)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_check_cells_name_only_graded_functions_and_their_own_imports(chapter):
    """A graded test runs away from the learner's session: it may use nothing else that the session defines."""
    import ast
    import builtins

    graded = {exercise.name for exercise in chapter.exercises}
    for cell in source_notebook(chapter).cells:
        meta = cell.metadata.get("nbgrader", {})
        if not meta.get("grade"):
            continue
        tree = ast.parse(cell.source)
        stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        stored |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        stored |= {a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in [*n.args, *n.kwonlyargs]}
        stored |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                stored |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        unknown = {name for name in loaded - stored - graded if not hasattr(builtins, name)}
        assert not unknown, f"{meta['grade_id']} uses {unknown}"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_check_data_comes_back_as_it_was_made(chapter):
    """Examples and answers read from disk are those that the build computes."""
    from course.build import check_data

    on_disk = load(chapter.slug)
    for exercise_id, made in check_data(chapter).items():
        assert not differences(on_disk[exercise_id].answers, made.answers), exercise_id


def test_a_stale_file_is_reported(tmp_path, monkeypatch):
    """A notebook changed by hand, and one that nothing generates, are both named."""
    monkeypatch.setattr("course.build.EXERCISES", tmp_path / "exercises")
    monkeypatch.setattr("course.build.DATA", tmp_path / "data")
    monkeypatch.setattr("course.build.chapters", lambda: chapters()[:2])  # the test of what is current takes all
    assert build(tmp_path / "nbgrader")
    assert not stale(tmp_path / "nbgrader")
    first = next((tmp_path / "exercises").glob("*/*.ipynb"))
    first.write_text(first.read_text(encoding="utf-8").replace("card", "cart", 1) + " ", encoding="utf-8")
    orphan = tmp_path / "exercises" / "99-none" / "99-none.ipynb"
    orphan.parent.mkdir()
    orphan.write_text("{}", encoding="utf-8")
    assert stale(tmp_path / "nbgrader") == sorted([first, orphan])
    assert DATA.exists()


def test_an_answer_of_booleans_is_held_against_its_oracle():
    """Two arrays of True and False are equal, or 1 apart; NumPy has no difference of booleans."""
    yes = np.array([True, False])
    assert _gap(yes, yes.copy()) == 0
    assert _gap((yes,), (~yes,)) == 1
    assert _gap(yes, yes[:1]) == np.inf


def test_infinite_answers_agree_with_themselves_alone():
    """The logarithm of nothing is -inf in reference and oracle; inf, NaN or a number there is another answer."""
    nothing = np.array([-np.inf, 1.0])
    assert _gap(nothing, nothing.copy()) == 0
    assert _gap(nothing, -nothing) == np.inf
    assert not _gap(nothing, np.array([np.nan, 1.0])) <= 1e-10
    assert _gap(nothing, np.array([-1e9, 1.0])) == np.inf
