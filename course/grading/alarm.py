"""An end for code of ours that may run forever."""

import ctypes
import threading

__all__ = ["Alarm"]

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = [ctypes.c_ulong, ctypes.py_object]


class Alarm:
    """Raises an exception in the thread that entered this block, if the block is not left in time.

    Python code sees it at its next step; a call of C code that does not return is not ended by it. Who catches the
    exception does it outside of the block: it may come while the block is being left, and comes again there if it was
    caught within. It is never taken back: Python 3.11 would then look for it at every step from there on.
    """

    def __init__(self, seconds: float, error: type[BaseException]) -> None:
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._error, self._thread = error, threading.get_ident()
        self._lock, self._left, self._rang = threading.Lock(), False, False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._lock:
            self._left = True
        self._timer.cancel()
        if self._rang and kind is not self._error:
            for _ in range(100):
                pass  # it comes through at one of these steps
            raise self._error  # or has been caught in the block

    def _ring(self) -> None:
        with self._lock:
            if not self._left:
                self._rang = True
                _raise_in_thread(self._thread, ctypes.py_object(self._error))
