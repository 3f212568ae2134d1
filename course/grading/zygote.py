"""Forks a kernel for each notebook from one process that has imported what kernels need.

    python -m course.grading.zygote CONTROL ISOLATE [MODULE ...]

runs inside the sandbox. CONTROL is a socket that brings, for each kernel, its own connection and five listening
sockets. For each, a *warden* is forked, which reads the order, makes namespaces, forks the kernel into
them and stays outside: it passes the kernel's messages on, counts memory, processor time, processes and bytes,
and kills everything when one is too much or the grader lets go of the connection. Only then does it end.
"""

import asyncio
import base64
import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.session import Session
from traitlets.config import Config

from course.grading import confine

CHANNELS = ("shell", "iopub", "stdin", "control")
SHARED = "/run/kernels"
_IMPORTS = (  # what a kernel imports until its first cells have run, an error among them
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.magics.extension",
    "IPython.extensions.storemagic",
    "course.grading.student",
    "course.implement",
    "faulthandler",
    "ipykernel.debugger",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "numpy.random",
    "pygments.formatters.terminal256",
    "stack_data",
    "tornado.platform.asyncio",
    "tornado.queues",
)
_TICK = 0.05  # seconds between two looks at what the kernel's processes use
_CONNECTIONS = 32
_NICE = 5  # a grader and a warden come first
_HEAD_START, _AT_ONCE = 4, 1.5  # seconds of processor time, and for each second from the start, of all processes
_WAITING = 208 << 10  # bytes that a socket holds for whoever reads it: the memory of nobody
_FRAME = 256  # bytes that a frame of ZeroMQ's takes the reader, however short it is
_STACK = 1 << 20  # bytes of address space that a thread takes: as many as there may be must leave room for work
_READY = b"ready"

__all__ = ["CHANNELS", "SHARED", "main"]


def main() -> None:
    control, isolate = socket.socket(fileno=int(sys.argv[1])), sys.argv[2] == "yes"
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # a kernel takes it if it can, and it is slow to start
    for module in [*_IMPORTS, *sys.argv[3:]]:
        importlib.import_module(module)
    del sys.modules["debugpy"]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the wardens are nobody's to wait for
    threading.stack_size(_STACK)
    gc.freeze()
    control.send(_READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, 1 + len(CHANNELS))
        if not message:
            os._exit(0)  # nothing here needs an orderly end
        if os.fork() == 0:
            control.close()
            _warden(descriptors, isolate)
        for descriptor in descriptors:
            os.close(descriptor)


# --- the warden


