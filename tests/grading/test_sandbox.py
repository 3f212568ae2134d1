"""What a submission can and cannot do, tried from inside of it; and that nothing of it stays."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import EntryPoint
from pathlib import Path
from queue import Empty

import nbformat
import psutil
import pytest
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from course.exercises import catalogue
from course.grading import sandbox as walls
from course.grading.sandbox import Kernel, KernelLost, Limits, Sandbox, SandboxUnavailable, _answers
from course.grading.zygote import _Frames, _Watch
from course.library import staged_files

CANARY = "canary-" + secrets.token_hex(8)
REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = Limits(memory_mb=256, processor_seconds=20, processes=40, file_mb=4, folder_mb=8, open_files=64, output_kb=20)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


def run(kernel: Kernel, source: str, seconds: float = 15) -> str:
    """What a cell prints, and the name of its error; "(dead)" if the kernel ends, "(late)" if it does not answer."""
    client, said, end = kernel.client, "", time.monotonic() + seconds
    asked = client.execute(textwrap.dedent(source), stop_on_error=False)
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=0.2)
        except KernelLost:
            return said + "(dead)"
        except Empty:
            if not kernel.process.alive():
                return said + "(dead)"
            continue
        if message["parent_header"].get("msg_id") == asked:
            content = message["content"]
            said += content.get("text", "") + content.get("ename", "")
            if content.get("execution_state") == "idle":
                return said
    return said + "(late)"


def marked(marker: str) -> list[int]:
    """The processes of this machine that have a word in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(marker in argument for argument in process.info["cmdline"] or []):
            found.append(process.pid)
    return found


def sleeper(marker: str) -> str:
    """Source that starts a process with a mark, out of reach of its parents: forked twice, a session of its own."""
    return f"""
    import os
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv({sys.executable!r}, [{sys.executable!r}, "-Sc", "import time; time.sleep(300)", "{marker}"])
        os._exit(0)
    """


def wait_until(true, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    os.environ["RNN_CANARY"] = CANARY
    with Sandbox() as sandbox:
        yield sandbox
    del os.environ["RNN_CANARY"]


@pytest.fixture(scope="module")
def kernel(sandbox) -> Iterator[Kernel]:
    """One that tests share which only look and leave nothing behind."""
    with sandbox.kernel({"notes/own.txt": b"my own"}) as kernel:
        yield kernel


# --- that it works


def test_a_notebook_runs_through_nbclient_unchanged(sandbox):
    """nbclient takes the manager as it is; printed text, pictures, magics and errors come out as usual."""
    files = {f"rnnlib/{path}": text.encode() for path, text in staged_files(99, catalogue().values())}
    sources = [
        "%load_ext course\n%chapter 03-definition\nimport numpy as np",
        "from rnnlib.losses import softmax\nprint(softmax(np.zeros(2)))",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "1 / 0",
        "!echo shell",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    with sandbox.kernel(files) as kernel:
        NotebookClient(notebook, km=kernel.manager, allow_errors=True, timeout=30).execute()
    outputs = [cell.outputs[0] for cell in notebook.cells]
    assert outputs[1].text == "[0.5 0.5]\n"
    assert "image/png" in outputs[2].data
    assert outputs[3].ename == "ZeroDivisionError"
    assert outputs[4].text.split() == ["shell"]


def test_the_kernel_starts_with_its_files_and_reaches_the_referee_only(kernel):
    """The working folder holds what was given; the socket `calls` in /run/k leads to the listener outside."""
    accepted = []

    def accept() -> None:
        connection, _ = kernel.calls.accept()
        accepted.append(connection.recv(100))
        connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    said = run(
        kernel,
        f"""
        import os, socket
        print(os.getcwd(), open("notes/own.txt").read(), os.listdir("{kernel.inside}"))
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("{kernel.inside}/calls")
            s.sendall(b"hello")
        """,
    )
    thread.join(5)
    assert said == f"{kernel.home} my own ['calls']\n"
    assert accepted == [b"hello"]


def test_jupyter_starts_one_by_the_name_of_the_provisioner(tmp_path):
    """A kernel specification that names the provisioner is all that other Jupyter programs need."""
    name = "rnn-course-sandbox"
    KernelProvisionerFactory.instance().provisioners[name] = EntryPoint(
        name, "course.grading.provisioner:SandboxProvisioner", KernelProvisionerFactory.GROUP_NAME
    )
    manager = KernelManager(connection_file=str(tmp_path / "connection.json"))
    manager._kernel_spec = KernelSpec(
        argv=["-"],
        language="python",
        interrupt_mode="message",
        metadata={"kernel_provisioner": {"provisioner_name": name}},
    )
    beside = tmp_path / "work"
    beside.mkdir()
    (beside / "data.txt").write_text("beside")
    manager.start_kernel(cwd=str(beside))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=20)
    said: list[str] = []
    client.execute_interactive(
        "import os; print(os.getpid(), os.getuid(), open('data.txt').read())",
        timeout=10,
        output_hook=lambda message: said.append(message["content"].get("text", "")),
    )
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert "".join(said) == "1 1000 beside\n"
    assert not manager.has_kernel


def test_an_interrupt_reaches_a_cell(sandbox):
    """Interrupts are messages: the cell ends with KeyboardInterrupt and the kernel lives."""
    with sandbox.kernel({}) as kernel:
        kernel.client  # noqa: B018  (connects)
        asked = kernel.client.session.msg("interrupt_request", content={})
        threading.Timer(0.5, lambda: kernel.client.control_channel.send(asked)).start()
        assert run(kernel, "import time\ntime.sleep(20)") == "KeyboardInterrupt"
        assert run(kernel, "print('alive')") == "alive\n"


def test_two_kernels_differ_in_their_random_numbers(sandbox):
    """A fork would give every submission the same `random` and `numpy.random`."""
    source = "import random, numpy as np\nprint(random.random(), np.random.rand())"
    with sandbox.kernel({}) as one, sandbox.kernel({}) as two:
        assert len(set(f"{run(one, source)} {run(two, source)}".split())) == 4


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ""])
def test_files_go_below_the_working_folder_only(sandbox, name):
    with pytest.raises(ValueError, match="not a file below"), sandbox.kernel({name: b""}):
        pass


