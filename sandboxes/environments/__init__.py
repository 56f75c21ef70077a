"""The Python environments that solutions run in."""
