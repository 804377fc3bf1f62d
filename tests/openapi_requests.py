"""Makes the requests that schemathesis draws reach further: with pictures, and ids that exist."""

from zlib import crc32

import schemathesis
from schemathesis.transport.serialization import Binary

from tests.image_server import encoded
from tests.pictures import picture

KNOWN = ("big-cat-06", "animals/cat.png", "bird.png")
TO_REMOVE = ("fish.png", "tree.png")
PICTURES = [encoded(picture(seed), format) for seed, format in enumerate(("JPEG", "PNG", "WEBP"))]
VALUES = {
    "id": KNOWN,
    "space": ("", "fake"),
    "model_name": ("", "fake"),
    "image_model_name": ("",),
    "filter": ("", "width >= 10", 'label == "big cat"'),
    "weights": ("",),
    "retrieved_ref": ("id,name", "score"),
}
RARELY = {"url", "text", "box", "metadata"}  # most values of theirs end a request early
YES_OR_NO = {"exact", "ignore_duplicate"}


@schemathesis.hook
def map_body(context, body):
    """Most forms become ones that the service can use. What is not valid stays so: its type is not
    that of a valid value."""
    if not isinstance(body, dict) or context.operation.method == "patch":
        return body
    new = context.operation.path == "/v1/images"
    for name, value in list(body.items()):
        if name in {"image", "file"}:
            body[name] = each(value, (bytes, Binary), PICTURES)
        elif name in VALUES and not new:
            body[name] = each(value, str, VALUES[name])
        elif name in YES_OR_NO and not isinstance(value, bool):
            body[name] = "perhaps"  # 0 and 1, which are drawn, mean something in a form
        elif (name in RARELY or new) and is_list(value) and chance(value):
            del body[name]
    if context.operation.path.startswith("/v1") and chance(body):
        body.setdefault("image", [PICTURES[0]])
    return body


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and "id" in path_parameters:
        choices = TO_REMOVE if context.operation.method == "delete" else KNOWN
        path_parameters["id"] = each(path_parameters["id"], str, choices)
    return path_parameters


def each(value, kind, choices):
    """Two in three values of this kind become one of the choices."""
    if isinstance(value, list):
        return [each(one, kind, choices) for one in value[:3]]
    number = chance(value)
    return choices[number % len(choices)] if number and isinstance(value, kind) else value


def chance(value) -> int:
    """0 in one of three cases, drawn from the value itself: a run can be repeated."""
    number = crc32(repr(value).encode("utf-8", "surrogatepass"))
    return number // 3 + 1 if number % 3 else 0


def is_list(value) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
