"""The body of a request: into a file, within bounds of bytes and of time."""

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.requests import ClientDisconnect

from timbre.refusal import RefusedError

MB = 1_000_000
UPLOAD_SECONDS = 120.0  # for a whole body: who sends slower would hold a place for ever
DRAIN_SECONDS = 5.0
# What a clip may be called; browsers record WebM and MP4, which they call videos.
TYPES = ("application/octet-stream", "application/ogg", "video/webm", "video/mp4", "video/ogg")


def check_type(said: str) -> None:
    """Raise RefusedError for a Content-Type that is no audio; "" is taken."""
    kind = said.partition(";")[0].strip().lower()
    if kind and not kind.startswith("audio/") and kind not in TYPES:
        raise RefusedError(
            415,
            "wrong_type",
            f"Content-Type {kind} is not audio: send the file's bytes alone as the body, with "
            "Content-Type: application/octet-stream.",
        )


async def receive(
    chunks: AsyncIterator[bytes], file: BinaryIO, max_mb: float, seconds: float = UPLOAD_SECONDS
) -> None:
    """Write a body to a file. Raises RefusedError where it is empty, too large or too slow.

    What was declared of its size is not asked: only what comes counts.
    """
    n_bytes = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                n_bytes += len(chunk)
                if n_bytes > max_mb * MB:
                    raise too_large(max_mb)
                file.write(chunk)
    except TimeoutError:
        told = f"The clip took more than {seconds:g} s to arrive."
        raise RefusedError(408, "too_slow", told) from None
    if not n_bytes:
        raise RefusedError(400, "empty", "This file is empty (0 bytes).")
    file.flush()


def too_large(max_mb: float) -> RefusedError:
    """Return the refusal of a body of more than `max_mb`."""
    return RefusedError(
        413,
        "too_large",
        f"This file is larger than {max_mb:g} MB, the most that this server takes.",
    )


async def drain(chunks: AsyncIterator[bytes], max_mb: float) -> None:
    """Read what is left of a body that is not wanted, up to a bound, and forget it.

    A client that is still sending when the connection closes sees a broken connection and never the
    answer.
    """
    n_bytes = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in chunks:
                n_bytes += len(chunk)
                if n_bytes > max_mb * MB:
                    return
    except (TimeoutError, ClientDisconnect):
        return
