"""The bubblewrap sandbox: each command in its own namespaces, made by `bwrap`, without network or privileges.

As root, `bwrap` mounts with root's privileges, so that sources in root's own folders can be mounted, and `setpriv`
drops the command to an unprivileged user. As an ordinary user, `bwrap` makes a user namespace.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePath

from sandboxes.base import (
    Isolation,
    JobRequest,
    Limits,
    SandboxFailed,
    SandboxPaths,
    SandboxUnavailable,
    asks_for_background,
    background_note,
)
from sandboxes.cache import store_file
from sandboxes.environments.environment import SITE_PACKAGES, Environment
from sandboxes.environments.small import SANDBOX_USER, make_environment
from sandboxes.gpu_devices import device_nodes, gpu_variables, outside
from sandboxes.host import (
    HostSandbox,
    common_environment,
    environment_of,
    make_mount_points,
    make_workspace,
    model_hub_variables,
)
from sandboxes.jobs.client import Command
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
"""Size of /tmp and of /dev/shm, each. Both are in memory."""
MAX_PROCESSES = 4096
"""Processes of a job whose request sets no limit."""
FILTER_HANDLE, ARGUMENTS_HANDLE = 100, 101
CPUS = "/sys/devices/system/cpu"
SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
RUN_AND_COUNT = f"""{{ /bin/bash -c "$1" 2>&3 3>&-; }} 3>&2 2>/dev/null
code=$?
end=$((${{EPOCHREALTIME/[.,]/}} + 50000))
while set -- /proc/[0-9]*; [ $# -gt 2 ] || exit $code; ((${{EPOCHREALTIME/[.,]/}} < end)); do :; done
echo "{background_note("$(($# - 2))")}"
exit $code"""
"""Runs a command, then says how many processes it left behind: the namespace ends them, so the runner sees none. Those
that end within 50 ms do not count. Nothing is forked, since the limit of processes may be reached."""


def open_bubblewrap(paths: SandboxPaths) -> HostSandbox:
    """Open a bubblewrap sandbox. Raises `SandboxUnavailable` if `bwrap` is missing or does not work."""
    make_workspace(paths)
    check_bubblewrap(paths.home)
    root = os.geteuid() == 0
    if root and (paths.data.stat().st_mode & 0o005) != 0o005:
        raise SandboxFailed(f"commands do not run as root and cannot read {paths.data}: run chmod -R o+rX {paths.data}")
    environment = environment_of(paths)
    folder = paths.jobs / ".bubblewrap"
    options = (*_namespaces(root), *_mounts(paths, environment))
    # Files, since the arguments of a process are visible in every process list.
    files = {ARGUMENTS_HANDLE: store_file(folder, "\0".join(options).encode())}
    if content := make_filter(locks=paths.locks):
        files[FILTER_HANDLE] = store_file(folder, content)
    head = [_bwrap(), "--args", str(ARGUMENTS_HANDLE), *(("--seccomp", str(FILTER_HANDLE)) if content else ())]

    def prepare(request: JobRequest) -> Command:
        make_mount_points(paths.workspace)
        argv = (*head, *_variables(request, paths, environment), *_shell(request, root))
        return Command(argv, paths.workspace.absolute(), {}, files, bounds_itself=True)

    owner = (SANDBOX_USER, SANDBOX_USER) if root else None
    return HostSandbox("bubblewrap", ISOLATION, paths, prepare, owner)


@functools.cache
def check_bubblewrap(home: Path) -> str:
    """Start Python in a bubblewrap sandbox; returns the version of `bwrap`. Raises `SandboxUnavailable`."""
    program = _bwrap()
    with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
        paths = SandboxPaths(Path(folder, "workspace"), Path(folder, "data"), Path(folder, "jobs"), home)
        for path in (paths.workspace, paths.data, paths.jobs / ".logs"):
            path.mkdir(parents=True)
        Path(folder).chmod(0o755)
        make_mount_points(paths.workspace)
        root = os.geteuid() == 0
        argv = [program, *_namespaces(root), *_mounts(paths, make_environment(home))]
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
        return "the harness seems to run in a container that may not mount; start it outside the container"
    if "uid map" in message or "namespace" in message or "Permission" in message:
        return (
            "allow ordinary users to make user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
            " user.max_user_namespaces above 0, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
        )
    return "see the message from bwrap"


@functools.cache
def _supports_disable_userns(program: str) -> bool:
    return "--disable-userns" in subprocess.run([program, "--help"], capture_output=True, text=True).stdout


def _namespaces(root: bool) -> Iterable[str]:
    for kind in ("pid", "net", "ipc", "uts", "cgroup-try"):
        yield f"--unshare-{kind}"
    yield from ("--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL")
    if root:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):  # setpriv needs and then drops them
            yield from ("--cap-add", capability)
        return
    yield from ("--unshare-user", "--uid", "1000", "--gid", "1000")
    if _supports_disable_userns(_bwrap()):
        yield "--disable-userns"


def _mounts(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """Everything that is visible inside."""
    yield from _system_mounts(paths, environment)
    size = str(TEMPORARY_BYTES)
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from _device_mounts(paths)
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")
    yield from _environment_mounts(paths, environment)  # after /tmp, where it may be
    yield from ("--bind", str(paths.workspace.absolute()), "/workspace")
    yield from ("--ro-bind", str(paths.data.absolute()), "/workspace/data")
    yield from ("--ro-bind", str(paths.jobs.absolute() / ".logs"), "/workspace/.jobs")
    if paths.models:
        yield from ("--ro-bind", str(paths.models.absolute()), "/models")
    yield from _make_folders("/home")  # the paths of MLE-bench
    yield from ("--symlink", "/workspace/data", "/home/data", "--symlink", "/workspace", "/home/submission")
    yield from ("--remount-ro", "/", "--chdir", "/workspace")


def _device_mounts(paths: SandboxPaths) -> Iterable[str]:
    """The leased GPUs and what the kernel says of processors. A GPU that has vanished is left out."""
    for node, name in device_nodes(paths.gpus).items():
        yield from ("--dev-bind-try", str(node), f"/dev/{name}")
    if paths.gpus:  # libraries ask it how GPUs are connected
        yield from (*_make_folders("/sys"), "--ro-bind-try", "/sys", "/sys")
        for folder in outside(Path("/", name) for name in ("usr", *SYSTEM_FOLDERS)):
            yield from (*_make_folders(*reversed(folder.parents[:-1])), "--ro-bind", str(folder), str(folder))
    else:  # without the number of cores, `lscpu` fails and joblib warns
        yield from (*_make_folders("/sys/devices/system"), "--ro-bind-try", CPUS, CPUS)


def _system_mounts(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """Programs and libraries of this machine, the base interpreter, and a small /etc."""
    for root in (Path("/usr"), *environment.visible_roots()):
        yield from _make_folders(*reversed(root.parents[:-1]))
        yield from ("--ro-bind", str(root), str(root))
        for pattern in SITE_PACKAGES:  # may contain the harness, or answers; the agent's packages are mounted elsewhere
            for packages in root.glob(pattern):
                yield from _mask(packages)
        if paths.home.absolute().is_relative_to(root):
            yield from _mask(paths.home.absolute())
    for name in SYSTEM_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--ro-bind", str(_etc(paths)), "/etc")


def _etc(paths: SandboxPaths) -> Path:
    return make_environment(paths.home).folder / "etc"


def _environment_mounts(paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    """The agent's Python environment, with answer files masked."""
    yield from _make_folders(*reversed(environment.inside.parents[:-1]))
    yield from ("--ro-bind", str(environment.folder), str(environment.inside))
    for path, is_folder in environment.hidden(paths.hidden).items():
        yield from _mask(path) if is_folder else ("--ro-bind", str(_etc(paths) / "empty"), str(path))


def _make_folders(*folders: PurePath | str) -> Iterable[str]:
    """Parent folders of mounts. Those that `bwrap` makes itself only root can enter."""
    for folder in folders:
        yield from ("--perms", "0755", "--dir", str(folder))


def _mask(folder: PurePath) -> Iterable[str]:
    yield from ("--perms", "0755", "--tmpfs", str(folder), "--remount-ro", str(folder))


def _variables(request: JobRequest, paths: SandboxPaths, environment: Environment) -> Iterable[str]:
    fixed = {
        **common_environment(),
        **environment.variables(environment.inside),
        **model_hub_variables(paths.models is not None),
        **gpu_variables(paths.gpus),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
    }
    for name, value in {**fixed, **request.environment}.items():
        yield from ("--setenv", name, value)


def _shell(request: JobRequest, root: bool) -> Iterable[str]:
    yield "--"
    if root:
        user = str(SANDBOX_USER)
        yield from ("/usr/bin/setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs")
        yield from ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--")
    command = "; ".join((*_set_limits(request.limits), request.command))
    counts = asks_for_background(request.command)
    yield from ("/bin/bash", "-c", *((RUN_AND_COUNT, "bash") if counts else ()), command)


def _set_limits(limits: Limits) -> Iterable[str]:
    """Shell commands that set the limits of each process, in kB. They cannot be raised again.

    They precede the command on its first line, so that line numbers in error messages stay correct.
    """
    bytes_of = {"f": limits.file_bytes, "v": limits.memory_bytes}
    values = {"c": 0, "u": limits.processes or MAX_PROCESSES}
    values |= {name: value // 1024 for name, value in bytes_of.items() if value is not None}
    for name, value in values.items():
        yield f"ulimit -{name} {value} 2>/dev/null"
    yield "echo 500 >/proc/self/oom_score_adj"  # when memory runs out, the kernel kills the job before the harness
