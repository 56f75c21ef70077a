"""The command line: what may be typed, and which module answers it."""

from harness.cli.entry import main

__all__ = ["main"]
