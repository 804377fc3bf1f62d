"""imagefinder gradio"""

import sys
from importlib.util import find_spec

from imagefinder.cli.app import app
from imagefinder.cli.opening import chosen, is_service, token_of
from imagefinder.cli.options import CollectionOption, HostOption, ModelOption, PortOption
from imagefinder.cli.output import is_person
from imagefinder.cli.serving import keys_of
from imagefinder.errors import MissingExtraError, UsageError


@app.command(epilog="Example:  imagefinder gradio -c photos")
def gradio(
    collection: CollectionOption = None,
    model: ModelOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7860,
) -> None:
    """Search with pictures in a Gradio app, until Ctrl-C.

    `serve` has it, too, below /gradio, and more options. Here nobody changes the collection."""
    if find_spec("gradio") is None:
        raise MissingExtraError("the Gradio app", "gradio")
    from imagefinder.serve.options import ServeOptions
    from imagefinder.serve.run import Plan, run

    where = chosen(collection)
    if is_service(where):
        raise UsageError(f"{where}: a service has the app itself; open {where.rstrip('/')}/gradio/")
    run(
        Plan(
            where=where,
            token=token_of(where),
            options=ServeOptions(keys=keys_of(None), read_only=True),
            model=model,
            host=host,
            port=port,
            log_style="text" if is_person(sys.stderr) else "json",
            page="/gradio/",
        )
    )
