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

# A cell run over a whole sequence, and the way back, as layers of `stacked` and directions of `bidirectional`:
#     hs, last, caches = run(params, xs, state)            such as partial(rnn_forward, lstm_step)
#     dxs, dstart, grads = run_back(params, dhs, dlast, caches)
# `Any`, because a layer may itself be made of several cells.
Run = Callable[[Any, Array, Any], tuple[Array, Any, Any]]
RunBack = Callable[[Any, Array, Any, Any], tuple[Array, Any, Any]]

__all__ = ["Array", "Cache", "Params", "Run", "RunBack", "State", "Step", "StepBackward"]
