"""Names for the few kinds of value that the library hands around.

Chapter: 01-intuition
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]
State = tuple[Array, ...]
Cache = tuple[Array, ...]

# A cell's two functions, as `rnn_forward` and `backward_through_time` take them.
Step = Callable[[Params, Array, State], tuple[State, Cache]]
StepBackward = Callable[[Params, State, Cache], tuple[Array, State, Params]]

__all__ = ["Array", "Cache", "Params", "State", "Step", "StepBackward"]
