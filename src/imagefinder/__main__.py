"""`python -m imagefinder` is the same as `imagefinder`."""

from imagefinder.cli import main

main()
