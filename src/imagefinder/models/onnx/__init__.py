"""Models that ONNX Runtime runs: `load.py` makes them of files."""
