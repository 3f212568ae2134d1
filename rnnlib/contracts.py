"""Checks on what comes in, so that a wrong shape is an error at once and not a wrong number later.

Chapter: 03-definition
"""

from functools import lru_cache

import numpy as np

from rnnlib.types import Array, Params

__all__ = ["match_lengths", "match_shapes", "take"]


@lru_cache(maxsize=256)
def _parse(spec: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    entries = (entry.split(":") for entry in spec.split(","))
    return tuple((name.strip(), tuple(axes.split())) for name, axes in entries)


def match_shapes(where: str, spec: str, *arrays: Array) -> dict[str, int]:
    """Hold arrays against named shapes and return the sizes, or say which array does not fit.

    `spec` is one entry per array, `"x: B D, W_xh: D H"`. A letter means the same size wherever it
    stands, and `4H` four times that of H, which an earlier array must have; `...` in front allows
    any leading axes, the same ones wherever it stands.

    Raises
    ------
    TypeError   an argument is not an array.
    ValueError  a shape does not fit; the message says what came, what was expected, and why.

    Examples
    --------
    >>> match_shapes("demo", "x: B D, W: D H", np.ones((2, 3)), np.ones((3, 4)))
    {'B': 2, 'D': 3, 'H': 4}
    """
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    lead: tuple[str, tuple[int, ...]] | None = None
    for (name, axes), array in zip(_parse(spec), arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{where}: {name} is a {type(array).__name__}, expected a NumPy array of shape {_show(axes)}"
            )
        shape = array.shape
        if axes[0] == "...":
            axes = axes[1:]
            front, shape = shape[: array.ndim - len(axes)], shape[array.ndim - len(axes) :]
            lead = lead or (name, front)
            if front != lead[1] or len(shape) != len(axes):
                raise ValueError(
                    f"{where}: {name} has shape {array.shape}, expected {_show(('...', *axes))} "
                    f"with leading axes {lead[1]} as in {lead[0]}"
                )
        fits = len(shape) == len(axes)
        for axis, size in zip(axes, shape, strict=False):
            if axis[0].isdigit():  # so many blocks
                sizes[axis], origin[axis] = int(axis[:-1]) * sizes[axis[-1]], origin[axis[-1]]
            if sizes.setdefault(axis, size) != size:
                fits = False
            origin.setdefault(axis, name)
        if not fits:
            raise ValueError(f"{where}: {name} has shape {array.shape}, expected {_why(name, axes, sizes, origin)}")
    return sizes


def match_lengths(where: str, lengths: Array, longest: int, batch: int | None = None, least: int = 0) -> None:
    """Hold the lengths of a batch's sequences against its array: so many integers, none below `least` or too long.

    Raises
    ------
    ValueError  they do not fit; the message says what came and what was expected.

    Chapter: 08-bidirectional.

    Examples
    --------
    >>> match_lengths("demo", np.array([4, 1, 3]), longest=4, batch=3, least=1)
    """
    found = np.asarray(lengths)
    fits = found.ndim == 1 and np.issubdtype(found.dtype, np.integer) and batch in (None, len(found))
    if not fits or found.min(initial=longest) < least or found.max(initial=least) > longest:
        count = "" if batch is None else f"{batch} "
        raise ValueError(f"{where}: lengths are {found!r}, expected {count}integers from {least} to {longest}")


def take(where: str, params: Params, *names: str) -> tuple[Array, ...]:
    """The named parameters in order; a missing one is a KeyError that says which ones there are.

    Examples
    --------
    >>> take("demo", {"b_h": np.zeros(2)}, "b_h")
    (array([0., 0.]),)
    """
    missing = [name for name in names if name not in params]
    if missing:
        raise KeyError(f"{where}: params lacks {', '.join(missing)}; it has {', '.join(sorted(params)) or 'nothing'}")
    return tuple(params[name] for name in names)


def _show(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def _why(name: str, axes: tuple[str, ...], sizes: dict[str, int], origin: dict[str, str]) -> str:
    known = [axis for axis in dict.fromkeys(axes) if origin.get(axis, name) != name]
    if not known:
        return _show(axes)
    values = tuple(str(sizes[axis]) if axis in known else axis for axis in axes)
    reasons = ", ".join(f"{axis} = {sizes[axis]} comes from {origin[axis]}" for axis in known)
    return f"{_show(axes)} = {_show(values)}; {reasons}"
