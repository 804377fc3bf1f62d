"""How good searches are, by images whose right answers are known.

rank       queries -> what the collection answers
measures   how good each answer is: mAP, MRR, precision, recall, nDCG, F
interval   how far their means can be relied on
run        settings compared by the same queries
limits     what is good enough
curves     precision by recall, scores of right and wrong answers
page       all of it as an HTML page
temporary  a collection for the measuring only
"""

from imagefinder.evaluate.run import Evaluation, Plan, evaluate

__all__ = ["Evaluation", "Plan", "evaluate"]
