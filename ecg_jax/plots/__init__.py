"""Matplotlib figures: recordings on ECG paper, training curves, ROC curves. Opens no window."""
