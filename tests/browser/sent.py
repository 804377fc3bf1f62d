"""The forms that a page sends, as it sends them: Playwright does not tell of the files in them."""

from base64 import b64decode
from dataclasses import dataclass

from playwright.sync_api import Page

KEEP = """(() => {
    window.sentForms = [];
    const send = window.fetch;
    window.fetch = (where, options) => {
        if (options?.body instanceof FormData) window.sentForms.push(options.body);
        return send(where, options);
    };
})()"""
READ = """async (number) => {
    const form = window.sentForms.at(number), fields = {};
    for (const [name, value] of form) {
        if (typeof value === "string") fields[name] = value;
    }
    const file = form.get("image");
    if (!file) return {fields, file: null};
    const bytes = new Uint8Array(await file.arrayBuffer());
    return {fields, file: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))};
}"""


@dataclass(frozen=True)
class Form:
    """Its fields, and the file, where there is one."""

    fields: dict[str, str]
    image: bytes | None


def keep_forms(page: Page) -> None:
    """From the next page load on."""
    page.add_init_script(KEEP)


def sent(page: Page, number: int = -1) -> Form:
    """A form that this page has sent, the newest unless told otherwise."""
    form = page.evaluate(READ, number)
    return Form(form["fields"], None if form["file"] is None else b64decode(form["file"]))


def count_sent(page: Page) -> int:
    """How many there are."""
    number: int = page.evaluate("window.sentForms.length")
    return number
