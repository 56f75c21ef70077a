"""A system call filter for sandboxes: no new user namespaces, mounts, kernel keys or unusual sockets.

It also closes channels between sandboxes that see the same read-only files: watches, leases and cache state of a file
are refused everywhere, and in evaluations file locks do nothing (`locks=False`): an evaluation on another fold and the
agent's jobs know different labels, and could pass them on by locking shared files.

It lists what is refused, so that ordinary programs are not affected: calls with which an unprivileged command reaches
large parts of the kernel, and sockets that a network namespace does not block (to the hypervisor, for example).
Docker's own filter lets some of them pass, depending on its version; this one is added to it. Standard library only:
runs inside containers.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

EPERM, EINVAL, ENOSYS, EAFNOSUPPORT = 1, 22, 38, 97
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
CLONE_NEWUSER = 0x10000000
SOCKET_FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink."""

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, INSTRUCTION_BYTES = 22, 2, 8
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24

REFUSED = (
    "mount umount2 pivot_root chroot setns open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr "
    "add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register "
    "kexec_load kexec_file_load init_module finit_module delete_module name_to_handle_at open_by_handle_at "
    "swapon swapoff reboot settimeofday clock_settime adjtimex clock_adjtime acct quotactl syslog sethostname "
    "inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark mincore cachestat"
)
CHECKED_BY_ARGUMENT = "clone unshare clone3 socket socketpair fcntl flock"
"""`socketpair` too: it runs the code of the socket family even where the family then refuses to make a pair."""
SET_LOCK, GET_LOCK, WATCH = (6, 7, 37, 38), (5, 36), (1024, 1026)
"""Commands of `fcntl`: F_SETLK, F_SETLKW and their F_OFD_ forms; F_GETLK, F_OFD_GETLK; F_SETLEASE, F_NOTIFY."""
NUMBERS = {
    "x86_64": (
        0xC000003E,
        "165 166 155 161 308 428 429 430 431 432 433 442 248 249 250 321 298 323 425 426 427 "
        "246 320 175 313 176 303 304 167 168 169 164 227 159 305 163 179 103 170 "
        "253 294 254 300 301 27 451 56 272 435 41 53 72 73",
    ),
    "aarch64": (
        0xC00000B7,
        "40 39 41 51 268 428 429 430 431 432 433 442 217 218 219 280 241 282 425 426 427 "
        "104 294 105 273 106 264 265 224 225 142 170 112 171 266 89 60 116 161 "
        "26 26 27 262 263 232 451 220 97 435 198 199 25 32",
    ),
}


Instruction = tuple[int, int, str, str]
"""Operation, value, label if true, label if false. An empty label is the next instruction."""
RESULTS = (
    ("no_family", REFUSE | EAFNOSUPPORT),
    ("refused", REFUSE | EPERM),
    ("unknown", REFUSE | ENOSYS),
    ("no_query", REFUSE | EINVAL),
    ("no_effect", REFUSE),
    ("allowed", ALLOW),
)


def make_filter(machine: str | None = None, locks: bool = True) -> bytes | None:
    """The BPF program for this machine; None if its call numbers are not listed here.

    Without `locks`, taking a file lock succeeds and does nothing, as on a file system mounted with `nolock`: an error
    would stop honest programs that lock a file of their own.
    """
    name = machine or os.uname().machine
    if name not in NUMBERS:
        return None
    architecture, numbers = NUMBERS[name]
    calls = dict(zip(f"{REFUSED} {CHECKED_BY_ARGUMENT}".split(), map(int, numbers.split()), strict=True))
    program = _call_checks(architecture, calls)
    labels: dict[str, int] = {}
    for label, part in _argument_checks(locks).items():
        labels[label] = len(program)
        program += part
    for label, value in RESULTS:
        labels[label] = len(program)
        program.append((RETURN, value, "", ""))
    return b"".join(_encode(index, labels, *line) for index, line in enumerate(program))


def _argument_checks(locks: bool) -> dict[str, list[Instruction]]:
    """Decide by an argument of the call, by label; each part ends with a jump."""
    on_lock, on_query = ("allowed", "allowed") if locks else ("no_effect", "no_query")
    return {
        "flags": [(LOAD, FIRST_ARGUMENT, "", ""), (JUMP_BITS, CLONE_NEWUSER, "refused", "allowed")],
        "family": [
            (LOAD, FIRST_ARGUMENT, "", ""),
            *((JUMP_EQUAL, family, "allowed", "") for family in SOCKET_FAMILIES[:-1]),
            (JUMP_EQUAL, SOCKET_FAMILIES[-1], "allowed", "no_family"),
        ],
        "lock": [(JUMP_AT_LEAST, 0, on_lock, on_lock)],
        "command": [
            (LOAD, SECOND_ARGUMENT, "", ""),
            *((JUMP_EQUAL, command, on_lock, "") for command in SET_LOCK),
            *((JUMP_EQUAL, command, on_query, "") for command in GET_LOCK),
            (JUMP_EQUAL, WATCH[0], "refused", ""),
            (JUMP_EQUAL, WATCH[1], "refused", "allowed"),
        ],
    }


def _call_checks(architecture: int, calls: dict[str, int]) -> list[Instruction]:
    """Decide by architecture and call number; ends with a jump to "allowed"."""
    by_argument = {name: calls[name] for name in CHECKED_BY_ARGUMENT.split()}
    return [
        (LOAD, ARCHITECTURE, "", ""),
        (JUMP_EQUAL, architecture, "", "unknown"),
        (LOAD, NUMBER, "", ""),
        (JUMP_AT_LEAST, 0x40000000, "unknown", ""),  # x32 calls
        *((JUMP_EQUAL, number, "refused", "") for name, number in calls.items() if name not in by_argument),
        (JUMP_EQUAL, by_argument["clone3"], "unknown", ""),  # its flags are in memory; programs fall back to clone
        (JUMP_EQUAL, by_argument["clone"], "flags", ""),
        (JUMP_EQUAL, by_argument["unshare"], "flags", ""),
        (JUMP_EQUAL, by_argument["socket"], "family", ""),
        (JUMP_EQUAL, by_argument["socketpair"], "family", ""),
        (JUMP_EQUAL, by_argument["flock"], "lock", ""),
        (JUMP_EQUAL, by_argument["fcntl"], "command", "allowed"),
    ]


def apply_filter(libc: ctypes.CDLL, program: bytes) -> None:
    """Apply a filter permanently to this process and all it starts. `no_new_privs` must be set before.

    Raises OSError if the kernel refuses the filter.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    filter_program: Any = Program(len(program) // INSTRUCTION_BYTES, program)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_program), 0, 0):
        raise OSError("the kernel refused the system call filter")


def _encode(index: int, labels: dict[str, int], code: int, value: int, then: str, otherwise: str) -> bytes:
    jumps = [labels[label] - index - 1 if label else 0 for label in (then, otherwise)]
    return struct.pack("=HBBI", code, *jumps, value)