# --- what it cannot read


def test_it_has_no_rights(kernel):
    """Not root, no capability in any set, no way to get one, a filter of system calls."""
    said = run(
        kernel,
        """
        import os
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        names = "CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp".split()
        print(os.getuid(), os.getgid(), *(status[name] for name in names))
        """,
    )
    assert said.split() == ["1000", "1000", *["0" * 16] * 5, "1", "2"]


def test_outside_it_is_not_roots_process(sandbox):
    """Root becomes another user before any of the student's code runs."""
    marker = secrets.token_hex(8)
    with sandbox.kernel({}) as kernel:
        run(kernel, sleeper(marker))
        assert wait_until(lambda: marked(marker))
        assert all(psutil.Process(pid).uids().real != 0 for pid in marked(marker))


def test_places_of_the_instructor_are_not_there(kernel, tmp_path):
    """Gradebook, sources, solutions, tests, home, passwords: no path leads to them."""
    (tmp_path / "gradebook.db").write_text(CANARY)
    repository = [REPOSITORY / name for name in ("rnnlib", "solutions", "exercises", "tests", ".git", "course", "book")]
    places = [tmp_path, tmp_path / "gradebook.db", *repository, Path.home() / ".bashrc", Path.home() / ".ssh"]
    places += [Path("/etc/passwd"), Path("/etc/shadow"), Path("/var"), Path("/sys/class"), Path("/boot")]
    assert sum(place.exists() for place in places) > len(repository), "there must be something to hide"
    assert run(kernel, f"import os; print([p for p in {list(map(str, places))} if os.path.exists(p)])") == "[]\n"


def test_what_is_left_of_the_course_has_neither_answers_nor_expected_values(kernel):
    """The library's reference, the data of checks and the known wrong versions are not inside, installed or not."""
    said = run(
        kernel,
        """
        import importlib, json, os, course
        for name in ("rnnlib", "rnnlib.elman", "course.mutants", "course.checks.definition", "course.build"):
            try:
                importlib.import_module(name)
            except ImportError:
                pass
            else:
                print("can import", name)
        folder = os.path.dirname(course.__file__)
        for above, _, names in os.walk(folder):
            for name in names:
                if name.endswith((".npz", ".pyc", ".ipynb")):
                    print(above, name)
                if name.endswith(".json") and list(json.load(open(f"{above}/{name}"))) != ["exercises"]:
                    print(above, name)
        print(importlib.import_module("course.exercises").catalogue() != {})
        """,
    )
    assert said == "True\n"


