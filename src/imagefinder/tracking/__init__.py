"""MLflow: runs of evaluations and adaptations, and collections as registered models.

server      which MLflow, and what is told of it when something goes wrong
runs        a run, its parameters, metrics and artifacts
digest      the labelled images of a run, and what tells them from others
measured    what is kept of an evaluation
adapted     what is kept of an adaptation
contents    what a registered model holds
gathering   a collection, and the models that it needs, as files
register    these files as a version of a registered model
served      what MLflow serves, loaded by `loader`
opening     a registered collection as an `ImageFinder`, which is `read_only`
"""

from imagefinder.tracking.opening import open_finder

__all__ = ["open_finder"]
