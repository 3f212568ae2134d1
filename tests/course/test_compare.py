"""Results held against expected ones: what differs, where, by how much; and nothing that pretends passes."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from test_plain import ARRAYS, VALUES

from course.checks import toys
from course.checks.compare import differences, map_arrays, same

A = np.array([[1.0, 2.0], [3.0, 4.0]])


@given(VALUES)
def test_everything_equals_itself(value):
    """Whatever plain data it is, nan included, its copy is no difference."""
    assert differences(map_arrays(value, np.copy), value) == []


@given(ARRAYS.filter(lambda a: a.size and a.dtype.kind != "b"))
def test_one_changed_entry_is_found_and_placed(array):
    """Any array, any type: the message names the one entry that is wrong."""
    array = np.array(np.nan_to_num(array.astype(float) % 97, nan=5.0))
    wrong = array.copy()
    at = tuple(n // 2 for n in wrong.shape)
    wrong[at] += 1.5
    [line] = differences(wrong, array, "h")
    assert f"h is wrong in 1 of {array.size} entries; most" in line
    assert (f"at {list(at)}" in line) or not at


def test_names_of_a_result_with_another_number_of_parts_are_not_used():
    """Where two answers of a student's are compared, both may have a part too many."""
    assert differences((1.0, 2.0, A), (1.0, 2.0, A), ("loss", "h")) == []
    assert differences((1.0, 2.0, 9.0), (1.0, 2.0, 3.0), ("loss", "h")) == ["the result[2] is 9, expected 3"]


MESSAGES = {
    "number": (1.5, 2.0, "loss", ["loss is 1.5, expected 2"]),
    "number for nan": (float("nan"), 2.0, "loss", ["loss is nan, expected 2"]),
    "0-d array as a number": (np.array(1.5), 2.0, "loss", ["loss is 1.5, expected 2"]),
    "entry": (
        A + np.array([[0, 0], [0, 0.5]]),
        A,
        "h",
        ["h is wrong in 1 of 4 entries; most at [1, 1]: got 4.5, expected 4"],
    ),
    "worst of several": (
        A * [[2, 1], [1, 3]],
        A,
        "h",
        ["h is wrong in 2 of 4 entries; most at [1, 1]: got 12, expected 4"],
    ),
    "0-d array": (np.array(1.0), np.array(2.0), "h", ["h is wrong in 1 of 1 entries; most: got 1, expected 2"]),
    "shape": (A.ravel(), A, "h", ["h has shape (4,), expected (2, 2)"]),
    "nan": (A * [[np.nan, 1], [1, np.nan]], A, "h", ["h has 2 nan among its 4 entries, expected numbers"]),
    "inf": (np.array([1.0, np.inf]), A[0], "h", ["h is wrong in 1 of 2 entries; most at [1]: got inf, expected 2"]),
    "nan where another nan belongs": (
        np.array([np.nan, np.nan]),
        np.array([np.nan, 2.0]),
        "h",
        ["h is wrong in 1 of 2 entries; most at [1]: got nan, expected 2"],
    ),
    "complex": (A * 1j, A, "h", ["h has dtype complex128, expected real numbers"]),
    "object array": (A.astype(object), A, "h", ["h has dtype object, expected real numbers"]),
    "None": (None, A, "h", ["h is None (is a `return` missing?), expected an array of shape (2, 2)"]),
    "None for a tuple": (
        None,
        (A,),
        ("h",),
        ["the result is None (is a `return` missing?), expected a tuple of 1: (h,)"],
    ),
    "None for a number": (None, 2.0, "loss", ["loss is None (is a `return` missing?), expected a number"]),
    "list for an array": ([1.0], A, "h", ["h is a list of 1, expected an array of shape (2, 2)"]),
    "number for an array": (1.0, A, "h", ["h is float 1.0, expected an array of shape (2, 2)"]),
    "array for a number": (A, 2.0, "loss", ["loss is an array of shape (2, 2), expected a number"]),
    "truth for a number": (True, 1, "n", ["n is bool True, expected a number"]),
    "text for a number": ("2", 2, "n", ["n is str 2, expected a number"]),
    "text": ("relu", "tanh", "phi", ["phi is str relu, expected 'tanh'"]),
    "truth": (False, True, "ok", ["ok is bool False, expected True"]),
    "mask": (
        np.array([True, True]),
        np.array([True, False]),
        "m",
        ["m is wrong in 1 of 2 entries; most at [1]: got True, expected False"],
    ),
    "array for a tuple": (
        A,
        (A, A),
        ("dx", ("dh",)),
        ["the result is an array of shape (2, 2), expected a tuple of 2: (dx, (dh,))"],
    ),
    "list for a tuple": ([A], (A,), "hs", ["hs is a list of 1, expected a tuple of 1"]),
    "too few": ((A,), (A, A), ("a", "b"), ["the result is a tuple of 1, expected a tuple of 2: (a, b)"]),
    "part of a part": ((A, (A + 1,)), (A, (A,)), ("dx", ("dh_prev",)), ["dh_prev is wrong in 4 of 4 entries"]),
    "unnamed parts": ((A, 1), (A, 2), "result", ["result[1] is 1, expected 2"]),
    "entry of a dict": (({"W": A + 1},), ({"W": A},), ("grads",), ["grads['W'] is wrong in 4 of 4 entries"]),
    "key missing": ({"W": A}, {"W": A, "b": A}, "grads", ["grads has the keys W, expected W, b"]),
    "key too many": ({"W": A, "c": 1}, {"W": A}, "grads", ["grads has the keys W, c, expected W"]),
    "no keys": ({}, {"W": A}, "grads", ["grads has the keys (none), expected W"]),
    "list for a dict": ([A], {"W": A}, "grads", ["grads is a list of 1, expected a dict with W"]),
    "every part": ((A + 1, 3), (A, 4), ("h", "n"), ["h is wrong in 4 of 4 entries", "n is 3, expected 4"]),
    "function": (toys.running_total, toys.leaky_step, "step", ["step is a function, expected the function leaky_step"]),
}


