"""POST /v1/images: images that clients add."""

import json
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from imagefinder.serve.options import ServeOptions
from tests.image_server import ImageServer, Reply, encoded
from tests.pictures import picture
from tests.serving import NAMES, Served, served

OPTIONS = ServeOptions(allowed_networks=(ip_network("127.0.0.0/8"),), serve_content=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service"), OPTIONS) as service:
        yield service


@pytest.fixture
def service(running: Served) -> Iterator[Served]:
    """With nothing in it but what was indexed."""
    yield running
    running.finder.remove([one.id for one in running.finder.images() if one.id not in NAMES])


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def add(service: Served, *files: tuple[str, bytes], **fields: object) -> httpx.Response:
    parts = [("image", (name, data, "image/png")) for name, data in files]
    return service.client.post("/v1/images", files=parts or None, data=fields)


def added(
    ids: Sequence[str] = (), *, updated: Sequence[str] = (), unchanged: Sequence[str] = ()
) -> dict:
    return {
        "added": list(ids),
        "updated": list(updated),
        "unchanged": list(unchanged),
        "skipped": [],
    }


def media(service: Served) -> list[Path]:
    return [path for path in (service.collection / "media").rglob("*") if path.is_file()]


def record(service: Served, id: str) -> dict:
    answer = service.client.get(f"/v1/images/{quote(id)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def closest(service: Served, data: bytes) -> str:
    answer = service.client.post("/v1/search", files={"image": ("q", data)}, data={"k": 1})
    hit = answer.json()["hits"][0]
    return hit["id"] if hit["score"] > 0.999 else ""


# what is added


def test_an_image_is_found_as_soon_as_it_is_added(service: Served):
    answer = add(service, ("hat.png", png(20)))
    assert answer.status_code == 201
    assert answer.json() == added(["hat.png"])
    assert closest(service, png(20)) == "hat.png"
    assert service.client.get("/v1/status").json()["images"] == 6


def test_what_is_known_of_an_added_image(service: Served):
    add(service, ("hat.png", encoded(picture(20, (64, 48)), "WEBP")), metadata='{"size": "L"}')
    known = record(service, "hat.png")
    assert (known["width"], known["height"], known["format"]) == (64, 48, "webp")
    assert known["metadata"] == {"size": "L"}
    assert not Path(known["uri"]).is_absolute()
    content = service.client.get("/v1/images/hat.png/content")
    assert content.content == encoded(picture(20, (64, 48)), "WEBP")
    assert content.headers["content-type"] == "image/webp"


def test_several_images(service: Served):
    answer = add(service, *((f"{seed}.png", png(seed)) for seed in range(20, 60)))
    assert answer.json() == added([f"{seed}.png" for seed in range(20, 60)])
    assert [closest(service, png(seed)) for seed in (20, 59)] == ["20.png", "59.png"]


def test_ids_of_their_own(service: Served):
    answer = add(service, ("a.png", png(20)), ("a.png", png(21)), id=["one", "two/three"])
    assert answer.json() == added(["one", "two/three"])
    assert closest(service, png(21)) == "two/three"


def test_metadata_once_for_all_or_for_each(service: Served):
    add(service, ("a.png", png(20)), ("b.png", png(21)), metadata='{"label": "hat", "n": 1.5}')
    add(service, ("c.png", png(22)), ("d.png", png(23)), metadata=['{"label": "cap"}', ""])
    assert record(service, "a.png")["metadata"] == {"label": "hat", "n": 1.5}
    assert record(service, "b.png")["metadata"] == {"label": "hat", "n": 1.5}
    assert record(service, "c.png")["metadata"] == {"label": "cap"}
    assert record(service, "d.png")["metadata"] == {}


def test_fields_that_a_browser_sends_empty_are_as_good_as_left_out(service: Served):
    empty = {"id": "", "metadata": "", "url": ""}
    answer = add(service, ("a.png", png(20)), ("b.png", png(21)), **empty)
    assert answer.json() == added(["a.png", "b.png"])


def test_metadata_can_be_filtered_by_at_once(service: Served):
    add(service, ("a.png", png(20)), metadata='{"label": "chapeau ✓", "n": 7, "on": true}')
    expression = 'label == "chapeau ✓" and n >= 7 and on == true'
    answer = service.client.get("/v1/images", params={"filter": expression})
    assert [image["id"] for image in answer.json()["images"]] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("C:\\Users\\me\\Pictures\\hat.png", "hat.png"),
        ("../../etc/hat.png", "hat.png"),
        ("/var/hat.png", "hat.png"),
        ("帽子 ✓.png", "帽子 ✓.png"),
        ("été.png", "été.png"),
        ("it's;.png", "it's;.png"),
        ("100%.png", "100%.png"),
        ("no extension", "no extension"),
    ],
)
def test_without_an_id_it_is_the_name_of_the_file(service: Served, name: str, id: str):
    assert add(service, (name, png(20))).json() == added([id])
    assert closest(service, png(20)) == id


