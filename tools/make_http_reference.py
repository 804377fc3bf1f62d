"""Write `docs/reference/http-api.md` from the service's own OpenAPI description.

    python tools/make_http_reference.py

A test compares the committed page with what this makes. The examples run with the docs' other
commands, in the order of the page, against a service of the demo images.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any, TypeAlias
from urllib.parse import urlencode

from imagefinder.decode import DEFAULT_LIMITS
from imagefinder.local import open_finder
from imagefinder.serve.app import create_app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "http-api.md"
SERVICE = "http://127.0.0.1:8000"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")  # taken either way
PROBLEMS = "application/problem+json"
LINE = 90  # letters of JSON that stay on one line
PICTURE = "@photo.jpg"  # what the examples send in a field for a file
METHODS = ("get", "post", "put", "patch", "delete")
KINDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}
INDENTED = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)
TITLES = {
    "search": "Search",
    "images": "Images",
    "collection": "The collection",
    "models": "Models",
    "health": "Health and metrics",
    "reference": "Routes of the services before",
}
NOTES = {
    "reference": "For clients that were written for another service; new ones use `/v1`."
    " [Replace an old service](../how-to/replace-an-old-service.md) says more.",
}
NOT_RUN = {"/search-by-url": "its address leads nowhere"}
INTRODUCTION = """\
# HTTP API

This page is made from the service's OpenAPI description, which a running service has at
`/openapi.json`, and as pages to try it out at `/docs` and `/redoc`. How to start one:
[Serve a collection over HTTP](../how-to/serve.md).

Requests with images are forms (`multipart/form-data`), as `curl -F` sends them; a field that takes
several values is sent several times. Answers are JSON in UTF-8. The ids of images may hold slashes,
in a path as well: `/v1/images/animals/cat-01.png`. Every answer has the header `X-Request-ID`: the
request's own where it came with one, and the one that stands in the log.

