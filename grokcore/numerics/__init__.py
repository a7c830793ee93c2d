"""Numerics: how stacked numbers are laid out, multiplied, added up and drawn, and no run's bits depend on others."""
