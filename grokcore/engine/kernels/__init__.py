"""Kernels: stacked losses and gradients of a model; `kernel_for` chooses the fastest one that can."""
