"""Validate, score, compare, combine and grade submissions."""
