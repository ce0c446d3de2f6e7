import base64

from hypothesis import given
from hypothesis import strategies as st

from timbre.cards import Budget


def test_an_url_holds_the_media() -> None:
    url = Budget(1000).url(b"\x00\xffsound", "audio/mpeg")
    assert url is not None
    kind, content = url.split(";base64,")
    assert kind == "data:audio/mpeg"
    assert base64.b64decode(content) == b"\x00\xffsound"


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(0, 2000))
def test_all_urls_together_are_no_longer_than_the_budget_and_refusals_are_counted(
    media: list[bytes], most: int
) -> None:
    budget = Budget(most)
    urls = [budget.url(one, "image/png") for one in media]
    assert sum(len(url) for url in urls if url) <= most
    assert budget.n_refused == urls.count(None)


def test_after_one_that_is_too_large_a_smaller_one_finds_room() -> None:
    budget = Budget(100)
    assert budget.url(bytes(200), "a/b") is None
    assert budget.url(bytes(20), "a/b") is not None
