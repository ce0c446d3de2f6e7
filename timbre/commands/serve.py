"""`timbre serve`: a web page that says what a model hears."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Never

import click

from timbre.problems import InputError

TERMINATED = 143  # the shell's exit code for SIGTERM
EXAMPLES = """\b
Examples:
  timbre serve models/timbre.safetensors
  timbre serve models/timbre.safetensors --port 8080 --max-seconds 60
  curl --data-binary @clip.wav -H 'Content-Type: audio/wav' http://127.0.0.1:8000/api/predict
"""


@click.command(epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(0.01, 2000),
    default=20,
    show_default=True,
    help="The largest file that is taken, in millions of bytes.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(1, 3600),
    default=600,
    show_default=True,
    help="The longest clip that is taken.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another name that the server is called by, as behind a proxy; again for more of them.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps or auto.")
def serve(
    model: Path,
    host: str,
    port: int,
    max_mb: float,
    max_seconds: float,
    names: tuple[str, ...],
    device: str,
) -> int:
    """Serve a web page on which MODEL says what it hears in a clip, and JSON for programs.

    Only this machine reaches it, unless --host says otherwise. Ctrl-C ends it, with exit code 0.
    """
    try:
        from timbre import server
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise InputError(
            f"timbre serve needs a package that is not there ({package}): "
            "pip install starlette uvicorn"
        ) from None
    from timbre.guard import is_loopback, known_names

    signal.signal(signal.SIGTERM, _terminate)
    limits = server.Limits(max_mb, max_seconds)
    with server.listen(host, port) as listening:
        if not is_loopback(host):
            print(
                f"warning: whoever reaches {host} can use this server: it asks for no password",
                file=sys.stderr,
            )
        with server.opened_desk(model, device) as (desk, facts, folder):
            app = server.build_app(desk, facts, folder, limits, known_names(host, names))
            print(f"{server.address(listening)} - {model}; Ctrl-C ends it", flush=True)
            with suppress(KeyboardInterrupt):
                server.run(app, listening)
            print("stopped", file=sys.stderr)
    return 0


def _terminate(*_: object) -> Never:
    """Leave what is open, so that the folder of uploads goes."""
    sys.exit(TERMINATED)