def test_answers_are_covered_wherever_they_are_installed(tmp_path, monkeypatch):
    """In a folder of packages of Python's or of the system's; the repository, where it lies in what is shown."""
    packages, system = tmp_path / "own" / "site-packages", tmp_path / "usr"
    repository = system / "src" / "app"
    python = repository / ".venv"
    places = [packages, system / "local" / "lib" / f"python3.{sys.version_info.minor}" / "dist-packages"]
    hidden = [place / name for place in places for name in ("rnnlib", "course")]
    hidden += [repository / name for name in ("rnnlib", "solutions", "course", "_build")]
    for place in [*hidden, *(place / "numpy" for place in places), python]:
        place.mkdir(parents=True)
    (repository / "pyproject.toml").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, *map(str, places)])
    monkeypatch.setattr("course.grading.sandbox.__file__", str(repository / "course" / "grading" / "sandbox.py"))
    monkeypatch.setattr(sys, "prefix", str(python))
    assert set(_answers([system, packages])) == set(hidden)
    monkeypatch.setattr("course.grading.sandbox.__file__", str(tmp_path / "elsewhere" / "course" / "grading" / "x.py"))
    assert set(_answers([system, packages])) == set(hidden[:4])


@pytest.mark.parametrize("above", ["/tmp", "/home"])
def test_python_may_lie_below_home_or_tmp(above, monkeypatch):
    """A virtual environment there is in sight and read-only, though a kernel has a home and a /tmp of its own."""
    if not os.access(above, os.W_OK):
        assert above == "/home", "/tmp is everybody's"
        above = str(Path.home())
    with tempfile.TemporaryDirectory(dir=above) as place:
        Path(place).chmod(0o755)
        (Path(place) / "here").write_text("yes")
        places = [*walls._python_places(), Path(place)]
        monkeypatch.setattr(walls, "_python_places", lambda: places)
        with Sandbox() as sandbox, sandbox.kernel({}) as kernel:
            assert run(kernel, f"print(open('{place}/here').read())") == "yes\n"
            assert run(kernel, f"open('{place}/there', 'w')") == "OSError"
            seen = run(kernel, f"import os; print(*os.listdir('{above}'))").split()
            assert set(seen) <= {Path(place).name, "student", ".tmp", ".shm"}


def test_the_environment_of_the_grader_is_not_there(kernel):
    """Neither in its own environment nor in that of any process it sees; memory of others is closed."""
    said = run(
        kernel,
        """
        import os, pathlib
        texts = [repr(dict(os.environ))]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            texts.append((process / "environ").read_bytes().decode(errors="replace"))
        print(*texts)
        print("HOME=", os.environ["HOME"])
        """,
    )
    assert CANARY not in said
    assert "HOME= /home/student" in said


