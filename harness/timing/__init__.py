"""Timing: how much time an attempt has, and what the model is told of it."""
