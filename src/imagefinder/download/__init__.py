"""A table of ids and URLs becomes a folder of images and a manifest, which `index` reads.

file_names   ids -> safe names that no two ids share
pool         workers, with a bound on those at one host
run          the two together: resumable, atomic, and with a report
"""

from imagefinder.download.run import DownloadReport, download

__all__ = ["DownloadReport", "download"]
