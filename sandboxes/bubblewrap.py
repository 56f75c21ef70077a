"""Commands in namespaces of their own, made by `bwrap`: no network, only what they need of the files, no rights.

Started by root, the namespaces are made with root's rights, so that sources in root's own folders can be mounted,
and the command is dropped to a user without any (`setpriv`). Started by anybody else, a user namespace does it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from sandboxes.base import Isolation, JobRequest, Limits, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.host import HostSandbox, check_place, common_environment, hub_variables, put_aside
from sandboxes.jobs.client import Command
from sandboxes.python_env import SANDBOX_USER, Environment, interpreter, make_environment
from sandboxes.seccomp import make_filter

ISOLATION = Isolation(
    network=True,
    files=True,
    processes=True,
    memory=False,
    protects_labels=True,
    notice="The bubblewrap sandbox hides network, files and processes; it cannot bound total memory, CPU or disk.",
)
TEMPORARY_BYTES = 2 << 30
"""Size of /tmp and of /dev/shm, each; both are memory."""
PROCESSES = 4096
"""How many a job may have where nothing else is said; there is no bound for all jobs together."""
FILTER_HANDLE, VIEW_HANDLE = 100, 101
SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
SITE_PACKAGES = ("lib/python3*/site-packages", "lib/python3*/dist-packages", "local/lib/python3*/*-packages")
VARIABLES = {"PATH": "/environment/bin:/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": "/environment"}


def open_bubblewrap(paths: SandboxPaths) -> HostSandbox:
    """A sandbox of namespaces. Raises `SandboxUnavailable` where `bwrap` is missing or may not work."""
    check_place(paths)
    check_bubblewrap(paths.home)
    root = os.geteuid() == 0
    if root and (paths.data.stat().st_mode & 0o005) != 0o005:
        raise SandboxFailed(f"{paths.data} cannot be read by others: chmod -R o+rX it, for commands do not run as root")
    environment = make_environment(paths.home)
    files = {VIEW_HANDLE: _kept(paths.jobs / ".views", "\0".join((*_namespaces(root), *_view(paths, environment))))}
    if content := make_filter():
        files[FILTER_HANDLE] = _kept(paths.jobs / ".views", content)
    head = [_bwrap(), "--args", str(VIEW_HANDLE), *(("--seccomp", str(FILTER_HANDLE)) if content else ())]

    def prepare(request: JobRequest) -> Command:
        for name in ("data", ".jobs"):
            mount_point = paths.workspace / name
            if mount_point.is_symlink() or not mount_point.is_dir():
                put_aside(mount_point)
                mount_point.mkdir()
        argv = (*head, *_variables(request, paths.models is not None), *_shell(request, root))
        return Command(argv, paths.workspace.absolute(), {}, files, bounds_itself=True)

    owner = (SANDBOX_USER, SANDBOX_USER) if root else None
    return HostSandbox("bubblewrap", ISOLATION, paths, prepare, owner)


@functools.cache
def check_bubblewrap(home: Path) -> str:
    """Run `true` in such a sandbox; the version that works. Raises `SandboxUnavailable` with what to do."""
    program = _bwrap()
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        places = [Path(folder, name) for name in ("workspace", "data", "jobs/.logs")]
        for path in places:
            path.mkdir(parents=True)
        Path(folder).chmod(0o755)
        for name in ("data", ".jobs"):
            (places[0] / name).mkdir()
        root = os.geteuid() == 0
        paths = SandboxPaths(places[0], places[1], places[2].parent, home)
        argv = [program, *_namespaces(root), *_view(paths, make_environment(home))]
        argv += _shell(JobRequest("probe", "exec /environment/bin/python -I -S -c ''"), root)
        try:
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=30, env={})
        except subprocess.TimeoutExpired:
            raise SandboxUnavailable("bubblewrap did not answer within 30 s") from None
    if done.returncode:
        raise SandboxUnavailable(
            f"bubblewrap does not work here ({done.stderr.strip()[-200:]}): {_advice(done.stderr)}"
        )
    return subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()


def _bwrap() -> str:
    if sys.platform != "linux":
        raise SandboxUnavailable("bubblewrap needs Linux")
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxUnavailable("bubblewrap is not installed: install the system package `bubblewrap`")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise SandboxUnavailable("as root, bubblewrap also needs `setpriv`: install the system package `util-linux`")
    return program


def _advice(message: str) -> str:
    if os.geteuid() == 0:
        return "the harness seems to run in a container without the right to mount; start it outside of one"
    if "uid map" in message or "namespace" in message or "Permission" in message:
        return (
            "let ordinary users make user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
            " user.max_user_namespaces above 0, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
        )
    return "see the message of bwrap"


@functools.cache
def _knows_disable_userns(program: str) -> bool:
    return "--disable-userns" in subprocess.run([program, "--help"], capture_output=True, text=True).stdout


def _namespaces(root: bool) -> Iterable[str]:
    for kind in ("pid", "net", "ipc", "uts", "cgroup-try"):
        yield f"--unshare-{kind}"
    yield from ("--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL")
    if root:
        for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):  # for setpriv, which gives them up
            yield from ("--cap-add", right)
        return
    yield from ("--unshare-user", "--uid", "1000", "--gid", "1000")
    if _knows_disable_userns(_bwrap()):
        yield "--disable-userns"


def _view(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """All that can be seen inside."""
    yield from _system(paths, environment)
    yield from _interpreter_view(paths, environment)
    size = str(TEMPORARY_BYTES)
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")
    yield from ("--bind", str(paths.workspace.absolute()), "/workspace")
    yield from ("--ro-bind", str(paths.data.absolute()), "/workspace/data")
    yield from ("--ro-bind", str(paths.jobs.absolute() / ".logs"), "/workspace/.jobs")
    if paths.models:
        yield from ("--ro-bind", str(paths.models.absolute()), "/models")
    yield from _made("/home")  # where agents of MLE-bench look
    yield from ("--symlink", "/workspace/data", "/home/data", "--symlink", "/workspace", "/home/submission")
    yield from ("--remount-ro", "/", "--chdir", "/workspace")


def _system(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """Programs and libraries of this machine, the base interpreter, and a small /etc."""
    roots = [Path("/usr")]
    for prefix in (environment.base, interpreter().resolve().parents[1]):
        if not any(prefix.is_relative_to(root) for root in roots):
            roots.append(prefix)
    for root in roots:
        if Path.home().is_relative_to(root):
            raise SandboxUnavailable(f"Python is installed in {root}, a home folder: use one with a folder of its own")
        yield from _made(*reversed(root.parents[:-1]))
        yield from ("--ro-bind", str(root), str(root))
        for pattern in SITE_PACKAGES:  # ours are mounted below; others may hold the harness, or answers
            for found in root.glob(pattern):
                yield from _empty(found)
        if paths.home.absolute().is_relative_to(root):
            yield from _empty(paths.home.absolute())
    for name in SYSTEM_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--ro-bind", str(environment.folder / "etc"), "/etc")


def _interpreter_view(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """The environment under a name that says nothing, answers masked."""
    inside = PurePosixPath("/environment")
    site_packages = inside / environment.site_packages
    yield from ("--ro-bind", str(environment.folder), str(inside))
    for hidden in paths.hidden:
        path = PurePosixPath(hidden)
        if path.is_absolute() or ".." in path.parts:
            raise SandboxFailed(f"{hidden} cannot be hidden: name it relative to site-packages")
        real = environment.folder / environment.site_packages / path
        if real.is_dir():
            yield from _empty(site_packages / path)
        elif real.exists():
            yield from ("--ro-bind", str(environment.folder / "etc" / "empty"), str(site_packages / path))


def _made(*folders: PurePath | str) -> Iterable[str]:
    """Folders that mounts stand in; left to `bwrap`, only root could pass them."""
    for folder in folders:
        yield from ("--perms", "0755", "--dir", str(folder))


def _empty(folder: PurePath) -> Iterable[str]:
    yield from ("--perms", "0755", "--tmpfs", str(folder), "--remount-ro", str(folder))


def _variables(request: JobRequest, has_models: bool) -> Iterable[str]:
    fixed = {**common_environment(), **VARIABLES, **hub_variables(has_models), "HOME": "/tmp", "TMPDIR": "/tmp"}
    variables = {**fixed, **request.environment}
    for name, value in variables.items():
        yield from ("--setenv", name, value)


def _shell(request: JobRequest, root: bool) -> Iterable[str]:
    yield "--"
    if root:
        user = str(SANDBOX_USER)
        yield from ("/usr/bin/setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs")
        yield from ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--")
    yield from ("/bin/bash", "-c", "; ".join((*_bounds(request.limits), request.command)))


def _bounds(limits: Limits) -> Iterable[str]:
    """What the kernel holds each process to, on the first line of the command, so that it counts lines as written.

    In whole kilobytes. A bound that is lower already stays; none can be raised again.
    """
    kilobytes = {"f": limits.file_bytes, "v": limits.memory_bytes}
    bounds = {"c": 0, "u": limits.processes or PROCESSES}
    bounds |= {name: value // 1024 for name, value in kilobytes.items() if value is not None}
    for name, value in bounds.items():
        yield f"ulimit -{name} {value} 2>/dev/null"
    yield "echo 500 >/proc/self/oom_score_adj"  # where memory runs short, the job goes first


def _kept(folder: Path, content: str | bytes) -> Path:
    """A file with this content, for `bwrap` to read: in its arguments, it would be in every list of processes."""
    data = content.encode() if isinstance(content, str) else content
    path = folder.absolute() / hashlib.sha256(data).hexdigest()[:16]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
        Path(file.name).rename(path)
    return path
