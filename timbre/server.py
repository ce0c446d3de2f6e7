"""The web demo of a model: a page, and the JSON that stands behind it."""

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from timbre.desk import Desk
from timbre.guard import App, Guard
from timbre.hearing import WORKER_MODULES, Clip, hear
from timbre.problems import InputError
from timbre.refusal import RefusedError
from timbre.upload import check_type, drain, receive
from timbre.workers import n_cores

MOST_WORKERS = 2  # a second one answers while the first is at a long or hostile clip
MOST_WAITING = 16
CLIP_SECONDS = 60.0  # for one clip; what takes longer hangs
ENDING_SECONDS = 3  # for requests that are not done at Ctrl-C
MOST_CONNECTIONS = 256
PAGES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/answer.js": ("answer.js", "text/javascript"),
    "/sound.js": ("sound.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
YES = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Limits:
    """What a clip may be at most."""

    mb: float  # of a million bytes
    seconds: float


@contextmanager
def opened_desk(
    model: Path, device: str = "cpu", clip_seconds: float = CLIP_SECONDS
) -> Iterator[tuple[Desk, dict[str, Any], Path]]:
    """Have workers load a model; give them, what they tell of it, and a folder for uploads.

    They load a copy: a file that is replaced while the server runs changes no answer. Raises
    InputError for an unusable model.
    """
    with tempfile.TemporaryDirectory(prefix="timbre-serve-") as folder:
        copy = Path(folder) / "model"
        try:
            shutil.copyfile(model, copy)
        except OSError as error:
            raise InputError(f"{model}: cannot be read ({error.strerror})") from None
        work = partial(hear, copy, device)
        n_workers = min(n_cores(), MOST_WORKERS)
        desk = Desk(work, WORKER_MODULES, Path(folder), n_workers, MOST_WAITING, clip_seconds)
        try:
            yield desk, {"model": model.name, **_loaded(desk, copy, model)}, Path(folder)
        finally:
            desk.close()


def _loaded(desk: Desk, copy: Path, model: Path) -> dict[str, Any]:
    """Have all workers load the model; return what they tell of it."""
    try:
        return dict(desk.ask_each(None)[0])
    except InputError as error:
        told = [problem.replace(str(copy), str(model)) for problem in error.problems]
        raise InputError(told) from None
    except RefusedError:
        reason = "the processes that load it end: is there enough memory?"
        raise InputError(f"{model}: {reason}") from None


def build_app(
    desk: Desk, facts: dict[str, Any], folder: Path, limits: Limits, names: frozenset[str] | None
) -> App:
    """Return the application; uploads lie in `folder` meanwhile, `names` are those of `Guard`."""

    async def predict(request: Request) -> Response:
        body = request.stream()
        try:
            check_type(request.headers.get("content-type", ""))
            asked = {name: _flag(request, name) for name in ("timeline", "spectrogram")}
            with desk.place(), tempfile.TemporaryDirectory(dir=folder) as own:
                clip = Clip(Path(own) / "clip", limits.seconds, **asked)
                with clip.path.open("wb") as file:
                    await receive(body, file, limits.mb)
                return JSONResponse(await desk.ask(clip))
        except RefusedError as error:
            await drain(body, limits.mb)
            return JSONResponse(error.body(), error.status, error.headers())
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()  # here: the loop ends only when the threads that ask the workers have ended

    facts = {**facts, "max_mb": limits.mb, "max_seconds": limits.seconds}
    routes = [
        *(Route(path, _page(*page)) for path, page in PAGES.items()),
        Route("/health", _constant({"status": "ok"})),
        Route("/api/model", _constant(facts)),
        Route("/api/predict", predict, methods=["POST"]),
    ]
    handlers = {HTTPException: _told, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)  # type: ignore[arg-type]
    return Guard(app, names)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at which clients wait from now on; port 0 takes a free one.

    Raises InputError where that cannot be.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
    except OSError as error:
        raise InputError(f"--host {host}: no address of this machine ({error.strerror})") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        way_out = "name another one by --port; --port 0 takes a free one"
        raise InputError(f"port {port} of {host}: {error.strerror}: {way_out}") from None
    return listening


def address(listening: socket.socket) -> str:
    """Return the address at which a browser finds the server."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: App, listening: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM comes, and then raise it anew."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _flag(request: Request, name: str) -> bool:
    said = request.query_params.get(name, "0").lower()
    if said not in YES:
        raise RefusedError(400, "wrong_query", f"{name}={said}: it is 1 or 0.")
    return YES[said]


def _page(name: str, kind: str) -> Callable[[Request], Any]:
    content = files("timbre").joinpath("pages", name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=kind)

    return page


def _constant(content: object) -> Callable[[Request], Any]:
    async def constant(_: Request) -> Response:
        return JSONResponse(content)

    return constant


async def _told(request: Request, error: HTTPException) -> Response:
    told = f"{request.method} {request.url.path}: {error.detail}."
    refused = RefusedError(error.status_code, error.detail.lower().replace(" ", "_"), told)
    return JSONResponse(refused.body(), error.status_code, error.headers)


async def _failed(*_: object) -> Response:
    refused = RefusedError(500, "mistake", "The server made a mistake; its log says which.")
    return JSONResponse(refused.body(), 500)
