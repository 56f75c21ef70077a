"""Git versions of a run's workspace, written only by the harness."""