def test_there_is_no_network(kernel):
    """No address answers: the loopback of the machine, its abstract local sockets, its virtual machine's host."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(f"\0{CANARY}")
        local.listen()
        said = run(
            kernel,
            f"""
            import socket
            def attempt(family, kind, address):
                try:
                    with socket.socket(family, kind) as s:
                        s.settimeout(2)
                        s.connect(address)
                        s.send(b"x")
                    print("reached", family, address)
                except OSError as error:
                    print(type(error).__name__)
            attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {server.getsockname()[1]}))
            attempt(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53))
            attempt(socket.AF_INET6, socket.SOCK_STREAM, ("::1", {server.getsockname()[1]}))
            attempt(socket.AF_UNIX, socket.SOCK_STREAM, "\\0{CANARY}")
            attempt(socket.AF_VSOCK, socket.SOCK_STREAM, (2, 1024))
            attempt(socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0))
            print([name for _, name in socket.if_nameindex()])
            """,
        )
    assert "reached" not in said
    assert said.count("Error") == 6
    assert said.endswith("['lo']\n")


def test_one_submission_does_not_see_another(sandbox):
    """Files, processes, sockets, names: nothing of a kernel shows in one beside it, or after it."""
    marker = secrets.token_hex(8)
    leave = f"""
    import os, socket
    for folder in (".", "/tmp", "/dev/shm", os.path.expanduser("~/.ipython/profile_default/startup")):
        open(f"{{folder}}/{marker}.py", "w").write("print('{marker}')")
    keep = socket.socket(socket.AF_UNIX)
    keep.bind("\\0{marker}")
    keep.listen()
    """
    look = f"""
    import os, pathlib
    tops = ("/home", "/tmp", "/dev", "/run")
    found = [name for top in tops for _, below, names in os.walk(top) for name in below + names]
    texts = [p.read_text(errors="replace") for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
    texts += [pathlib.Path("/proc/net/unix").read_text(), repr(found)]
    print("{marker}" in "".join(texts), len(texts), os.listdir("/run/kernels"), os.listdir("/run/k"))
    """
    with sandbox.kernel({}) as one:
        assert run(one, leave + textwrap.indent(textwrap.dedent(sleeper(marker)), "    ")) == ""
        assert wait_until(lambda: marked(marker))
        assert run(one, look).startswith("True 5")
        with sandbox.kernel({}) as two:
            assert run(two, look) == "False 3 [] ['calls']\n"
    assert marked(marker) == []
    with sandbox.kernel({}) as three:
        assert run(three, look) == "False 3 [] ['calls']\n"


# --- what it cannot change


def test_it_writes_nowhere_but_in_its_own_folders(kernel):
    """Every folder that it can see is tried; only home, /tmp and /dev/shm take a file, and none of these is real."""
    said = run(
        kernel,
        f"""
        import os
        taken = set()
        for top in ("/", "/usr", "/run", "/opt", "/dev", "/etc", "/home", "/tmp", {sys.prefix!r}):
            for depth, (above, _, _) in enumerate(os.walk(top)):
                try:
                    open(above + "/{CANARY}", "w").close()
                    taken.add("/".join(above.split("/")[:3]))
                except OSError:
                    pass
                if depth > 300 or top == "/":
                    break
        print(sorted(taken))
        for name in ("sys/kernel/hostname", "sys/kernel/core_pattern", "sys/user/max_user_namespaces", "1/uid_map"):
            try:
                with open("/proc/" + name, "w") as file:
                    file.write("1")
                print("wrote", name)
            except OSError:
                pass
        """,
    )
    assert said == "['/dev/shm', '/home', '/home/.shm', '/home/.tmp', '/home/student', '/tmp']\n"
    assert not list(Path("/tmp").glob(CANARY))
    assert not list(Path("/dev/shm").glob(CANARY))


def test_system_calls_that_lead_out_are_refused(kernel):
    """New namespaces and mounts, root, tracing, memory that no limit counts."""
    said = run(
        kernel,
        """
        import ctypes, os, subprocess
        libc = ctypes.CDLL(None, use_errno=True)
        def refused(name, *arguments):
            if getattr(libc, name)(*arguments) != -1:
                print(name, "went through")
        for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000):
            refused("unshare", flag)
        refused("mount", b"tmpfs", b"/home/student", b"tmpfs", 0, b"")
        refused("mount", None, b"/usr", None, 4096 | 32, None)
        refused("umount2", b"/run/kernels", 2)
        refused("chroot", b"/")
        refused("setuid", 0)
        refused("setgroups", 0, None)
        refused("ptrace", 0, 0, 0, 0)
        refused("memfd_create", b"x", 0)
        refused("shmget", 0, 4096, 0o1600)
        refused("sethostname", b"x", 1)
        refused("syscall", 321, 0, 0, 0)
        print(subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode != 0)
        """,
    )
    assert said == "True\n"


def test_memory_that_no_limit_counts_is_refused(sandbox):
    """Shared memory without a file, /dev/zero mapped, pages lent to a pipe; what has a file or is private works."""
    with sandbox.kernel({}) as kernel:
        said = run(
            kernel,
            """
            import ctypes, mmap, multiprocessing, os, socket
            import numpy as np
            def refused(action):
                try:
                    print("went through:", action())
                except OSError:
                    pass
            def zeros():
                with open("/dev/zero", "r+b") as file:
                    return mmap.mmap(file.fileno(), 1 << 20)
            def lent():
                if ctypes.CDLL(None, use_errno=True).vmsplice(os.pipe()[1], None, 0, 0) < 0:
                    raise OSError(ctypes.get_errno())
            refused(lambda: mmap.mmap(-1, 1 << 20))
            refused(zeros)
            refused(lent)
            mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[0] = 1
            print(np.memmap("/tmp/map", dtype="f8", mode="w+", shape=(10,)).sum())
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(abs, [-1, 2]))
            """,
        )
    assert said == "0.0\n[1, 2]\n"


def test_out_of_band_data_is_refused(kernel):
    """It has been the way out of other sandboxes; an ordinary byte passes."""
    said = run(
        kernel,
        """
        import socket
        one, other = socket.socketpair()
        for action in (lambda: one.send(b"x", socket.MSG_OOB), lambda: other.recv(1, socket.MSG_OOB)):
            try:
                print("went through:", action())
            except PermissionError:
                pass
        one.sendmsg([b"y"])
        print(other.recv(1))
        """,
    )
    assert said == "b'y'\n"


def test_it_cannot_end_what_started_it(sandbox):
    """Signals to its parent, its group and to everybody reach nobody outside, and the sandbox goes on."""
    with sandbox.kernel({}) as other, sandbox.kernel({}) as kernel:
        said = run(
            kernel,
            """
            import os, signal
            print(os.getpid(), os.getppid())
            for pid in (os.getppid(), -1, 0, 2, 3, -2):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            """,
        )
        assert said.startswith("1 0\n")
        assert run(other, "print('alive')") == "alive\n"
    with sandbox.kernel({}) as after:
        assert run(after, "print('alive')") == "alive\n"


# --- bounds


def test_memory_of_one_process(sandbox):
    """More address space than allowed is a MemoryError, and the kernel lives."""
    with sandbox.kernel({}, SMALL) as kernel:
        assert run(kernel, "import numpy as np\nx = np.ones(300 << 17)") == "MemoryError"
        assert run(kernel, "x = np.ones(100 << 17); print(x.sum() > 0)") == "True\n"


def test_memory_of_all_processes_together(sandbox):
    """Each of several processes stays below; together they do not, and that ends the kernel."""
    with sandbox.kernel({}, SMALL) as kernel:
        source = "import os, time, numpy as np\nfor _ in range(3): os.fork()\nx = np.ones(100 << 17)\ntime.sleep(20)"
        assert run(kernel, source) == "(dead)"
        assert kernel.reason == "it used more than 256 MB of memory"


@pytest.mark.parametrize("source", ["while True: pass", "import os\nos.fork()\nwhile True: pass"])
def test_processor_time(sandbox, source):
    """One process that computes for ever, and two that share the time, end the kernel."""
    with sandbox.kernel({}, Limits(processor_seconds=1)) as kernel:
        begin = time.monotonic()
        assert run(kernel, source).endswith("(dead)")
        assert time.monotonic() - begin < 12
        assert kernel.reason == "it used more than 1 seconds of processor time"


def test_processor_time_of_processes_that_nobody_waits_for(sandbox):
    """Where SIGCHLD is ignored, no parent's account has their time; it counts all the same."""
    source = """
    import os, signal, time
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        child = os.fork()
        if child == 0:
            end = time.process_time() + 0.4
            while time.process_time() < end: pass
            os._exit(0)
        while os.path.exists(f"/proc/{child}"): time.sleep(0.05)
    """
    with sandbox.kernel({}, Limits(processor_seconds=4)) as kernel:
        assert run(kernel, source, 40).endswith("(dead)")
        assert kernel.reason == "it used more than 4 seconds of processor time"


