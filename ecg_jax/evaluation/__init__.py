"""Arrays in, numbers out: windows to records, metrics, intervals, thresholds."""
