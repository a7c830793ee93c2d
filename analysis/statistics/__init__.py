"""Statistics: survival analysis of milestones, and the order in which measures changed."""
