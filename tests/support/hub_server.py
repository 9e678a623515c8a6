"""A hub on this machine: as much of the hub's HTTP API as `huggingface_hub` needs to create, upload, list and download.

What it answers is kept in memory. Every request is written down, and a test may make some of them fail.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

__all__ = ["TOKEN", "FakeHub", "Repository", "run_hub"]

TOKEN = "hf_aGoodTokenThatNobodyMustEverSee"


@dataclass
class Repository:
    """A dataset repository: its commits, oldest first, each with all its files."""

    private: bool = True
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)

    def commit(self, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits.append((sha, files))
        return sha


@dataclass
class FakeHub:
    """The state, and what a test can change."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers."""
    failures: list[tuple[str, int]] = field(default_factory=list)
    """Regular expression of ``METHOD PATH`` to a status; each is answered once."""
    forbidden: set[str] = field(default_factory=set)
    """Organisations that the token must not write to."""
    has_ranges: bool = True

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """Put a repository there; gives its commit."""
        repository = self.repositories.setdefault(name, Repository(private=private))
        return repository.commit(files)

    def asked(self, pattern: str) -> list[str]:
        """Requests that match, as ``METHOD PATH``."""
        return [f"{method} {path}" for method, path, _ in self.requests if re.search(pattern, f"{method} {path}")]

    def num_bytes_sent(self) -> int:
        """Bytes of all ranges that were asked for."""
        total = 0
        for _, _, headers in self.requests:
            if match := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
                total += int(match[2]) - int(match[1]) + 1
        return total


