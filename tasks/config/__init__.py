"""Read and validate `task.yaml`."""
