"""Find a search policy by its name: a built-in one, or a user's own class as `policy.py:MyPolicy`."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from harness.errors import fail
from harness.search.greedy import Greedy
from harness.search.policy import Policy
from harness.search.tree import Tree

BUILT_IN: dict[str, type[Policy]] = {"tree": Tree, "greedy": Greedy}
COPY = "search_policy.py"
"""The user's file in the run folder, so that a resumed run uses the same code."""


def is_own(name: str) -> bool:
    """Whether the name is that of a user's own class."""
    return ":" in name


def load_policy(name: str, folder: Path | None = None) -> Policy:
    """The policy of this name; a user's own is read from the copy in the run's `folder`, if one is given.

    Raises `UsageError` if there is no such policy or it cannot be used.
    """
    if not is_own(name):
        if name not in BUILT_IN:
            fail(
                f"there is no search policy {name!r}. Use {', '.join(BUILT_IN)}, or your own class: policy.py:MyPolicy"
            )
        return BUILT_IN[name]()
    path, class_name = split(name)
    return _load_class(folder / COPY if folder else path, class_name, name)


def split(name: str) -> tuple[Path, str]:
    """The file and the class of a user's own policy."""
    path, _, class_name = name.rpartition(":")
    return Path(path).expanduser().absolute(), class_name


def absolute(name: str) -> str:
    """The name with an absolute path, since a resume may come from another directory."""
    if not is_own(name):
        return name
    path, class_name = split(name)
    return f"{path}:{class_name}"


def keep_copy(name: str, folder: Path) -> None:
    """Copy a user's own policy into the run folder."""
    if is_own(name):
        shutil.copyfile(split(name)[0], folder / COPY)


def _load_class(path: Path, class_name: str, name: str) -> Policy:
    if not path.is_file():
        fail(f"the search policy {name} cannot be loaded: there is no file {path}")
    spec = importlib.util.spec_from_file_location("own_search_policy", path)
    if spec is None or spec.loader is None:
        fail(f"the search policy {name} cannot be loaded: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        policy: Policy = getattr(module, class_name)()
    except Exception as error:  # whatever a user's file may raise
        fail(f"the search policy {name} cannot be loaded: {type(error).__name__}: {error}")
    if not callable(getattr(policy, "choose", None)):
        fail(f"the search policy {name} has no method choose(state, seed); see harness/search/README.md")
    return policy
