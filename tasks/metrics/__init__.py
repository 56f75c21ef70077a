"""Metrics, their bootstrap noise, and medals."""
