"""The server, over its socket: answers, refusals, and what it survives."""

import asyncio
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from clone import REPOSITORY
from conftest import write_wav
from serving import Served, served
from small_model import Trained
from sounds import mpeg4

from timbre.answer_json import as_object
from timbre.guard import HEADERS, Message
from timbre.predict import Classifier
from timbre.server import MOST_WAITING, PAGES, Limits, build_app

MAX_MB = 0.1


@pytest.fixture(scope="module")
def server(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a running server that takes little."""
    folder = tmp_path_factory.mktemp("serve")
    options = ("--max-mb", str(MAX_MB), "--max-seconds", "6", "--allow-host", "demo.example")
    with served(trained.model, folder, *options) as running:
        yield running


def wanted(trained: Trained, path: Path) -> dict[str, Any]:
    classifier = Classifier.load(trained.model)
    return as_object(classifier.answer(path), classifier.classes)


def error(server: Served, *arguments: Any, **headers: str) -> tuple[int, str, str]:  # noqa: ANN401
    reply = server.ask(*arguments, **headers)
    assert b"Traceback" not in reply.body
    told = reply.json()["error"]
    return reply.status, told["code"], told["message"]


def test_an_answer_is_that_of_the_command_line(server: Served, trained: Trained) -> None:
    for path in trained.clips[:3]:
        found = server.predict(path.read_bytes()).json()
        assert found.pop("seconds") > 0
        assert found == wanted(trained, path)


def test_the_timeline_is_that_of_the_command_line(server: Served, trained: Trained) -> None:
    path = trained.clips[1]
    found = server.predict(path.read_bytes(), "?timeline=1&spectrogram=true").json()
    segments = Classifier.load(trained.model).timeline(path)
    assert found["timeline"] == [asdict(segment) for segment in segments]
    assert found["spectrogram"]["n_mels"] == 16


def test_the_model_is_told_of(server: Served) -> None:
    told = server.ask("GET", "/api/model").json()
    assert told["classes"] == ["high", "low", "middle"]
    assert (told["max_mb"], told["max_seconds"], told["model"]) == (MAX_MB, 6, "m.safetensors")


def test_eight_clients_at_once_get_eight_right_answers(server: Served, trained: Trained) -> None:
    paths = trained.clips[:8]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda path: server.predict(path.read_bytes()), paths))
    for path, reply in zip(paths, replies, strict=True):
        found = reply.json()
        del found["seconds"]
        assert (reply.status, found) == (200, wanted(trained, path))


def test_health_is_told_while_a_clip_is_worked_at(server: Served, trained: Trained) -> None:
    (worker,) = server.workers()
    worker.suspend()
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.predict, trained.clips[0].read_bytes())
            assert server.ask("GET", "/health").json() == {"status": "ok"}
            assert not waiting.done()
            worker.resume()
            assert waiting.result().status == 200
    finally:
        worker.resume()


def test_who_finds_the_queue_full_is_told_and_the_others_are_answered(
    server: Served, trained: Trained
) -> None:
    (worker,) = server.workers()
    content = trained.clips[0].read_bytes()
    worker.suspend()
    try:
        with ThreadPoolExecutor(MOST_WAITING + 2) as pool:
            asked = [pool.submit(server.predict, content) for _ in range(MOST_WAITING + 2)]
            refused = next(as_completed(asked)).result()
            worker.resume()
            statuses = sorted(one.result().status for one in asked)
    finally:
        worker.resume()
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert refused.json()["error"]["code"] == "busy"
    assert statuses == [200] * (MOST_WAITING + 1) + [503]


def test_a_worker_that_is_killed_is_replaced(server: Served, trained: Trained) -> None:
    (worker,) = server.workers()
    worker.kill()
    reply = server.predict(trained.clips[0].read_bytes())
    assert reply.status == 200
    assert server.workers() != [worker]


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"", 400, "empty", "This file is empty (0 bytes)."),
        (b"words", 400, "undecodable", "This file is text, not audio."),
        (mpeg4(), 400, "undecodable", "This file is M4A/MP4 (AAC), which libsndfile cannot"),
        (bytes(100_001), 413, "too_large", "This file is larger than 0.1 MB, the most that"),
        ([bytes(60_000)] * 2, 413, "too_large", "This file is larger than 0.1 MB, the most"),
    ],
)
def test_a_clip_that_cannot_be_used_is_told_and_gone(
    server: Served, body: bytes | list[bytes], status: int, code: str, told: str
) -> None:
    found = error(server, "POST", "/api/predict", body)
    assert found[:2] == (status, code)
    assert found[2].startswith(told)
    assert server.uploads() == []


def test_too_long_a_clip_is_told(server: Served, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", 6.2)
    status, code, told = error(server, "POST", "/api/predict", path.read_bytes())
    assert (status, code) == (413, "too_long")
    assert told == "This clip lasts more than 6 s, the longest that this server takes: cut it."


def test_a_form_is_refused_with_the_way_out(server: Served) -> None:
    kind = "multipart/form-data; boundary=x"
    status, code, told = error(server, "POST", "/api/predict", b"--x", Content_Type=kind)
    assert (status, code) == (415, "wrong_type")
    assert "send the file's bytes alone as the body" in told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/../server.py", 404),
        ("GET", "/pages/index.html", 404),
        ("GET", "/api/predict", 405),
        ("POST", "/api/model", 405),
        ("POST", "/api/predict?timeline=maybe", 400),
    ],
)
def test_what_is_not_there_is_told_as_json(
    server: Served, method: str, path: str, status: int
) -> None:
    assert error(server, method, path)[0] == status


def test_only_known_names_and_own_pages_are_served(server: Served) -> None:
    assert error(server, "GET", "/", Host="evil.example")[:2] == (403, "unknown_host")
    assert server.ask("GET", "/", Host="demo.example").status == 200
    found = error(server, "POST", "/api/predict", b"", Origin="http://evil.example")
    assert found[:2] == (403, "foreign_origin")
    assert error(server, "POST", "/api/predict", b"", Origin=server.url)[1] == "empty"


@pytest.mark.parametrize("path", PAGES)
def test_every_file_of_the_page_is_served_with_the_headers(server: Served, path: str) -> None:
    reply = server.ask("GET", path)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith(PAGES[path][1])
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= reply.headers.items()


def test_the_page_needs_nothing_from_elsewhere(server: Served) -> None:
    for path in PAGES:
        text = server.ask("GET", path).body.decode()
        text = text.replace("http://www.w3.org/2000/svg", "").replace("http://localhost", "")
        assert "//" not in "".join(line.partition("// ")[0] for line in text.splitlines())


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_documented_lines_of_curl_work(server: Served, trained: Trained) -> None:
    page = (REPOSITORY / "docs" / "serve.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("curl ")]
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.replace("http://127.0.0.1:8000", server.url))
        words = [word.replace("clip.wav", str(trained.clips[1])) for word in words]
        told = json.loads(subprocess.check_output([*words, "--silent"], timeout=120))
        assert "error" not in told
        if "predict" in line:
            own = wanted(trained, trained.clips[1])
            assert {key: told[key] for key in own} == own


def test_a_mistake_of_ours_is_told_without_a_traceback(tmp_path: Path) -> None:
    class Broken:
        def place(self) -> None:
            raise ZeroDivisionError("secret")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    app = build_app(Broken(), {}, tmp_path, Limits(1, 1), None)  # type: ignore[arg-type]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/api/predict"}
    scope |= {"headers": [], "query_string": b"", "root_path": ""}

    async def ask() -> None:
        await app(scope, receive, send)

    with pytest.raises(ZeroDivisionError):  # for the log
        asyncio.run(ask())
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"]["code"] == "mistake"
    assert b"secret" not in sent[1]["body"]
