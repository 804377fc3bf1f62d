"""What stands between the network and the routes: ASGI middlewares, one idea a file."""

from imagefinder.serve.protect.stack import protected

__all__ = ["protected"]
