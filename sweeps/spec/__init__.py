"""Specification: a whole sweep, written down, and the space that it searches."""