def test_an_image_without_a_name_needs_an_id(service: Served):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n'
        + png(20)
        + b'\r\n--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n%s\r\n--b--\r\n'
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.client.post("/v1/images", content=body % b"", headers=kind)
    assert answer.json()["skipped"] == [{"name": "", "reason": "it has neither an id nor a name"}]
    answer = service.client.post("/v1/images", content=body % b"x", headers=kind)
    assert answer.json() == added(["x"])


@pytest.mark.parametrize(
    "id",
    [
        "a/b/c.png",
        "deep/er/than/that/it/does/not/get.png",
        "with space.png",
        "100%25.png",
        "%2e%2e%2f",
        "what?.png",
        "a?b=c&d#e",
        "#1.png",
        "plus+and&amp;.png",
        "..hidden...",
        "/leading/slash.png",
        "trailing/",
        "two//slashes",
        "new\nline and\ttab",
        "back\\slash",
        "naïve-帽子-👒.png",
        "e\u0301",  # not the same as the letter é
        "é",
        "a" * 1024,
        "'; DROP TABLE images; --",
        "id:x",
        "[brackets]{braces}",
        "thumbnail",
        "content",
    ],
)
def test_any_id_can_be_shown_changed_and_removed(service: Served, id: str):
    assert add(service, ("x", png(20)), id=id).json() == added([id])
    known = record(service, id)
    assert known["id"] == id
    assert service.client.get(known["thumbnail"]).headers["content-type"] == "image/jpeg"
    path = f"/v1/images/{quote(id)}"
    assert service.client.get(path + "/content").content == png(20)
    changed = service.client.patch(path, json={"metadata": {"seen": True}})
    assert changed.json()["metadata"] == {"seen": True}
    listed = service.client.get("/v1/images", params={"id": id}).json()
    assert [image["id"] for image in listed["images"]] == [id]
    by_id = service.client.post("/v1/search", data={"id": id, "k": 1}).json()
    assert by_id["hits"][0]["id"] == id
    assert service.client.delete(path).status_code == 204
    assert service.client.get(path).status_code == 404
    assert closest(service, png(20)) == ""


@pytest.mark.parametrize("id", ["a/thumbnail", "a/content"])
def test_an_id_that_looks_like_a_route_is_found_in_the_list(service: Served, id: str):
    assert add(service, ("x", png(20)), id=id).json() == added([id])
    listed = service.client.get("/v1/images", params={"id": id}).json()
    assert [image["id"] for image in listed["images"]] == [id]
    assert service.client.get(listed["images"][0]["thumbnail"]).status_code == 200
    path = f"/v1/images/{id}"
    assert service.client.patch(path, json={"metadata": {"a": 1}}).status_code == 200
    assert service.client.delete(path).status_code == 204


# what is there already


def test_an_id_of_another_image_is_skipped_with_the_reason(service: Served):
    answer = add(service, ("bird.png", png(20)), ("hat.png", png(21)))
    assert answer.status_code == 201
    assert answer.json()["added"] == ["hat.png"]
    assert answer.json()["skipped"] == [
        {
            "name": "bird.png",
            "reason": "the id bird.png belongs to another image already; give this one another id",
        }
    ]
    assert closest(service, png(20)) == ""
    assert len(media(service)) == 1


def test_an_id_twice_in_one_request(service: Served):
    answer = add(service, ("hat.png", png(20)), ("hat.png", png(21))).json()
    assert answer["added"] == ["hat.png"]
    assert [skipped["name"] for skipped in answer["skipped"]] == ["hat.png"]
    assert "another image of the same request" in answer["skipped"][0]["reason"]
    assert closest(service, png(20)) == "hat.png"


