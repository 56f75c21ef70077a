"""A system call filter for sandboxes: no new user namespaces, mounts, kernel keys or unusual sockets.

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

EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
CLONE_NEWUSER = 0x10000000
SOCKET_FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink."""

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, INSTRUCTION_BYTES = 22, 2, 8
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16

REFUSED = (
    "mount umount2 pivot_root chroot setns open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr "
    "add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register "
    "kexec_load kexec_file_load init_module finit_module delete_module name_to_handle_at open_by_handle_at "
    "swapon swapoff reboot settimeofday clock_settime adjtimex clock_adjtime acct quotactl syslog sethostname"
)
CHECKED_BY_ARGUMENT = "clone unshare clone3 socket socketpair"
"""`socketpair` too: it runs the code of the socket family even where the family then refuses to make a pair."""
NUMBERS = {
    "x86_64": (
        0xC000003E,
        "165 166 155 161 308 428 429 430 431 432 433 442 248 249 250 321 298 323 425 426 427 "
        "246 320 175 313 176 303 304 167 168 169 164 227 159 305 163 179 103 170 56 272 435 41 53",
    ),
    "aarch64": (
        0xC00000B7,
        "40 39 41 51 268 428 429 430 431 432 433 442 217 218 219 280 241 282 425 426 427 "
        "104 294 105 273 106 264 265 224 225 142 170 112 171 266 89 60 116 161 220 97 435 198 199",
    ),
}


Instruction = tuple[int, int, str, str]
"""Operation, value, label if true, label if false. An empty label is the next instruction."""
RESULTS = (
    ("no_family", REFUSE | EAFNOSUPPORT),
    ("refused", REFUSE | EPERM),
    ("unknown", REFUSE | ENOSYS),
    ("allowed", ALLOW),
)


def make_filter(machine: str | None = None) -> bytes | None:
    """The BPF program for this machine; None if its call numbers are not listed here."""
    name = machine or os.uname().machine
    if name not in NUMBERS:
        return None
    architecture, numbers = NUMBERS[name]
    calls = dict(zip(f"{REFUSED} {CHECKED_BY_ARGUMENT}".split(), map(int, numbers.split()), strict=True))
    program = _call_checks(architecture, calls)
    labels = {"flags": len(program), "family": len(program) + 2}
    program += [
        (LOAD, FIRST_ARGUMENT, "", ""),
        (JUMP_BITS, CLONE_NEWUSER, "refused", "allowed"),
        (LOAD, FIRST_ARGUMENT, "", ""),
        *((JUMP_EQUAL, family, "allowed", "") for family in SOCKET_FAMILIES),
    ]
    for label, value in RESULTS:
        labels[label] = len(program)
        program.append((RETURN, value, "", ""))
    return b"".join(_encode(index, labels, *line) for index, line in enumerate(program))


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
        (JUMP_EQUAL, by_argument["socketpair"], "family", "allowed"),
    ]


def apply_filter(libc: ctypes.CDLL, program: bytes) -> None:
    """Apply a filter to this process and all it starts, for good. `no_new_privs` must be set before.

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
