"""A comparison stops the page that it stands on where two libraries differ."""

import numpy as np
import pytest

from course.comparison import Comparison


def test_equal_arrays_are_noted(capsys):
    """The difference is printed and kept under the name given."""
    compare = Comparison()
    compare("a pair", [1.0, 2.0], np.array([1.0, 2.0 + 1e-12]))
    assert compare.gaps == {"a pair": pytest.approx(1e-12, rel=1e-3)}
    assert capsys.readouterr().out.startswith("a pair: shape (2,), largest difference 1.0e-12")


@pytest.mark.parametrize("theirs", [[1.0, 2.1], [1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_a_difference_stops(theirs):
    """Another value, another shape (also one that would broadcast), or no number at all."""
    compare = Comparison()
    with pytest.raises(AssertionError, match="a pair"):
        compare("a pair", theirs, [1.0, 2.0])
    assert not compare.gaps


def test_the_tolerance_counts():
    """What is too far apart for float64 may be near enough for float32."""
    compare = Comparison()
    with pytest.raises(AssertionError):
        compare("a pair", [1.0], [1.0 + 1e-8])
    compare("a pair", [1.0], [1.0 + 1e-8], tolerance=1e-6)
