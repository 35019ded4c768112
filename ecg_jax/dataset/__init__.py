"""Prepared sets: made from a source, opened, and read by plan. Never imports jax but in the feeds."""
