"""Reads tool calls from replies, repairing malformed ones."""