def test_many_that_compute_side_by_side_are_too_much():
    """They would leave nothing of the processor to the submissions beside them, whose calls have time limits."""
    order = {"limits": asdict(Limits()), "address": "", "message_bytes": 0}
    watch = _Watch(0, None, 0, order)  # type: ignore[arg-type]
    assert [watch.excess(seconds, seconds, 1, 0) for seconds in (1, 10, 119, 121)] == [None, None, None, "processor"]
    assert [watch.excess(2 * seconds, seconds, 8, 0) for seconds in (2, 7, 9, 50)] == [None, None, *["parallel"] * 2]
    assert watch.excess(0, 50, 65, 0) == "processes"
    assert watch.excess(0, 50, 1, 1025 << 20) == "memory"


def test_the_grader_comes_first(kernel):
    """A kernel is less urgent than a grader, and cannot change that."""
    said = run(kernel, "import os\nprint(os.nice(0))\ntry: os.nice(-1)\nexcept PermissionError: print('no')")
    assert said == "5\nno\n"


@pytest.mark.parametrize("hidden", [False, True])
def test_memory_in_sockets_counts(sandbox, hidden):
    """What is sent and not read lies in no process; also where processes do not show what they have open."""
    source = f"""
    import ctypes, os, socket, time
    if {hidden}: ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    for _ in range(2): os.fork()
    kept = []
    try:
        while True:
            kept += socket.socketpair()
            for end in kept[-2:]:
                end.setblocking(False)
                try:
                    while True: end.send(bytes(4096))
                except BlockingIOError: pass
    except OSError: time.sleep(20)
    """
    with sandbox.kernel({}, Limits(memory_mb=300)) as kernel:
        assert run(kernel, source) == "(dead)"
        assert kernel.reason == "it used more than 300 MB of memory"


def test_a_fork_bomb_stays_small(sandbox):
    """There are never more processes than allowed; the machine and the next kernel do not notice."""
    before = len(psutil.pids())
    with sandbox.kernel({}, SMALL) as kernel:
        asked = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
        kernel.client.execute(asked)
        most = 0
        for _ in range(20):
            time.sleep(0.05)
            most = max(most, len(psutil.pids()) - before)
        assert most < 100
    with sandbox.kernel({}) as after:
        assert run(after, "print('alive')") == "alive\n"


