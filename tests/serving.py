"""A server in a process of its own, as a user starts it, and requests to it."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
from clone import REPOSITORY

WAIT_SECONDS = 120.0  # for a busy machine


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 (whatever it is)
        """Return the body, read."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[str]
    folder: Path  # what it has for temporary files

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 (bytes, or an iterable of them: then in chunks)
        **headers: str,
    ) -> Reply:
        """Send one request."""
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            str(place.hostname), int(place.port or 0), timeout=WAIT_SECONDS
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "") -> Reply:  # noqa: ANN401 (the same)
        """Post a clip."""
        return self.ask("POST", f"/api/predict{query}", body, Content_Type="audio/wav")

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer: what the fork server has made."""
        children = psutil.Process(self.process.pid).children()
        return [worker for child in children for worker in child.children()]

    def uploads(self) -> list[Path]:
        """Return the folders in which clips lie."""
        return [path for path in self.folder.glob("timbre-serve-*/*") if path.is_dir()]


@contextmanager
def served(model: Path, folder: Path, *options: str) -> Iterator[Served]:
    """Run `timbre serve` on a free port; end it at the end."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "timbre", "serve", str(model), "--port", "0", *options],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(folder), "TIMBRE_JOBS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.match(r"http://\S+", line)
        assert address, process.communicate(timeout=WAIT_SECONDS)
        yield Served(address[0], process, folder)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=WAIT_SECONDS)
