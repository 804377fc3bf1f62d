"""Which images are right answers to which: from folders, tables, metadata or a ground truth.

judgements  what is right, as the measures want it
reading     from where a user says that it stands
columns     which column of a table holds what
truth       a table of queries and their right answers
groups      which images are copies of each other
split       two parts, without copies across them
"""

from imagefinder.labels.judgements import Judgements
from imagefinder.labels.reading import read_labels

__all__ = ["Judgements", "read_labels"]
