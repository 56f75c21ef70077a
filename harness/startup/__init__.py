"""Create a run, open a run, set its sandbox up."""
