"""Clip long text once, keep the lines that matter."""
