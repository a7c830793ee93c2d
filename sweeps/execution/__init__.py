"""Execution: Ray sessions, the Tune trial that trains a cohort, and the searcher that hands cohorts out."""
