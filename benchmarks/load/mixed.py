"""What the clients of a public service do, the bad ones too."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from benchmarks.load.http import Connection, form, form_body, request
from benchmarks.load.tally import Client

ACCEPTS = ("image/avif,image/webp", "image/webp", "*/*")
REFUSED_URLS = (
    "http://127.0.0.1:{port}/ping",
    "http://[::ffff:127.0.0.1]:{port}/ping",
    "http://localhost:{port}/v1/status",
    "http://2130706433:{port}/",
    "http://0.0.0.0:{port}/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/a.jpg",
    "no address",
)
# no request of HTTP at all: the server may say so, or hang up
GARBAGE = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60), b"GET\r\n\r\n", b"\0" * 99)


@dataclass(slots=True)
class World:
    """What the clients know of the collection, together."""

    port: int
    good: list[bytes]  # pictures
    hostile: list[tuple[str, bytes, bool]]  # name, bytes, whether it can be searched with
    ids: list[str]  # of images that stay
    max_body: int  # bytes
    added: set[str] = field(default_factory=set)  # acknowledged, and not deleted again
    unsure: set[str] = field(default_factory=set)  # nobody heard what became of these
    numbers: int = 0

    def new_id(self) -> str:
        self.numbers += 1
        return f"soak/{self.numbers:06} ü.jpg"


Action = Callable[[Client, World, random.Random], Awaitable[None]]


async def search(client: Client, world: World, chance: random.Random) -> None:
    parts = [("a.jpg", chance.choice(world.good)), ("k", str(chance.choice((1, 3, 10, 100))))]
    if chance.random() < 0.2:
        parts += [("box", "0.1,0.1,0.5,0.5"), ("filter", 'width >= 100 and not label == "cat"')]
    await client.ask("search", form("/v1/search", parts), 200)


async def search_by_id(client: Client, world: World, chance: random.Random) -> None:
    parts = [("id", chance.choice(world.ids)), ("id", chance.choice(world.ids))]
    parts += [("exact", chance.choice(("true", "false")))]
    await client.ask("search by id", form("/v1/search", parts), 200)


async def search_by_refused_url(client: Client, world: World, chance: random.Random) -> None:
    url = chance.choice(REFUSED_URLS).format(port=world.port)
    await client.ask("search by refused url", form("/v1/search", [("url", url)]), 400, 422)


async def search_with_hostile(client: Client, world: World, chance: random.Random) -> None:
    name, content, good = chance.choice(world.hostile)
    action = f"search with a {'strange' if good else 'bad'} image"
    expected = (200,) if good else (400, 413, 422)
    # the name goes along for what is told of a fault
    asked = form("/v1/search", [("a.jpg", content)], X_Request_ID=header(name))
    await client.ask(action, asked, *expected)


async def search_as_a_page(client: Client, world: World, chance: random.Random) -> None:
    parts = [("a.jpg", chance.choice(world.good))]
    await client.ask("search, a page", form("/v1/search", parts, Accept="text/html"), 200)


async def embed(client: Client, world: World, chance: random.Random) -> None:
    parts = [("a.jpg", chance.choice(world.good)), ("b.jpg", chance.choice(world.good))]
    await client.ask("embed", form("/v1/embed", parts), 200)


async def look(client: Client, world: World, chance: random.Random) -> None:
    after = quote(chance.choice(world.ids))
    path = chance.choice(
        (
            "/v1/images?limit=100",
            f"/v1/images?after={after}&limit=50&embeddings=true",
            "/v1/images?filter=width%20%3E%20300&limit=20",
            f"/v1/images/{after}",
            *("/v1/status", "/v1/models", "/v1/skipped", "/metrics", "/ping", "/readyz"),
            *("/docs", "/openapi.json"),
        )
    )
    await client.ask("look", request("GET", path), 200)


async def thumbnail(client: Client, world: World, chance: random.Random) -> None:
    # of a few images, or it would take the whole time to fill the cache
    path = f"/v1/images/{quote(chance.choice(world.ids[:60]))}/thumbnail"
    path += f"?size={chance.choice((64, 256, 300, 512))}"
    await client.ask("thumbnail", request("GET", path, Accept=chance.choice(ACCEPTS)), 200)


async def add_and_delete(client: Client, world: World, chance: random.Random) -> None:
    """An image's whole life; now and then it stays a while."""
    id, content = world.new_id(), bytearray(chance.choice(world.good))
    content.append(chance.randrange(10))  # the same picture, and other bytes
    world.unsure.add(id)
    parts = [("a.jpg", bytes(content)), ("id", id), ("metadata", '{"label": "soak"}')]
    answer = await client.ask("add", form("/v1/images", parts), 201)
    if answer.status != 201:
        return
    if json.loads(answer.body)["added"] == [id]:
        world.added.add(id)
    world.unsure.discard(id)
    await client.ask("search for what was added", form("/v1/search", [("id", id)]), 200)
    changed = json.dumps({"metadata": {"label": None, "number": world.numbers}}).encode()
    path = f"/v1/images/{quote(id)}"
    kind = "application/json"
    await client.ask("change", request("PATCH", path, changed, Content_Type=kind), 200)
    await client.ask("thumbnail of what was added", request("GET", f"{path}/thumbnail"), 200)
    if chance.random() < 0.9:
        await delete(client, world, id)
    for old in sorted(world.added)[:-20]:
        await delete(client, world, old)