def _warden(descriptors: list[int], isolate: bool) -> None:
    """Run one kernel to its end; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection = socket.socket(fileno=descriptors[0])
    report: dict[str, Any] = {"reason": "error", "error": ""}
    used: dict[str, float] = {}
    try:
        order = json.loads(_read_frame(connection))
        ready, tell = os.pipe()
        confine.own_namespaces() if isolate else confine.reap_orphans()
        pid = os.fork()
        if pid == 0:
            _kernel(order, tell, isolate)
        os.close(tell)
        watch = _Watch(pid, connection, ready, order)
        report = asyncio.run(watch.run(descriptors[1:]))
        used = watch.used
    except Exception:
        report["error"] = traceback.format_exc()
    _kill_below()
    report["used"] = used | _processor_seconds(used.get("start", 0.0))
    try:
        connection.sendall(json.dumps(report).encode() + b"\n")
    except OSError:
        os._exit(1)  # nobody wants to know any more
    os._exit(0)


def _processor_seconds(start: float) -> dict[str, float]:
    """What the kernel used after its start, its processes among it, and what its warden used."""
    below, here = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return {"cells": below.ru_utime + below.ru_stime - start, "warden": here.ru_utime + here.ru_stime}


def _processor_clock(pid: int) -> float:
    """Seconds of processor time of a process, from the clock that the system has for each."""
    return time.clock_gettime(~pid << 3 | 2)


def _read_frame(connection: socket.socket) -> bytes:
    def exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise EOFError("the grader went away before it had said what to run")
            data += more
        return bytes(data)

    return exactly(struct.unpack("!I", exactly(4))[0])


def _kill_below() -> None:
    """Kill every process below this one, and wait for them: the end of a pid namespace's first process ends all."""
    while True:
        for pid in _family(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.wait()
        except ChildProcessError:
            return


def _family(root: int) -> dict[int, list[str]]:
    """Every process below `root`, with the fields of its /proc/PID/stat from the state on."""
    stats: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            stats[int(name)] = fields
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = {}, list(children.get(root, []))
    while todo:
        pid = todo.pop()
        found[pid] = stats[pid]
        todo += children.get(pid, [])
    return found


class _Watch:
    """One kernel from start to end, in the warden's event loop."""

    def __init__(self, pid: int, connection: socket.socket, ready: int, order: dict[str, Any]) -> None:
        self.pid, self.connection, self.ready = pid, connection, ready
        self.limits, self.address = (
            order["limits"],
            order["address"].replace("@", "\0"),
        )  # as ZeroMQ and the system write it
        self.bytes_left = order["message_bytes"]
        self.connections = 0
        self.base_pages = self.base_files = 0
        self.begin = 0.0
        self.used: dict[str, float] = {}
        self.own: dict[tuple[int, str], int] = {}  # ticks of the processor, by process and when it began
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, listeners: list[int]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.started: asyncio.Future[None] = loop.create_future()
        pidfd = os.pidfd_open(self.pid)
        loop.add_reader(pidfd, self._kernel_ended)
        loop.add_reader(self.connection, lambda: self.end("closed"))
        loop.add_reader(self.ready, self._kernel_speaks)
        for number, (channel, descriptor) in enumerate(zip(CHANNELS, listeners, strict=True), 1):
            await asyncio.start_unix_server(
                self._relay(f"{self.address}-{number}", channel), sock=_listening(descriptor)
            )
        ticking = loop.create_task(self._tick())
        report = await self.ended
        self._pages(_family(os.getpid()))
        ticking.cancel()
        return report

    def end(self, reason: str, error: str = "") -> None:
        if not self.ended.done():
            self.ended.set_result({"reason": reason, "error": error})

    def _kernel_speaks(self) -> None:
        """It says `ready`, or what went wrong and ends; either way it closes its end of the pipe."""
        with os.fdopen(self.ready, "rb") as ready:
            asyncio.get_running_loop().remove_reader(self.ready)
            said = ready.read()
        if said != _READY:
            self.end("error", said.decode(errors="replace"))
            return
        family = _family(os.getpid())
        self.base_pages, self.base_files = self._pages(family), self._files(family)
        self.begin = time.monotonic()
        self.used["start"] = _processor_clock(self.pid)
        self.started.set_result(None)
        self.connection.sendall(_READY + b"\n")

    def _kernel_ended(self) -> None:
        if self.started.done():  # else it says what went wrong
            self.end("ended")

    async def _tick(self) -> None:
        """Hold what the processes of the kernel use together against the limits."""
        page = os.sysconf("SC_PAGE_SIZE")
        await self.started
        while True:
            await asyncio.sleep(_TICK)
            family = _family(os.getpid())
            held = (self._pages(family) - self.base_pages) * page
            held += max(0, self._files(family) - self.base_files) * _WAITING
            used = self._seconds(family) - self.used["start"]
            if reason := self.excess(used, time.monotonic() - self.begin, len(family), held):
                self.end(reason)

    def excess(self, used: float, elapsed: float, processes: int, held: int) -> str | None:
        """What is more than allowed: seconds of processor time, in that wall time; processes; bytes of memory."""
        if used > self.limits["processor_seconds"]:
            return "processor"
        if used > _HEAD_START + _AT_ONCE * elapsed:
            return "parallel"
        if processes > self.limits["processes"]:
            return "processes"
        return "memory" if held > self.limits["memory_mb"] << 20 else None

    def _seconds(self, family: dict[int, list[str]]) -> float:
        """Processor time of all processes, also of those that are gone.

        What a process has waited for stands in its parent's account; one that nobody waits for is in ours.
        """
        self.own |= {(pid, stat[19]): int(stat[11]) + int(stat[12]) for pid, stat in family.items()}
        waited = sum(int(field) for stat in family.values() for field in stat[11:15])
        return max(waited, sum(self.own.values())) / os.sysconf("SC_CLK_TCK")

    def _files(self, family: dict[int, list[str]]) -> int:
        """How many files processes have open; one that does not show them is taken to have as many as it may."""
        total = 0
        for pid in family:
            try:
                total += len(os.listdir(f"/proc/{pid}/fd"))
            except PermissionError:
                total += self.limits["open_files"]
            except OSError:
                continue
        return total

    def _pages(self, family: dict[int, list[str]]) -> int:
        """Pages of memory of their own that processes hold; the most of it is kept for the report."""
        total = 0
        for pid in family:
            try:
                resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
            except OSError:
                continue
            total += int(resident) - int(shared)
        megabytes = total * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.used["memory_mb"] = max(megabytes, self.used.get("memory_mb", 0.0))
        return total

    def _relay(self, address: str, channel: str) -> Any:
        """Pass on what the grader and the kernel say; the kernel's bytes are counted, so no reader can be flooded."""

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            if self.connections > _CONNECTIONS:
                writer.close()
                return
            await asyncio.shield(self.started)
            from_kernel, to_kernel = await asyncio.open_unix_connection(address)
            for task in (self._pump(reader, to_kernel, False), self._pump(from_kernel, writer, True)):
                running = asyncio.ensure_future(task)
                self.tasks.add(running)
                running.add_done_callback(self.tasks.discard)

        return relay

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: bool) -> None:
        frames = _Frames()
        try:
            while data := await reader.read(65536):
                if counted:
                    self.bytes_left -= len(data) + _FRAME * frames.count(data)
                    if self.bytes_left < 0:
                        self.end("output")
                        return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


