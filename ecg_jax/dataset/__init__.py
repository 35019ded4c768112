"""Prepared sets: made from a source, opened, and read window by window. Only `batch` and `feeds` load JAX."""
