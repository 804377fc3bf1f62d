"""The routes of the services that came before this one, for their clients.

routes      the requests and answers
errors      the forms in which those services told that something is wrong
query_dir   images that a client names by their path on the server
"""

from imagefinder.serve.reference.routes import routes

__all__ = ["routes"]
