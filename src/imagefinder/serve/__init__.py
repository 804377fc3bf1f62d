"""The HTTP service: one collection behind FastAPI."""
