"""The environment of a run: built before it, used by jobs, evaluations and folds, disclosed, and kept until its end."""

from __future__ import annotations

import io
import os
import shutil
import sys
import sysconfig
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.startup import environment
from runs.events.registry import EvaluationFinished, FoldFinished, RunCreated, TaskDescribed, ToolFinished, Warned
from runs.run_settings import RunSettings
from sandboxes.docker import daemon
from sandboxes.docker.build_environment import build_in_image
from sandboxes.docker.build_image import build_small
from sandboxes.environments.build import build_here
from sandboxes.environments.requirements import read_requirements
from tests.playing import SOLUTION, call, events_of, harness, harness_here, only_run, reply
from tests.sandboxes.wheels import make_wheel, requirements_in
from tests.servers.chat_server import ChatServer, Message, Script


def solving(*code: str) -> Script:
    """A script of one attempt: write the solution, look at the environment, evaluate, finish."""
    steps = [
        [call("write_file", path="solution.py", content="\n".join(code) + "\n" + SOLUTION)],
        [call("bash", command="python -c 'import tiny; print(tiny.__file__)'")],
        [call("evaluate", command="python solution.py")],
        [call("finish", did="guessed", criticism="", next="", lessons=[])],
    ]

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("step", *steps[min(step, 3)], tag=str(step)) if request["messages"][1:] else {"content": "ok"}

    return script


def options(server: ChatServer, *more: str) -> list[str]:
    return ["--model", "m", "--base-url", server.url, "--attempts", "1", "--plain", "--no-ledger", *more]


def test_a_run_uses_and_discloses_its_requirements(digits_home: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path)
    asked = ["--sandbox", "bubblewrap", "--environment", str(requirements_in(tmp_path, "tiny"))]
    with ChatServer(solving("import tiny", "assert tiny.VALUE == '1.0'")) as server:
        code, printed = harness_here(digits_home, "run", "digits", *options(server, *asked))
    assert code == 0, printed
    assert "building the environment of requirements.txt" in printed
    run = only_run(digits_home)
    events = events_of(run)
    created = events[0]
    assert isinstance(created, RunCreated)
    assert created.packages == ["tiny 1.0"] and created.environment.startswith("environments/")
    assert created.settings.environment == str(tmp_path / "requirements.txt")
    told = [str(event) for event in events if isinstance(event, ToolFinished)]
    assert any("/environment/lib/python" in text for text in told)
    assert [event.status for event in events if isinstance(event, EvaluationFinished)] == ["scored"]
    folds = [event.status for event in events if isinstance(event, FoldFinished)]
    assert folds and set(folds) == {"scored"}
    [card] = [event.card for event in events if isinstance(event, TaskDescribed)]
    assert "tiny 1.0. Not installed: numpy, pandas, scikit-learn" in card
    assert "has no numpy, pandas, scikit-learn" in next(e.message for e in events if isinstance(e, Warned))
    assert "requirements.txt`) (Python `3." in (run / "report.md").read_text()