Where the service has [keys](../how-to/secure-a-service.md#keys), a request needs one:
`Authorization: Bearer KEY` or `X-API-Key: KEY`. `/ping`, `/healthz`, `/readyz`, `/health`,
`/docs`, `/redoc` and `/openapi.json` need none.

The examples are for a service of the demo images:

<!-- stays: http://127.0.0.1:8000/readyz -->
```console
$ imagefinder serve -c demo --demo --serve-content
...
```
"""
ERRORS = """\
## Errors

An error is a problem document (RFC 9457, `application/problem+json`):

```json
{example}
```

`detail` says what is wrong and what helps, without paths and addresses of the server. A filter that
cannot be read comes with its `column`, a request that is not valid with `errors`: `field` and
`message` of each.

| status | when |
| --- | --- |
{rows}
"""
PROBLEM = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "cat.jpg: no image of the collection has this id",
    "request_id": "55185c916ac8457390c220dc0d2fd6bc",
}

Json: TypeAlias = dict[str, Any]


def main() -> None:
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"written: {PAGE}")


def reference() -> str:
    """The page."""
    description = Description(described())
    return "\n".join([INTRODUCTION, *description.grouped(), *description.errors()]).rstrip() + "\n"


def described() -> Json:
    """The OpenAPI description of an empty collection's service, as it is without options."""
    with TemporaryDirectory() as folder:
        where = Path(folder) / "collection"
        finder = open_finder(where, model=None, embedder=None, limits=DEFAULT_LIMITS, api_key=None)
        try:
            finder.create()
            document: Json = create_app(finder).openapi()
        finally:
            finder.close()
    return document


class Description:
    """An OpenAPI document as Markdown."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._common = self._common_errors()

    def grouped(self) -> Iterator[str]:
        """Every operation, by its tag."""
        operations = [
            (operation.get("tags", ["more"])[0], method, path, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
            if method in METHODS
        ]
        for tag in dict.fromkeys([*TITLES, *(tag for tag, *_ in operations)]):
            some = [operation for operation in operations if operation[0] == tag]
            if some:
                yield f"## {TITLES.get(tag, tag)}\n"
            if some and tag in NOTES:
                yield f"{NOTES[tag]}\n"
            for _, method, path, operation in some:
                yield from self._operation(method, path, operation)

    def errors(self) -> Iterator[str]:
        """What any route may answer."""
        rows = "\n".join(f"| {status} | {text} |" for status, text in self._common.items())
        yield ERRORS.format(example=pretty(PROBLEM), rows=rows)

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        """One route: what it does, what it takes, an example, what it answers."""
        yield f"### {method.upper()} {path}\n"
        yield f"{fenced(operation['description'])}\n"
        yield from self._taken(operation)
        if path in NOT_RUN:
            yield f"<!-- not run: {NOT_RUN[path]} -->"
        yield from self._example(method, path, operation)
        answers = {
            status: self._resolved(answer)
            for status, answer in sorted(operation["responses"].items())
        }
        own = {status: form for status, answer in answers.items() if (form := self._own(answer))}
        for status, answer in answers.items():
            if status < "400" or status not in self._common.keys() | own.keys():
                yield from self._answer(status, answer)
        yield from own_errors(own)

    # what it takes

    def _taken(self, operation: Json) -> Iterator[str]:
        """Its parameters, and the fields of its form."""
        rows = [
            (parameter["name"], parameter["in"], parameter, parameter.get("required", False))
            for parameter in self._parameters(operation)
        ]
        forms = (body for kind, body in self._bodies(operation).items() if kind in FORMS)
        form = self._resolved(next(forms, {}).get("schema", {}))
        rows += [
            (name, "form", field, name in form.get("required", []))
            for name, field in form.get("properties", {}).items()
        ]
        if rows:
            yield "| | in | |\n| --- | --- | --- |"
            for name, place, parameter, needed in rows:
                yield f"| `{name}` | {place} | {self._parameter(parameter, needed)} |"
            yield ""

    def _parameter(self, parameter: Json, needed: bool) -> str:
        """Of what kind it is, what it means, and what holds without it."""
        schema = self._plain(self._resolved(parameter.get("schema", parameter)))
        several = ", several" if schema.get("type") == "array" else ""
        text = [
            f"*{self._kind(schema)}{several}{', needed' if needed else ''}*",
            parameter.get("description", schema.get("description", "")),
        ]
        default = schema.get("default")
        if default not in (None, [], "", False) and not needed:
            text.append(f"Default: `{as_text(default)}`")
        return cell(" ".join(part.rstrip(".") + "." for part in text if part))

    def _kind(self, schema: Json) -> str:
        """Of one value, in words."""
        item = self._plain(self._resolved(schema.get("items", schema)))
        if item.get("format") == "binary" or "contentMediaType" in item:
            return "file"
        kind = KINDS.get(item.get("type", ""), str(item.get("type", "")))
        if "minimum" in item and "maximum" in item:
            kind += f" ({item['minimum']:g} to {item['maximum']:g})"
        return kind

    def _plain(self, schema: Json) -> Json:
        """Without null, which stands for a field that is left out."""
        options = [self._resolved(option) for option in schema.get("anyOf", [])]
        named = [option for option in options if option.get("type") != "null"]
        return {**named[0], **schema} if named else schema

    # an example

    def _example(self, method: str, path: str, operation: Json) -> Iterator[str]:
        """The command, and how its output begins."""
        answer = next(
            self._resolved(response)
            for status, response in operation["responses"].items()
            if status.startswith("2")
        )
        contents = answer.get("content", {})
        sent = list(self._sent(operation))
        words = ["curl", *sent]
        if method != ("post" if sent else "get"):
            words += ["-X", method.upper()]
        if not contents:
            words += ["-w", "%{http_code}"]
            shown = "204"
        elif "application/json" in contents:
            shown = self._beginning(contents["application/json"])
        elif any(kind.startswith("image/") for kind in contents):
            words += ["-s", "-o", "picture", "-w", "%{content_type}"]
            shown = "image/..."
        else:
            shown = "..."
        words.append(self._address(path, operation, asking=not sent))
        yield f"```console\n$ {shlex.join(words)}\n{shown}\n```\n"

    def _address(self, path: str, operation: Json, *, asking: bool) -> str:
        """With the examples of its parameters, those of the query where it is `asking`."""
        asked = {}
        for parameter in self._parameters(operation):
            value = self._value(parameter)
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(value))
            elif value is not None and asking:
                asked[parameter["name"]] = as_text(value)
        return SERVICE + path + (f"?{urlencode(asked, safe=':/')}" if asked else "")

    def _sent(self, operation: Json) -> Iterator[str]:
        """The options of curl for the body: its first form."""
        for kind, content in self._bodies(operation).items():
            example = self._value(content)
            if kind not in FORMS and example is not None:
                yield from ("-H", f"Content-Type: {kind}", "-d", json.dumps(example))
            if kind not in FORMS:
                return
            properties = self._resolved(content["schema"]).get("properties", {})
            files: dict[str, object] = {
                name: PICTURE
                for name, field in properties.items()
                if self._kind(self._plain(self._resolved(field))) == "file"
            }
            rest = example if isinstance(example, dict) else self._examples(properties)
            for name, value in (files | rest | files).items():
                for one in value if isinstance(value, list) else [value]:
                    yield from ("-F", f"{name}={as_text(one)}")
            return

    def _examples(self, properties: Json) -> dict[str, object]:
        """Of a form's fields, where they have one."""
        found = {name: self._value({"schema": field}) for name, field in properties.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _beginning(self, content: Json) -> str:
        """Of an answer in JSON."""
        value = self._value(content)
        known = self._resolved(content.get("schema", {})).get("properties", {})
        if isinstance(value, dict):
            return f'{{"{next(iter(known))}":...' if known else '{"...'
        return "[..." if isinstance(value, list) else json.dumps(value) if value else "..."

    def _value(self, node: Json) -> object:
        """The first example of a body or a parameter, None without any."""
        schema = self._resolved(node.get("schema", {}))
        named = [one.get("value") for one in node.get("examples", {}).values()]
        found = [node.get("example"), *named, *schema.get("examples", [])]
        return next((example for example in found if example is not None), None)

    # what it answers

    def _answer(self, status: str, response: Json) -> Iterator[str]:
        """A status with an example."""
        contents = {kind: c for kind, c in response.get("content", {}).items() if kind != PROBLEMS}
        kinds = f" ({', '.join(f'`{kind}`' for kind in contents)})" if contents else ""
        what = response.get("description", "").rstrip(".")
        what = f": {what}" if what not in ("", "Successful Response") else ""
        values = [self._value(c) for kind, c in contents.items() if kind.endswith("json")]
        shown = [value for value in values if value is not None]
        yield f"Answers {status}{kinds}{what}{':' if shown and not what else '.'}\n"
        for value in shown:
            yield f"```json\n{pretty(value)}\n```\n"
        for content in contents.values():
            rows = list(self._described(self._resolved(content.get("schema", {})), ""))
            if rows:
                yield "| in the answer | |\n| --- | --- |"
                yield from (f"| `{name}` | {cell(text)} |" for name, text in rows)
                yield ""

    def _own(self, answer: Json) -> str:
        """An example of an error that is told in another form than on all other routes, or ""."""
        value = self._value(answer.get("content", {}).get("application/json", {}))
        return json.dumps(value) if isinstance(value, dict) and "detail" in value else ""

    def _described(self, schema: Json, before: str) -> Iterator[tuple[str, str]]:
        """The fields of an answer that have a description, at whatever depth."""
        for name, property in schema.get("properties", {}).items():
            field = self._resolved(property)
            if text := field.get("description"):
                yield before + name, text
            inner = self._resolved(field.get("items", {}))
            yield from self._described(inner, f"{before}{name}[].")

    # the document

    def _common_errors(self) -> dict[str, str]:
        """Those of a search, which are those of every route of `/v1`."""
        responses = self._document["paths"]["/v1/search"]["post"]["responses"]
        return {
            status: self._resolved(response)["description"]
            for status, response in sorted(responses.items())
            if int(status) >= 400
        }

    def _parameters(self, operation: Json) -> list[Json]:
        return [self._resolved(parameter) for parameter in operation.get("parameters", [])]

    def _bodies(self, operation: Json) -> dict[str, Json]:
        """By their media types."""
        bodies: dict[str, Json] = self._resolved(operation.get("requestBody", {})).get(
            "content", {}
        )
        return bodies

    def _resolved(self, node: Json) -> Json:
        """What a reference leads to."""
        while "$ref" in node:
            target: Json = self._document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node


def own_errors(forms: Mapping[str, str]) -> Iterator[str]:
    """The form of each status."""
    by_form: dict[str, list[str]] = {}
    for status, form in forms.items():
        by_form.setdefault(form, []).append(status)
    told = [f"{', '.join(some)} as `{form}`" for form, some in by_form.items()]
    if told:
        yield f"Errors have a form of their own: {'; '.join(told)}.\n"


def fenced(text: str) -> str:
    """Indented code becomes a fence."""
    return INDENTED.sub(lambda code: f"```text\n{dedent(code[0]).rstrip()}\n```\n", text).strip()


def pretty(value: object) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) < LINE else json.dumps(value, indent=2, ensure_ascii=False)


def as_text(value: object) -> str:
    """A field of a form."""
    return value if isinstance(value, str) else json.dumps(value)


def cell(text: str) -> str:
    """A vertical bar would end the cell, a line its row."""
    return " ".join(text.split()).replace("|", "&#124;")


if __name__ == "__main__":
    main()
