"""Kernels for code that nobody should trust: started in bubblewrap, one after the other, from one warm process.

    with Sandbox() as sandbox:
        with sandbox.kernel({"rnnlib/__init__.py": b""}) as kernel:
            NotebookClient(notebook, km=kernel.manager).execute()

What a kernel can reach: the system's programs, Python and its packages, the modules of `course` that notebooks
use (not the checks' data, not `rnnlib`), a home of bounded size that begins with the files given and ends with
it, and /run/k with the socket on which the referee listens. All read-only but the home. No network, no other process.

Never as root: bubblewrap run by root keeps root's rights, so root first becomes `user`. That user may be unable to
reach a Python below /root; then an outer bubblewrap, still root's, shows it those folders and nothing else there.
"""

import base64
import contextlib
import fcntl
import functools
import json
import os
import pwd
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager

from course.exercises import DATA, read_record

__all__ = ["Kernel", "KernelLost", "KernelProcess", "Limits", "Sandbox", "SandboxUnavailable"]

SHARED = "/run/kernels"  # in the sandbox: the folders of all kernels; a kernel sees its own only, as INSIDE
INSIDE = "/run/k"
HOME = "/home/student"
_COURSE = "/opt/course"  # in the sandbox: the modules of `course` that notebooks use
_USER_INSIDE = "1000"
_START_SECONDS, _STOP_SECONDS = 60, 5
_PREFIX = "rnn-grading-"
_OLD_SECONDS = 60
_CHANNELS = 4
_MESSAGES, _MESSAGE = 64, 20  # times Limits.output_kb: what a kernel may send in all, and at once
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "fonts")
_MODULES = {
    ".": ("__init__", "exercises", "figures", "implement", "library", "plain"),
    "checks": ("__init__", "compare", "data_file", "run", "toys"),
    "grading": ("__init__", "confine", "student", "wire", "zygote"),
}
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "USER": "student",
    "HOME": HOME,
    "TMPDIR": "/tmp",
    "XDG_CACHE_HOME": "/tmp",
    "MPLCONFIGDIR": "/tmp",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MALLOC_ARENA_MAX": "2",  # an arena for each thread would take address space, which is limited
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
}


class SandboxUnavailable(RuntimeError):
    """No sandbox can be made on this machine; the message says why, and what to do."""


class KernelLost(RuntimeError):
    """A kernel did not start."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Memory is counted beyond what an empty kernel has; seconds are wall time."""

    memory_mb: int = 1024  # of all its processes together, and of address space for each
    processor_seconds: int = 120  # of all its processes together
    processes: int = 64  # and threads
    file_mb: int = 50  # one file
    folder_mb: int = 100  # home, /tmp and /dev/shm together
    open_files: int = 256
    output_kb: int = 200  # text put out by one cell; a kernel's messages in all, 64 times that
    call_seconds: float = 10
    cell_seconds: float = 30
    test_seconds: float = 60
    notebook_seconds: float = 240


