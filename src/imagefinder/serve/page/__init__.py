"""The page at `/`: plain files over the routes of `/v1`."""

import mimetypes
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from imagefinder.serve.protect.paths import PAGE, PAGE_FILES

STATIC = Path(str(files("imagefinder"))) / "serve" / "page" / "static"
MEDIA_TYPES = (("text/javascript", ".js"), ("text/css", ".css"), ("image/svg+xml", ".svg"))
BASE = '<base href="/">'


def install(app: FastAPI) -> None:
    """Serve the page, and below PAGE_FILES what it loads."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    before, base, after = page.partition(BASE)
    assert base, "the page has no base to set"

    @app.get(PAGE, include_in_schema=False)
    async def start(request: Request) -> HTMLResponse:
        # all its links are relative to this, so that it works below a proxy's prefix, too
        root = escape(request.scope.get("root_path", "").rstrip("/"))
        return HTMLResponse(f'{before}<base href="{root}/">{after}')

    # what the machine says may be wrong: browsers load no script that is called text
    for kind, ending in MEDIA_TYPES:
        mimetypes.add_type(kind, ending)
    app.mount(PAGE_FILES.rstrip("/"), StaticFiles(directory=STATIC))
