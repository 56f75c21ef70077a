"""Full-text search over a run, for the model."""
