"""From a step to kernels."""
