"""Models of transformers, on PyTorch: the extra `torch`; `load.py` is the way in."""
