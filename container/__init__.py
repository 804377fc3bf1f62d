"""The container: its health check, and the proof of the Dockerfile without a container engine."""