class KernelProcess:
    """The warden of one kernel, seen from outside. The end of its connection means that nothing is left running."""

    def __init__(self, connection: socket.socket, message_bytes: int) -> None:
        self._connection = connection
        self.message_bytes = message_bytes  # of one message of Jupyter's, at most
        self._received = b""
        self._lock = threading.Lock()
        self.ended = False
        self.blame: str | None = None  # why it was killed from outside, where that was its own doing

    @property
    def reports(self) -> list[bytes]:
        """Whole lines that the warden has written so far."""
        return self._received.split(b"\n")[:-1]

    @property
    def report(self) -> dict[str, Any]:
        """How it ended.

        `reason`: one of ended, closed, memory, processor, parallel, processes, output, error. `used`: seconds of
        processor time for its `start`, for its `cells`, of its `warden`; `memory_mb` at its most.
        """
        lines = [line for line in self.reports if line.startswith(b"{")]
        return json.loads(lines[-1]) if lines else {"reason": "error", "error": "the sandbox itself has ended"}

    def alive(self) -> bool:
        """Whether anything of the kernel may still be running."""
        return not self._read(0.0)

    def wait_ready(self, seconds: float) -> None:
        """Wait until the kernel listens, or raise KernelLost."""
        while not self.reports:
            if self._read(seconds, once=True):
                break
        if self.reports[:1] != [b"ready"]:
            raise KernelLost(f"the kernel did not start: {self.report['error'].strip()[-2000:]}")

    def kill(self) -> None:
        """Kill everything, and wait until it is dead."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        if not self._read(None):
            raise KernelLost("the kernel could not be killed")

    def close(self) -> None:
        """Kill and forget."""
        self.kill()
        self._connection.close()

    def _read(self, seconds: float | None, once: bool = False) -> bool:
        """Read what there is within that time; whether the connection has ended."""
        with self._lock:
            while not self.ended:
                self._connection.settimeout(seconds)
                try:
                    data = self._connection.recv(65536)
                except (BlockingIOError, TimeoutError):
                    if once:
                        raise KernelLost(f"the kernel did not start within {seconds:g} seconds") from None
                    break
                except ConnectionError:
                    data = b""
                self._received += data
                self.ended = not data
                if once:
                    break
            return self.ended


@dataclass
class Kernel:
    """A running kernel: `manager` is for nbclient, `client` for code of one's own."""

    manager: AsyncKernelManager
    process: KernelProcess
    folder: Path  # seen from outside
    inside: str  # the same folder, seen from inside
    home: str  # the kernel's working folder, seen from inside
    calls: socket.socket  # listens at `calls` in the folder, for the referee
    limits: Limits

    @functools.cached_property
    def client(self) -> BlockingKernelClient:
        """A client that is connected and ready."""
        from course.grading.provisioner import BlockingClient

        client = BlockingClient(parent=self.manager, **self.manager.get_connection_info(session=True))
        client.start_channels()
        client.wait_for_ready(timeout=_START_SECONDS)
        return client

    def close_client(self) -> None:
        """Close the client's sockets, if there is one."""
        if "client" in vars(self):
            self.client.stop_channels()

    @property
    def reason(self) -> str | None:
        """None while it runs; then, in words for people, why it no longer does."""
        if self.process.alive():
            return None
        if self.process.blame:
            return self.process.blame
        limits = self.limits
        words = {
            "memory": f"it used more than {limits.memory_mb} MB of memory",
            "processor": f"it used more than {limits.processor_seconds} seconds of processor time",
            "parallel": "its processes computed side by side for too long",
            "processes": f"it had more than {limits.processes} processes",
            "output": f"it put out more than {_MESSAGES * limits.output_kb} kB",
            "ended": "it ended by itself",
            "closed": "it was stopped",
        }
        return words.get(self.process.report["reason"], "it was lost")


