"""Run benchmarks, print each figure beside its target and the last result, and keep the results.

python -m benchmarks                   all but `scaling` and `soak`
python -m benchmarks ingest search     these
python -m benchmarks soak --minutes 3  instead of 10
python -m benchmarks --quick           small, to see that they run; nothing is kept
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from benchmarks import machine, page, results
from benchmarks.results import Figure

USUAL = ("startup", "ingest", "memory", "rescan", "search", "service", "browser")
# a million vectors: minutes, and gigabytes; and a service under load for as long as one likes
ON_REQUEST = ("scaling", "soak")


def main() -> int:
    options = parse()
    busy = machine.busy()
    if busy:
        print(f"Other work is running here ({busy}): take these figures as rough ones.\n")
    missed = 0
    for name in options.names or USUAL:
        print(f"{name}{' (quick)' if options.quick else ''}", flush=True)
        figures = benchmark(name, options.minutes)(options.quick)
        print(results.table(figures, {} if options.quick else results.last(name)), flush=True)
        missed += sum(figure.met is False for figure in figures)
        if not options.quick:
            results.keep(name, figures)
            page.write()
    print(f"{missed} of the targets missed" if missed else "every target met")
    return 1 if missed and not options.quick else 0


def benchmark(name: str, minutes: float) -> Callable[[bool], list[Figure]]:
    """The `run` of a module here; each takes whether to be quick."""
    run: Callable[..., list[Figure]] = import_module(f"benchmarks.{name}").run
    return partial(run, minutes=minutes) if name == "soak" else run


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = (*USUAL, *ON_REQUEST)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is kept")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long `soak` takes")
    options = parser.parse_args()
    for name in options.names:
        if name not in names:
            parser.error(f"{name}: no such benchmark; there are: {', '.join(names)}")
    return options


sys.exit(main())
