"""Inspection: what the inside of one finished run looks like, from the snapshots of its weights."""
