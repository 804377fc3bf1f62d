"""Load on a running service, made in a process of its own."""
