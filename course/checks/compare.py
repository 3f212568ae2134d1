"""Hold a result against the expected one, and say in words where and by how much they differ."""

import copy
from types import FunctionType
from typing import Any

import numpy as np

RTOL, ATOL = 1e-6, 1e-9  # float64 throughout; a wrong formula is off by far more, rounding by far less
# Types are compared exactly: a subclass of array or number can answer every comparison as it likes.
_NUMBERS = {int, float, *(t for t in np.sctypeDict.values() if issubclass(t, np.integer | np.floating))}

__all__ = ["differences", "map_arrays", "same"]


def same(got: Any, want: Any) -> bool:
    """Whether the two are equal up to rounding."""
    return not differences(got, want)


def differences(got: Any, want: Any, names: Any = "result") -> list[str]:
    """A sentence for each part of `got` that differs from `want`; empty if they agree.

    `names` says what the parts are called: a string, or a tuple of names shaped like `want`.
    """
    try:
        with np.errstate(all="ignore"):
            return _walk(got, want, names)
    except Exception as error:  # an object that raises while it is looked at is a wrong answer, not a crash
        return [f"{names if isinstance(names, str) else 'the result'} cannot be read: {type(error).__name__}"]


def _walk(got: Any, want: Any, name: Any) -> list[str]:
    if isinstance(want, tuple | list):
        return _sequence(got, want, name)
    label = name if isinstance(name, str) else "the result"
    if isinstance(want, dict):
        return _mapping(got, want, label)
    if isinstance(want, np.ndarray):
        return _array(got, want, label)
    if isinstance(want, FunctionType):  # a cell's step among the arguments
        return [] if got is want else [f"{label} is {_short(got)}, expected the function {want.__name__}"]
    if isinstance(want, bool) and type(got) is np.bool_:
        got = bool(got)
    if isinstance(want, bool | str) or want is None:
        return [] if type(got) is type(want) and got == want else [f"{label} is {_short(got)}, expected {want!r}"]
    return _number(got, want, label)


def _sequence(got: Any, want: tuple[Any, ...] | list[Any], name: Any) -> list[str]:
    kind = type(want).__name__
    label = name if isinstance(name, str) else "the result"
    if isinstance(name, tuple) and len(name) != len(want):
        name = label  # these names are another result's, where an answer is held against an earlier one
    parts = name if isinstance(name, tuple) else tuple(f"{name}[{i}]" for i in range(len(want)))
    if type(got) is not type(want) or len(got) != len(want):
        shown = f"({', '.join(map(_flat, parts))}{',' if len(parts) == 1 else ''})" if isinstance(name, tuple) else ""
        expected = f"a {kind} of {len(want)}{': ' + shown if shown else ''}"
        return [f"{label} is {_short(got)}, expected {expected}"]
    return [line for g, w, part in zip(got, want, parts, strict=True) for line in _walk(g, w, part)]


def _mapping(got: Any, want: dict[str, Any], label: str) -> list[str]:
    if type(got) is not dict:
        return [f"{label} is {_short(got)}, expected a dict with {', '.join(want)}"]
    if set(got) != set(want):
        return [f"{label} has the keys {', '.join(map(str, got)) or '(none)'}, expected {', '.join(want)}"]
    return [line for key in want for line in _walk(got[key], want[key], f"{label}[{key!r}]")]


def _array(got: Any, want: np.ndarray, label: str) -> list[str]:
    if type(got) is not np.ndarray:
        return [f"{label} is {_short(got)}, expected an array of shape {want.shape}"]
    if got.shape != want.shape:
        return [f"{label} has shape {got.shape}, expected {want.shape}"]
    if got.dtype.kind not in "biuf":
        return [f"{label} has dtype {got.dtype}, expected real numbers"]
    if np.isnan(got).any() and not np.isnan(want).any():
        return [f"{label} has {int(np.isnan(got).sum())} nan among its {got.size} entries, expected numbers"]
    wrong = ~np.isclose(got, want, rtol=RTOL, atol=ATOL, equal_nan=True)
    if not wrong.any():
        return []
    gap = np.abs(got.astype(float) - want)
    gap = np.where(wrong, np.where(np.isnan(gap), np.inf, gap), -1)
    at = tuple(int(i) for i in np.unravel_index(np.argmax(gap), gap.shape))
    where = f" at {list(at)}" if at else ""
    return [
        f"{label} is wrong in {int(wrong.sum())} of {want.size} entries; most{where}: "
        f"got {_figure(got[at])}, expected {_figure(want[at])}"
    ]


def _figure(value: Any) -> str:
    return str(value) if isinstance(value, np.bool_) else f"{value:.6g}"


def _number(got: Any, want: float, label: str) -> list[str]:
    if type(got) is np.ndarray and got.ndim == 0 and got.dtype.kind in "iuf":
        got = got.item()
    if type(got) not in _NUMBERS:
        return [f"{label} is {_short(got)}, expected a number"]
    if got == want or np.isclose(got, want, rtol=RTOL, atol=ATOL, equal_nan=True):  # isclose knows no large integers
        return []
    return [f"{label} is {got:.6g}, expected {want:.6g}"]


def _flat(part: Any) -> str:
    return part if isinstance(part, str) else "(" + ", ".join(map(_flat, part)) + ("," if len(part) == 1 else "") + ")"


def _short(value: Any) -> str:
    if value is None:
        return "None (is a `return` missing?)"
    if type(value) is np.ndarray:
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool | int | float | str | np.generic):
        return f"{type(value).__name__} {str(value)[:40]}"
    return f"a {type(value).__name__}"


def map_arrays(value: Any, change: Any) -> Any:
    """A copy of nested plain data with `change` applied to each array."""
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(map_arrays(item, change) for item in value)
    if isinstance(value, dict):
        return {key: map_arrays(item, change) for key, item in value.items()}
    return copy.copy(value)
