"""Runs: tables of runs from a sweep, from MLflow or from anyone, checked, and the axes they vary along."""
