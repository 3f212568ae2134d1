"""The sandbox as jupyter_client knows it: a kernel provisioner, so that nbclient and nbgrader use it unchanged.

`Sandbox.kernel` gives managers that have one. A kernel specification may also name it:

    {"argv": ["-"], "display_name": "Sandbox", "language": "python", "interrupt_mode": "message",
     "metadata": {"kernel_provisioner": {"provisioner_name": "rnn-course-sandbox"}}}
"""

import asyncio
import atexit
import contextlib
import functools
import signal
import time
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from jupyter_client.session import Session
from jupyter_core.utils import ensure_async, run_sync
from traitlets import Instance

from course.grading.sandbox import Kernel, KernelLost, KernelProcess, Limits, Sandbox

__all__ = ["AsyncClient", "BlockingClient", "SandboxProvisioner", "manager_of"]

_SEND_MILLISECONDS = 2000  # ZeroMQ would wait forever for a kernel that broke its line
_MOST_STAGED = 20 << 20  # bytes of files beside a notebook that go into the sandbox with it


class SandboxProvisioner(KernelProvisionerBase):
    """A kernel in the sandbox, in the place of a local process."""

    process: KernelProcess | None = None
    _stack: contextlib.ExitStack | None = None

    @property
    def has_process(self) -> bool:
        return self.process is not None

    async def poll(self) -> int | None:
        return None if self.process is not None and self.process.alive() else 1

    async def wait(self) -> int | None:
        while await self.poll() is None:
            await asyncio.sleep(0.02)
        self.process = None
        return 1

    async def send_signal(self, signum: int) -> None:
        """No signal crosses the walls: interrupts are messages, and what would end a kernel kills it."""
        if signum in (signal.SIGKILL, signal.SIGTERM):
            await self.kill()

    async def kill(self, restart: bool = False) -> None:
        if self.process is not None:
            await asyncio.to_thread(self.process.kill)

    async def terminate(self, restart: bool = False) -> None:
        await self.kill()

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """A kernel from the sandbox of this process, with the files of the folder that the notebook lies in."""
        self._stack = contextlib.ExitStack()
        files = _files_of(Path(kwargs["cwd"])) if kwargs.get("cwd") else {}
        kernel: Kernel = self._stack.enter_context(_shared_sandbox().kernel(files, Limits()))
        self.process = kernel.process
        return {**kernel.manager.get_connection_info(), "hb_port": 9, "kernel_name": ""}

    async def cleanup(self, restart: bool = False) -> None:
        if self._stack is not None:
            self._stack.close()
            self._stack = None


@functools.cache
def _shared_sandbox() -> Sandbox:
    sandbox = Sandbox()
    atexit.register(sandbox.__exit__)
    return sandbox.__enter__()


def _files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    if sum(path.stat().st_size for path in paths) > _MOST_STAGED:
        raise ValueError(f"there are more than {_MOST_STAGED >> 20} MB of files beside the notebook")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


_CONTENT: dict[str, dict[str, type]] = {  # of each kind of message: the fields that it must have
    "clear_output": {},
    "display_data": {"data": dict, "metadata": dict},
    "error": {"ename": str, "evalue": str, "traceback": list},
    "execute_input": {"code": str, "execution_count": int},
    "execute_reply": {"status": str},
    "execute_result": {"data": dict, "metadata": dict, "execution_count": int},
    "input_request": {"prompt": str},
    "interrupt_reply": {},
    "kernel_info_reply": {},
    "shutdown_reply": {},
    "status": {"execution_state": str},
    "stream": {"name": str, "text": str},
    "update_display_data": {"data": dict, "metadata": dict},
}


class _Reader(Session):
    """Reads what a kernel sends as what it is: bytes from a student, who has the key that signs them."""

    process: KernelProcess = Instance(KernelProcess)  # type: ignore[assignment]  # a trait, for every client's copy

    def feed_identities(self, msg_list: Any, copy: bool = True) -> Any:
        try:
            return super().feed_identities(msg_list, copy)
        except ValueError:
            raise self._lost("bytes that are no message") from None

    def deserialize(self, msg_list: Any, content: bool = True, copy: bool = True) -> dict[str, Any]:
        """The message; one of a kind that a notebook does not need comes back empty, with the kind `ignored`.

        Of what is displayed, text and pictures as text are kept: anything else could be millions of small objects.
        """
        if sum(map(len, msg_list)) > self.process.message_bytes:
            raise self._lost("a message that is too long")
        try:
            message = super().deserialize(msg_list, content, copy)
            kind, inside = message["msg_type"], message["content"]
            wanted = _CONTENT.get(kind)
            if wanted is None:
                return {**message, "msg_type": "ignored", "header": {"msg_type": "ignored"}, "content": {}}
            right = all(isinstance(inside[name], kind) for name, kind in wanted.items())
            lines = inside.get("traceback", [])
            right = right and isinstance(message["parent_header"], dict) and isinstance(lines, list)
            right = right and all(isinstance(line, str) for line in lines)
        except Exception as error:
            raise self._lost(f"a message that cannot be read ({type(error).__name__})") from None
        if not right:
            raise self._lost(f"a {kind} that is not what it should be")
        if "data" in wanted:
            inside["data"] = {name: data for name, data in inside["data"].items() if isinstance(data, str)}
            inside["metadata"] = {}
        return message

    def _lost(self, what: str) -> KernelLost:
        self.process.blame = f"it sent {what}"
        self.process.kill()
        return KernelLost(f"the kernel was stopped: it sent {what}")


def manager_of(process: KernelProcess, connection: KernelConnectionInfo) -> AsyncKernelManager:
    """A manager of a kernel that runs already."""
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.SNDTIMEO, _SEND_MILLISECONDS)
    manager = _Manager(context=context, session=_Reader(process=process))
    manager.load_connection_info(connection)
    manager._kernel_spec = KernelSpec(argv=["-"], display_name="Sandbox", language="python", interrupt_mode="message")
    manager.provisioner = SandboxProvisioner(kernel_spec=manager._kernel_spec, parent=manager)
    manager.provisioner.process = process
    return manager


class _Manager(AsyncKernelManager):
    def client(self, **settings: Any) -> AsyncKernelClient:  # type: ignore[override]
        """Its sockets go when the kernel goes, also where the reader gave up in the middle."""
        return AsyncClient(parent=self, context=self.context, **self.get_connection_info(session=True), **settings)


class _Quick:
    """No heartbeat (the manager knows whether the kernel lives), and ready without fixed waits."""

    def start_channels(self, **channels: Any) -> None:
        super().start_channels(**{**channels, "hb": False})  # type: ignore[misc]

    async def _ready(self: Any, timeout: float | None = None) -> None:
        """Ask for the kernel's information until both the answer and the news about it come through."""
        end = time.monotonic() + (timeout or float("inf"))
        while True:
            asked = self.kernel_info()
            with contextlib.suppress(Empty):
                await ensure_async(self.shell_channel.get_msg(timeout=1))
                while True:
                    news = await ensure_async(self.iopub_channel.get_msg(timeout=0.1))
                    if news["content"].get("execution_state") == "idle" and news["parent_header"]["msg_id"] == asked:
                        return
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")


class AsyncClient(_Quick, AsyncKernelClient):  # type: ignore[misc]
    """For nbclient."""

    wait_for_ready = _Quick._ready


class BlockingClient(_Quick, BlockingKernelClient):  # type: ignore[misc]
    """For code without an event loop."""

    wait_for_ready = run_sync(_Quick._ready)
