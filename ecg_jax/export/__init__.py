"""A finished run as one file for programs that know nothing of this package: ONNX, TFLite or StableHLO."""