def test_the_same_bytes_are_unchanged(service: Served):
    add(service, ("hat.png", png(20)), metadata='{"label": "hat"}')
    again = add(service, ("hat.png", png(20)), metadata='{"label": "cap"}')
    assert again.status_code == 201
    assert again.json() == added(unchanged=["hat.png"])
    assert record(service, "hat.png")["metadata"] == {"label": "hat"}
    # also where the image came from a folder
    folder = (service.pictures / "bird.png").read_bytes()
    assert add(service, ("bird.png", folder)).json() == added(unchanged=["bird.png"])


def test_the_same_source_replaces_its_images(service: Served):
    add(service, ("hat.png", png(20)), source="shop")
    (old,) = media(service)
    answer = add(service, ("hat.png", png(21)), source="shop", metadata='{"label": "cap"}')
    assert answer.json() == added(updated=["hat.png"])
    assert closest(service, png(20)) == ""
    assert closest(service, png(21)) == "hat.png"
    assert record(service, "hat.png")["metadata"] == {"label": "cap"}
    assert service.client.get("/v1/images/hat.png/content").content == png(21)
    assert len(media(service)) == 1
    assert not old.exists()


def test_another_source_does_not(service: Served):
    add(service, ("hat.png", png(20)), source="shop")
    for source in ({"source": "other"}, {}):
        answer = add(service, ("hat.png", png(21)), **source).json()
        assert answer["updated"] == []
        assert "another image" in answer["skipped"][0]["reason"]
    assert closest(service, png(20)) == "hat.png"


def test_bytes_stay_until_the_last_image_that_has_them_goes(service: Served):
    add(service, ("a.png", png(20)), ("b.png", png(20)))
    assert len(media(service)) == 1
    assert service.client.delete("/v1/images/a.png").status_code == 204
    assert service.client.get("/v1/images/b.png/content").content == png(20)
    assert service.client.delete("/v1/images/b.png").status_code == 204
    assert media(service) == []


def test_what_was_added_survives_a_restart(tmp_path: Path):
    with served(tmp_path, OPTIONS) as service:
        add(service, ("hat.png", png(20)), ("cap.png", png(21)), metadata='{"label": "hat"}')
        service.client.delete("/v1/images/cap.png")
        service.client.patch("/v1/images/hat.png", json={"metadata": {"n": 2}})
        before = record(service, "hat.png")
    with served(tmp_path, OPTIONS) as service:
        assert record(service, "hat.png") == before
        assert before["metadata"] == {"label": "hat", "n": 2}
        assert closest(service, png(20)) == "hat.png"
        assert service.client.get("/v1/images/cap.png").status_code == 404
        assert service.client.get("/v1/images/hat.png/content").content == png(20)


# what cannot be added


def test_bad_images_do_not_stop_the_good_ones(service: Served):
    answer = add(
        service,
        ("text.png", b"hello"),
        ("a.png", png(20)),
        ("empty.png", b""),
        ("cut.png", png(21)[:100]),
        ("b.png", png(22)),
    )
    assert answer.status_code == 201
    assert answer.json()["added"] == ["a.png", "b.png"]
    reasons = {one["name"]: one["reason"] for one in answer.json()["skipped"]}
    assert list(reasons) == ["text.png", "empty.png", "cut.png"]
    assert "not an image" in reasons["text.png"]
    assert len(media(service)) == 2
    assert service.client.get("/v1/skipped").json() == {"skipped": []}  # nothing to come back to


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("a" * 1025, "the limit is 1024"),
        ("nul\0", "not valid text"),
        ("../up.png", "cannot be an address"),
        ("a/./b", "cannot be an address"),
        ("..", "cannot be an address"),
    ],
)
def test_what_cannot_be_an_id(service: Served, id: str, reason: str):
    answer = add(service, ("x", png(20)), id=id)
    assert answer.status_code == 201
    assert reason in answer.json()["skipped"][0]["reason"]
    assert media(service) == []


def test_nothing_to_add(service: Served):
    for answer in (add(service), add(service, id="x"), service.client.post("/v1/images")):
        assert answer.status_code == 400
        assert "no image came" in answer.json()["detail"]


