"""Stopping: which runs are not worth the rest of their budget; a family, one file a rule."""
