"""The commands of `ecg-jax`, each one a function whose arguments are its flags. Heavy imports stay inside them."""
