"""Evaluate solutions and make the final selection."""
