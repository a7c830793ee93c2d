"""Algebra: groups and their characters, parities, Lanczos; mathematics that knows no network."""
