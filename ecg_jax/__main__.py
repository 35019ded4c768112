"""`python -m ecg_jax` is the console script `ecg-jax`."""

from ecg_jax.cli import main

main()
