"""The engine: trains many runs of one shape in lockstep, each bit for bit the run that it is alone."""
