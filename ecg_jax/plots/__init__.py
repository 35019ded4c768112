"""Pictures: recordings on ECG paper, training curves, ROC curves. Matplotlib figures, never a window."""
