"""An S3 server on the loopback interface that notes what is asked of it."""

import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

BUCKET = "timbre"
REMOTE = f"s3://{BUCKET}/dvc"
NAME, SECRET = "timbre-tests", "no-secret-at-all"  # any are let in


class Request(NamedTuple):
    """One request that the server answered."""

    method: str
    key: str  # of the object, "" for the bucket itself
    status: int
    n_in: int  # bytes of its body
    n_out: int  # bytes of the answer's body


@dataclass
class ObjectStore:
    """The server, and all requests so far."""

    url: str
    requests: list[Request] = field(default_factory=list)

    def moved(self, method: str) -> list[Request]:
        """Return the requests of this method that an object went with, in the order they came."""
        return [r for r in self.requests if r.method == method and r.key and r.status < 300]

    def md5s(self, method: str) -> list[str]:
        """Return the MD5s of the objects that DVC moved by this method, each as often as moved."""
        return ["".join(request.key.split("/")[-2:]) for request in self.moved(method)]


@dataclass(frozen=True)
class Recorder:
    """A WSGI application around moto's: it counts bodies."""

    application: Any
    requests: list[Request]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        """Answer a request."""
        seen: list[int] = []

        def start(status: str, *others: Any) -> Any:  # noqa: ANN401 (WSGI's)
            seen.append(int(status.split()[0]))
            return start_response(status, *others)

        body = b"".join(self.application(environ, start))
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]  # behind the bucket
        n_in = int(environ.get("CONTENT_LENGTH") or 0)
        n_out = 0 if environ["REQUEST_METHOD"] == "HEAD" else len(body)
        self.requests.append(Request(environ["REQUEST_METHOD"], key, seen[0], n_in, n_out))
        return [body]


class QuietHandler(MotoRequestHandler):
    """A handler that writes no line for each request to stderr."""

    def log_request(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve S3 on a free port, with one empty bucket, as long as the context lasts."""
    requests: list[Request] = []
    application = Recorder(DomainDispatcherApplication(create_backend_app), requests)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        store = ObjectStore(f"http://127.0.0.1:{server.server_port}", requests)
        _empty(store)
        _make_bucket(store)
        yield store
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _empty(store: ObjectStore) -> None:
    # All of moto's servers in one process have the same buckets, an earlier one's too.
    request = urllib.request.Request(f"{store.url}/moto-api/reset", method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310 (our own address)
        pass


def _make_bucket(store: ObjectStore) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=store.url,
        region_name="us-east-1",
        aws_access_key_id=NAME,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket=BUCKET)
