"""Who may ask the server: names that it is called by, and pages that may post to it."""

import asyncio
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.guard import (
    HEADERS,
    Guard,
    Message,
    Receive,
    Scope,
    Send,
    hostname,
    is_loopback,
    is_same,
    known_names,
)

LOCAL = known_names("127.0.0.1", ())


async def welcome(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"welcome"})


def answer(
    names: frozenset[str] | None, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of what a guarded application answers."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", "headers": raw}
    asyncio.run(Guard(welcome, names)(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "127.0.0.1"]
)
def test_on_loopback_the_usual_names_are_known(host: str) -> None:
    assert answer(LOCAL, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example:8000", "127.0.0.1.evil.example", "", "[", "a@evil"],
)
def test_on_loopback_another_name_is_refused_with_the_way_out(host: str) -> None:
    status, _, body = answer(LOCAL, host=host)
    told = json.loads(body)["error"]
    assert (status, told["code"]) == (403, "unknown_host")
    assert told["message"] == (
        f"This server is not called {host}: open it as it told its address, or start it with "
        "--allow-host NAME."
    )


def test_names_that_are_allowed_are_known() -> None:
    names = known_names("127.0.0.1", ["Demo.example"])
    assert answer(names, host="demo.example:443")[0] == 200
    assert answer(names, host="localhost")[0] == 200


def test_for_other_machines_any_name_will_do_unless_some_are_named() -> None:
    assert known_names("0.0.0.0", ()) is None  # noqa: S104 (nothing is bound)
    assert answer(None, host="lab-7.example")[0] == 200
    assert known_names("192.0.2.7", ["demo.example"]) == frozenset({"demo.example"})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://["]
)
def test_a_page_of_somebody_else_cannot_post(origin: str) -> None:
    status, _, body = answer(LOCAL, "POST", host="127.0.0.1:8000", origin=origin)
    assert (status, json.loads(body)["error"]["code"]) == (403, "foreign_origin")
    assert answer(None, "POST", host="lab:8000", origin=origin)[0] == 403


def test_the_own_page_and_programs_can_post() -> None:
    assert answer(LOCAL, "POST", host="localhost:8000", origin="http://localhost:8000")[0] == 200
    assert answer(LOCAL, "POST", host="localhost:8000")[0] == 200
    assert answer(LOCAL, "GET", host="localhost:8000", origin="http://evil.example")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_carries_the_headers(host: str) -> None:
    _, headers, _ = answer(LOCAL, host=host)
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= headers.items()


def test_the_headers_allow_nothing_from_elsewhere_and_no_frame_around_the_page() -> None:
    rules = dict(rule.split(maxsplit=1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["object-src"] == rules["base-uri"] == "'none'"
    assert not {"unsafe", "http", "*", "data:"} & set(" ".join(rules.values()).split())
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


@given(
    st.text(max_size=8), st.sampled_from(["localhost", "LocalHost", "[::1]"]), st.text(max_size=8)
)
def test_nothing_but_a_port_may_stand_beside_a_known_name(
    before: str, name: str, after: str
) -> None:
    known = hostname(before + name + after) in {"localhost", "::1"}
    assert known == (not before and re.fullmatch(r"(:[0-9]{1,5})?", after) is not None)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_origin_is_told_from_the_own_one(host: str, origin: str) -> None:
    assert is_same(origin, host) <= origin.lower().endswith(host.lower())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_told_from_other_addresses(host: str) -> None:
    assert is_loopback(host)
    assert not is_loopback("192.0.2.7")
    assert not is_loopback("0.0.0.0")  # noqa: S104 (nothing is bound)
    assert not is_loopback("localhost.example")
