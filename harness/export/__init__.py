"""Export a run's submission as a folder: code, data, requirements, and a script that makes the same file again."""
