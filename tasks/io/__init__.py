"""Read and write CSV, archives, columns and timestamps."""
