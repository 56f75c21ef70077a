"""The cache of step results: checked on use, bounded, safe among threads; files of a hostile step are kept safely."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from pathlib import Path

import pytest

from harness.evaluation.steps.cache import StepCache, StepRecord, key_of
from harness.evaluation.steps.outputs import MadeFile, Unusable, collect, place


def kept(folder: Path, content: bytes) -> MadeFile:
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    draft = folder / f"{digest}.part"
    draft.write_bytes(content)
    draft.rename(folder / digest)  # a file that stands there may be linked into the cache
    return MadeFile(sha256=digest, size=len(content))


def record(folder: Path, key: str, content: bytes) -> StepRecord:
    files = {"model.pkl": kept(folder, content)}
    return StepRecord(key=key, evaluation="001-1", job="e-001-1-s1", seconds=7.0, files=files, log=kept(folder, b"log"))


def test_a_key_changes_with_everything_a_result_depends_on() -> None:
    made = {"a.pkl": MadeFile(sha256="1", size=1)}
    first = key_of("python a.py", ["m"], {"a.py": "1"}, made, "python 3.11", "fold0")
    assert first == key_of("python a.py", ["m"], {"a.py": "1"}, made, "python 3.11", "fold0")
    others = {
        key_of("python  a.py", ["m"], {"a.py": "1"}, made, "python 3.11", "fold0"),
        key_of("python a.py", ["n"], {"a.py": "1"}, made, "python 3.11", "fold0"),
        key_of("python a.py", ["m"], {"a.py": "2"}, made, "python 3.11", "fold0"),
        key_of("python a.py", ["m"], {"a.py": "1"}, {"a.pkl": MadeFile(sha256="2", size=1)}, "python 3.11", "fold0"),
        key_of("python a.py", ["m"], {"a.py": "1"}, made, "python 3.12", "fold0"),
        key_of("python a.py", ["m"], {"a.py": "1"}, made, "python 3.11", "fold1"),
    }
    assert len(others | {first}) == 7


@pytest.mark.parametrize("damage", ["content", "missing", "manifest"])
def test_a_damaged_result_is_dropped_and_can_be_made_again(damage: str, tmp_path: Path) -> None:
    cache, source, into = StepCache(tmp_path / "c", "fold0", 10_000), tmp_path / "source", tmp_path / "into"
    into.mkdir()
    one = record(source, "1" * 64, b"weights")
    cache.store(one, source)
    stored = tmp_path / "c" / "fold0" / "files" / one.files["model.pkl"].sha256
    if damage == "content":
        stored.write_bytes(b"poison!")
    elif damage == "missing":
        stored.unlink()
    else:
        (tmp_path / "c" / "fold0" / "results" / f"{one.key}.json").write_text("{")
    assert cache.fetch(one.key, into) == (None, True)
    assert cache.fetch(one.key, into) == (None, False)
    again = tmp_path / "again"
    cache.store(record(again, one.key, b"weights"), again)
    assert cache.fetch(one.key, into) == (one, False)
    assert (into / one.files["model.pkl"].sha256).read_bytes() == b"weights"


def test_no_split_finds_results_of_another(tmp_path: Path) -> None:
    source = tmp_path / "source"
    one = record(source, "1" * 64, b"weights")
    StepCache(tmp_path / "c", "fold0", 10_000).store(one, source)
    assert StepCache(tmp_path / "c", "fold1", 10_000).fetch(one.key, source) == (None, False)
    assert (tmp_path / "c").stat().st_mode & 0o077 == 0


def test_the_least_recently_used_results_go_first(tmp_path: Path) -> None:
    caches = {split: StepCache(tmp_path / "c", split, 350) for split in ("fold0", "fold1")}
    for number in range(3):
        source = tmp_path / str(number)
        one = record(source, str(number) * 64, bytes([number]) * 100)
        caches["fold1" if number == 1 else "fold0"].store(one, source)
        os.utime(
            tmp_path / "c" / ("fold1" if number == 1 else "fold0") / "results" / f"{one.key}.json", (number, number)
        )
    into = tmp_path / "into"
    into.mkdir()
    assert caches["fold0"].fetch("0" * 64, into)[0], "now it is the most recently used one"
    fourth = record(tmp_path / "3", "3" * 64, b"3" * 100)
    assert caches["fold0"].store(fourth, tmp_path / "3")
    found = [
        caches[split].fetch(str(n) * 64, into)[0] is not None
        for n, split in enumerate(["fold0", "fold1", "fold0", "fold0"])
    ]
    assert found == [True, False, True, True]
    assert not caches["fold0"].store(record(tmp_path / "4", "4" * 64, b"4" * 400), tmp_path / "4")
    assert sum(path.stat().st_size for path in (tmp_path / "c").rglob("files/*")) <= 350


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache, failures = StepCache(tmp_path / "c", "fold0", 2_000), []

    def work(number: int) -> None:
        draw, own = random.Random(number), tmp_path / f"thread{number}"
        own.mkdir()
        for turn in range(40):
            content = bytes([draw.randrange(8)]) * 400
            key = hashlib.sha256(content).hexdigest()
            into = own / str(turn)
            into.mkdir()
            found, is_damaged = cache.fetch(key, into)
            if is_damaged or (found and (into / found.files["model.pkl"].sha256).read_bytes() != content):
                failures.append((number, turn))
            if found is None:
                cache.store(record(into, key, content), into)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_only_regular_files_of_its_own_are_kept_of_a_step(tmp_path: Path) -> None:
    workspace, into = tmp_path / "w", tmp_path / "into"
    (workspace / "models").mkdir(parents=True)
    (workspace / "models" / "a.pkl").write_text("a")
    (workspace / "junk.txt").write_text("x")
    (workspace / "elsewhere").symlink_to("/proc")
    found = collect(workspace, lambda path: path.startswith("models/"), lambda _: False, into, 100)
    assert list(found.files) == ["models/a.pkl"] and sorted(found.dropped) == ["elsewhere", "junk.txt"]
    for make in (
        lambda path: path.symlink_to("/proc/self/environ"),
        lambda path: path.symlink_to(tmp_path / "missing"),
        lambda path: os.link(workspace / "junk.txt", path),
        lambda path: os.mkfifo(path),
        lambda path: path.write_text("x" * 101),
        lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    ):
        (workspace / "models" / "b.pkl").unlink(missing_ok=True)
        make(workspace / "models" / "b.pkl")
        with pytest.raises(Unusable, match=r"models/b\.pkl"):
            collect(workspace, lambda path: path.startswith("models/"), lambda _: False, into, 100)
    assert not [path for path in into.iterdir() if path.name.startswith(".")], "no draft is left"


def test_a_step_cannot_change_what_another_one_made(tmp_path: Path) -> None:
    made = {"deep/model.pkl": kept(tmp_path / "kept", b"weights")}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    place(made, tmp_path / "kept", tmp_path / "one")
    with (tmp_path / "one" / "deep" / "model.pkl").open("r+b") as file:
        file.write(b"poison!")
    place(made, tmp_path / "kept", tmp_path / "two")
    assert (tmp_path / "two" / "deep" / "model.pkl").read_bytes() == b"weights"
    with pytest.raises(Unusable, match="folder"):
        place({"deep": made["deep/model.pkl"], **made}, tmp_path / "kept", tmp_path / "two")
