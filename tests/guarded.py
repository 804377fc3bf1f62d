"""An application with the paths of the real one behind the real guards."""

from fastapi import FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.responses import Response

from imagefinder.serve import problems
from imagefinder.serve.jobs import ClientGoneError
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.serve.protect import protected

READ, WRITE = Key("reader", "read-secret"), Key("writer", "write-sécret-à", Access.WRITE)
KEYED = ServeOptions(keys=(READ, WRITE))
OPEN = ServeOptions()


def service(options: ServeOptions = OPEN) -> FastAPI:
    """An application with the paths of the real one."""
    app = FastAPIOffline(redirect_slashes=False)
    problems.install(app)

    @app.get("/ping")
    @app.get("/metrics")
    @app.get("/v1/status")
    @app.get("/v1/images")
    @app.get("/v1/images/{id:path}/thumbnail")
    @app.get("/v1/images/{id:path}")
    @app.post("/v1/images")
    @app.patch("/v1/images/{id:path}")
    @app.delete("/v1/images/{id:path}")
    @app.post("/v1/search")
    @app.post("/predict/")
    async def name(request: Request) -> str | None:
        key = request.state.key
        return key.name if key else None

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError("/srv/photos/a.jpg")

    @app.get("/gone")
    async def gone() -> None:
        raise ClientGoneError

    @app.get("/own-headers")
    async def own() -> Response:
        return Response(headers={"Cache-Control": "max-age=60", "X-Frame-Options": "SAMEORIGIN"})

    app.add_middleware(protected, options=options)
    return app


def bearer(key: Key) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {key.secret}".encode().decode("latin-1"))]
