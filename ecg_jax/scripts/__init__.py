"""What the scripts of experiments/ share: their flags and their studies."""
