"""Losses: what is minimised, over stacked outputs; one file per member."""
