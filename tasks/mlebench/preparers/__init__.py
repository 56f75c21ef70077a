"""Preparation of the raw data of each competition."""