@contextmanager
def run_hub() -> Iterator[FakeHub]:
    """Serve a hub until the end of the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return

        def answer(self, status: int, body: object = b"", headers: dict[str, str] | None = None) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def error(self, status: int, code: str = "", message: str = "") -> None:
            headers = {"X-Error-Code": code} if code else {}
            self.answer(status, {"error": message or f"status {status}"}, headers)

        def dispatch(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(urlsplit(self.path).path)
            what = f"{self.command} {path}"
            with lock:
                hub.requests.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
                for item in hub.failures:
                    if re.search(item[0], what):
                        hub.failures.remove(item)
                        return self.error(item[1])
                for pattern, reply in _ROUTES:
                    if match := re.fullmatch(pattern, what):
                        return reply(hub, self, body, **match.groupdict())
                return self.error(404)

        do_GET = do_HEAD = do_POST = do_PUT = dispatch

        @property
        def is_known(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def find(self, name: str) -> Repository | None:
            """The repository, if the caller may see it; an answer otherwise."""
            found = hub.repositories.get(name)
            if found is None or (found.private and not self.is_known):
                self.error(404 if self.is_known else 401, "RepoNotFound")
                return None
            return found

    return Handler


def _whoami(hub: FakeHub, handler: "object", body: bytes) -> None:
    handler.answer(200, {"name": "tester", "orgs": []}) if handler.is_known else handler.error(401)


def _create(hub: FakeHub, handler: "object", body: bytes) -> None:
    asked = json.loads(body)
    name = f"{asked['organization']}/{asked['name']}"
    if not handler.is_known:
        return handler.error(401)
    if asked["organization"] in hub.forbidden:
        return handler.error(403, message="You don't have the rights")
    if name in hub.repositories:
        return handler.answer(409, {"error": "exists", "url": f"{hub.address}/datasets/{name}"})
    private = asked.get("private", asked.get("visibility") == "private")
    hub.repositories[name] = Repository(private=private)
    hub.repositories[name].commit({".gitattributes": b"*.parquet filter=lfs\n"})
    return handler.answer(200, {"url": f"{hub.address}/datasets/{name}", "name": name})


def _info(hub: FakeHub, handler: "object", body: bytes, name: str, revision: str | None = None) -> None:
    if (repository := handler.find(name)) is None:
        return None
    if (commit := repository.files(revision or "main")) is None:
        return handler.error(404, "RevisionNotFound")
    siblings = [{"rfilename": path} for path in commit[1]]
    return handler.answer(
        200,
        {
            "id": name,
            "sha": commit[0],
            "private": repository.private,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "disabled": False,
            "gated": False,
            "siblings": siblings,
        },
    )


def _tree(hub: FakeHub, handler: "object", body: bytes, name: str, revision: str) -> None:
    if (repository := handler.find(name)) is None:
        return None
    if (commit := repository.files(revision)) is None:
        return handler.error(404, "RevisionNotFound")
    folders = {path.rpartition("/")[0] for path in commit[1]} - {""}
    entries = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)]
    entries += [
        {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for path, data in commit[1].items()
    ]
    return handler.answer(200, entries)


def _preupload(hub: FakeHub, handler: "object", body: bytes, name: str) -> None:
    if handler.find(name) is None:
        return None
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if file["path"].endswith(".parquet") else "regular",
            "shouldIgnore": False,
            "oid": None,
        }
        for file in json.loads(body)["files"]
    ]
    return handler.answer(200, {"files": files})


def _batch(hub: FakeHub, handler: "object", body: bytes, name: str) -> None:
    if handler.find(name) is None:
        return None
    objects = []
    for item in json.loads(body)["objects"]:
        upload = {"actions": {"upload": {"href": f"{hub.address}/lfs/{item['oid']}"}}}
        objects.append({**item, **({} if item["oid"] in hub.objects else upload)})
    return handler.answer(200, {"transfer": "basic", "objects": objects})


def _store(hub: FakeHub, handler: "object", body: bytes, oid: str) -> None:
    if hashlib.sha256(body).hexdigest() != oid:
        return handler.error(400)
    hub.objects[oid] = body
    return handler.answer(200)


def _commit(hub: FakeHub, handler: "object", body: bytes, name: str) -> None:
    if (repository := handler.find(name)) is None:
        return None
    files = dict(repository.commits[-1][1])
    for line in body.decode().splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif item["key"] == "lfsFile":
            files[value["path"]] = hub.objects[value["oid"]]
        elif item["key"] == "deletedFile":
            files.pop(value["path"], None)
    sha = repository.commit(files)
    return handler.answer(
        200, {"success": True, "commitOid": sha, "commitUrl": f"{hub.address}/datasets/{name}/commit/{sha}"}
    )


def _resolve(hub: FakeHub, handler: "object", body: bytes, name: str, revision: str, path: str) -> None:
    if (repository := handler.find(name)) is None:
        return None
    if (commit := repository.files(revision)) is None:
        return handler.error(404, "RevisionNotFound")
    if path not in commit[1]:
        return handler.error(404, "EntryNotFound")
    data = commit[1][path]
    headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": commit[0], "Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    if match and hub.has_ranges:
        start, end = int(match[1]), min(int(match[2]) + 1, len(data))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return handler.answer(206, data[start:end], headers)
    return handler.answer(200, data, headers)


def _validate(hub: FakeHub, handler: "object", body: bytes) -> None:
    handler.answer(200, {"errors": [], "warnings": []})


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"GET /api/whoami-v2", _whoami),
    (r"POST /api/repos/create", _create),
    (r"POST /api/validate-yaml", _validate),
    (rf"GET /api/datasets/{_NAME}", _info),
    (rf"GET /api/datasets/{_NAME}/revision/(?P<revision>.+)", _info),
    (rf"GET /api/datasets/{_NAME}/tree/(?P<revision>[^/]+)/?", _tree),
    (rf"POST /api/datasets/{_NAME}/preupload/main", _preupload),
    (rf"POST /datasets/{_NAME}\.git/info/lfs/objects/batch", _batch),
    (r"PUT /lfs/(?P<oid>[0-9a-f]{64})", _store),
    (rf"POST /api/datasets/{_NAME}/commit/main", _commit),
    (rf"(GET|HEAD) (/datasets)?/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _resolve),
)
