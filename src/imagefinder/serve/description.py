"""The OpenAPI description: what FastAPI does not say by itself."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from imagefinder.serve import wire
from imagefinder.serve.problem_schema import NAME, SCHEMA
from imagefinder.serve.protect.paths import DOCS, HEALTH

SUMMARY = "Find the images of a collection that look most like a given one."
TEXT = """The examples work with the demo images, which `make run` and the container begin with.

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457), except on the reference
routes, which answer in the forms of the services that they stand in for."""
TAGS = [
    {"name": "search", "description": "Queries."},
    {"name": "images", "description": "The images of the collection, and new ones."},
    {"name": "collection", "description": "What the collection is."},
    {"name": "models", "description": "By which models it can be searched."},
    {"name": "health", "description": "For load balancers and monitoring."},
    {"name": "reference", "description": "For clients of the services that came before this."},
]
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
JSON = "application/json"

Document = dict[str, Any]


def operation_id(route: APIRoute) -> str:
    """Short, for clients that are generated: the name of the function."""
    return route.name


def describe(app: FastAPI, *, keys: bool) -> None:
    """Complete what FastAPI makes; `keys`: whether the service wants them."""
    made = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None:
            document = made()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas[NAME] = SCHEMA
            restore_nulls(schemas)
            mark_files(schemas)
            drop_own_errors(document)
            if keys:
                add_keys(document)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation has it


def restore_nulls(schemas: Document) -> None:
    """FastAPI leaves null out of examples, which then lack values that they must have."""
    for name, model in vars(wire).items():
        if isinstance(model, type) and issubclass(model, BaseModel) and name in schemas:
            extra = model.model_config.get("json_schema_extra")
            if isinstance(extra, Mapping):
                schemas[name].update(extra)


def mark_files(schemas: Document) -> None:
    """By this mark the page at /docs knows that items of a list are files."""
    for schema in schemas.values():
        for value in schema.get("properties", {}).values():
            if "contentMediaType" in value.get("items", {}):
                value["items"]["format"] = "binary"


def drop_own_errors(document: Document) -> None:
    """FastAPI says of every route with a parameter that it may be answered in FastAPI's form. Ours
    are not, and those that do not say so themselves take any text."""
    own = {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}
    for methods in document["paths"].values():
        for operation in methods.values():
            if operation["responses"].get("422", {}).get("content", {}).get(JSON) == own:
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def add_keys(document: Document) -> None:
    """What needs a key says so."""
    document["components"]["securitySchemes"] = KEYS
    document["security"] = [{name: []} for name in KEYS]
    for path in HEALTH | DOCS:
        for operation in document["paths"].get(path, {}).values():
            operation["security"] = []
