"""Forecasts: the chance that a run still generalises by a step, learned from the curves of other runs."""
