"""Reports as HTML pages of one file, which need no script and nothing from elsewhere.

page      the page, its sections and what they are made of
style     how it looks
plots     bars, histograms, curves and maps of points, as drawings in the page
pictures  thumbnails, strips of framed pictures, a map of them
"""

from imagefinder.report.page import Page, beside, facts, paragraph, plot, swatches, table
from imagefinder.report.pictures import Picture, picture_map, strip

__all__ = [
    "Page",
    "Picture",
    "beside",
    "facts",
    "paragraph",
    "picture_map",
    "plot",
    "strip",
    "swatches",
    "table",
]
