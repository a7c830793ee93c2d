"""Vectors: how many elements a processor's elementwise loops take at a time."""

from __future__ import annotations

VECTOR = 32
"""Elements of a loop's step: two registers of 16 floats. Whatever is stacked comes in multiples of it: a run's elements
then never fall into a loop's scalar tail, whose rounding differs from that of the vectors."""
