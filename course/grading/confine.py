"""What holds a student's process, set from inside: namespaces, mounts, limits, a filter of system calls.

bubblewrap makes the outer walls (`course.grading.sandbox`). Within them each kernel gets namespaces of its
own, because one submission must not see another. Standard library only, and Linux only.
"""

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "close_all_but",
    "die_with_parent",
    "drop_rights",
    "own_files",
    "own_namespaces",
    "reap_orphans",
    "set_limits",
]

_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_ANY_NEW = _NEW_MOUNTS | _NEW_CGROUP | _NEW_UTS | _NEW_IPC | _NEW_USER | _NEW_PID | _NEW_NET
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_MIB = 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    result = getattr(_libc, name)(*wide)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, options.encode())


def die_with_parent() -> None:
    """This process gets SIGKILL when the one that forked it ends."""
    _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)


def reap_orphans() -> None:
    """Processes below this one whose parent ends become children of this one, not of init."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def close_all_but(keep: int) -> None:
    """Close every file above stderr but one."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 20)


def own_namespaces() -> None:
    """Leave for new user, pid (of the children), network, ipc, host name and cgroup namespaces; no more after that."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", _ANY_NEW & ~_NEW_MOUNTS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def own_files(shared: str, folder: str, megabytes: int, kept: Sequence[str] = ()) -> None:
    """New mounts: an empty home, /tmp and /dev/shm of one bounded size, /proc of this pid namespace, the folder.

    Of `shared`, where the folders of all kernels are, only this kernel's is left to see, as /run/k, read-only.
    `kept` are folders below /home or /tmp that stay in sight as they are: Python may have been installed there.
    """
    _call("unshare", _NEW_MOUNTS)
    held = {place: os.open(place, os.O_PATH | os.O_DIRECTORY) for place in kept}
    _mount("none", "/", "none", _RECURSIVE | _PRIVATE)
    options = f"size={megabytes}m,nr_inodes={20 * megabytes},mode=755"
    _mount("tmpfs", "/home", "tmpfs", _NO_SUID | _NO_DEV, options)
    for name, place in (("student", None), (".tmp", "/tmp"), (".shm", "/dev/shm")):
        os.mkdir(f"/home/{name}")
        if place:
            _mount(f"/home/{name}", place, "none", _BIND)
    for place, descriptor in held.items():
        os.makedirs(place)
        _mount(f"/proc/self/fd/{descriptor}", place, "none", _BIND | _RECURSIVE)
        os.close(descriptor)
    _mount(f"{shared}/{folder}", "/run/k", "none", _BIND)
    _mount("none", "/run/k", "none", _BIND | _REMOUNT | _READ_ONLY | _NO_SUID | _NO_DEV | _NO_EXEC)
    _mount("/dev/null", "/dev/zero", "none", _BIND)  # mapped, it would be memory that no limit counts
    _mount("tmpfs", shared, "tmpfs", _READ_ONLY | _NO_SUID | _NO_DEV | _NO_EXEC, "size=4k")
    _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEV | _NO_EXEC)


def set_limits(*, memory_mb: int, processor_seconds: int, file_mb: int, open_files: int) -> None:
    """Limits of this process and of each that it forks; memory is counted from what it has now."""
    occupied = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: occupied + memory_mb * _MIB,
        resource.RLIMIT_CPU: processor_seconds + 2,  # the warden counts for all processes, and comes first
        resource.RLIMIT_FSIZE: file_mb * _MIB,
        resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for name, value in limits.items():
        resource.setrlimit(name, (value, value))


def drop_rights(processes: int) -> None:
    """Give up every capability for good; nothing in this process can undo it."""
    if _kernel_release() >= (5, 14):  # before, the user's processes outside of the sandbox count as well
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
    _call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))
    _filter_calls()


def _kernel_release() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


# --- the filter of system calls: what a notebook never needs and what reaches past limits or namespaces
#
# Not a wall (the namespaces are) but fewer doors: memory that no limit counts (memfd, System V, shared memory
# without a file, pages lent to a pipe), sockets other than local ones (there is no network to reach, and vsock
# reaches the host of a virtual machine), new namespaces and mounts, tracing, the parts of the kernel with the most
# faults (bpf, io_uring, keys, userfaultfd, out-of-band data).

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_SOCKET, _CLONE3 = (41, 198), (435, 435)
_ABSENT = 0xFFFFFFFF  # no call has this number
_DENIED = {  # name: number on x86_64, number on aarch64
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "modify_ldt": (154, _ABSENT),
    "acct": (163, 89),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "io_setup": (206, 0),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "vmsplice": (278, 75),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "memfd_create": (319, 279),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443),
    "memfd_secret": (447, 447),
}
_OUT_OF_BAND, _SHARED, _ANONYMOUS = 1, 1, 0x20
_DENIED_WITH = {  # name: numbers, which argument, and groups of bits: refused where it has a bit of each
    "clone": ((56, 220), 0, (_ANY_NEW,)),
    "mmap": ((9, 222), 3, (_SHARED, _ANONYMOUS)),
    "sendto": ((44, 206), 3, (_OUT_OF_BAND,)),
    "recvfrom": ((45, 207), 3, (_OUT_OF_BAND,)),
    "sendmsg": ((46, 211), 2, (_OUT_OF_BAND,)),
    "recvmsg": ((47, 212), 2, (_OUT_OF_BAND,)),
    "recvmmsg": ((299, 243), 3, (_OUT_OF_BAND,)),
    "sendmmsg": ((307, 269), 3, (_OUT_OF_BAND,)),
}
_SOCKET_FAMILIES = (1, 16)  # local, and netlink (ZeroMQ asks), which ends at the network namespace
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


def _filter_calls() -> None:
    """Install the filter, for this process and all that it forks; on other machines than two there is none."""
    if platform.machine() not in _ARCHITECTURES:
        return
    code = _program(*_ARCHITECTURES[platform.machine()])
    program = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(program))
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_FILTER, header, 0, 0)


def _program(audit_name: int, column: int) -> bytes:
    """The filter in the kernel's own little language; offsets 0, 4 and 16: call, architecture, arguments."""
    code = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, audit_name), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_JUMP_ABOVE, 0, 1, 0x40000000), (_RETURN, 0, 0, _REFUSE | _ENOSYS)]  # x32, another numbering
    code += [(_JUMP_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _REFUSE | _ENOSYS)]  # glibc then takes clone
    for numbers in _DENIED.values():
        code += [(_JUMP_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    for numbers, argument, groups in _DENIED_WITH.values():
        tests = [(_JUMP_BITS, 0, len(groups) - i, bits) for i, bits in enumerate(groups)]
        code += [(_JUMP_EQUAL, 0, len(tests) + 3, numbers[column]), (_LOAD, 0, 0, 16 + 8 * argument), *tests]
        code += [(_RETURN, 0, 0, _REFUSE | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    families = [(_JUMP_EQUAL, len(_SOCKET_FAMILIES) - i, 0, family) for i, family in enumerate(_SOCKET_FAMILIES)]
    code += [(_JUMP_EQUAL, 0, len(families) + 2, _SOCKET[column]), (_LOAD, 0, 0, 16), *families]
    code += [(_RETURN, 0, 0, _REFUSE | _EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)
