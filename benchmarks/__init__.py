"""What ImageFinder promises in figures, measured: `python -m benchmarks [NAME...]`."""