async def delete(client: Client, world: World, id: str) -> None:
    if id not in world.added:
        return  # another client was here
    world.added.discard(id)
    world.unsure.add(id)
    answer = await client.ask("delete", request("DELETE", f"/v1/images/{quote(id)}"), 204)
    if answer.status == 204:
        world.unsure.discard(id)
        await client.ask("deleted", request("GET", f"/v1/images/{quote(id)}"), 404)


async def add_hostile(client: Client, world: World, chance: random.Random) -> None:
    """Good or bad, it is answered 201, with what became of it; then it goes again."""
    id, (_, content, _) = world.new_id(), chance.choice(world.hostile)
    world.unsure.add(id)
    answer = await client.ask(
        "add a strange image", form("/v1/images", [("a.jpg", content), ("id", id)]), 201
    )
    if answer.status == 201 and json.loads(answer.body)["added"] == [id]:
        world.added.add(id)
        await delete(client, world, id)


async def ask_nonsense(client: Client, world: World, chance: random.Random) -> None:
    """Each of these is the client's fault, and is told so."""
    picture = ("a.jpg", world.good[0])
    json_type, form_type = "application/json", "multipart/form-data"
    asked = chance.choice(
        (
            form("/v1/search", []),
            form("/v1/search", [picture, ("k", "0")]),
            form("/v1/search", [picture, ("filter", "width >=")]),
            form("/v1/search", [picture, ("weights", "1,2,3")]),
            form("/v1/search", [picture, ("box", "2,2,2,2")]),
            form("/v1/search", [("id", "there is none such")]),
            form("/v1/search", [("text", "a cat")]),
            form("/v1/search", [("id", world.ids[0])] * 1_200),
            form("/v1/images", [picture, ("metadata", "[1]"), ("id", "x")]),
            request("POST", "/v1/search", b"{}", Content_Type=json_type),
            request("POST", "/v1/search", b"--x", Content_Type=form_type),
            request("POST", "/v1/search", b"-", Content_Type=f"{form_type}; boundary=b"),
            request("PATCH", f"/v1/images/{quote(world.ids[0])}", b"{", Content_Type=json_type),
            request("PATCH", "/v1/images/none", b'{"metadata": {}}', Content_Type=json_type),
            request("DELETE", "/v1/images/none"),
            request("GET", "/v1/images?limit=0"),
            request("GET", "/v1/images/none/thumbnail?size=100000"),
            request("GET", f"/v1/images/{quote(world.ids[0])}/content"),
            request("GET", "/../../etc/passwd"),
            request("PUT", "/v1/search"),
            request("GET", "/v1/status", Host="example.org"),
        )
    )
    refusals = (400, 403, 404, 405, 413, 415, 421, 422)
    await client.ask("nonsense", asked, *refusals)


async def send_too_much(client: Client, world: World, chance: random.Random) -> None:
    """Announced, so that the server need not read it; or in chunks, so that it has to count."""
    parts = [("a.jpg", bytes(world.max_body + 1_000_000))]
    asked = form("/v1/search", parts)
    if chance.random() < 0.5:
        body = form_body(parts)
        head = asked[: -len(body)].replace(
            b"Content-Length:", b"Transfer-Encoding: chunked\r\nX-Was:"
        )
        asked = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    await client.ask("too much", asked, 413)


async def hang_up(client: Client, world: World, chance: random.Random) -> None:
    """In the middle of the request, or before the answer. Nobody knows what is added then, so it
    is under one of a few ids."""
    id = f"soak/left {chance.randrange(20)}"
    world.unsure.add(id)
    path, parts = chance.choice((("/v1/search", []), ("/v1/images", [("id", id)])))
    asked = form(path, [*parts, ("a.jpg", chance.choice(world.good))])
    connection = await Connection.open(world.port)
    cut = chance.choice((20, len(asked) // 2, len(asked) - 1, len(asked)))
    await connection.send(asked[:cut])
    await asyncio.sleep(chance.choice((0, 0.005, 0.02)))
    connection.abort()
    client.tally.answers["hang up", 0] += 1


async def send_garbage(client: Client, world: World, chance: random.Random) -> None:
    connection = await Connection.open(world.port)
    try:
        async with asyncio.timeout(1):
            answer = await connection.ask(chance.choice(GARBAGE))
        client.tally.book("garbage", answer, (400,))
    except (OSError, EOFError):
        client.tally.answers["garbage", 0] += 1
    finally:
        connection.abort()


async def dawdle(client: Client, world: World, chance: random.Random) -> None:
    """Sends its picture in drops: in time, or so slowly that the server loses patience."""
    asked = form("/v1/search", [("a.jpg", chance.choice(world.good))])
    too_slow = chance.random() < 0.5
    client.hang_up()
    connection = await client.connection()
    pieces = 10
    for number in range(pieces - 1):
        size = len(asked) // pieces
        await connection.send(asked[number * size : (number + 1) * size])
        await asyncio.sleep(0.1)
    rest = asked[(pieces - 1) * size :]
    action = "dawdle, for ever" if too_slow else "dawdle"
    await client.ask(action, b"" if too_slow else rest, 408 if too_slow else 200)


def header(name: str) -> str:
    """As much of a file's name as a request's id may have."""
    return "".join(letter for letter in name if letter.isascii() and letter.isalnum())[-60:] or "x"
