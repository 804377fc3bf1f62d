"""The object store of the docs: `s3://my-bucket`, on a server of this machine.

It has `photos/` with cats and horses, `tables/cats.csv` with two of them and one that is not there,
and `shards/cats-0000.tar`, `cats-0001.tar` in WebDataset's layout. Anybody may read `s3://open-data/`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.doc_standins import DEMO
from tests.s3_server import Bucket, S3Server, s3_server
from tests.shards import Content, tar

TABLE = """\
id,file,label
cat-1,../photos/cat/cat-01.png,cat
horse-1,../photos/horse/horse-01.png,horse
gone-1,../photos/gone.jpg,dog
"""


@contextmanager
def buckets() -> Iterator[dict[str, str]]:
    """Yields what the environment has to say of the server."""
    with s3_server() as server:
        bucket = server.bucket("my-bucket")
        fill(bucket)
        open_to_all(server)
        yield server.environment


def fill(bucket: Bucket) -> None:
    for kind in ("cat", "horse"):
        for file in sorted((DEMO / "images").glob(f"{kind}-*")):
            bucket.put({f"photos/{kind}/{file.name}": file.read_bytes()})
    bucket.put({"photos/notes.txt": b"What is in these folders.\n"})
    bucket.put({"tables/cats.csv": TABLE.encode()})
    cats = sorted((DEMO / "images").glob("cat-*"))
    for number in range(2):
        content: dict[str, Content] = {}
        for place, file in enumerate(cats[4 * number : 4 * number + 4]):
            key = f"{4 * number + place:06}"
            content[key + file.suffix] = file.read_bytes()
            content[f"{key}.txt"] = f"cat number {4 * number + place}"
            content[f"{key}.cls"] = "3"
            content[f"{key}.json"] = {"licence": "CC0"}
        bucket.put({f"shards/cats-{number:04}.tar": tar(content)})


def open_to_all(server: S3Server) -> None:
    bucket = server.bucket("open-data")
    file = next((DEMO / "images").glob("horse-01*"))
    bucket.put({f"photos/{file.name}": file.read_bytes()})
    key = f"photos/{file.name}"
    server.client().put_object_acl(Bucket="open-data", Key=key, ACL="public-read")
