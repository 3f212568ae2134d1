"""What passed is not run again while nothing that it hangs on has changed, for the tests that take most of the time.

The wrong versions of all chapters take minutes. A test of them that passed is left out as long as the library, the
tooling, its chapter's sources and the versions of Python and NumPy are the same; the last lines say how many. They are
run when their file is named on the command line, with `--all-versions`, and in CI.
"""

import hashlib
import os
import platform
import re
from functools import cache

import numpy as np
import pytest

from course.sources import ROOT

LONG = "tests/test_misconceptions.py"
KEPT = "rnn-course/settled"


@cache
def _hangs_on(slug: str) -> str:
    digest = hashlib.sha256(f"{platform.python_version()} {np.__version__}".encode())
    folders = (ROOT / "rnnlib", ROOT / "course", ROOT / "solutions" / slug)
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix != ".pyc" and path.is_file()]
    for path in [ROOT / LONG, *sorted(found)]:
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _digest(nodeid: str) -> str | None:
    """What a long test hangs on; None for every other test."""
    match = re.fullmatch(re.escape(LONG) + r"::.*\[(\d\d-[a-z0-9-]*?[a-z][a-z0-9-]*?)(-\d+)?\]", nodeid)
    return match and _hangs_on(match[1])


def pytest_addoption(parser):
    parser.addoption("--all-versions", action="store_true", help="run every wrong version, also where nothing changed")


def _all_asked_for(config) -> bool:
    named = any("test_misconceptions" in argument for argument in config.invocation_params.args)
    return named or config.getoption("--all-versions") or "COURSE_CI" in os.environ


def pytest_configure(config):
    """The controller of several workers hands them what it read, so that all leave out the same."""
    cache = getattr(config, "cache", None)  # pytest may run without one: -p no:cacheprovider
    config.settled = dict(cache.get(KEPT, {})) if cache and not _all_asked_for(config) else {}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["settled"] = node.config.settled


def pytest_collection_modifyitems(config, items):
    """Leave out what is settled."""
    settled = getattr(config, "workerinput", {}).get("settled", config.settled)
    out = {item for item in items if item.nodeid in settled and settled[item.nodeid] == _digest(item.nodeid)}
    items[:] = [item for item in items if item not in out]


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed and (digest := _digest(report.nodeid)):
        _PASSED[report.nodeid] = digest


_PASSED: dict[str, str] = {}


def pytest_sessionfinish(session):
    cache = getattr(session.config, "cache", None)
    if cache and _PASSED and not hasattr(session.config, "workerinput"):
        cache.set(KEPT, cache.get(KEPT, {}) | _PASSED)


def pytest_terminal_summary(terminalreporter, config):
    out = [nodeid for nodeid, digest in config.settled.items() if digest == _digest(nodeid)]
    if out:
        terminalreporter.write_line(
            f"{len(out)} tests of wrong versions not run: they passed, and nothing that they hang on has changed "
            "(--all-versions runs them)"
        )
