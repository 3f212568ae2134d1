"""Plain data: what may cross from one process to another, and that nothing else may."""

import collections
import enum
import functools
import io
import json
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course.checks import toys
from course.checks.data_file import _npz
from course.plain import PlainError, flatten, restore

DTYPES = st.one_of(
    st.just(np.dtype(bool)),
    hnp.integer_dtypes(endianness="="),
    hnp.unsigned_integer_dtypes(endianness="="),
    hnp.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ARRAYS = hnp.arrays(DTYPES, SHAPES)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ARRAYS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(["float", "array", "dict"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def same_to_the_bit(a, b) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_to_the_bit, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same_to_the_bit(a[k], b[k]) for k in a)
    return a == b


def there_and_back(value):
    """Through JSON and an npz file, as to disk."""
    skeleton, arrays = flatten(value)
    with np.load(io.BytesIO(_npz(arrays)), allow_pickle=False) as archive:
        return restore(json.loads(json.dumps(skeleton)), [archive[f"{i:04d}"] for i in range(len(archive.files))])


@given(VALUES)
def test_what_is_written_is_what_is_read(value):
    """None, bool, int, float, str, arrays, nested in lists, tuples and dicts: types, shapes and bits."""
    assert same_to_the_bit(there_and_back(value), value)


@given(VALUES)
def test_what_is_read_shares_nothing(value):
    """Whoever changes a restored array changes no other reader's."""
    skeleton, arrays = flatten(value)
    before = [a.copy() for a in arrays]
    for leaf in _arrays(restore(skeleton, arrays)):
        leaf[...] = 1
    assert all(map(same_to_the_bit, arrays, before))


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _arrays(item)


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3).T, np.arange(10)[::2], np.asfortranarray(np.eye(3)[:, :2]), np.array(2.0)]
)
def test_order_in_memory_does_not_matter(array):
    """Views, transposes and 0-d arrays come back with their shape."""
    back = there_and_back(array)
    assert back.shape == array.shape
    assert (back == array).all()


def test_numpy_scalars_become_pythons():
    """Numbers stay numbers."""
    value = there_and_back([np.float32(0.5), np.float64(0.1), np.int8(-3), np.str_("a")])
    assert value == [0.5, 0.1, -3, "a"]
    assert [type(v) for v in value] == [float, float, int, str]


def test_functions_go_by_name(desk):
    """Those of the toys and of rnnlib; what comes back is the function that the name means now."""
    step = desk.module("cells").cell_step
    assert there_and_back((toys.leaky_step, step)) == (toys.leaky_step, step)
    skeleton, arrays = flatten(step)
    desk.implement("cells.cell_step", "def cell_step(params, x, state, *, phi='tanh'):\n    return x\n")
    assert restore(skeleton, arrays) is desk.names["cell_step"]


# --- refused

Point = collections.namedtuple("Point", "x y")


class Pretender:
    __module__ = "course.checks.toys"

    def __call__(self):
        return 1


def _outer():
    def inner():
        return 1

    inner.__module__ = "course.checks.toys"
    return inner


def _named(function, module):
    function.__module__ = module
    return function


def _cycle():
    cycle = []
    cycle.append(cycle)
    return cycle


def _deep():
    deep = None
    for _ in range(sys.getrecursionlimit() + 10):
        deep = [deep]
    return deep


REFUSED = {
    "object": object(),
    "set": {1},
    "frozenset": frozenset(),
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "complex": 1j,
    "range": range(3),
    "generator": (i for i in "ab"),
    "type": int,
    "module": np,
    "ellipsis": ...,
    "array of objects": np.array([None]),
    "array of complex": np.array([1j]),
    "array of text": np.array(["a"]),
    "array of dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "records": np.zeros(2, dtype=[("a", int)]),
    "masked array": np.ma.array([1.0, 2.0], mask=[True, False]),
    "matrix": np.zeros((2, 2)).view(np.matrix),
    "number as key": {1: 2},
    "tuple as key": {("a",): 2},
    "one key not text": {"a": 1, None: 2},
    "named tuple": Point(1, 2),
    "ordered dict": collections.OrderedDict(a=1),
    "counter": collections.Counter("a"),
    "enum": enum.Enum("Colors", "red").red,
    "lambda": lambda: 1,
    "lambda that says it is a toy": _named(lambda: 1, "course.checks.toys"),
    "inner function that says it is a toy": _outer(),
    "instance that says it is a toy": Pretender(),
    "class that says it is a toy": Pretender,
    "function of another module": json.dumps,
    "function that says it is in another module": _named(lambda: 1, "rnnlibs.sums"),
    "function of a module with a longer name": _named(lambda: 1, "course.checks.toys_too"),
    "function without a module": _named(lambda: 1, None),
    "builtin": len,
    "ufunc": np.exp,
    "partial": functools.partial(toys.leaky_step),
    "cycle": _cycle(),
    "too deep": _deep(),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": (1, v)}], ids=["bare", "list", "dict"])
def test_anything_else_is_refused(value, wrap):
    """At any depth; nothing is turned into something that it was not."""
    with pytest.raises(PlainError):
        flatten(wrap(value))


BAD = {
    "float": 1.5,
    "list": [1],
    "empty": {},
    "two kinds": {"list": [], "tuple": []},
    "unknown kind": {"set": [1]},
    "object": {"object": "os"},
    "index too large": {"array": 1},
    "negative index": {"array": -1},
    "index is text": {"array": "0"},
    "index is true": {"array": True},
    "float that is an array": {"float": 0},
    "list of nothing": {"list": 3},
    "list of text": {"list": "ab"},
    "dict of a list": {"dict": [1]},
    "function of os": {"function": "os:system"},
    "module of a module": {"function": "rnnlib.sums:np"},
    "imported function": {"function": "course.checks.toys:np.linalg.solve"},
    "dunder": {"function": "course.checks.toys:__builtins__"},
    "not there": {"function": "course.checks.toys:nothing"},
    "module not there": {"function": "rnnlib.nothing:f"},
    "no attribute": {"function": "rnnlib.sums"},
    "not text": {"function": 3},
    "home as a prefix": {"function": "course.checks.toys_too:f"},
    "path": {"function": "rnnlib.../os:system"},
}


@pytest.mark.parametrize("skeleton", BAD.values(), ids=BAD)
@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: {"list": [v]}, lambda v: {"dict": {"a": v}}], ids=["bare", "list", "dict"]
)
def test_a_skeleton_that_flatten_did_not_write_is_refused(desk, skeleton, wrap):
    """Whatever another process sends, it names no object and imports no module outside."""
    with pytest.raises(PlainError):
        restore(wrap(skeleton), [np.arange(3.0)])
