"""Transforms: changes to the gradient before a step, or to the weights after it; one file per member."""
