"""Makes helper modules of this folder importable, and prepares the example tasks once per worker."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def examples_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HARNESS_HOME with the prepared examples. Tests only read it."""
    from tasks.examples.prepare import EXAMPLES, prepare_example

    home = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        prepare_example(name, home)
    return home