class Sandbox:
    """Starts kernels, each walled off from all else; one of these for each worker process.

    Parameters
    ----------
    no_sandbox  plain kernels of this user, same interface, no walls: only for code that you trust.
    user        whom root becomes first.
    imports     modules to import once for all kernels, besides NumPy and Matplotlib.
    """

    def __init__(self, *, no_sandbox: bool = False, user: str = "nobody", imports: tuple[str, ...] = ()) -> None:
        self.no_sandbox = no_sandbox
        self.imports = imports
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = iter(range(1, sys.maxsize))
        self._lock = threading.Lock()
        # The sandbox dies with the *thread* that started it, so that thread must not be one of the caller's.
        self._starter = ThreadPoolExecutor(1)

    # --- whether there can be one

    @staticmethod
    @functools.cache
    def available(user: str = "nobody") -> str | None:
        """None, or the reason in words why there can be no sandbox on this machine."""
        if sys.platform != "linux":
            return f"The sandbox needs Linux with bubblewrap; this is {sys.platform}. A container or WSL 2 will do."
        if shutil.which("bwrap") is None:
            return (
                "bubblewrap is not installed: there is no command `bwrap`. On Debian or Ubuntu: apt install bubblewrap"
            )
        if os.geteuid() == 0:
            try:
                pwd.getpwnam(user)
            except KeyError:
                return f"Root must become another user before it runs students' code, and there is no user {user!r}."
        with tempfile.TemporaryDirectory(dir=_short_place()) as folder:
            walls = _Walls(Path(folder), user)
            probe = "from course.grading.confine import own_namespaces; own_namespaces()"
            trial = subprocess.run([*walls.command(), "-c", probe], capture_output=True, env={}, text=True, timeout=60)
        if trial.returncode == 0:
            return None
        last = (trial.stderr.strip().splitlines() or ["no message"])[-1]
        return (
            f"bubblewrap cannot make a sandbox here: {last}\n"
            "It needs user namespaces. In a container, allow them (Docker: --security-opt seccomp=unconfined\n"
            "--security-opt systempaths=unconfined); on Ubuntu from 23.10 on:\n"
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )

    # --- start and stop

    def __enter__(self) -> "Sandbox":
        if not self.no_sandbox and (why := self.available(self._user)):
            raise SandboxUnavailable(why)
        _remove_left_over()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_short_place()))
        self._held = _hold(self.root)
        try:
            self._walls = None if self.no_sandbox else _Walls(self.root, self._user)
            for name in ("kernels", "sockets"):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            self._give(self.root / "kernels")
            self._start()
        except BaseException:
            shutil.rmtree(self.root, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._starter.shutdown()
        shutil.rmtree(self.root, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)

    def _start(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with inner:
            self._process = self._starter.submit(self._spawn, inner.fileno()).result()
        self._control.settimeout(_START_SECONDS)
        try:
            answer = self._control.recv(16)
        except (TimeoutError, ConnectionError):
            answer = b""
        if not answer:
            self._stop()
            self._log.seek(0)
            raise SandboxUnavailable(f"The sandbox did not start: {self._log.read().decode(errors='replace')[-2000:]}")

    def _spawn(self, control: int) -> "subprocess.Popen[bytes]":
        command = self._walls.command() if self._walls else [sys.executable]
        environment = {} if self._walls else {**_ENVIRONMENT, "HOME": str(self.root), "MPLCONFIGDIR": str(self.root)}
        return subprocess.Popen(
            [*command, "-m", "course.grading.zygote", str(control), "yes" if self._walls else "no", *self.imports],
            pass_fds=[control],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )

    def _stop(self) -> None:
        self._control.close()  # the zygote goes, and the walls fall on all that is within
        if self._process is not None:
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _give(self, place: Path) -> None:
        """Let the user inside use what this process made."""
        if self._walls and self._walls.drop:
            os.chown(place, *self._walls.drop)

    # --- kernels

    @contextlib.contextmanager
    def kernel(self, files: Mapping[str, bytes] | None = None, limits: Limits | None = None) -> Iterator[Kernel]:
        """A new kernel with these files in its working folder; at the end all of it is dead and gone."""
        from course.grading.provisioner import manager_of

        limits = limits or Limits()
        with contextlib.ExitStack() as stack:
            number = next(self._numbers)
            folder = self.root / "kernels" / str(number)
            folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self._give(folder)
            calls = stack.enter_context(_listener(folder / "calls"))
            self._give(folder / "calls")
            process, connection = self._launch(number, files or {}, limits)
            stack.callback(process.close)
            manager = manager_of(process, connection)
            stack.callback(manager.context.destroy, linger=0)
            kernel = Kernel(
                manager,
                process,
                folder,
                INSIDE if self._walls else str(folder),
                HOME if self._walls else str(folder / "home"),
                calls,
                limits,
            )
            stack.callback(kernel.close_client)
            yield kernel

    def _launch(
        self, number: int, files: Mapping[str, bytes], limits: Limits
    ) -> tuple[KernelProcess, KernelConnectionInfo]:
        """Start a kernel; what it takes to speak to it, in the form of a connection file."""
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{name!r} is not a file below the kernel's folder")
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._start()
        prefix, key = self.root / "sockets" / str(number), secrets.token_hex(16)
        home = HOME if self._walls else str(self.root / "kernels" / str(number) / "home")
        order = {
            "key": key,
            "address": "@k" if self._walls else f"{prefix}-k",  # in the sandbox a name in the kernel's own network
            "folder": str(number),
            "kept": self._walls.below_own_mounts() if self._walls else [],
            "home": home,
            "files": {name: base64.b64encode(data).decode() for name, data in files.items()},
            "limits": asdict(limits),
            "message_bytes": _MESSAGES * limits.output_kb << 10,
        }
        data = json.dumps(order).encode()
        with contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(_listener(Path(f"{prefix}-{i}"))) for i in range(1, _CHANNELS + 1)]
            ours, theirs = socket.socketpair()
            with theirs:
                descriptors = [theirs.fileno(), *(listener.fileno() for listener in listeners)]
                socket.send_fds(self._control, [b"kernel"], descriptors)
        process = KernelProcess(ours, _MESSAGE * limits.output_kb << 10)
        try:
            ours.sendall(struct.pack("!I", len(data)) + data)
            process.wait_ready(_START_SECONDS)
        except BaseException:
            process.close()
            raise
        connection: KernelConnectionInfo = {
            "transport": "ipc",
            "ip": str(prefix),
            "key": key,
            "signature_scheme": "hmac-sha256",
            "shell_port": 1,  # in the order of zygote.CHANNELS
            "iopub_port": 2,
            "stdin_port": 3,
            "control_port": 4,
        }
        return process, connection


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    return listener


def _short_place() -> str:
    """A socket's path may have 107 bytes; a folder for temporary files can be deep."""
    return "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SandboxUnavailable(f"There is no command `{name}`, which the sandbox needs.")
    return path


def _hold(folder: Path) -> int | None:
    """Mark a folder as in use by this process; None if another one uses it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_left_over() -> None:
    """Remove the folders of graders that were killed."""
    for folder in Path(_short_place()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            status = folder.lstat()
            old = time.time() - status.st_mtime > _OLD_SECONDS  # a new one may not be held yet
            if old and status.st_uid == os.geteuid() and (held := _hold(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


class _Walls:
    """The command line that starts Python in bubblewrap, and the files it needs."""

    def __init__(self, root: Path, user: str) -> None:
        self.root = root
        self.drop: tuple[int, int] | None = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            self.drop = (entry.pw_uid, entry.pw_gid)
            os.chown(root, 0, entry.pw_gid)
        root.chmod(0o710)
        (root / "kernels").mkdir(mode=0o710, exist_ok=True)
        _stage_course(root / "course")
        self.places = _python_places()

    def command(self) -> list[str]:
        """Everything up to Python's own arguments."""
        return [*self._become_user(), *self._bubblewrap(), os.path.normpath(sys.executable)]

    def below_own_mounts(self) -> list[str]:
        """The folders of Python over which each kernel would mount its own home or /tmp."""
        return [str(place) for place in self.places if place.parts[1] in ("home", "tmp")]

    def _become_user(self) -> list[str]:
        if self.drop is None:
            return []
        user, group = self.drop
        become = [_program("setpriv"), f"--reuid={user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all"]
        become.append("--bounding-set=-all")
        covers = sorted({str(cover) for place in self.places if (cover := _closed_to_others(place))})
        if not covers:
            return become
        show = [argument for cover in covers for argument in ("--tmpfs", cover)]
        for place in self.places:
            if _closed_to_others(place):
                show += _bind(place)
        return [_program("bwrap"), "--die-with-parent", "--dev-bind", "/", "/", *show, "--", *become]

    def _bubblewrap(self) -> list[str]:
        arguments = [_program("bwrap"), "--unshare-all", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
        arguments += ["--uid", _USER_INSIDE, "--gid", _USER_INSIDE, "--cap-drop", "ALL", "--clearenv"]
        for place in map(Path, _SYSTEM):
            if place.is_symlink():
                arguments += ["--symlink", os.readlink(place), str(place)]
            elif place.is_dir():
                arguments += ["--ro-bind", str(place), str(place)]
        for name in _SETTINGS:
            arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        for place in self.places:  # after /tmp, for they may lie in it
            arguments += _bind(place)
        for found in _answers([*map(Path, _SYSTEM), *self.places]):
            arguments += ["--tmpfs", str(found), "--remount-ro", str(found)]
        for source, target in (("course", _COURSE), ("kernels", SHARED)):
            arguments += ["--ro-bind", str(self.root / source), target]
        for name in ("/home", INSIDE):
            arguments += ["--dir", name]
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
        path = [_COURSE, *(str(place) for place in self.places if place.name in _PACKAGE_FOLDERS)]
        for name, value in {**_ENVIRONMENT, "PYTHONPATH": ":".join(path)}.items():
            arguments += ["--setenv", name, value]
        return [*arguments, "--"]


_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def _python_places() -> list[Path]:
    """The folders that this Python runs from and that are not the system's; none lies in another."""
    folders = {Path(sys.base_prefix), Path(sys.prefix), Path(sysconfig.get_path("stdlib"))}
    folders |= {Path(entry) for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS and Path(entry).is_dir()}
    folders = {Path(os.path.normpath(folder)) for folder in folders}  # Python may have been called by way of ..
    outside = [folder for folder in folders if not any(folder.is_relative_to(place) for place in _SYSTEM)]
    return sorted(f for f in outside if not any(f != other and f.is_relative_to(other) for other in outside))


def _answers(shown: list[Path]) -> list[Path]:
    """The folders below those shown that hold answers or tests: an installed course, or the repository itself."""
    below = ["", "lib", f"lib/python3.{sys.version_info.minor}", f"local/lib/python3.{sys.version_info.minor}"]
    homes = {place / part / name for place in shown for part in below for name in _PACKAGE_FOLDERS}
    homes |= {home for home in [*map(Path, sys.path), *shown] if home.name in _PACKAGE_FOLDERS}
    found = {home / package for home in homes for package in ("rnnlib", "course")}
    root = Path(__file__).parents[2]
    if (root / "pyproject.toml").exists():
        needed = [*shown, Path(sys.prefix), Path(sys.base_prefix)]
        found |= {child for child in root.iterdir() if not any(place.is_relative_to(child) for place in needed)}
    in_sight = {Path(os.path.realpath(path)) for path in found if path.is_dir()}
    return sorted(path for path in in_sight if any(path.is_relative_to(place) for place in shown))


def _closed_to_others(place: Path) -> Path | None:
    """The topmost folder on the way to a place that other users may not pass."""
    return next((p for p in reversed(place.parents) if not p.stat().st_mode & 0o001), None)


def _bind(place: Path) -> list[str]:
    """Show a folder at its own path; bubblewrap would make the folders above it closed to other users."""
    above = [p for p in reversed(place.parents) if p != Path("/")]
    return [*(a for p in above for a in ("--dir", str(p))), "--ro-bind", str(place), str(place)]


def _stage_course(target: Path) -> None:
    """The modules that a notebook uses, and what exercises there are, without the data that checks compare with."""
    package = Path(__file__).parent.parent
    for folder, modules in _MODULES.items():
        (target / "course" / folder).mkdir(parents=True, exist_ok=True)
        for module in modules:
            shutil.copyfile(package / folder / f"{module}.py", target / "course" / folder / f"{module}.py")
    data = target / "course" / DATA.relative_to(package)
    data.mkdir()
    for record in DATA.glob("*.json"):
        public = {"exercises": read_record(record.stem)["exercises"]}
        (data / record.name).write_text(json.dumps(public), encoding="utf-8")
