"""The system call filter: its result for each call, and that commands in isolating sandboxes run under it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandboxes.base import SandboxPaths
from sandboxes.seccomp import make_filter

KNOWN = pytest.mark.skipif(make_filter() is None, reason="call numbers are known for x86_64 and aarch64 only")
ALLOWED, REFUSED, UNKNOWN, NO_FAMILY = 0x7FFF0000, 0x50001, 0x50026, 0x50061
NAMES = "read mount keyctl io_uring_setup bpf clone clone3 unshare socket socketpair"
CALLS = {
    "x86_64": (0xC000003E, (0, 165, 250, 425, 321, 56, 435, 272, 41, 53)),
    "aarch64": (0xC00000B7, (63, 40, 219, 425, 280, 220, 435, 97, 198, 199)),
}
I386 = 0x40000003
NEW_USER, THREAD = 0x10000000, 0x3D0F00
UNIX, INET, PACKET, VSOCK, NONE = 1, 2, 17, 40, 99


def filter_result(program: bytes, architecture: int, number: int, first: int, second: int = 0) -> int:
    """The filter's result for one call, by interpreting its instructions."""
    data = struct.pack("=IIQQQ", number, architecture, 0, first, second)
    lines = list(struct.iter_unpack("=HBBI", program))
    index = loaded = 0
    while True:
        code, then, otherwise, value = lines[index]
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
            index += 1
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            index += 1 + (then if holds else otherwise)


@pytest.mark.parametrize("machine", CALLS)
def test_filter_refuses_dangerous_calls_only(machine: str) -> None:
    program = make_filter(machine) or b""
    architecture, numbers = CALLS[machine]
    number = dict(zip(NAMES.split(), numbers, strict=True))

    def verdict(name: str, first: int = 0) -> int:
        return filter_result(program, architecture, number[name], first)

    assert {verdict(name) for name in ("mount", "keyctl", "io_uring_setup", "bpf")} == {REFUSED}
    assert [verdict(name, NEW_USER) for name in ("clone", "unshare", "read")] == [REFUSED, REFUSED, ALLOWED]
    assert [verdict(name, THREAD) for name in ("clone", "unshare", "clone3")] == [ALLOWED, ALLOWED, UNKNOWN]
    for name in ("socket", "socketpair"):
        assert {verdict(name, family) for family in (UNIX, INET)} == {ALLOWED}
        assert {verdict(name, family) for family in (PACKET, VSOCK, NONE)} == {NO_FAMILY}
    assert {filter_result(program, I386, call, 0) for call in numbers} == {UNKNOWN}
    assert filter_result(program, architecture, number["read"] | 0x40000000, 0) == UNKNOWN, "x32 call numbers"


FCNTL, FLOCK = {"x86_64": 72, "aarch64": 25}, {"x86_64": 73, "aarch64": 32}
WATCHES = {"x86_64": (253, 294, 254, 300, 301, 27, 451), "aarch64": (26, 27, 262, 263, 232, 451)}
SUCCEEDS, INVALID = 0x50000, 0x50016


@pytest.mark.parametrize("machine", CALLS)
def test_locks_do_nothing_where_the_filter_says_so(machine: str) -> None:
    architecture = CALLS[machine][0]

    def results(locks: bool, *commands: int) -> set[int]:
        program = make_filter(machine, locks) or b""
        return {filter_result(program, architecture, FCNTL[machine], 3, command) for command in commands}

    for locks, flock in ((True, ALLOWED), (False, SUCCEEDS)):
        program = make_filter(machine, locks) or b""
        assert filter_result(program, architecture, FLOCK[machine], 3) == flock
        assert {filter_result(program, architecture, number, 0) for number in WATCHES[machine]} == {REFUSED}
        assert results(locks, 1024, 1026) == {REFUSED}, "leases and directory notifications"
        assert results(locks, 0, 1, 2, 3, 4, 1030) == {ALLOWED}, "copies and flags of handles"
    assert results(True, 5, 6, 7, 36, 37, 38) == {ALLOWED}
    assert (results(False, 6, 7, 37, 38), results(False, 5, 36)) == ({SUCCEEDS}, {INVALID})


def test_unknown_machine_has_no_filter() -> None:
    assert make_filter("unheard-of") is None


CALLS_SCRIPT = """
import ctypes, errno, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
calls = {"x86_64": (425, 323, 250, 248, 321, 298, 428, 303), "aarch64": (425, 282, 219, 217, 280, 241, 428, 264)}
for number in calls[platform.machine()]:  # io_uring, userfaultfd, keys, bpf, mounts
    if libc.syscall(number, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() != 1:
        print("open:", number, ctypes.get_errno())
for family in (socket.AF_VSOCK, socket.AF_PACKET, socket.AF_ALG):
    for make in (socket.socket, socket.socketpair):
        try:
            print("open:", make(family, socket.SOCK_SEQPACKET if family == socket.AF_ALG else socket.SOCK_STREAM))
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # refused only after the kernel made it
                print("reached:", make.__name__, family, error)
print("tried")
"""


@KNOWN
def test_dangerous_calls_and_sockets_are_refused(isolated: Any) -> None:
    """Also where Docker's own filter lets them pass: older versions allow vsock and io_uring."""
    isolated.sandbox.write("calls.py", CALLS_SCRIPT.encode())
    assert isolated.output_of("python calls.py") == "tried"


@KNOWN
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_drop_privileges_applies_the_filter() -> None:
    """Tested without a container, since Docker has a filter of its own."""
    setup = "from sandboxes.jobs.start_command import drop_privileges\ndrop_privileges(65534, 65534)"
    code = f"import ctypes, socket, platform\n{setup}\n{CALLS_SCRIPT}"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("tried\n", "")


LOCKS_SCRIPT = """
import fcntl, os, tempfile
path = tempfile.mkstemp()[1]
first, second = (os.open(path, os.O_RDWR) for _ in range(2))
fcntl.flock(first, fcntl.LOCK_EX)
fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("both locked it")
"""


@KNOWN
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_drop_privileges_can_make_locks_do_nothing() -> None:
    """This is how a container's jobs get the filter."""
    setup = "from sandboxes.jobs.start_command import drop_privileges\ndrop_privileges(65534, 65534, locks=False)"
    code = f"import fcntl, tempfile\n{setup}{LOCKS_SCRIPT}"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("both locked it\n", "")


def program_of_32_bits(code: bytes) -> bytes:
    """A minimal 32-bit ELF executable."""
    start, size = 0x08048000, 52 + 32 + len(code)
    head = struct.pack("<16s2H5I6H", b"\x7fELF\x01\x01\x01", 2, 3, 1, start + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return head + struct.pack("<8I", 1, 0, start, start, size, size, 5, 0x1000) + code


EXIT_WITH_7 = b"\xb8\x01\x00\x00\x00\xbb\x07\x00\x00\x00\xcd\x80\xf4"
"""mov eax, 1; mov ebx, 7; int 0x80; hlt"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program is one for i386")
def test_32_bit_program_does_not_run(isolated: Any, paths: SandboxPaths) -> None:
    """Its calls have other numbers, and one call covers all socket calls."""
    program = paths.workspace / "small"
    program.write_bytes(program_of_32_bits(EXIT_WITH_7))
    program.chmod(0o755)
    try:
        if subprocess.run([program]).returncode != 7:
            pytest.skip("this kernel runs no 32-bit programs")
    except OSError:
        pytest.skip("this kernel runs no 32-bit programs")
    assert isolated.run("./small").exit_code == 139
