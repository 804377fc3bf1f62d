"""A stand-in for the Hugging Face hub: real HTTP on this machine, with the faults of real servers.

Large files (graphs, and all from 1 MB on) lie in a store on another port, as the hub's lie on
another host, and are named by their sha256; small ones as git names them, and packed for those
who can unpack.
"""

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

LARGE = 1_000_000  # bytes
FOREVER = 1 << 30
XET_HASH = "e" * 64


@dataclass(frozen=True)
class Request:
    """One request, as the server saw it. `store`: it came to the store of large files."""

    method: str
    path: str
    range: str = ""
    token: str = ""
    store: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """Of a file: how often it happens still."""

    times: int = 0
    after: int = 0  # bytes, until the connection breaks
    status: int = 0


Files = dict[str, bytes]


class HubServer:
    """Use it as a context manager. `repositories`: name -> path -> bytes.

    `down`: every connection is dropped without an answer. `strange`: every answer is a page of
    another service, as of a hotel's network. `ignores_ranges`: a request for a part
    gets the whole. `xet`: large files are offered by the Xet protocol, too. `gated` and `private`
    repositories need `token`.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        self.requests: list[Request] = []
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.token = "hf_known"
        self.down = self.strange = self.ignores_ranges = self.xet = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._commits: defaultdict[str, dict[str, Files]] = defaultdict(dict)
        self._branches: dict[tuple[str, str], str] = {}
        self._cuts: defaultdict[str, Fault] = defaultdict(Fault)
        self._corrupt: defaultdict[str, Fault] = defaultdict(Fault)
        self._failures: defaultdict[str, Fault] = defaultdict(Fault)
        self._hangs: defaultdict[str, Fault] = defaultdict(Fault)
        for repo, files in repositories.items():
            self._commit(repo, dict(files))
        self._servers = [_Server(self, store=False), _Server(self, store=True)]

    def __enter__(self) -> "HubServer":
        for server in self._servers:
            server.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.thread.join()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def store_url(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def push(self, repo: str, path: str, data: bytes) -> str:
        """A new commit on main, whose id it returns; the old ones can still be had."""
        return self._commit(repo, self._commits[repo][self.commit(repo)] | {path: data})

    def commit(self, repo: str, revision: str = "main") -> str:
        return self._branches[repo, revision]

    def erase(self, repo: str, commit: str) -> None:
        """As after a forced push: nothing has this commit any more."""
        del self._commits[repo][commit]

    def branch(self, repo: str, name: str) -> None:
        """A branch or tag where main is now."""
        self._branches[repo, name] = self.commit(repo)

    def at(self, repo: str, commit: str) -> None:
        """Main has this commit's id from now on."""
        self._commits[repo][commit] = self._commits[repo].pop(self.commit(repo))
        self._branches[repo, "main"] = commit

    def cut(self, path: str, after: int, times: int = 1) -> None:
        """The connection breaks after so many bytes of a file."""
        self._cuts[path] = Fault(times, after=after)

    def corrupt(self, path: str, times: int = 1) -> None:
        """As many bytes as there should be, and not the right ones."""
        self._corrupt[path] = Fault(times)

    def fail(self, path: str, status: int, times: int = FOREVER) -> None:
        """Requests for a file are answered with this status."""
        self._failures[path] = Fault(times, status=status)

    def hang(self, path: str, after: int = 0, times: int = FOREVER) -> None:
        """After so many bytes of a file no more come, though the connection stays."""
        self._hangs[path] = Fault(times, after=after)

    def environment(self, home: Path) -> dict[str, str]:
        """For a process that takes this for the hub, and keeps everything below `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_CACHE": str(home / "hf" / "hub"),
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_TOKEN": "",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "XDG_DATA_HOME": str(home / "data"),
        }

    def use(self, patch: pytest.MonkeyPatch, home: Path) -> None:
        """The same for this process, where huggingface_hub has read its environment already."""
        from huggingface_hub import constants

        environment = self.environment(home)
        for name, value in environment.items():
            patch.setenv(name, value)
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HOME", environment["HF_HOME"])
        patch.setattr(constants, "HF_HUB_CACHE", environment["HF_HUB_CACHE"])
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "hf" / "token"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)

    def asked(self, path: str, method: str | None = None) -> list[Request]:
        """The requests for a file, redirects left out."""
        return [
            request
            for request in self.requests
            if (method in {None, request.method})
            and (f"/resolve/{path}" in _without_revision(request.path))
        ]

    def _commit(self, repo: str, files: Files) -> str:
        named = sorted((path, git_hash(data)) for path, data in files.items())
        state = repr((repo, len(self._commits[repo]), named))
        commit = sha1(state.encode()).hexdigest()
        self._commits[repo][commit] = files
        self._branches[repo, "main"] = commit
        return commit

    def files_at(self, repo: str, revision: str) -> tuple[str, Files] | None:
        """The commit and its files."""
        commit = self._branches.get((repo, revision), revision)
        files = self._commits.get(repo, {}).get(commit)
        return None if files is None else (commit, files)

    def has(self, repo: str) -> bool:
        return repo in self._commits

    def happens(self, faults: Mapping[str, Fault], path: str) -> Fault | None:
        """The fault of a file, which is thereby used up by one."""
        with self._lock:
            fault = faults.get(path)
            if fault is None or not fault.times:
                return None
            fault.times -= 1
            return fault


@contextmanager
def hub(
    repositories: Mapping[str, Mapping[str, bytes]], patch: pytest.MonkeyPatch, home: Path
) -> Iterator[HubServer]:
    """A hub that this process and its children take for the real one."""
    from huggingface_hub import close_session

    with HubServer(repositories) as server:
        server.use(patch, home)
        yield server
        close_session()


def is_large(path: str, data: bytes) -> bool:
    return path.endswith(".onnx") or len(data) >= LARGE


def git_hash(data: bytes) -> str:
    return sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(path: str, data: bytes) -> str:
    return sha256(data).hexdigest() if is_large(path, data) else git_hash(data)


def _without_revision(path: str) -> str:
    before, resolve, after = path.partition("/resolve/")
    return before + resolve + after.partition("/")[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer, *, store: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.store = hub, store
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of many a test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = self.headers.get("Range", "")
        hub.requests.append(Request(self.command, path, asked, token, self.server.store))
        if hub.down:
            self.close_connection = True
        elif hub.strange:
            self.send(200, b"<h1>Welcome</h1>", {"Content-Type": "text/html"})
        elif self.server.store:
            self.stored(path)
        elif path.startswith("/api/resolve-cache/models/"):
            self.small(path)
        elif path.startswith("/api/models/"):
            self.described(path.removeprefix("/api/models/"), token)
        elif "/resolve/" in path:
            repo, _, rest = urlsplit(self.path).path.removeprefix("/").partition("/resolve/")
            revision, _, name = rest.partition("/")  # a slash in a revision is still quoted
            self.resolved(repo, unquote(revision), unquote(name), token)
        else:
            self.refuse(404, "")

    def resolved(self, repo: str, revision: str, name: str, token: str) -> None:
        """Where a file of a repository is: never the bytes themselves."""
        hub = self.server.hub
        if fault := hub.happens(hub._failures, name):
            self.refuse(fault.status, "")
        elif at := self.allowed(repo, revision, token):
            commit, files = at
            headers = {"X-Repo-Commit": commit}
            if name not in files:
                self.refuse(404, "EntryNotFound", headers)
            elif is_large(name, files[name]):
                where = f"{hub.store_url}/{repo}/{commit}/{quote(name)}?signature=secret"
                headers |= {
                    "X-Linked-Etag": f'"{etag(name, files[name])}"',
                    "X-Linked-Size": str(len(files[name])),
                    "ETag": f'"{XET_HASH}"',
                }
                if hub.xet:
                    route = f"{hub.url}/api/models/{repo}/xet-read-token/{commit}"
                    headers |= {"X-Xet-Hash": XET_HASH, "X-Xet-Refresh-Route": route}
                self.send(302, b"", headers | {"Location": where})
            else:
                where = f"/api/resolve-cache/models/{repo}/{commit}/{quote(name)}"
                self.send(307, b"", headers | {"Location": where})

    def described(self, rest: str, token: str) -> None:
        """What the API tells of a repository: itself, or its tree."""
        repo, _, revision = rest.partition("/revision/")
        repo, is_tree, tree = repo.partition("/tree/")
        at = self.allowed(repo, revision or tree or "main", token)
        if at is None:
            return
        commit, files = at
        rows = [
            {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
            | (
                {"lfs": {"oid": etag(path, data), "size": len(data)}}
                if is_large(path, data)
                else {}
            )
            for path, data in files.items()
        ]
        siblings = [{"rfilename": path} for path in files]
        about = {"_id": "1", "id": repo, "modelId": repo, "sha": commit, "siblings": siblings}
        body = json.dumps(rows if is_tree else about).encode()
        self.send(200, body, {"Content-Type": "application/json", "X-Repo-Commit": commit})

    def allowed(self, repo: str, revision: str, token: str) -> tuple[str, Files] | None:
        """The commit and its files, or None after an answer that says why not."""
        hub, known = self.server.hub, token == self.server.hub.token
        if not hub.has(repo) or (repo in hub.private and not known):
            self.refuse(404 if token else 401, "RepoNotFound")
        elif repo in hub.gated and not known:
            self.refuse(403 if token else 401, "GatedRepo")
        elif at := hub.files_at(repo, revision):
            return at
        else:
            self.refuse(404, "RevisionNotFound")
        return None

    def small(self, path: str) -> None:
        owner, name, commit, file = path.split("/", 7)[4:]
        self.body(f"{owner}/{name}", commit, file, {"X-Repo-Commit": commit})

    def stored(self, path: str) -> None:
        owner, name, commit, file = path.split("/", 4)[1:]
        self.body(f"{owner}/{name}", commit, file, {})

    def body(self, repo: str, commit: str, name: str, headers: dict[str, str]) -> None:
        """The bytes of a file, or a part of them, with the faults that a test set."""
        hub = self.server.hub
        data = hub._commits[repo][commit][name]
        headers = headers | {"ETag": f'"{etag(name, data)}"', "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.send(200, data, headers)
        if hub.happens(hub._corrupt, name):
            data = bytes(byte ^ 1 for byte in data)
        packed = not self.server.store and "gzip" in self.headers.get("Accept-Encoding", "")
        if packed:
            data = gzip.compress(data)
            headers["Content-Encoding"] = "gzip"
        first = 0
        if (asked := self.headers.get("Range")) and not (hub.ignores_ranges or packed):
            first = int(asked.removeprefix("bytes=").partition("-")[0])
            if first >= len(data):
                return self.refuse(416, "")
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        hang = hub.happens(hub._hangs, name)
        cut = hang or hub.happens(hub._cuts, name)
        self.send(206 if "Content-Range" in headers else 200, data[first:], headers, cut)
        if hang:
            hub._closing.wait()
        if cut:
            self.close_connection = True
        return None

    def refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        said = {"X-Error-Code": code} if code else {}
        self.send(status, b'{"error": "no"}', said | (headers or {}))

    def send(
        self, status: int, body: bytes, headers: Mapping[str, str], cut: Fault | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: cut.after] if cut else body)

    def log_message(self, format: str, *args: object) -> None:
        pass
