"""The tests of `course grade` have a marker of their own: they start sandboxes and take minutes.

With COURSE_CI=1, as CI sets it, a test that is skipped has failed: what it needs must be installed there.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_runs
import pytest

from course.grading import batch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("grading")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _no_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _no_skips((yield))


def _no_skips(report: Any) -> Any:
    if os.environ.get("COURSE_CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which COURSE_CI forbids: {report.longrepr[2]}"
    return report


@pytest.fixture
def one_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs grade a notebook of one exercise."""
    monkeypatch.setattr(batch, "make_bundle", lambda chapter: made_runs.BUNDLE)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can read: pytest's own are for their owner, and root runs bubblewrap as nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def small(one_exercise: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and in this process: starting workers takes seconds."""
    made_runs.work_here(monkeypatch)
