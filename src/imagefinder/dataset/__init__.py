"""Tools for data sets: look at one, clean its table, split it, export it.

describe     what a source holds, read once
gather       how that is found out, image by image
looks        the colours, the pictures and the map of a sample
page         all of it as a report
clean        a table without the rows that are of no use
copying      tables written again, some rows of them, otherwise as they are
split        two parts of a table, without copies across them
imagefolder  the layout that Hugging Face datasets reads, and metadata_tables its tables
"""

from imagefinder.dataset.clean import CleanReport, clean
from imagefinder.dataset.describe import Description, describe
from imagefinder.dataset.imagefolder import ExportReport, export_imagefolder
from imagefinder.dataset.split import SplitPlan, SplitReport, split_table

__all__ = [
    "CleanReport",
    "Description",
    "ExportReport",
    "SplitPlan",
    "SplitReport",
    "clean",
    "describe",
    "export_imagefolder",
    "split_table",
]
