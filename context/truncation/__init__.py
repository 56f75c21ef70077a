"""Truncation of long outputs that keeps the lines that matter."""
