"""What is dragged or pasted: a file, or an address."""

from base64 import b64encode
from collections.abc import Mapping

from playwright.sync_api import JSHandle, Page

MAKE = """({files, texts}) => {
    const transfer = new DataTransfer();
    for (const {name, type, data} of files) {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, {type}));
    }
    for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
    return transfer;
}"""


def transfer(
    page: Page,
    *,
    file: bytes | None = None,
    name: str = "picture.jpg",
    type: str = "image/jpeg",
    texts: Mapping[str, str] | None = None,
) -> JSHandle:
    """A DataTransfer of the page."""
    files = [{"name": name, "type": type, "data": b64encode(file).decode()}] if file else []
    return page.evaluate_handle(MAKE, {"files": files, "texts": dict(texts or {})})


def drag(page: Page, event: str, what: JSHandle, onto: str = "body") -> None:
    """One event of a drag: dragenter, dragover, dragleave or drop."""
    page.dispatch_event(onto, event, {"dataTransfer": what})
