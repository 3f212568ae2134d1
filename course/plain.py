"""Plain data: the only values that check data hold and that cross from one process to another.

None, bool, int, float, str, arrays of numbers, and lists, tuples and string-keyed dicts of these.
A function is written by its name, and only one of `rnnlib` or of the checks' toy cells. Nothing is
ever pickled. A value becomes a skeleton (lists and dicts that JSON can hold), in which arrays and
floats are numbered, and the list of arrays that they number: the skeleton is the same on every machine.
"""

import importlib
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

__all__ = ["PlainError", "flatten", "restore"]

_FUNCTION_HOMES = ("rnnlib.", "course.checks.toys.")
_ARRAY_KINDS = "biuf"


class PlainError(TypeError):
    """A value that is not plain data."""


def flatten(value: Any) -> tuple[Any, list[np.ndarray]]:
    """Take a value apart into its skeleton and the arrays that it numbers.

    Types are compared exactly: a subclass would come back as something else than it was.
    """
    arrays: list[np.ndarray] = []

    def walk(v: Any) -> Any:
        if v is None or type(v) in (bool, str, np.str_):
            return str(v) if isinstance(v, np.str_) else v
        if type(v) is int or isinstance(v, np.integer):
            return int(v)
        if type(v) is float or isinstance(v, np.floating):
            arrays.append(np.array(float(v)))
            return {"float": len(arrays) - 1}
        if type(v) is np.ndarray and v.dtype.kind in _ARRAY_KINDS:
            arrays.append(np.ascontiguousarray(v).reshape(v.shape))
            return {"array": len(arrays) - 1}
        if type(v) in (tuple, list):
            return {type(v).__name__: [walk(item) for item in v]}
        if type(v) is dict and all(type(key) is str for key in v):
            return {"dict": {key: walk(item) for key, item in v.items()}}
        if isinstance(v, FunctionType) and v.__qualname__.isidentifier() and _home_allowed(v.__module__ or ""):
            return {"function": f"{v.__module__}:{v.__qualname__}"}
        raise PlainError(f"a value of type {type(v).__name__} is not plain data")

    try:
        return walk(value), arrays
    except RecursionError:
        raise PlainError("a value that holds itself, or is nested too deep, is not plain data") from None


def restore(skeleton: Any, arrays: Sequence[np.ndarray]) -> Any:
    """Put together what `flatten` took apart; anything else in the skeleton is a PlainError."""

    def build(v: Any) -> Any:
        if v is None or isinstance(v, bool | str | int):
            return v
        match v:
            case {"float": int(i)} if len(v) == 1 and numbered(i).ndim == 0:
                return float(arrays[i])
            case {"array": int(i)} if len(v) == 1:
                return numbered(i).copy()
            case {"tuple": list(items)} if len(v) == 1:
                return tuple(build(item) for item in items)
            case {"list": list(items)} if len(v) == 1:
                return [build(item) for item in items]
            case {"dict": dict(items)} if len(v) == 1:
                return {key: build(item) for key, item in items.items()}
            case {"function": str(name)} if len(v) == 1:
                return _function(name)
        raise PlainError(f"not written by flatten: {str(v)[:60]}")

    def numbered(i: int) -> np.ndarray:
        if isinstance(i, bool) or i not in range(len(arrays)):
            raise PlainError(f"there is no array {i}; there are {len(arrays)}")
        return arrays[i]

    return build(skeleton)


def _home_allowed(module: str) -> bool:
    return f"{module}.".startswith(_FUNCTION_HOMES)


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not _home_allowed(module) or not attribute.isidentifier():
        raise PlainError(f"{name!r} is not a function of rnnlib or of the toy cells")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise PlainError(f"there is no function {name!r}") from None
    if not isinstance(found, FunctionType):
        raise PlainError(f"{name!r} is a {type(found).__name__}, not a function")
    return found
