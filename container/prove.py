"""The proof of the Dockerfile: prove.sh has it build, and then use what was built."""

import sys
import time
from pathlib import Path

from container.building import Layers, build, output, say
from container.proof import Proof, bring_up_loopback
from container.recipe import Stage, read_stages

PROJECT = Path(__file__).resolve().parents[1]
LIMIT = 600  # MB, of the whole image


def main() -> None:
    half, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    stages = read_stages(PROJECT / "Dockerfile")
    if half == "build":
        prove_that_it_builds(stages, folder)
    else:
        prove_that_it_works(stages, folder)


def prove_that_it_builds(stages: list[Stage], folder: Path) -> None:
    base = folder / "base"
    version = output("chroot", base, "python", "--version").split()[1]
    wanted = stages[-1].base.partition(":")[2].partition("-")[0]
    if not version.startswith(f"{wanted}."):
        raise SystemExit(f"{stages[-1].base} has Python {wanted}, its stand-in has {version}")
    say(f"The steps of the Dockerfile, in place of {stages[-1].base} a Debian with {version}:")
    start = time.monotonic()
    build(PROJECT, stages, base, folder / "built")
    say(f"ok  every step of {len(stages)} stages ran, in {time.monotonic() - start:.0f} s")


def prove_that_it_works(stages: list[Stage], folder: Path) -> None:
    base = folder / "base"
    layers = Layers(folder / "built" / f"stage-{len(stages) - 1}")
    stand_in, added = megabytes(base), megabytes(layers.added)
    say(f"ok  the image adds {added} MB to its base; with the stand-in of {stand_in} MB that is")
    say(f"    {stand_in + added} MB, below {LIMIT} MB")
    assert stand_in + added < LIMIT
    bring_up_loopback()
    Proof(PROJECT, stages[-1], [layers.added, base], folder / "run").run()


def megabytes(folder: Path) -> int:
    return int(output("du", "-s", "--apparent-size", "--block-size=1MB", folder).split()[0])


if __name__ == "__main__":
    main()
