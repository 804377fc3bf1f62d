"""Embeddings that fit the user's own labels: transfer learning without a graphics card.

evidence        what is known of images, and what embeddings are worth by it; there are two kinds
examples        labelled images, measured by the mAP of held_out, learned from by methods
liked           judged pairs, measured by pair_precision, learned from by pair_methods
read            which of them a user has
choose          which method, by cross-validation over folds
threshold       the score from which two images show the same
run             learned, compared on what was held out, and kept only where it is better
pictures        labelled images, read and decoded ahead of their use
epochs          a whole network trained on them, until it is no better on a part of them
fine_tuning     the same as run, of whole networks
"""

from imagefinder.adapt.epochs import Tuning
from imagefinder.adapt.fine_tuning import fine_tune
from imagefinder.adapt.run import Adaptation, Plan, adapt

__all__ = ["Adaptation", "Plan", "Tuning", "adapt", "fine_tune"]
