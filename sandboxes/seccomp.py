"""A filter of system calls for sandboxes: no new user namespaces, mounts, kernel keys, or odd kinds of sockets.

It is a list of what is refused, not of what is allowed: ordinary programs must not notice it. What it closes are
doors that a command without any right can open by itself into large parts of the kernel, and sockets that a network
namespace does not hold back (those to the hypervisor, for one). Docker's own filter, which lets some of them pass,
depends on its version; ours comes on top. Standard library only: the keeper of a job in a container uses it too.
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
LOOKED_AT = "clone unshare clone3 socket socketpair"
"""A pair is made by the family's own code as well, also where that then says it has none."""
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


def make_filter(machine: str | None = None) -> bytes | None:
    """The filter as the kernel takes it, for this machine; None for one whose call numbers are not known here."""
    if (machine or os.uname().machine) not in NUMBERS:
        return None
    architecture, numbers = NUMBERS[machine or os.uname().machine]
    calls = dict(zip(f"{REFUSED} {LOOKED_AT}".split(), map(int, numbers.split()), strict=True))
    special = {name: calls.pop(name) for name in LOOKED_AT.split()}
    program: list[tuple[int, int, str, str]] = [
        (LOAD, ARCHITECTURE, "", ""),
        (JUMP_EQUAL, architecture, "", "unknown"),
        (LOAD, NUMBER, "", ""),
        (JUMP_AT_LEAST, 0x40000000, "unknown", ""),
        *((JUMP_EQUAL, number, "refused", "") for number in calls.values()),
        (JUMP_EQUAL, special["clone3"], "unknown", ""),  # its flags lie in memory; programs fall back to clone
        (JUMP_EQUAL, special["clone"], "flags", ""),
        (JUMP_EQUAL, special["unshare"], "flags", ""),
        (JUMP_EQUAL, special["socket"], "family", ""),
        (JUMP_EQUAL, special["socketpair"], "family", "allowed"),
    ]
    labels = {"flags": len(program), "family": len(program) + 2}
    program += [
        (LOAD, FIRST_ARGUMENT, "", ""),
        (JUMP_BITS, CLONE_NEWUSER, "refused", "allowed"),
        (LOAD, FIRST_ARGUMENT, "", ""),
        *((JUMP_EQUAL, family, "allowed", "") for family in SOCKET_FAMILIES),
    ]
    for label, value in (
        ("no_family", REFUSE | EAFNOSUPPORT),
        ("refused", REFUSE | EPERM),
        ("unknown", REFUSE | ENOSYS),
        ("allowed", ALLOW),
    ):
        labels[label] = len(program)
        program.append((RETURN, value, "", ""))
    return b"".join(_instruction(at, labels, *line) for at, line in enumerate(program))


def hold(libc: ctypes.CDLL, program: bytes) -> None:
    """Put this process, and whatever it starts, under a filter for good; it must have given up new rights before.

    Raises OSError where the kernel does not take it.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    given: Any = Program(len(program) // INSTRUCTION_BYTES, program)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(given), 0, 0):
        raise OSError("the kernel did not take the filter of system calls")


def _instruction(at: int, labels: dict[str, int], code: int, value: int, then: str, otherwise: str) -> bytes:
    jumps = [labels[label] - at - 1 if label else 0 for label in (then, otherwise)]
    return struct.pack("=HBBI", code, *jumps, value)
