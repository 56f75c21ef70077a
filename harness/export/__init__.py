"""A run's submission as a folder of its own: code, data, requirements, and a script that makes the same file again."""
