"""match_shapes and take: what fits passes with its sizes, what does not is named with shape and reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array


def zeros(*shape: int) -> Array:
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("spec", "shapes", "sizes"),
    [
        ("x: B D", [(2, 3)], {"B": 2, "D": 3}),
        ("x: B D, W: D H", [(2, 3), (3, 4)], {"B": 2, "D": 3, "H": 4}),
        ("W: H H", [(3, 3)], {"H": 3}),
        ("b: H", [(5,)], {"H": 5}),
        ("x: B D", [(0, 3)], {"B": 0, "D": 3}),
        ("x:B D,W:D   H", [(2, 3), (3, 4)], {"B": 2, "D": 3, "H": 4}),
        ("h: ... H", [(5,)], {"H": 5}),
        ("h: ... H", [(2, 3, 4, 5)], {"H": 5}),
        ("h: ...", [(2, 3)], {}),
        ("h: ...", [()], {}),
        ("h: ... H, y: ... K, W: H K", [(7, 2, 5), (7, 2, 3), (5, 3)], {"H": 5, "K": 3}),
        ("z: ... K, t: ...", [(7, 2, 5), (7, 2)], {"K": 5}),
        ("z: ... K, t: ...", [(5,), ()], {"K": 5}),
        ("b: K, z: ... K, t: ...", [(5,), (2, 5), (2,)], {"K": 5}),
        ("h: B H, W: H 4H", [(2, 3), (3, 12)], {"B": 2, "H": 3, "4H": 12}),
        ("hidden_2: batch units", [(2, 3)], {"batch": 2, "units": 3}),
    ],
)
def test_shapes_that_fit_give_their_sizes(spec: str, shapes: list[tuple[int, ...]], sizes: dict[str, int]) -> None:
    """Letters, repeated letters, leading axes and long names are read as the docstring says."""
    assert match_shapes("here", spec, *(zeros(*shape) for shape in shapes)) == sizes


@pytest.mark.parametrize(
    ("spec", "shapes", "says"),
    [
        ("x: B D", [(2,)], ["x has shape (2,)", "expected (B, D)"]),
        ("x: B D", [(2, 3, 4)], ["x has shape (2, 3, 4)", "expected (B, D)"]),
        ("x: B D", [()], ["x has shape ()", "expected (B, D)"]),
        ("b: H", [(1, 5)], ["b has shape (1, 5)", "expected (H,)"]),
        ("x: B D, W: D H", [(2, 3), (4, 3)], ["W has shape (4, 3)", "(D, H) = (3, H)", "D = 3 comes from x"]),
        ("x: B D, W: D H", [(2, 3), (3,)], ["W has shape (3,)", "(D, H) = (3, H)", "D = 3 comes from x"]),
        ("W: D H, b: H", [(2, 3), (4,)], ["b has shape (4,)", "(H,) = (3,)", "H = 3 comes from W"]),
        ("W: H H", [(3, 4)], ["W has shape (3, 4)", "expected (H, H)"]),
        ("h: B H, W: H H", [(2, 3), (3, 4)], ["W has shape (3, 4)", "(H, H) = (3, 3)", "H = 3 comes from h"]),
        ("x: B D, h: B H, W: D H", [(2, 3), (2, 5), (5, 3)], ["W", "(3, 5)", "D = 3 comes from x, H = 5 comes from h"]),
        ("x: B D, h: B H", [(2, 3), (1, 4)], ["h has shape (1, 4)", "(B, H) = (2, H)", "B = 2 comes from x"]),
        ("h: ... H, W: H K", [(2, 3, 4), (3, 4)], ["W has shape (3, 4)", "(H, K) = (4, K)", "H = 4 comes from h"]),
        ("z: ... K, t: ...", [(2, 3, 4), (2, 4)], ["t has shape (2, 4)", "leading axes (2, 3)", "as in z"]),
        ("z: ... K, t: ...", [(2, 3, 4), (2,)], ["t has shape (2,)", "(...,)", "leading axes (2, 3)"]),
        ("z: ... K, t: ...", [(2, 4), (2, 1)], ["t has shape (2, 1)", "leading axes (2,)"]),
        ("z: ... K, y: ... K", [(2, 4), (2, 5)], ["y has shape (2, 5)", "K = 4 comes from z"]),
        ("h: B H, b: 4H", [(2, 3), (9,)], ["b has shape (9,)", "(4H,) = (12,)", "4H = 12 comes from h"]),
        ("h: ... H", [()], ["h has shape ()", "(..., H)"]),
        ("h: ... B H", [(5,)], ["h has shape (5,)", "(..., B, H)"]),
        ("h: ... T B H", [(4, 5)], ["h has shape (4, 5)", "(..., T, B, H)"]),
    ],
)
def test_a_shape_that_does_not_fit_is_named_with_the_reason(
    spec: str, shapes: list[tuple[int, ...]], says: list[str]
) -> None:
    """The message starts with the place, names the array, its shape, the expected one and where a size comes from."""
    with pytest.raises(ValueError, match=r"^here: ") as caught:
        match_shapes("here", spec, *(zeros(*shape) for shape in shapes))
    missing = [part for part in says if part not in str(caught.value)]
    assert not missing, f"message lacks {missing}: {caught.value}"


def test_the_first_array_that_does_not_fit_is_the_one_named() -> None:
    """Of two wrong arrays the message blames the one that comes first in the spec."""
    with pytest.raises(ValueError, match="W has shape"):
        match_shapes("here", "x: B D, W: D H, b: H", zeros(2, 3), zeros(3), zeros(4, 4))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[1.0]], "list"),
        ((1.0,), "tuple"),
        (None, "NoneType"),
        (1.0, "float"),
        (np.float64(1.0), "float64"),
        ("x", "str"),
    ],
)
@pytest.mark.parametrize("spec", ["x: B D", "x: ... D", "x: ..."])
def test_what_is_no_array_is_a_type_error_that_names_its_kind(value: object, kind: str, spec: str) -> None:
    """Lists, numbers and None are refused, not converted; the message says what shape of array was expected."""
    with pytest.raises(TypeError) as caught:
        match_shapes("here", spec, value)
    expected = "(B, D)" if spec == "x: B D" else "(..."
    for part in ("here: x is a ", kind, "expected a NumPy array of shape", expected):
        assert part in str(caught.value), f"message lacks {part!r}: {caught.value}"


@pytest.mark.parametrize("arrays", [[], [zeros(2, 3)], [zeros(2, 3), zeros(3, 4), zeros(4)]], ids=len)
def test_as_many_arrays_as_entries(arrays: list[Array]) -> None:
    """A spec of two entries with none, one or three arrays is an error of the caller's, not a silent pass."""
    with pytest.raises(ValueError, match="zip"):
        match_shapes("here", "x: B D, W: D H", *arrays)


