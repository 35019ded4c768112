"""A finished run assessed beyond its metrics: by group, at operating points, by calibration, and on other sets."""
