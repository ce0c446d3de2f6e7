"""Bodies of requests: bounded in bytes, in time and in kind."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from timbre.refusal import RefusedError
from timbre.upload import MB, check_type, drain, receive

MOST = 100 / MB  # MB


async def body(chunks: Iterable[bytes], asked: list[int] | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        if asked is not None:
            asked.append(len(chunk))
        yield chunk


def refusal(chunks: AsyncIterator[bytes], seconds: float = 5.0) -> RefusedError:
    file = io.BytesIO()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(receive(chunks, file, MOST, seconds))
    assert file.tell() <= 100
    return caught.value


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=10))
def test_a_body_is_written_as_it_came_or_refused_for_its_size(chunks: list[bytes]) -> None:
    whole, file = b"".join(chunks), io.BytesIO()
    if 0 < len(whole) <= 100:
        asyncio.run(receive(body(chunks), file, MOST))
        assert file.getvalue() == whole
    else:
        assert refusal(body(chunks)).status == (413 if whole else 400)


def test_no_more_is_read_than_what_is_too_much() -> None:
    asked: list[int] = []
    refused = refusal(body([bytes(60)] * 1000, asked))
    assert len(asked) == 2
    assert (refused.status, refused.code) == (413, "too_large")
    assert refused.message == (
        "This file is larger than 0.0001 MB, the most that this server takes."
    )


def test_an_empty_body_is_told() -> None:
    assert refusal(body([])).message == "This file is empty (0 bytes)."


def test_who_sends_too_slowly_is_not_waited_for() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(60)

    refused = refusal(slow(), seconds=0.05)
    assert (refused.status, refused.message) == (408, "The clip took more than 0.05 s to arrive.")


def test_what_is_left_of_a_body_is_read_up_to_a_bound() -> None:
    asked: list[int] = []
    asyncio.run(drain(body([bytes(60)] * 1000, asked), MOST))
    assert len(asked) == 2
    asyncio.run(drain(body([bytes(10)] * 4, asked), MOST))
    assert len(asked) == 6


def test_a_client_that_has_gone_is_not_drained() -> None:
    async def gone() -> AsyncIterator[bytes]:
        yield b"a"
        raise ClientDisconnect

    asyncio.run(drain(gone(), MOST))


@pytest.mark.parametrize(
    "kind", ["", "audio/wav", "AUDIO/x-flac; rate=8000", "video/webm", "application/octet-stream"]
)
def test_types_of_audio_are_taken(kind: str) -> None:
    check_type(kind)


@pytest.mark.parametrize(
    "kind", ["text/html", "application/json", "multipart/form-data; boundary=x", "image/png", "x"]
)
def test_other_types_are_refused_with_the_way_out(kind: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_type(kind)
    assert caught.value.status == 415
    assert caught.value.message.startswith(f"Content-Type {kind.partition(';')[0]} is not audio")
    assert "the file's bytes alone as the body" in caught.value.message
