"""Maps: regime probabilities everywhere, boundaries with bands, what is uncertain, and comparisons of two maps."""
