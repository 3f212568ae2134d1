"""Wrong versions that passed are left out while nothing they hang on has changed; the rest of the tests never are."""

import importlib.util
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from course.sources import ROOT

SPEC = importlib.util.spec_from_file_location("settled", ROOT / "tests" / "conftest.py")
settled = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(settled)

LONG = f"{settled.LONG}::test_pytest_tells_right_from_wrong"


@pytest.mark.parametrize(
    ("nodeid", "slug"),
    [
        (f"{LONG}[02-history-24]", "02-history"),
        (f"{LONG}[02-history]", "02-history"),
        (f"{LONG}[16-seq2seq-0]", "16-seq2seq"),
        ("tests/test_gates.py::test_something[02-history-24]", None),
        (LONG, None),
    ],
)
def test_what_a_test_hangs_on(nodeid, slug):
    """A chapter's wrong versions hang on that chapter; another test hangs on nothing and is never left out."""
    assert settled._digest(nodeid) == (slug and settled._hangs_on(slug))


def test_only_what_passed_with_the_same_sources_is_left_out():
    """Not what passed with others, nor what has not passed, nor another test of the same name."""
    same, other, new = (f"{LONG}[02-history-{start}]" for start in (0, 24, 48))
    items = [Mock(nodeid=nodeid) for nodeid in (same, other, new, "tests/test_gates.py::test_a")]
    config = SimpleNamespace(settled={same: settled._digest(same), other: "of older sources"})
    settled.pytest_collection_modifyitems(config, items)
    assert [item.nodeid for item in items] == [other, new, "tests/test_gates.py::test_a"]
