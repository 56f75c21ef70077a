"""Versions store an agent's files byte for byte, and no file can make the host run or read anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.events.registry import Decided, EvaluationStarted, SubmissionChosen
from runs.state import State
from runs.versions.commits import Commit, Versions, VersionsError
from runs.versions.files import Caps
from runs.versions.refs import refs_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "run" / "repo.git")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "train.py").write_text("print('one')\n")
    return folder


def tree(folder: Path) -> dict[str, bytes | str]:
    """The content of all files of a folder; of links, their target."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes()
        for path in paths
    }


def test_checkout_is_the_workspace_without_data_jobs_and_submission(
    versions: Versions, workspace: Path, tmp_path: Path
) -> None:
    for name in ("data/train.csv", ".jobs/j1/log", "__pycache__/x.pyc", "pkg/__pycache__/y.pyc", "submission.csv"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("no")
    (workspace / "pkg" / "data").mkdir()
    (workspace / "pkg" / "data" / "submission.csv").write_bytes(b"\0kept\r\n")
    (workspace / "go.sh").write_text("#!/bin/sh\n")
    (workspace / "go.sh").chmod(0o700)
    commit = versions.commit(workspace, "first")
    versions.checkout(commit.hash, tmp_path / "clean")
    assert tree(tmp_path / "clean") == {
        "train.py": b"print('one')\n",
        "pkg/data/submission.csv": b"\0kept\r\n",
        "go.sh": b"#!/bin/sh\n",
    }
    assert os.access(tmp_path / "clean" / "go.sh", os.X_OK)
    assert commit.left_out == ()
    assert sorted(versions.files(commit.hash)) == ["go.sh", "pkg/data/submission.csv", "train.py"]
    assert versions.read(commit.hash, "train.py") == b"print('one')\n"


def test_equal_files_give_equal_trees_and_equal_arguments_equal_commits(versions: Versions, workspace: Path) -> None:
    one, again = (versions.commit(workspace, "same", when=1_700_000_000) for _ in range(2))
    later = versions.commit(workspace, "other words", parent=one.hash)
    assert one == again
    assert (later.tree, later.hash != one.hash) == (one.tree, True)


def test_reset_restores_a_commit_and_keeps_data_and_jobs(versions: Versions, workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "public"
    outside.mkdir()
    (outside / "train.csv").write_text("1")
    (workspace / "data").symlink_to(outside)
    (workspace / ".jobs").mkdir()
    (workspace / ".jobs" / "log").write_text("log")
    first = versions.commit(workspace, "first")
    (workspace / "train.py").write_text("worse")
    (workspace / "submission.csv").write_text("id,y")
    (workspace / "out").symlink_to(outside)
    (workspace / "sub" / "deep").mkdir(parents=True)
    (workspace / "sub").chmod(0o000)
    versions.reset(workspace, first.hash)
    assert tree(workspace) == {"train.py": b"print('one')\n", "data": f"-> {outside}", ".jobs/log": b"log"}
    versions.reset(workspace, None)
    assert tree(workspace) == {"data": f"-> {outside}", ".jobs/log": b"log"}
    assert tree(outside) == {"train.csv": b"1"}


def test_reset_to_a_missing_commit_removes_nothing(versions: Versions, workspace: Path) -> None:
    versions.commit(workspace, "first")
    for name in ("0" * 40, "1" * 40, "--help", "HEAD"):
        with pytest.raises(VersionsError):
            versions.reset(workspace, name)
    assert tree(workspace) == {"train.py": b"print('one')\n"}


def test_reset_removes_folders_hundreds_deep(versions: Versions, workspace: Path) -> None:
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    commit = versions.commit(workspace, "deep")
    assert "folders deep" in commit.left_out[0]
    versions.reset(workspace, commit.hash)
    assert tree(workspace) == {"train.py": b"print('one')\n"}


def test_diff_shows_what_changed(versions: Versions, workspace: Path) -> None:
    one = versions.commit(workspace, "one")
    (workspace / "train.py").write_text("print('two')\n")
    (workspace / ".gitattributes").write_text("*.py -diff\n")
    two = versions.commit(workspace, "two", parent=one.hash)
    assert "-print('one')\n+print('two')" in versions.diff(one.hash, two.hash)
    assert "+print('one')" in versions.diff(None, one.hash)
    assert versions.diff(one.hash, one.hash) == ""


def test_names_of_any_bytes_are_restored(versions: Versions, workspace: Path, tmp_path: Path) -> None:
    odd = [b"new\nline", b"\xff\xfe", b'quo"te\\', b" lead", b"-rf", b"tab\t", "größe".encode(), b"d\n/\xffx"]
    (Path(os.fsdecode(bytes(workspace) + b"/d\n"))).mkdir()
    for name in odd:
        Path(os.fsdecode(bytes(workspace) + b"/" + name)).write_bytes(name)
    commit = versions.commit(workspace, "odd \0 names \udcff")
    versions.checkout(commit.hash, tmp_path / "clean")
    assert tree(tmp_path / "clean") == tree(workspace)
    assert versions.diff(None, commit.hash)


NOT_KEPT = (b".", b"..", b"data", b".jobs", b"submission.csv", b"__pycache__", b".ipynb_checkpoints")


NAMES = st.binary(min_size=1, max_size=12) | st.text(".gGit~1 \\:\u200c", min_size=1, max_size=6).map(str.encode)


@settings(max_examples=12, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=6))
def test_any_workspace_is_restored(files: dict[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as home:
        workspace = Path(home) / "w"
        workspace.mkdir()
        for name, content in files.items():
            clean = name.translate(None, b"\0/") or b"x"
            if clean not in NOT_KEPT:
                Path(os.fsdecode(bytes(workspace) + b"/" + clean)).write_bytes(content)
        versions = Versions(Path(home) / "repo.git")
        commit = versions.commit(workspace, "m")
        versions.checkout(commit.hash, Path(home) / "clean")
        before, restored = tree(workspace), tree(Path(home) / "clean")
        assert restored == {name: before[name] for name in restored}
        assert len(restored) + len(commit.left_out) == len(before)
        assert all("git" in line for line in commit.left_out), "only names that git refuses are left out"


def test_large_and_special_files_are_left_out_and_listed(versions: Versions, workspace: Path) -> None:
    small = Versions(versions.repo, Caps(file=100, total=250, count=5))
    (workspace / "big.bin").write_bytes(b"x" * 101)
    for name in "abc":
        (workspace / f"m{name}").write_bytes(b"x" * 90)
    os.mkfifo(workspace / "pipe")
    commit = small.commit(workspace, "m")
    assert [line.split(" ")[0] for line in commit.left_out] == ["big.bin", "mc", "pipe"]
    assert "larger than 100 bytes" in commit.left_out[0]
    assert sorted(small.files(commit.hash)) == ["ma", "mb", "train.py"]


def test_names_that_git_refuses_are_left_out(versions: Versions, workspace: Path, tmp_path: Path) -> None:
    refused = ["git~1", ".git ", ".GIT.", ".git::$INDEX", "a\\.git", ".g\u200cit", ".gitmodules"]
    for name in refused[:-1]:
        (workspace / name).write_text("x")
    (workspace / ".gitmodules").symlink_to("elsewhere")
    (workspace / ".gitignore").write_text("kept")
    (workspace / "git~10").write_text("kept")
    commit = versions.commit(workspace, "m")
    assert sorted(line.rpartition(" (git")[0] for line in commit.left_out) == sorted(refused)
    versions.set_refs({"refs/heads/main": commit.hash})
    assert sorted(tree(clone(versions, tmp_path / "clone"))) == [".gitignore", "git~10", "train.py"]
    versions.checkout(commit.hash, tmp_path / "clean")
    assert sorted(tree(tmp_path / "clean")) == [".gitignore", "git~10", "train.py"]


def plain_git(*words: str | Path) -> str:
    """What the git command line prints, with a user's usual settings."""
    return subprocess.run(["git", *map(str, words)], capture_output=True, text=True, check=True).stdout.strip()


def clone(versions: Versions, into: Path) -> Path:
    plain_git("clone", "--quiet", versions.repo, into)
    plain_git("-C", versions.repo, "fsck", "--strict")
    shutil.rmtree(into / ".git")
    return into


def run_with_evaluations(versions: Versions, workspace: Path) -> State:
    """The state of a run with two attempts of two and one evaluations, each of a commit of its own."""
    state = State()
    parent = None
    for seq, (attempt, name) in enumerate([(1, "001-1"), (1, "001-2"), (2, "002-1")]):
        (workspace / "train.py").write_text(f"print({name!r})\n")
        commit = versions.commit(workspace, f"evaluation {name}\n\npython train.py {name}", parent, when=1_700_000_000)
        parent = commit.hash
        started = EvaluationStarted(
            evaluation=name, call="c", command="python", commit=commit.hash, tree=commit.tree, job="j"
        )
        state.apply(started.model_copy(update={"seq": seq, "attempt": attempt}))
    return state


def test_clone_has_the_search_and_checks_out_the_submission_of_record(
    versions: Versions, workspace: Path, tmp_path: Path
) -> None:
    state = run_with_evaluations(versions, workspace)
    versions.set_refs(refs_of(state))
    assert plain_git("-C", versions.repo, "branch", "--list") == "attempt/001\n  attempt/002"
    state.apply(SubmissionChosen(evaluation="001-2", sha256="0" * 64, why="best"))
    versions.set_refs(refs_of(state))
    winner = tmp_path / "winner"
    plain_git("clone", "--quiet", versions.repo, winner)
    assert (winner / "train.py").read_text() == "print('001-2')\n"
    assert plain_git("-C", winner, "log", "-1", "--format=%b") == "python train.py 001-2"
    assert plain_git("-C", winner, "branch", "--show-current") == "main"
    assert plain_git("-C", winner, "tag").split() == ["evaluation/001-1", "evaluation/001-2", "evaluation/002-1"]
    remote = plain_git("-C", winner, "branch", "--remotes", "--format=%(refname:short)").split()
    assert {"origin/attempt/001", "origin/attempt/002", "origin/main"} <= set(remote)
    subjects = plain_git("-C", winner, "log", "--graph", "--all", "--format=%s").splitlines()
    assert subjects == ["* evaluation 002-1", "* evaluation 001-2", "* evaluation 001-1"]


def test_refs_written_again_after_a_kill_are_the_same(versions: Versions, workspace: Path) -> None:
    state = run_with_evaluations(versions, workspace)
    state.apply(SubmissionChosen(evaluation="002-1", sha256="0" * 64, why="best"))
    versions.set_refs(refs_of(state))
    before = plain_git("-C", versions.repo, "for-each-ref")
    main = versions.repo / "refs" / "heads" / "main"
    (main.parent / "main.lock").touch()  # as a killed git would leave it
    main.write_text("")  # as a power cut may leave it
    (versions.repo / "refs" / "tags" / "evaluation" / "001-1").unlink()
    for _ in range(2):
        versions.set_refs(refs_of(state))
        assert plain_git("-C", versions.repo, "for-each-ref") == before
    assert plain_git("-C", versions.repo, "rev-parse", "HEAD") == state.evaluations["002-1"].commit


def test_head_is_the_first_member_of_an_ensemble_of_record(versions: Versions, workspace: Path) -> None:
    state = run_with_evaluations(versions, workspace)
    state.apply(SubmissionChosen(evaluation="", sha256="0" * 64, why="the sample"))
    assert "refs/heads/main" not in refs_of(state)
    state.apply(SubmissionChosen(evaluation="final", sha256="0" * 64, why="the mean"))
    state.apply(Decided(step="record", chosen="001-2 002-1", why="the mean"))
    assert refs_of(state)["refs/heads/main"] == state.evaluations["001-2"].commit


ATTACK = {
    ".gitattributes": "[attr]evil filter=evil diff=evil merge=evil\n* evil\n*.py filter=evil text eol=crlf ident\n",
    ".gitconfig": '[filter "evil"]\n\tclean = touch PWNED\n\tsmudge = touch PWNED\n[core]\n\tfsmonitor = touch PWNED\n',
    ".git/config": (
        "[core]\n\tfsmonitor = touch PWNED\n\thooksPath = hooks\n\tworktree = /\n"
        '[filter "evil"]\n\tclean = touch PWNED\n\tsmudge = touch PWNED\n'
        '[diff "evil"]\n\ttextconv = touch PWNED\n\tcommand = touch PWNED\n'
    ),
    ".git/hooks/pre-commit": "#!/bin/sh\ntouch PWNED\n",
    "vendor/.git/config": "[core]\n\tfsmonitor = touch PWNED\n",
    "vendor/.GIT/hooks/post-checkout": "#!/bin/sh\ntouch PWNED\n",
    "vendor/code.py": "$Id$ x = 1\r\n",
    ".gitmodules": '[submodule "vendor"]\n\tpath = vendor\n\turl = ext::sh -c "touch PWNED"\n',
    ".gitignore": "*\n",
}


def test_no_workspace_file_or_environment_variable_runs_code_or_changes_bytes(
    versions: Versions, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwned = tmp_path / "pwned"
    for name, content in ATTACK.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(content.replace("PWNED", str(pwned)))
        (workspace / name).chmod(0o755)
    # The user's own settings would run the attack.
    monkeypatch.setenv("HOME", str(workspace))
    monkeypatch.setenv("GIT_DIR", str(workspace / ".git"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(workspace / ".gitconfig"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {pwned}")
    for name in ("GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(workspace / ".git"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {pwned}")
    monkeypatch.chdir(workspace)
    before = tree(workspace)
    one = versions.commit(workspace, "attack")
    (workspace / "train.py").write_text("print('more')\n")
    two = versions.commit(workspace, "again", parent=one.hash)
    versions.checkout(one.hash, tmp_path / "clean")
    versions.diff(one.hash, two.hash)
    versions.set_refs({"refs/heads/main": two.hash})
    versions.reset(workspace, one.hash)
    assert not pwned.exists()
    assert (versions.repo / "refs" / "heads" / "main").is_file()
    assert tree(tmp_path / "clean") == {
        name: content for name, content in before.items() if ".git/" not in name.lower()
    }
    assert [line.split(" ")[0] for line in one.left_out] == [".git", "vendor/.GIT", "vendor/.git"]


def test_links_are_stored_as_links_and_never_followed(versions: Versions, workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "private_labels"
    secret.mkdir()
    (secret / "answers.csv").write_text("the labels")
    (workspace / "peek").symlink_to(secret)
    (workspace / "file").symlink_to(secret / "answers.csv")
    commit = versions.commit(workspace, "m")
    versions.checkout(commit.hash, tmp_path / "clean")
    assert (tmp_path / "clean" / "peek").readlink() == secret
    assert "the labels" not in versions.diff(None, commit.hash)


def test_file_replaced_by_a_link_during_commits_never_leaks(versions: Versions, tmp_path: Path) -> None:
    workspace, secret = tmp_path / "workspace", tmp_path / "secret"
    workspace.mkdir()
    secret.write_text("the labels")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for make in (lambda: (workspace / "n").write_text("mine"), lambda: (workspace / "n").symlink_to(secret)):
                make()
                (workspace / "n").replace(workspace / "x")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        commits = [versions.commit(workspace, "m") for _ in range(15)]
    finally:
        stop.set()
        thread.join()
    for commit in commits:
        for path in versions.files(commit.hash):
            assert versions.read(commit.hash, path) in (b"mine", b"", os.fsencode(secret))


def test_works_without_home_and_on_a_workspace_of_another_user(versions: Versions, workspace: Path) -> None:
    if os.geteuid() == 0:
        for path in (workspace, workspace / "train.py"):
            os.chown(path, 12345, 12345)
    code = (
        "import pathlib, sys; from runs.versions.commits import Versions;"
        "v = Versions(pathlib.Path(sys.argv[1])); w = pathlib.Path(sys.argv[2]);"
        "c = v.commit(w, 'm'); v.reset(w, c.hash); print(c.hash)"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code, str(versions.repo), str(workspace)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert versions.files(done.stdout.strip()) == ["train.py"]
    assert (workspace / "train.py").stat().st_uid == workspace.stat().st_uid


def test_kill_during_a_commit_does_not_block_the_next(versions: Versions, workspace: Path) -> None:
    for number in range(30):
        (workspace / f"f{number}").write_bytes(os.urandom(50_000))
    code = (
        "import pathlib, sys; from runs.versions.commits import Versions\n"
        "while True: print(Versions(pathlib.Path(sys.argv[1])).commit(pathlib.Path(sys.argv[2]), 'm').hash, flush=True)"
    )
    for moment in (0.0, 0.01, 0.03):
        arguments = [sys.executable, "-c", code, str(versions.repo), str(workspace)]
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout
            done = process.stdout.readline().decode().strip()
            threading.Event().wait(moment)
            process.kill()
        again = versions.commit(workspace, "m", parent=done)
        assert len(versions.files(again.hash)) == 31


def test_checkout_is_atomic(versions: Versions, workspace: Path, tmp_path: Path) -> None:
    commit: Commit = versions.commit(workspace, "m")
    (tmp_path / "clean" / "half").mkdir(parents=True)
    for _ in range(2):
        versions.checkout(commit.hash, tmp_path / "clean")
        assert tree(tmp_path / "clean") == {"train.py": b"print('one')\n"}
    with pytest.raises(VersionsError):
        versions.checkout("1" * 40, tmp_path / "clean")
    assert tree(tmp_path / "clean")
    with pytest.raises(VersionsError):
        versions.checkout("1" * 40, tmp_path / "never")
    assert not (tmp_path / "never").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_missing_git_workspace_and_parent_are_errors(
    versions: Versions, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VersionsError, match="cannot be read"):
        versions.commit(tmp_path / "nowhere", "m")
    with pytest.raises(VersionsError, match="failed"):
        versions.commit(workspace, "m", parent="1" * 40)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VersionsError, match="install git"):
        versions.commit(workspace, "m")
