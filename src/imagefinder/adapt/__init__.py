"""Embeddings that fit the user's own labels: transfer learning without a graphics card.

examples   labelled images with the embeddings that they have
methods    what may be learned: linear projections
choose     which of them, by cross-validation
held_out   how good rankings are among examples that nothing was learned from
threshold  the score from which two images show the same
run        learned, compared on what was held out, and kept only where it is better
"""

from imagefinder.adapt.run import Adaptation, Plan, adapt

__all__ = ["Adaptation", "Plan", "adapt"]