def test_threads_count_as_processes(sandbox):
    """More threads than allowed are an error of the cell that wants them, and their stacks leave room for work."""
    source = """
    import threading
    stop, started = threading.Event(), 0
    try:
        while True:
            threading.Thread(target=stop.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        print(10 < started < 40)
        room = bytearray(100 << 20)
    stop.set()
    """
    with sandbox.kernel({}, SMALL) as kernel:
        assert run(kernel, source) == "True\n"


def test_files_are_small_and_few(sandbox):
    """One file, all files, all names, and open files each have a bound; the folder outside gets none of them."""
    with sandbox.kernel({}, SMALL) as kernel:
        said = run(
            kernel,
            """
            def attempt(action):
                try:
                    action()
                    print("went through")
                except OSError as error:
                    print(error.errno)
            def fill():
                for i in range(20):
                    open(f"/tmp/{i}", "wb").write(bytes(1 << 20))
            def names():
                for i in range(5000):
                    open(f"/dev/shm/{i}", "w").close()
            attempt(lambda: open("big", "wb").write(bytes(5 << 20)))
            attempt(fill)
            attempt(names)
            kept = []
            attempt(lambda: [kept.append(open("/dev/null")) for _ in range(100)])
            del kept[:]
            attempt(lambda: open("/run/k/x", "w"))
            """,
        )
        assert said.split() == ["27", "28", "28", "24", "30"]
        assert os.listdir(kernel.folder) == ["calls"]


def test_a_loop_that_prints_is_cut_and_goes_on(sandbox):
    """Honest work that prints too much gets its first part and a note, and the cells after it run."""
    with sandbox.kernel({}, SMALL) as kernel:
        said = run(kernel, "for i in range(20000): print('x' * 50)")
        assert 20 << 10 <= len(said) < 21 << 10
        assert said.endswith("[output cut]\n")
        assert run(kernel, "print('next')") == "next\n"


LINE = """
    import socket
    for f in range(3, 64):
        try:
            s = socket.socket(fileno=f)
            if s.getsockname() == b"\\0k-2" and not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                s.setblocking(True)
                news = s
            else:
                s.detach()
        except OSError:
            pass
"""
FLOODS = {
    "messages": """
    kernel = get_ipython().kernel
    from jupyter_client.session import Session
    while True:
        Session.send(kernel.session, kernel.iopub_socket, "stream", {"name": "stdout", "text": "x" * 100000})
    """,
    # More frames follow, says each of them: ZeroMQ keeps all until the last one, which never comes.
    "frames": f"""{LINE}
    frame = bytes([3]) + (1 << 16).to_bytes(8, "big") + bytes(1 << 16)
    while True:
        news.sendall(frame)
    """,
    "empty frames": f"{LINE}\n    news.sendall(bytes([1, 0]) * 600_000)\n    import time; time.sleep(9)",
}


def test_what_is_printed_and_cut_is_kept_nowhere(kernel):
    """Not on its way to the grader, and not in IPython's history: a hundred thousand lines of 10 kB take no memory."""
    source = """
        def resident():
            return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

        before = resident()
        for _ in range(100_000):
            print("x" * 10_000)
        open("grown", "w").write(str(resident() - before))
    """
    assert "[output cut]" in run(kernel, source)
    assert int(run(kernel, "print(open('grown').read())")) < 10_000  # kB


@pytest.mark.parametrize("way", FLOODS)
def test_a_flood_past_the_notebooks_streams_ends_the_kernel(sandbox, way):
    """Whole messages, or one message that never ends, written behind IPython's back: the reader's memory stays flat."""
    before = psutil.Process().memory_info().rss
    with sandbox.kernel({}, SMALL) as kernel:
        assert run(kernel, FLOODS[way]).endswith("(dead)")
        assert kernel.reason == "it put out more than 1280 kB"
    assert psutil.Process().memory_info().rss - before < 50 << 20


def test_a_kernel_that_breaks_its_line_is_not_waited_for(sandbox):
    """ZeroMQ drops a line with garbage on it, and would wait for the next one before it sends anything."""
    garbage = """
    import socket
    for n in range(3, 64):
        try:
            s = socket.socket(fileno=n)
        except OSError:
            continue
        if s.getsockname() == b"\\0k-1" and not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            s.setblocking(True)
            s.send(bytes([255]) * 10_000)
        s.detach()
    """

    async def asked() -> None:
        client = kernel.manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=20)
        client.execute(textwrap.dedent(garbage))
        await asyncio.sleep(2)
        client.execute("1")

    with sandbox.kernel({}) as kernel:
        began = time.monotonic()
        with pytest.raises(zmq.Again):
            asyncio.run(asked())
        assert time.monotonic() - began < 15


