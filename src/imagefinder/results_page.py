"""A page that shows a query and its hits with pictures; one file that needs nothing else."""

import base64
import html
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from string import Template

from PIL import Image

from imagefinder.decode import decode
from imagefinder.errors import ImageFinderError
from imagefinder.sources import Fetcher
from imagefinder.sources.address import redact
from imagefinder.types import Hit, Metadata

SIDE = 400  # pixels of a thumbnail's longer side: sharp on screens of high density
ONE_COLOUR = 12  # of 255; JPEG makes corners differ by a few levels
CHIPS = 3  # values of metadata that a card shows

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title - ImageFinder</title>
<style>
  :root {
    color-scheme: light dark;
    --page: #f6f7f9; --card: #fff; --ink: #16181d; --soft: #667085; --line: #e3e6eb;
    --accent: #0d9488; --shadow: 0 1px 2px #1018280d, 0 6px 16px -8px #10182826;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --page: #101215; --card: #1a1d22; --ink: #eceef2; --soft: #98a0ae; --line: #2b3038;
      --accent: #2dd4bf; --shadow: none;
    }
  }
  * { box-sizing: border-box }
  body { margin: 0 auto; max-width: 80rem; padding: 2rem 1.25rem 3rem; background: var(--page);
    color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
  header { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: center; margin-bottom: 2rem }
  header img { display: block; height: 8.5rem; max-width: 18rem; object-fit: contain;
    border-radius: .75rem; outline: 3px solid var(--accent);
    outline-offset: 3px; margin: 6px }
  h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.015em; margin: 0 0 .3rem;
    overflow-wrap: anywhere }
  header p { margin: 0; color: var(--soft); max-width: 34rem }
  main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)) }
  figure { margin: 0; overflow: hidden; display: flex; flex-direction: column;
    background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
    box-shadow: var(--shadow) }
  .picture { position: relative; aspect-ratio: 1; background: var(--card) }
  .picture img { position: absolute; width: 100%; height: 100%; object-fit: contain }
  .missing { display: grid; place-items: center; height: 100%; margin: 0; padding: 1rem;
    color: var(--soft); text-align: center; overflow-wrap: anywhere }
  .score { height: 3px; background: var(--line) }
  .score i { display: block; height: 100%; background: var(--accent) }
  figcaption { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .15rem .6rem;
    padding: .6rem .75rem .7rem }
  figcaption b { font-variant-numeric: tabular-nums }
  figcaption a, figcaption .id { color: inherit; text-decoration: none; overflow: hidden;
    overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical;
    -webkit-line-clamp: 2 }
  figcaption a:hover, figcaption a:focus-visible { text-decoration: underline }
  .chips { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .3rem; color: var(--soft);
    font-size: .8rem }
  .chips span { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem;
    max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
</style>
<header>
$queries
<div>
<h1>$title</h1>
<p>Best first. The score is the cosine similarity of two images, 1 for the same image, around 0
for two that have nothing in common, unless the search was by another distance or several
models.</p>
</div>
</header>
<main>
$figures
</main>
</html>
""")


def write_page(queries: Sequence[str], hits: Sequence[Hit]) -> Path:
    """The page in a temporary file, which stays for the browser to read."""
    fetcher = Fetcher()
    page = render(
        title(queries, len(hits)),
        [query_picture(fetcher, query) for query in queries],
        [figure(fetcher, hit) for hit in hits],
    )
    with tempfile.NamedTemporaryFile(
        "w", prefix="imagefinder-", suffix=".html", delete=False, encoding="utf-8"
    ) as file:
        file.write(page)
    return Path(file.name)


def render(title: str, queries: Sequence[str], figures: Sequence[str]) -> str:
    """The page around what is HTML already."""
    return PAGE.substitute(title=title, queries="\n".join(queries), figures="\n".join(figures))


def title(queries: Sequence[str], count: int) -> str:
    """What the page shows, in words."""
    names = ", ".join(html.escape(short_name(query)) for query in queries)
    if not count:
        return f"No image matches {names}"
    return f"The image closest to {names}" if count == 1 else f"{count} images closest to {names}"


def short_name(query: str) -> str:
    """The last part of a path or URL, without what is secret in it."""
    return redact(query).rstrip("/").rpartition("/")[2]


def query_picture(fetcher: Fetcher, query: str) -> str:
    """What was searched with; nothing for an id, whose image is most likely the first hit."""
    if query.startswith(("id:", "text:")):
        return ""
    try:
        return f'<img alt="the query" src="{data_url(thumbnail(fetcher.read(query)))}">'
    except ImageFinderError:
        return ""


def figure(fetcher: Fetcher, hit: Hit) -> str:
    """A hit as a card; a picture that cannot be read says why."""
    try:
        image = thumbnail(fetcher.read(hit.uri))
        plate = f' style="background: {margin(image)}"'
        picture = f'<img alt="" src="{data_url(image)}">'
    except ImageFinderError as error:
        plate = ""
        picture = f'<p class="missing">{html.escape(str(error))}</p>'
    return card(hit, picture, address(hit.uri), plate)


def card(hit: Hit, picture: str, href: str | None, plate: str = "") -> str:
    """A hit, its picture being HTML, and where a click on the id leads."""
    return (
        f'<figure><div class="picture"{plate}>{picture}</div>'
        f'<div class="score"><i style="width: {min(max(hit.score, 0), 1):.1%}"></i></div>'
        f"<figcaption><b>{hit.score:.3f}</b> {link(hit, href)}{chips(hit.metadata)}</figcaption>"
        "</figure>"
    )


def thumbnail(data: bytes) -> Image.Image:
    """A small upright picture."""
    image = Image.fromarray(decode(data, at_least=SIDE).pixels)
    image.thumbnail((SIDE, SIDE))
    return image


def margin(image: Image.Image) -> str:
    """The colour beside a picture that is not square: that of its background where it has one."""
    right, bottom = image.width - 1, image.height - 1
    corners = [image.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))]
    channels = [sorted(channel) for channel in zip(*corners, strict=True)]
    if any(levels[-1] - levels[0] > ONE_COLOUR for levels in channels):
        return "none"
    return "rgb({} {} {})".format(*(levels[1] for levels in channels))


def data_url(image: Image.Image) -> str:
    """The picture inside the page."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def link(hit: Hit, href: str | None) -> str:
    """The id, leading to the image itself where it is known."""
    id = html.escape(hit.id)
    if href is None:
        return f'<span class="id" title="{id}">{id}</span>'
    return f'<a href="{html.escape(href)}" title="{html.escape(hit.uri)}">{id}</a>'


def address(uri: str) -> str | None:
    """Where a browser finds the image; None where it cannot."""
    if "://" in uri:
        return uri if uri.startswith(("http://", "https://")) else None
    return Path(uri).as_uri() if Path(uri).is_absolute() else None


def chips(metadata: Metadata) -> str:
    """The first few values of the metadata."""
    known = [(name, value) for name, value in metadata.items() if value is not None][:CHIPS]
    if not known:
        return ""
    spans = (f"<span>{html.escape(f'{name}: {value}')}</span>" for name, value in known)
    return f'<div class="chips">{"".join(spans)}</div>'