def test_a_removed_environment_is_built_again_with_the_same_versions(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    home, path = tmp_path / "home", requirements_in(tmp_path, "tiny")
    prefix = build_here(read_requirements(path), home)
    created = run_with(path, str(prefix.relative_to(home)), "tiny 1.0")
    environment.restore(created, home)
    shutil.rmtree(prefix)
    make_wheel(tmp_path, version="1.1")
    environment.restore(created, home)
    assert prefix.is_dir()
    shutil.rmtree(prefix)
    requirements_in(tmp_path, "tiny==1.1")
    with pytest.raises(UsageError, match=r"is gone: .*restore .*requirements.txt as it was"):
        environment.restore(created, home)


def run_with(path: Path, folder: str, *packages: str) -> RunCreated:
    return RunCreated(
        harness_version="1",
        run_id="r",
        task_id="t",
        task_path="",
        task_digest="",
        metric="accuracy",
        lower_is_better=False,
        is_demo=False,
        sandbox="bubblewrap",
        protects_labels=True,
        settings=RunSettings(environment=str(path)),
        environment=folder,
        packages=list(packages),
    )


def test_what_the_setting_names(tmp_path: Path) -> None:
    path = requirements_in(tmp_path, "tiny")
    assert environment.absolute("requirements.txt", tmp_path) == str(path)
    assert environment.named(RunSettings(environment=str(path))).requirements == path
    assert environment.named(RunSettings(environment=str(tmp_path))).prefix == tmp_path
    assert environment.named(RunSettings(environment="my/image:2", sandbox="docker")).image == "my/image:2"
    assert environment.named(RunSettings(environment="ml")).requirements.is_file()  # type: ignore[union-attr]
    for missing in ("./nothing", "/no/such/folder", "other.txt"):
        with pytest.raises(UsageError, match="no such file or folder"):
            environment.absolute(missing, tmp_path)
    with pytest.raises(UsageError, match="needs --sandbox docker"):
        environment.named(RunSettings(environment="my/image:2", sandbox="bubblewrap"))
    with pytest.raises(UsageError, match="different images"):
        environment.named(RunSettings(environment="my/image:2", image="other"))


def test_a_task_file_that_names_an_environment_is_asked_about(digits_home: Path, tmp_path: Path) -> None:
    """Its path is relative to the task file."""
    from tasks.new_task import TaskRequest, make_task

    make_wheel(tmp_path)
    (tmp_path / "data.csv").write_text("\n".join(["x,y", *(f"{at},{at % 2}" for at in range(200)), ""]))
    made = make_task(TaskRequest(tmp_path / "data.csv", "y", tmp_path / "task"))
    requirements_in(tmp_path, "tiny").rename(made.folder / "requirements.txt")
    file = made.folder / "task.yaml"
    file.write_text(file.read_text() + "\nrun:\n  environment: requirements.txt\n")
    with ChatServer(solving("import tiny")) as server:
        asked = options(server, "--sandbox", "local")
        code, printed = harness_here(digits_home, "run", str(file), *asked)
        assert code == 2 and "--trust-task" in printed and "environment" in printed
        code, printed = harness_here(digits_home, "run", str(file), *asked, "--trust-task")
    assert code == 0, printed
    created = events_of(only_run(digits_home))[0]
    assert isinstance(created, RunCreated) and created.packages == ["tiny 1.0"]


LIGHTGBM = """import lightgbm, pandas
train, test = pandas.read_csv("data/train.csv"), pandas.read_csv("data/test.csv")
features = [name for name in test if name != "image_id"]
model = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=8, verbose=-1).fit(train[features], train["digit"])
test["digit"] = model.predict(test[features])
test[["image_id", "digit"]].to_csv("submission.csv", index=False)
"""


def train_lightgbm(home: Path, *asked: str) -> Path:
    """Play a run whose agent trains lightgbm, and check its score."""
    steps = [[call("write_file", path="solution.py", content=LIGHTGBM), call("evaluate", command="python solution.py")]]
    steps += [[call("finish", did="lightgbm", criticism="", next="", lessons=[])]]

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("step", *steps[min(step, 1)], tag=str(step)) if request["messages"][1:] else {"content": "ok"}

    with ChatServer(script) as server:
        code, printed = harness(home, "run", "digits", *options(server, *asked), seconds=600)
    assert code == 0, printed
    run = max((home / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    scores = [event.score or 0 for event in events_of(run) if isinstance(event, EvaluationFinished)]
    assert scores and scores[0] > 0.85, printed
    logs = "".join(path.read_text(errors="replace") for path in run.glob("jobs/.logs/*/log"))
    assert "physical cores" not in logs
    return run


@pytest.mark.slow
def test_lightgbm_from_a_requirements_file_in_bubblewrap(digits_home: Path, tmp_path: Path) -> None:
    """The packages come from the registry; the second start builds nothing."""
    path = tmp_path / "requirements.txt"
    path.write_text("pandas\nscikit-learn\nlightgbm\n")
    run = train_lightgbm(digits_home, "--sandbox", "bubblewrap", "--environment", str(path))
    created = events_of(run)[0]
    assert isinstance(created, RunCreated) and any(one.startswith("lightgbm ") for one in created.packages)
    began = time.monotonic()
    build_here(read_requirements(path), digits_home)
    assert time.monotonic() - began < 1.0


def make_image(base: str, requirements: Path, home: Path, name: str) -> None:
    """An image with more packages than `base`, as a user's Dockerfile makes it."""
    site = next(
        build_in_image(read_requirements(requirements), base, home, (), print).glob("lib/python3*/site-packages")
    )
    standard = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in site.iterdir():
            tar.add(path, path.name)
    container = daemon.connect().containers.create(base, ["true"])
    try:
        assert container.put_archive(f"{standard}/site-packages", content.getvalue())
        container.commit(*name.split(":"))
    finally:
        container.remove()


@pytest.mark.slow
def test_lightgbm_in_an_image_of_ones_own(digits_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is the small one with an environment inside, as a `docker commit` of a user's makes it."""
    address = os.environ.get("HARNESS_TEST_DOCKER")
    if not address:
        pytest.skip("needs a Docker daemon: HARNESS_TEST_DOCKER is not set")
    monkeypatch.setenv("DOCKER_HOST", address)
    daemon.connect.cache_clear()
    path = tmp_path / "requirements.txt"
    path.write_text("pandas\nscikit-learn\nlightgbm\n")
    name = "harness-test/own:lightgbm"
    try:
        small = build_small(digits_home)
        make_image(small, path, digits_home, name)
        run = train_lightgbm(digits_home, "--sandbox", "docker", "--environment", name)
        created = events_of(run)[0]
        assert isinstance(created, RunCreated) and any(one.startswith("lightgbm ") for one in created.packages)
        assert created.environment == "" and created.settings.environment == name
        train_lightgbm(digits_home, "--sandbox", "docker", "--environment", str(path))
    finally:
        with_image = daemon.connect().images
        if any(name in image.tags for image in with_image.list()):
            with_image.remove(name, force=True)
        daemon.connect.cache_clear()
