"""The one error of a user's mistake in a task."""

from __future__ import annotations


class TaskError(Exception):
    """A mistake in a task: what is wrong, where, and what to write instead; one problem per line."""
