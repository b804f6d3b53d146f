"""Doors to other packages: one optional dependency per file, imported nowhere else."""
