"""The options that several commands share."""

from typing import Annotated

import typer

from imagefinder._version import __version__


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        typer.echo(f"imagefinder {__version__}")
        raise typer.Exit


CollectionOption = Annotated[
    str | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME|DIR|URL",
        help="A collection by name, a directory, a cluster (milvus://host:port/name),"
        " a service (http://host:port), or a registered one (models:/name/1).",
        show_default="$IMAGEFINDER_COLLECTION or default",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="EXPR",
        help="""Only images for which this holds, e.g. 'label == "cat" and width >= 800'.""",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR|ORG/NAME",
        help="The model to embed with: see imagefinder models.",
        show_default=False,
    ),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME[,NAME]",
        help="The space to search in; the rankings of several are fused.",
        show_default="the one in use",
    ),
]
DistanceOption = Annotated[
    str | None,
    typer.Option(
        "--distance",
        metavar="cosine|euclidean|dot",
        help="What a new space compares by.",
        show_default="cosine",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="IMAGEFINDER_DEVICE",
        metavar="auto|cpu|cuda|coreml|openvino",
        help="What models compute on.",
    ),
]
MegapixelsOption = Annotated[
    float | None,
    typer.Option(
        "--max-megapixels",
        min=0.01,
        metavar="N",
        help="Take no larger images.",
        show_default="100",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[HOST:PORT]",
        help="Work on a Ray cluster: the one at this address, or of this machine, or a new one.",
        show_default=False,
    ),
]
IdColumnOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The table's column of ids.", show_default=False),
]
LocationColumnOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The table's column of paths or URLs.", show_default=False),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 if any image is skipped.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
OfflineOption = Annotated[
    bool,
    typer.Option("--offline", help="Never fetch a model; as HF_HUB_OFFLINE=1. After any command."),
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
]
HostOption = Annotated[
    str, typer.Option(envvar="IMAGEFINDER_HOST", help="The address to listen at.")
]
PortOption = Annotated[
    int, typer.Option(envvar="IMAGEFINDER_PORT", min=0, max=65535, help="0: any free one.")
]
