"""Which paths are special to the middlewares, seen as the router sees them."""

from starlette.types import Scope

HEALTH = frozenset({"/ping", "/healthz", "/readyz", "/health"})
DOCS = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc"})
ASSETS = "/static-offline-docs/"  # where fastapi-offline puts what the pages of DOCS load
PAGE = "/"
PAGE_FILES = "/page/"  # what the page loads
GRADIO = "/gradio"  # the app guards itself: browsers cannot send a key in a header
GRADIO_FILES = (f"{GRADIO}/assets/", f"{GRADIO}/static/")
METRICS = "/metrics"

_OPEN = HEALTH | DOCS | {PAGE, "/openapi.json"}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# All that takes POST and changes nothing. A route that is missing here needs a key that may write:
# forgetting one is noticed, and opens nothing.
_READING_POSTS = frozenset(
    {
        "/v1/search",
        "/v1/embed",
        "/closest_img_ids",
        "/predict",
        "/similarity-search",
        "/search-by-url",
        "/image_finder",
    }
)


def route_path(scope: Scope) -> str:
    """The path that routes are matched with: below the root path, and otherwise as it came.

    The server has decoded it once. Nothing is made even here, `//` or `..` or case: the router does
    not either, and two that read a path in different ways are how a guard is fooled.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    rest = path.removeprefix(root)
    return rest if not rest or rest.startswith("/") else path


def is_open(scope: Scope) -> bool:
    """Whether the path needs no key and is not counted."""
    path = route_path(scope)
    return path in _OPEN or path.startswith((ASSETS, PAGE_FILES, *GRADIO_FILES))


def guards_itself(scope: Scope) -> bool:
    """Whether what is there asks for a key by itself. It is counted as any other, and reads."""
    path = route_path(scope)
    return path == GRADIO or path.startswith(f"{GRADIO}/")


def is_writing(scope: Scope) -> bool:
    """Whether the request may change the collection."""
    if scope["method"] in SAFE_METHODS or guards_itself(scope):
        return False
    # `/predict/` has its slash by contract.
    return scope["method"] != "POST" or route_path(scope).removesuffix("/") not in _READING_POSTS