def test_frames_are_counted_however_they_come():
    """In pieces of any size; an older protocol, whose frames look otherwise, is past counting."""
    frames = [b"", b"x", b"y" * 255, b"z" * 70_000]
    greeting = bytes([0xFF, *bytes(8), 0x7F, 3]).ljust(64, b"\0")
    stream = greeting
    for frame in frames * 3:
        long = len(frame) > 255
        stream += bytes([2 * long]) + len(frame).to_bytes(8 if long else 1, "big") + frame
    for size in (1, 2, 3, 63, 64, 65, 1000, len(stream)):
        counter = _Frames()
        assert sum(counter.count(stream[i : i + size]) for i in range(0, len(stream), size)) == 12
    for other in (greeting[:10] + b"\1" + greeting[11:], b"\1" + greeting[1:]):
        assert _Frames().count(other) > 1 << 30


@pytest.mark.parametrize("where", ["metadata", "data"])
def test_millions_of_small_objects_do_not_become_any(sandbox, where):
    """One message of a few megabytes would take the reader a gigabyte."""
    content = {"data": {"text/plain": "x"}, "metadata": {}}
    source = f"""
    from jupyter_client.session import Session
    kernel = get_ipython().kernel
    content = {content}
    content["{where}"]["x"] = [{{}}] * COUNT
    Session.send(kernel.session, kernel.iopub_socket, "display_data", content, parent=kernel.get_parent())
    """
    with sandbox.kernel({}) as kernel:
        cell = nbformat.v4.new_code_cell(textwrap.dedent(source.replace("COUNT", "1000")))
        NotebookClient(nbformat.v4.new_notebook(cells=[cell]), km=kernel.manager, timeout=20).execute()
        assert (cell.outputs[0].data, cell.outputs[0].metadata) == ({"text/plain": "x"}, {})
    with sandbox.kernel({}) as kernel:
        before = psutil.Process().memory_info().rss
        cell = nbformat.v4.new_code_cell(textwrap.dedent(source.replace("COUNT", "3_000_000")))
        with pytest.raises((KernelLost, DeadKernelError)):
            NotebookClient(nbformat.v4.new_notebook(cells=[cell]), km=kernel.manager, timeout=20).execute()
        assert kernel.reason == "it sent a message that is too long"
        assert psutil.Process().memory_info().rss - before < 100 << 20


@pytest.mark.parametrize(
    "content",
    [{"name": "stdout"}, {"name": "stdout", "text": 3}, {"name": "stdout", "text": ["x"]}, {}],
)
def test_a_forged_message_is_no_trouble(sandbox, content):
    """The kernel has the key that signs its messages: one that is signed and wrong is the kernel's end."""
    with sandbox.kernel({}) as kernel:
        source = f"""
        from jupyter_client.session import Session
        kernel = get_ipython().kernel
        Session.send(kernel.session, kernel.iopub_socket, "stream", {content})
        Session.send(kernel.session, kernel.iopub_socket, "comm_open", {{"comm_id": []}})
        """
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(source))])
        with pytest.raises((KernelLost, DeadKernelError)):
            NotebookClient(notebook, km=kernel.manager, timeout=10).execute()
        assert kernel.reason is not None
        assert kernel.reason.startswith("it sent a ")


# --- that nothing stays


def test_a_kernel_that_ignores_interrupts_dies_at_once(sandbox):
    marker = secrets.token_hex(8)
    with sandbox.kernel({}) as kernel:
        run(kernel, sleeper(marker))
        assert wait_until(lambda: marked(marker))
        source = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    time.sleep(1)"
        kernel.client.execute(source)
        kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request", content={}))
        time.sleep(0.3)
        assert kernel.process.alive()
        begin = time.monotonic()
    assert time.monotonic() - begin < 2
    assert marked(marker) == []
    assert not kernel.folder.exists()


@pytest.mark.parametrize("end", ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)", "exit()"])
def test_a_kernel_that_ends_takes_its_daemons_along(sandbox, end):
    """Whoever forked twice before dies when the first process of the namespace does; the reason is said."""
    marker = secrets.token_hex(8)
    with sandbox.kernel({}) as kernel:
        run(kernel, sleeper(marker))
        assert wait_until(lambda: marked(marker))
        run(kernel, end, 3)
        if end != "exit()":
            assert kernel.reason == "it ended by itself"
            assert marked(marker) == []
    assert marked(marker) == []


