"""imagefinder serve"""

import os
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import chosen, token_of
from imagefinder.cli.options import (
    CollectionOption,
    DeviceOption,
    HostOption,
    ModelOption,
    PortOption,
)
from imagefinder.cli.output import is_person
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from imagefinder.serve.options import Key

ACCESS, LIMITS, FETCHING, SHOWING = "Access", "Limits", "Fetching by URL", "What is shown"


@app.command(epilog="Example:  imagefinder serve -c photos --port 8080")
def serve(
    collection: CollectionOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    create: Annotated[
        bool, typer.Option("--create", help="Begin with an empty collection where there is none.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Begin with the demo images where there is none.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when the program's own code changes.")
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(metavar="json|text", help="How log lines look.", show_default="by terminal"),
    ] = None,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="IMAGEFINDER_TRUSTED_PROXIES",
            metavar="ADDRESS,...",
            help="Proxies whose X-Forwarded headers are believed.",
            show_default=False,
        ),
    ] = "",
    root_path: Annotated[
        str,
        typer.Option(
            envvar="IMAGEFINDER_ROOT_PATH",
            metavar="PATH",
            help="The prefix below which a proxy serves it.",
            show_default=False,
        ),
    ] = "",
    keys_file: Annotated[
        Path | None,
        typer.Option(
            envvar="IMAGEFINDER_KEYS_FILE",
            metavar="FILE",
            help="API keys, a line each: read:SECRET or write:SECRET. Or set IMAGEFINDER_API_KEYS.",
            show_default=False,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only",
            envvar="IMAGEFINDER_READ_ONLY",
            help="Nobody adds, changes or removes images over HTTP.",
            rich_help_panel=ACCESS,
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name by which clients may call the service.",
            show_default="any; on loopback, localhost",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A website whose scripts may use the service.",
            show_default=False,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEFINDER_RATE_LIMIT",
            metavar="N/UNIT",
            help="Requests of one key or address, e.g. 120/minute.",
            show_default=False,
            rich_help_panel=LIMITS,
        ),
    ] = None,
    max_upload: Annotated[
        float,
        typer.Option(
            envvar="IMAGEFINDER_MAX_UPLOAD",
            min=0.001,
            metavar="MB",
            help="Of one request.",
            rich_help_panel=LIMITS,
        ),
    ] = 50,
    max_megapixels: Annotated[
        float,
        typer.Option(
            envvar="IMAGEFINDER_MAX_MEGAPIXELS",
            min=0.01,
            metavar="N",
            help="Of one image.",
            rich_help_panel=LIMITS,
        ),
    ] = 100,
    max_waiting: Annotated[
        int,
        typer.Option(
            envvar="IMAGEFINDER_MAX_WAITING",
            min=0,
            metavar="N",
            help="Requests that wait for their turn; one more is answered 503.",
            rich_help_panel=LIMITS,
        ),
    ] = 32,
    timeout: Annotated[
        float,
        typer.Option(
            envvar="IMAGEFINDER_TIMEOUT",
            min=0.1,
            metavar="SECONDS",
            help="For a request's body to arrive, and for its answer.",
            rich_help_panel=LIMITS,
        ),
    ] = 30,
    fetch_urls: Annotated[
        bool,
        typer.Option(
            help="Whether clients may name images by URL.",
            envvar="IMAGEFINDER_FETCH_URLS",
            rich_help_panel=FETCHING,
        ),
    ] = True,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="A private network that may be fetched from, e.g. 10.1.0.0/16.",
            show_default=False,
            rich_help_panel=FETCHING,
        ),
    ] = None,
    serve_content: Annotated[
        bool,
        typer.Option(
            "--serve-content",
            envvar="IMAGEFINDER_SERVE_CONTENT",
            help="Hand out the original images.",
            rich_help_panel=SHOWING,
        ),
    ] = False,
    full_paths: Annotated[
        bool,
        typer.Option(
            "--full-paths",
            help="Say in which folder of this machine an image is.",
            rich_help_panel=SHOWING,
        ),
    ] = False,
    query_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="IMAGEFINDER_QUERY_DIR",
            metavar="DIR",
            help="Where POST /closest_img_ids may name query images by path.",
            show_default=False,
            rich_help_panel=SHOWING,
        ),
    ] = None,
    model_alias: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Another name for a model, as old clients call it.",
            show_default=False,
            rich_help_panel=SHOWING,
        ),
    ] = None,
) -> None:
    """Serve the collection over HTTP, until Ctrl-C."""
    if log not in (None, "json", "text"):
        raise UsageError(f"--log {log}: it is json or text")
    from imagefinder.serve.options import MEGABYTE, ServeOptions
    from imagefinder.serve.run import Plan, run

    options = ServeOptions(
        keys=keys_of(keys_file),
        read_only=read_only,
        rate_limit=rate_limit,
        allowed_hosts=tuple(allowed_host or ()),
        cors_origins=tuple(cors_origin or ()),
        max_body_bytes=round(max_upload * MEGABYTE),
        body_seconds=timeout,
        max_megapixels=max_megapixels,
        request_seconds=timeout,
        max_waiting=max_waiting,
        fetch_urls=fetch_urls,
        allowed_networks=tuple(network_of(text) for text in allow_network or ()),
        serve_content=serve_content,
        full_paths=full_paths,
        query_dir=query_dir,
        model_aliases=dict(map(alias_of, model_alias or ())),
    )
    run(
        Plan(
            where=chosen(collection),
            token=token_of(chosen(collection)),
            options=options,
            model=model,
            device=device,
            host=host,
            port=port,
            start="demo" if demo else "empty" if create else "refuse",
            trusted_proxies=trusted_proxies,
            root_path=root_path,
            log_style="text" if log == "text" or (not log and is_person(sys.stderr)) else "json",
            reload=reload,
        )
    )


def keys_of(file: Path | None) -> "tuple[Key, ...]":
    """The keys of the file, and those of the environment."""
    from imagefinder.serve.options import parse_keys

    keys = parse_keys(os.environ.get("IMAGEFINDER_API_KEYS", "").replace(",", "\n"))
    if file is None:
        return keys
    try:
        more = parse_keys(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"{file}: the keys cannot be read ({reason})") from error
    if not more:
        raise UsageError(f"{file}: there is no key in it; write a line read:KEY or write:KEY")
    return keys + more


def network_of(text: str) -> "IPv4Network | IPv6Network":
    """Raises UsageError."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise UsageError(f"--allow-network {text}: {error}; write it like 10.1.0.0/16") from error


def alias_of(text: str) -> tuple[str, str]:
    """Raises UsageError."""
    name, _, model = text.partition("=")
    if not name or not model:
        raise UsageError(f"--model-alias {text}: write it like resnet50=efficientnet-lite0")
    return name, model
