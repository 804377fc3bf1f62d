"""A proxy that serves a service below a prefix, as operators have them."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from fastapi import FastAPI, Request, Response

from tests.serving import Served, listening

METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE"]
OF_A_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding"}


@contextmanager
def below(prefix: str, service: Served) -> Iterator[str]:
    """Where the service is then. The proxy takes the prefix away, and has nothing beside it."""
    app = FastAPI(openapi_url=None)
    client = httpx.AsyncClient(trust_env=False, timeout=30)

    @app.api_route(f"{prefix}/{{rest:path}}", methods=METHODS)
    async def forward(request: Request) -> Response:
        path = request.scope["raw_path"].decode().removeprefix(prefix)
        query = request.scope["query_string"].decode()
        answer = await client.request(
            request.method,
            f"{service.url}{path}?{query}",
            headers=request.headers.items(),
            content=await request.body(),
        )
        kept = {name: answer.headers[name] for name in answer.headers if name not in OF_A_HOP}
        return Response(answer.content, answer.status_code, kept)

    with listening(app) as port:
        yield f"http://127.0.0.1:{port}{prefix}"
