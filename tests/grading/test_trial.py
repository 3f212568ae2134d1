"""Before a class is graded the tests are tried on the course's own answers, once."""

import json
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_submissions as made
import pytest
from made_runs import class_of, finished, grades, order, work_here
from made_submissions import SLUG

from course.grading import batch
from course.grading.batch import OWN, grade_all
from course.grading.errors import TESTS, Stopped

HIDDEN = f"{SLUG}--shapes--hidden"


def with_hidden_test(source: str, **limits: float) -> Any:
    bundle = made.small("shapes", **limits)
    notebook = bundle.notebook()
    made.cell_of(notebook, HIDDEN).source = source
    return replace(bundle, skeleton=json.dumps(notebook))


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose work was graded, in order; the runs are in this process."""
    names: list[str] = []
    work_here(monkeypatch, lambda name: bool(names.append(name)), 2)
    return names


def run(monkeypatch: pytest.MonkeyPatch, bundle: Any, folder: Path, root: Path) -> Any:
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: bundle)
    return grade_all(order(folder, root))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("assert shapes(1, 2, 3, 4, 5) is None", "0 of 1 points. AssertionError"),
        ("no_such_name", "0 of 1 points. NameError: name 'no_such_name' is not defined"),
        ("0.5", "0.5 of 1 points"),
        ("return", "not plain Python"),
        ("while True:\n    pass", "does not end"),
    ],
)
def test_a_broken_test_is_told_before_anybody_gets_a_grade(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, submitted: list[str], source: str, said: str
) -> None:
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 4)
    with pytest.raises(Stopped) as stopped:
        run(monkeypatch, with_hidden_test(source, test_seconds=1.0), folder, root)
    assert stopped.value.code == TESTS
    assert HIDDEN in str(stopped.value)
    assert said in str(stopped.value)
    assert (finished(root), grades(root)) == ([], {})
    assert not (root / "autograded").exists()


def test_each_version_of_the_tests_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, submitted: list[str]
) -> None:
    """Where right answers pass, the class is graded; the next run does not try again, new tests are tried."""
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 2)
    assert run(monkeypatch, made.small("shapes"), folder, root).graded == 2
    assert submitted == [OWN, "s00", "s01"]
    for path in folder.rglob("*.ipynb"):  # handed in anew
        path.write_bytes(path.read_bytes() + b" ")
    assert run(monkeypatch, made.small("shapes"), folder, root).graded == 2
    assert submitted[3:] == ["s00", "s01"]
    assert run(monkeypatch, with_hidden_test("answer = shapes(1, 2, 3, 4, 5)"), folder, root).graded == 2
    assert submitted[5:] == [OWN, "s00", "s01"]


def test_nothing_is_tried_where_nothing_is_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, submitted: list[str]
) -> None:
    (tmp_path / "in" / "s00" / SLUG).mkdir(parents=True)
    assert run(monkeypatch, made.small("shapes"), tmp_path / "in", tmp_path / "course").graded == 1
    assert submitted == []


def test_tests_that_end_the_worker_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A crash while the course's own answers are graded is not put on a student."""
    work_here(monkeypatch, lambda name: name == OWN, 3)
    root, folder = tmp_path / "course", class_of(tmp_path / "in", 2)
    with pytest.raises(Stopped, match="ended the worker process") as stopped:
        run(monkeypatch, made.small("shapes"), folder, root)
    assert stopped.value.code == TESTS
    assert grades(root) == {}


def test_no_more_workers_than_submissions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = []

    @contextmanager
    def workers(count: int) -> Iterator[tuple[Executor, int]]:
        counts.append(count)
        raise BrokenExecutor
        yield

    monkeypatch.setattr(batch, "_local_workers", workers)
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: made.small("shapes"))
    for students in (1, 2, 5):
        wanted = order(class_of(tmp_path / f"in{students}", students), tmp_path / "course", workers=3)
        with pytest.raises(BrokenExecutor):
            grade_all(wanted)
    assert counts == [1, 2, 3]
