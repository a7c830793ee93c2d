"""Tracking: the mirror of a sweep in MLflow, and the process that keeps it up to date."""
