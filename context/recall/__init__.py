"""Full-text search over the ended turns of a run."""
