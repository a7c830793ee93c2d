"""Loops of the kernels: parts of a step in one pass over the memory each, where grokcore.numerics.loops serves."""