def test_too_many_at_once(service: Served):
    answer = add(service, *[("x", b"x")] * 257)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "257 images in one request, the limit is 256"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": ["a", "b"]}, "2 ids for 1 images"),
        ({"metadata": ["{}", "{}"]}, "2 times metadata for 1 images"),
        ({"metadata": "label=hat"}, "JSON"),
        ({"metadata": '["label"]'}, "JSON object"),
        ({"metadata": "null"}, "JSON object"),
        ({"metadata": '"text"'}, "JSON object"),
        ({"metadata": '{"label": "hat"'}, "JSON"),
        ({"metadata": '{"n": NaN}'}, "metadata.n"),
        ({"metadata": '{"n": [1, Infinity]}'}, "metadata.n"),
        ({"metadata": '{"n": 1e999}'}, "metadata.n"),
        ({"metadata": '{"a": {"b": 1}}'}, "metadata.a: must be text, a number"),
        ({"metadata": '{"a": [["b"]]}'}, "metadata.a"),
        ({"metadata": '{"a": "\\ud800"}'}, "JSON"),
        ({"metadata": json.dumps({"a": "b" * 65_536})}, "longer than 65536 bytes"),
        ({"metadata": "[" * 10_000}, "JSON"),
        ({"metadata": '{"a":' * 10_000}, "JSON"),
        ({"url": "bird.png"}, "only http"),
        ({"url": "file:///etc/passwd"}, "only http"),
    ],
)
def test_what_is_not_valid(service: Served, fields: dict, words: str):
    files = () if "url" in fields else (("hat.png", png(20)),)
    answer = add(service, *files, **fields)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]
    assert len(service.finder) == 5


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        2**63,
        -(2**200),
        10**400,
        1e308,
        -0.0,
        5e-324,
        "",
        "\u0000",
        "line\nbreak",
        "👒",
        [],
        ["a", 1, True, 2.5],
        [1, None] and [1],
        True,
    ],
)
def test_metadata_comes_back_as_it_was(service: Served, value: object):
    answer = add(service, ("hat.png", png(20)), metadata=json.dumps({"value": value}))
    assert answer.json() == added(["hat.png"])
    shown = service.client.get("/v1/images/hat.png")
    assert json.loads(shown.text)["metadata"] == {"value": value}
    filtered = service.client.get("/v1/images", params={"filter": "exists(value)"})
    assert filtered.json()["images"][0]["metadata"] == {"value": value}
    found = service.client.post("/v1/search", data={"id": "hat.png", "k": 1})
    assert found.json()["hits"][0]["metadata"] == {"value": value}


def test_names_in_metadata_may_be_any(service: Served):
    values = {"": 1, "with space": 2, "id": "x", "width": 3, "ü": 4, "a.b": 5, "in": 6}
    add(service, ("hat.png", png(20)), metadata=json.dumps(values))
    assert record(service, "hat.png")["metadata"] == values
    assert record(service, "hat.png")["width"] == 40


def test_a_source_has_a_bounded_name(service: Served):
    assert add(service, ("hat.png", png(20)), source="s" * 1001).status_code == 422
    assert add(service, ("hat.png", png(20)), source="läden/1 ✓").json() == added(["hat.png"])


# by URL


def test_images_by_their_urls(service: Served):
    with ImageServer().running() as pictures:
        pictures.plan("a/h%C3%A4t.png?x=1", Reply(body=png(20)))
        pictures.plan("b.png", Reply(body=png(21)))
        urls = [pictures.url("a/h%C3%A4t.png?x=1"), pictures.url("b.png")]
        # ids are for the images first, whatever the order in the form
        answer = add(service, ("c.png", png(22)), url=urls, id=["c", "", "b"])
    assert answer.json() == added(["c", "hät.png", "b"])
    assert closest(service, png(20)) == "hät.png"
    assert closest(service, png(21)) == "b"
    assert len(media(service)) == 3  # they are kept like those that were sent


def test_urls_that_give_no_image_do_not_stop_the_others(service: Served):
    with ImageServer().running() as pictures:
        pictures.plan("gone.png", Reply(status=404))
        pictures.plan("a.png", Reply(body=png(20)))
        urls = [pictures.url("gone.png"), pictures.url("a.png")]
        answer = add(service, url=urls, id=["gone", "a"])
    assert answer.status_code == 201
    assert answer.json()["added"] == ["a"]
    (skipped,) = answer.json()["skipped"]
    assert skipped["name"] == "gone.png"
    assert "404" in skipped["reason"]
    assert closest(service, png(20)) == "a"


def test_too_many_urls_are_not_even_fetched(service: Served):
    with ImageServer().running() as pictures:
        answer = add(service, url=[pictures.url("a.png")] * 257)
        assert answer.status_code == 400
        assert pictures.requests.total() == 0