def test_nothing_outlives_a_grader_that_is_killed(tmp_path):
    """SIGKILL leaves the grader no time to clean up; the sandbox goes with it."""
    marker = secrets.token_hex(8)
    program = f"""
    import time
    from course.grading.sandbox import Sandbox
    with Sandbox() as sandbox, sandbox.kernel({{}}) as kernel:
        kernel.client.execute({textwrap.dedent(sleeper(marker))!r})
        time.sleep(60)
    """
    grader = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    # The grader's own command line has the mark, too.
    assert wait_until(lambda: len(marked(marker)) == 2, 30)
    grader.kill()
    grader.wait()
    assert wait_until(lambda: not marked(marker))


def test_folders_of_killed_graders_are_removed_and_those_in_use_are_not():
    """A grader that was killed leaves its folder; the next one takes it away."""
    with Sandbox(no_sandbox=True) as running:
        left = running.root.with_name(running.root.name + "-left")
        left.mkdir()
        for folder in (left, running.root):
            os.utime(folder, (0, 0))
        with Sandbox(no_sandbox=True):
            assert not left.exists()
            assert running.root.exists()


def test_a_sandbox_that_dies_is_started_again():
    """Its kernels are lost and say so; the next one runs."""
    with Sandbox() as sandbox:
        with sandbox.kernel({}) as kernel:
            assert sandbox._process is not None
            os.killpg(sandbox._process.pid, signal.SIGKILL)
            assert wait_until(lambda: not kernel.process.alive())
            assert kernel.reason == "it was lost"
        with sandbox.kernel({}) as kernel:
            assert run(kernel, "print('alive')") == "alive\n"


def test_a_thread_that_starts_the_sandbox_may_end():
    """A worker's thread can be a short one; what it started stays."""
    stack = contextlib.ExitStack()
    opened: list[Sandbox] = []
    thread = threading.Thread(target=lambda: opened.append(stack.enter_context(Sandbox())))
    thread.start()
    thread.join()
    started = opened[0]._process
    time.sleep(0.2)
    with stack, opened[0].kernel({}) as kernel:
        assert run(kernel, "print('alive')") == "alive\n"
        assert opened[0]._process is started


def test_nothing_is_left_of_a_sandbox():
    """No process, no folder, no open file."""
    others = set(psutil.Process().children(recursive=True))
    files = len(os.listdir("/proc/self/fd"))
    with Sandbox() as sandbox:
        below = set(psutil.Process().children(recursive=True)) - others
        for _ in range(3):
            with sandbox.kernel({}) as kernel:
                run(kernel, "1")
    del kernel
    assert below
    assert wait_until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in below))
    assert not sandbox.root.exists()
    assert len(os.listdir("/proc/self/fd")) <= files + 2


# --- without a sandbox


def test_without_a_sandbox_the_interface_is_the_same():
    """Same kernels and bounds of output, no walls; daemons die here as well."""
    marker = secrets.token_hex(8)
    with Sandbox(no_sandbox=True) as plain:
        with plain.kernel({"own.txt": b"my own"}, SMALL) as kernel:
            assert run(kernel, "print(open('own.txt').read())") == "my own\n"
            run(kernel, f"import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('{kernel.inside}/calls')")
            kernel.calls.settimeout(5)
            kernel.calls.accept()[0].close()
            assert run(kernel, "for i in range(20000): print('x' * 50)").endswith("[output cut]\n")
            run(kernel, sleeper(marker))
            assert wait_until(lambda: marked(marker))
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
            NotebookClient(notebook, km=kernel.manager, timeout=20).execute()
            assert notebook.cells[0].outputs[0].text == "1\n"
        assert marked(marker) == []
        assert not kernel.folder.exists()
        with plain.kernel({}) as kernel:
            run(kernel, "import os; os._exit(0)", 3)
            assert kernel.reason == "it ended by itself"
    assert not plain.root.exists()


def test_a_kernel_that_cannot_start_says_why(sandbox):
    """What went wrong inside is said outside."""
    with pytest.raises(KernelLost, match="FileExistsError"), sandbox.kernel({"a": b"", "a/b": b""}):
        pass


# --- what is said where there can be none


def why_not(user: str = "nobody") -> str:
    return Sandbox.available.__wrapped__(user) or ""


def test_it_is_available_here():
    assert Sandbox.available() is None


def test_no_bubblewrap(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "apt install bubblewrap" in why_not()
    Sandbox.available.cache_clear()
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap"), Sandbox():
        pass
    Sandbox.available.cache_clear()


def test_another_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in why_not()


def test_no_user_to_become(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "no user 'nobody-at-all'" in why_not("nobody-at-all")


def test_bubblewrap_that_may_not(monkeypatch, public_folder):
    """The system's own words are passed on, and what is to be done."""
    fake = public_folder / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{public_folder}:{os.environ['PATH']}")
    said = why_not()
    assert "uid map: Permission denied" in said
    assert "unprivileged_userns" in said
