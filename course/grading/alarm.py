"""An end for code of ours that may run forever."""

import ctypes
import threading

__all__ = ["Alarm"]

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = [ctypes.c_ulong, ctypes.py_object]


class Alarm:
    """Raises an exception in the thread that entered this block, if the block is not left in time.

    Python code sees it at its next step; a call of C code that does not return is not ended by it. Who catches the
    exception does it outside of the block: it may come while the block is being left.
    """

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._error, self._thread = error, threading.get_ident()
        self._lock, self._left = threading.Lock(), False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left = True
        self._timer.cancel()
        _raise_in_thread(self._thread, ctypes.py_object())  # nothing, in the place of what has not come through yet

    def _ring(self) -> None:
        with self._lock:
            if not self._left:
                _raise_in_thread(self._thread, ctypes.py_object(self._error))