letters = st.sampled_from("BDHKTV")
specs = st.lists(st.lists(letters, min_size=1, max_size=4), min_size=1, max_size=4)


def spell(axes: list[list[str]]) -> str:
    return ", ".join(f"a{i}: {' '.join(names)}" for i, names in enumerate(axes))


@given(specs, st.lists(st.integers(0, 7), min_size=6, max_size=6))
def test_consistent_sizes_always_fit(axes: list[list[str]], values: list[int]) -> None:
    """Arrays made from sizes match the spec they were made from, and the sizes come back, call after call."""
    sizes = dict(zip("BDHKTV", values, strict=True))
    arrays = [zeros(*(sizes[name] for name in names)) for names in axes]
    expected = {name: sizes[name] for names in axes for name in names}
    assert match_shapes("here", spell(axes), *arrays) == expected
    assert match_shapes("here", spell(axes), *arrays) == expected


@given(specs, st.data())
def test_one_axis_of_another_size_never_passes(axes: list[list[str]], data: st.DataObject) -> None:
    """A letter that stands twice and has two sizes is an error, wherever the odd one stands."""
    places = [(i, j, name) for i, names in enumerate(axes) for j, name in enumerate(names)]
    i, j, name = data.draw(st.sampled_from(places), label="odd one")
    sizes = {letter: k + 1 for k, letter in enumerate("BDHKTV")}
    shapes = [[sizes[n] for n in names] for names in axes]
    shapes[i][j] = 99
    arrays = [zeros(*shape) for shape in shapes]
    if sum(n == name for _, _, n in places) == 1:
        assert match_shapes("here", spell(axes), *arrays)[name] == 99
    else:
        with pytest.raises(ValueError, match=r"^here: a"):
            match_shapes("here", spell(axes), *arrays)


@given(st.lists(st.integers(0, 4), max_size=3), st.lists(st.integers(0, 4), max_size=3))
def test_leading_axes_fit_only_when_they_are_the_same(first: list[int], second: list[int]) -> None:
    """`...` stands for one thing throughout a spec: no broadcasting between the arrays."""
    arrays = zeros(*first, 5), zeros(*second, 6)
    if first == second:
        assert match_shapes("here", "h: ... H, y: ... K", *arrays) == {"H": 5, "K": 6}
    else:
        with pytest.raises(ValueError, match="y has shape"):
            match_shapes("here", "h: ... H, y: ... K", *arrays)


def test_take_gives_the_named_parameters_in_the_order_asked() -> None:
    """The very arrays come back, not copies, and extra parameters do not matter."""
    params = {"a": zeros(1), "b": zeros(2), "c": zeros(3)}
    c, a = take("here", params, "c", "a")
    assert c is params["c"]
    assert a is params["a"]
    assert take("here", params) == ()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"b": zeros(1), "a": zeros(1)}, "here: params lacks x, y; it has a, b"),
        ({"y": zeros(1)}, "here: params lacks x; it has y"),
        ({}, "here: params lacks x, y; it has nothing"),
    ],
)
def test_take_names_all_that_is_missing_and_all_there_is(params: dict[str, Array], message: str) -> None:
    """The message lists every missing name, and the names to choose from in alphabetical order."""
    with pytest.raises(KeyError) as caught:
        take("here", params, "x", "y")
    assert caught.value.args == (message,)