class _Frames:
    """Counts the frames in a stream of ZeroMQ's: a reader may have to keep each of them until the last one comes."""

    def __init__(self) -> None:
        self._greeting, self._head, self._skip = b"", b"", 0

    def count(self, data: bytes) -> int:
        """How many frames begin in these bytes, the next of the stream; without number in another protocol's."""
        more = 64 - len(self._greeting)
        self._greeting += data[:more]
        if len(self._greeting) > 10 and (self._greeting[0], self._greeting[10]) != (0xFF, 3):
            return 1 << 40  # an older one, with other frames
        at, found = more, 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                at, self._skip = at + step, self._skip - step
                continue
            self._head += data[at : at + 1]
            at += 1
            if len(self._head) == (9 if self._head[0] & 2 else 2):  # flags and length
                self._skip, self._head, found = int.from_bytes(self._head[1:], "big"), b"", found + 1
        return found


def _listening(descriptor: int) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


# --- the kernel


def _kernel(order: dict[str, Any], tell: int, isolate: bool) -> None:
    """Become the kernel: never returns."""
    try:
        confine.die_with_parent()
        os.setsid()
        os.nice(_NICE)
        confine.close_all_but(tell)
        for descriptor in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        confine.close_all_but(tell)
        if isolate:
            confine.own_files(SHARED, order["folder"], order["limits"]["folder_mb"], order["kept"])
        _write_files(order)
        names = ("memory_mb", "processor_seconds", "file_mb", "open_files")
        confine.set_limits(**{name: order["limits"][name] for name in names})
        if isolate:
            confine.drop_rights(order["limits"]["processes"])
        np.random.seed()  # noqa: NPY002  (a fork has the same state; Python's own generators look after themselves)
        app = _start(order)
        os.write(tell, _READY)
        os.close(tell)
    except BaseException:
        os.write(tell, traceback.format_exc().encode())
        os._exit(1)
    try:
        app.start()
    finally:
        os._exit(0)


def _write_files(order: dict[str, Any]) -> None:
    home = Path(order["home"])
    home.mkdir(exist_ok=True)
    for name, data in order["files"].items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(base64.b64decode(data))
    os.environ["HOME"] = str(home)
    os.chdir(home)
    sys.path[0] = ""


class _Session(Session):
    """Sends no picture, table or page that is too large. Code that goes around it only meets the warden's count."""

    output_bytes = 0  # of text that one cell may put out; pictures and the like, ten times that

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, *rest: Any, **more: Any) -> Any:
        message = msg_or_type if isinstance(msg_or_type, dict) else None
        kind = message["msg_type"] if message else msg_or_type
        if kind in ("display_data", "update_display_data", "execute_result"):
            inside = (message["content"] if message else content) or {}
            size = sum(len(value) for value in inside.get("data", {}).values() if isinstance(value, str))
            if size > 10 * self.output_bytes:
                inside["data"] = {"text/plain": "[output too large]"}
        return super().send(stream, msg_or_type, content, *rest, **more)


class _Printed:
    """Cuts what one cell prints, for the sake of honest work: a loop that prints forever still gets its grade.

    Here and not where it is sent: a loop prints faster than any thread sends, and what waits would fill memory.
    """

    def __init__(self, most: int) -> None:
        self.most, self.cell, self.spent = most, "", 0

    def cut(self, stream: Any) -> None:
        """Let a stream take no more of a cell than may be shown."""
        write = stream.write

        def take(text: str) -> int | None:
            if not isinstance(text, str):
                return write(text)  # the stream says what is wrong with it
            cell = str(stream.parent_header.get("msg_id"))
            if cell != self.cell:
                self.cell, self.spent = cell, 0
            room = self.most - self.spent
            self.spent += len(text)
            if len(text) <= room:
                return write(text)
            if room > 0:
                write(f"{text[:room]}\n[output cut]\n")
            return len(text)

        stream.write = take


class _Kernel(IPythonKernel):
    def _send_interrupt_children(self) -> None:
        """To this process: as the first of its namespace, its process group's number would mean everybody."""
        os.kill(os.getpid(), signal.SIGINT)


class _App(IPKernelApp):
    """A kernel that was told in memory where to listen: no connection file, no heartbeat."""

    kernel_class = _Kernel

    def init_connection_file(self) -> None:
        return

    def write_connection_file(self, **_: Any) -> None:
        return

    def init_heartbeat(self) -> None:
        return

    def init_io(self) -> None:
        super().init_io()
        printed = _Printed(self.session.output_bytes)
        for stream in (sys.stdout, sys.stderr):
            printed.cut(stream)


def _start(order: dict[str, Any]) -> IPKernelApp:
    config = Config()
    config.HistoryManager.enabled = False
    app = _App.instance(config=config, transport="ipc", ip=order["address"])
    app.session = _Session(parent=app, key=order["key"].encode())
    app.session.output_bytes = order["limits"]["output_kb"] << 10
    for number, channel in enumerate(CHANNELS, 1):
        setattr(app, f"{channel}_port", number)
    app.initialize([])
    app.kernel.shell._tee = lambda channel: contextlib.nullcontext()  # it would keep all that a cell prints
    app.kernel.shell.unobserve_all("exit_now")  # exit() would end the kernel a little later, in somebody else's cell
    return app


if __name__ == "__main__":
    main()
