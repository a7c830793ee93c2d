"""Records: what a run leaves behind: milestones, regime, curves, environment and snapshots of its weights."""