@pytest.mark.parametrize(("got", "want", "names", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_what_is_said(got, want, names, expected):
    """What came, what was expected, where: in the words of the book's names."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lines = differences(got, want, names)
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


AGREE = {
    "rounding": (A * (1 + 1e-9), A),
    "int array for floats": (A.astype(int), A),
    "float32 is near enough where it is exact": (A.astype(np.float32), A),
    "int for float": (2, 2.0),
    "numpy number": (np.float64(2.0), 2.0),
    "0-d array": (np.array(2.0), 2.0),
    "numpy truth": (np.True_, True),
    "equal nan": (np.array([np.nan]), np.array([np.nan])),
    "inf": (np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf])),
    "empty array": (np.zeros((0, 3)), np.zeros((0, 3))),
    "order of keys": ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
    "the same function": (toys.leaky_step, toys.leaky_step),
}


@pytest.mark.parametrize(("got", "want"), AGREE.values(), ids=AGREE)
def test_what_is_right_in_another_form_is_right(got, want):
    """Right numbers in a type that NumPy users return are right."""
    assert same(got, want)


# --- objects that lie


class AlwaysEqual:
    """Says yes to every question."""

    shape, ndim, size = (2, 2), 2, 4
    dtype = np.dtype(float)
    __hash__ = None

    def __eq__(self, other):
        return True

    def __len__(self):
        return 2

    def __iter__(self):
        return iter((self, self))

    def __getitem__(self, _key):
        return self

    def __float__(self):
        return 2.0

    def __array__(self, *args, **kwargs):
        return A.copy()

    def __array_ufunc__(self, *args, **kwargs):
        return np.zeros((2, 2), bool)

    def __array_function__(self, *args, **kwargs):
        return np.ones((2, 2), bool)

    def __invert__(self):
        return np.zeros((2, 2), bool)


class SaysItIsAnArray(AlwaysEqual):
    __class__ = np.ndarray


class SaysItIsAFloat(AlwaysEqual):
    __class__ = float


class LyingArray(np.ndarray):
    def __array_function__(self, *args, **kwargs):
        return np.ones((2, 2), bool)

    def __array_ufunc__(self, *args, **kwargs):
        return np.zeros((2, 2), bool)


class LyingFloat(float):
    def __array_function__(self, *args, **kwargs):
        return True

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class LyingFloat64(np.float64):
    def __array_function__(self, *args, **kwargs):
        return True


class LyingText(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class LyingTuple(tuple):
    __slots__ = ()

    def __len__(self):
        return 1

    def __iter__(self):
        return iter((A,))


class LyingDict(dict):
    def __getitem__(self, _key):
        return A


class Raises:
    """Raises whenever it is looked at."""

    def __getattribute__(self, name):
        raise RuntimeError("do not look at me")

    def __repr__(self):
        raise RuntimeError("do not print me")

    def __eq__(self, other):
        raise RuntimeError("do not compare me")

    __hash__ = None


class RaisesExit(Raises):
    def __getattribute__(self, name):
        raise ValueError(name)


class RaisingMeta(type):
    def __repr__(cls):
        raise RuntimeError("no")

    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(metaclass=RaisingMeta):
    pass


WANTED = {
    "array": A,
    "number": 2.0,
    "text": "tanh",
    "truth": True,
    "None": None,
    "tuple": (A,),
    "list": [A],
    "dict": {"W": A},
}
LIARS = [
    AlwaysEqual(),
    SaysItIsAnArray(),
    SaysItIsAFloat(),
    np.zeros((2, 2)).view(LyingArray),
    np.zeros(()).view(LyingArray),
    np.ma.array(np.zeros((2, 2)), mask=True),
    np.ma.array(0.0, mask=True),
    np.ma.masked,
    LyingFloat(7),
    LyingFloat64(7),
    LyingText("relu"),
    LyingTuple((1, 2)),
    LyingDict(W=1),
    Raises(),
    RaisesExit(),
    Nameless(),
    np.array([[AlwaysEqual()] * 2] * 2, dtype=object),
    np.array(AlwaysEqual(), dtype=object),
]


@pytest.mark.parametrize("want", WANTED.values(), ids=WANTED)
@pytest.mark.parametrize("which", range(len(LIARS)))
def test_no_pretender_passes(which, want):
    """An object that answers every comparison with yes, or refuses to be looked at, is a wrong answer, not a crash."""
    liar = LIARS[which]  # pytest would look at it
    for wrapped, wanted in ((liar, want), ((1, liar), (1, want)), ({"a": liar}, {"a": want})):
        lines = differences(wrapped, wanted)
        assert lines
        assert all(isinstance(line, str) for line in lines)


def test_a_matrix_is_told_to_be_one():
    """An honest subclass of array gets a sentence that helps."""
    assert differences(A.view(np.matrix), A, "h") == ["h is a matrix, expected an array of shape (2, 2)"]
