"""Host-wide leases of cores, memory and GPUs."""
