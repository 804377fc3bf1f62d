"""The Python client of a running service: a finder with the methods of a local one."""

from imagefinder.client.remote import open_finder

__all__ = ["open_finder"]
