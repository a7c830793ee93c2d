"""Importing: run tables from curves that others recorded, in one table or a file a run, with our milestones."""
