"""Run benchmarks, print each figure beside its target and the last result, and keep the results.

python -m benchmarks                      all but those of the line below
python -m benchmarks milvus               scaling, soak, models, distributed: by hand only
python -m benchmarks ingest search        these
python -m benchmarks soak --minutes 3     instead of 10
python -m benchmarks models --model ./my  besides those of the catalogue that are here
python -m benchmarks --quick              small, to see that they run; nothing is kept
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from benchmarks import capacity_page, machine, models, page, results
from benchmarks.results import Figure
from imagefinder.errors import ImageFinderError
from imagefinder.models import Model, find_model

USUAL = ("startup", "ingest", "memory", "rescan", "search", "service", "browser")
# a million vectors: minutes, and gigabytes; a service under load for as long as one likes;
# whatever models are here; what needs an extra
ON_REQUEST = ("scaling", "soak", "models", "distributed", "milvus")


def main() -> int:
    options = parse()
    busy = machine.busy()
    if busy:
        print(f"Other work is running here ({busy}): take these figures as rough ones.\n")
    missed = 0
    for name in options.names or USUAL:
        print(f"{name}{' (quick)' if options.quick else ''}", flush=True)
        figures = benchmark(name, options)(options.quick)
        print(results.table(figures, {} if options.quick else results.last(name)), flush=True)
        missed += sum(figure.met is False for figure in figures)
        if not options.quick:
            results.keep(name, figures)
            page.write()
            models.write()
            capacity_page.write()
    print(f"{missed} of the targets missed" if missed else "every target met")
    return 1 if missed and not options.quick else 0


def benchmark(name: str, options: argparse.Namespace) -> Callable[[bool], list[Figure]]:
    """The `run` of a module here; each takes whether to be quick."""
    run: Callable[..., list[Figure]] = import_module(f"benchmarks.{name}").run
    more = {"soak": {"minutes": options.minutes}, "models": {"models": options.model}}
    return partial(run, **more.get(name, {}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = (*USUAL, *ON_REQUEST)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is kept")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long `soak` takes")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        type=model_here,
        help="a folder, or a name, that `models` measures too; can be given several times",
    )
    options = parser.parse_args()
    for name in options.names:
        if name not in names:
            parser.error(f"{name}: no such benchmark; there are: {', '.join(names)}")
    names_given = [model.name for model in options.model]
    if len(set(names_given)) < len(names_given):
        parser.error("two of the models have the same name; give a folder another one")
    return options


def model_here(reference: str) -> Model:
    """For argparse."""
    try:
        model = find_model(reference)
        here = model.present
    except ImageFinderError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not here:
        raise argparse.ArgumentTypeError(f"{reference}: its files are not on this machine")
    return model


sys.exit(main())
