"""The page in a real browser: nothing is fetched, and clicks and keys do their work."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from report_place import HOSTILE, finished_place

pytest.importorskip("playwright", reason="drives the browser: pip install playwright")

from browser import chromium_page  # noqa: F401
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SHOWN = "article.clip:not([hidden])"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small pipeline."""
    return finished_place(tmp_path_factory.mktemp("place")).page


@pytest.fixture
def page(chromium_page: Page, report: Path) -> Iterator[Page]:  # noqa: F811
    """The page, opened from its file; a word of the console, or a request, fails the test."""
    told: list[str] = []
    asked: list[str] = []
    chromium_page.on("console", lambda message: told.append(message.text))
    chromium_page.on("pageerror", lambda error: told.append(str(error)))
    chromium_page.on("dialog", lambda dialog: told.append(dialog.message))
    chromium_page.on("request", lambda request: asked.append(request.url[:100]))
    chromium_page.goto(report.as_uri())
    yield chromium_page
    assert told == []
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


def until(page: Page, script: str) -> None:
    """Wait until `script` says so; `wait_for_function` evaluates text, which the page forbids."""
    for _ in range(600):
        if page.evaluate(script):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never came: {script}")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def looked(page: Page) -> list[str]:
    """Return which maps are to be seen, by their classes."""
    script = "es => es.filter(e => e.offsetParent).map(e => e.className)"
    return list(page.eval_on_selector_all(f"{SHOWN} .looked", script))


def test_every_player_has_sound_that_lasts(page: Page) -> None:
    seconds = page.evaluate(
        """async () => Promise.all([...document.querySelectorAll("audio")].map((audio) =>
          new Promise((resolve) => {
            audio.onloadedmetadata = () => resolve(audio.duration);
            audio.onerror = () => resolve(-1);
            audio.preload = "metadata";
          })))"""
    )
    assert len(seconds) == page.locator("audio").count() > 0
    assert min(seconds) > 0.05
    assert max(seconds) < 0.5  # a window and what MP3 adds to it


def test_each_number_of_the_matrix_shows_its_own_clips(page: Page) -> None:
    everything = page.locator(SHOWN).count()
    cells = page.locator(".matrix button")
    n_below = 0
    for number in range(cells.count()):
        cell = cells.nth(number)
        cell.click()
        assert cell.get_attribute("aria-pressed") == "true"
        pair = [cell.get_attribute(f"data-{name}") for name in ("actual", "predicted")]
        for card in page.locator(SHOWN).all():
            assert [card.get_attribute(f"data-{name}") for name in ("actual", "predicted")] == pair
        below = page.locator(SHOWN).count()
        assert f"{below} of them below" in str(cell.get_attribute("title"))
        n_below += below
        assert page.locator("[aria-pressed=true]").count() == 1
    assert n_below == everything
    page.keyboard.press("Escape")
    assert page.locator(SHOWN).count() == everything
    assert page.locator("[aria-pressed=true]").count() == 0


def test_a_number_that_is_chosen_twice_shows_all_again(page: Page) -> None:
    everything = page.locator(SHOWN).count()
    cell = page.locator(".matrix button.miss").first
    cell.click()
    assert page.locator(SHOWN).count() < everything
    cell.press("Enter")
    assert page.locator(SHOWN).count() == everything


def test_j_and_k_go_through_the_clips_that_are_shown(page: Page) -> None:
    ids = [card.get_attribute("id") for card in page.locator(SHOWN).all()]
    assert len(ids) > 1
    seen = []
    for key in ("j", "j", "k", "k", "k"):
        page.keyboard.press(key)
        seen.append(focused(page))
    assert seen == [ids[0], ids[1], ids[0], ids[0], ids[0]]


def test_space_plays_the_clip_and_a_digit_what_is_near_one_at_a_time(page: Page) -> None:
    playing = "es => es.flatMap((e, n) => e.paused ? [] : [n])"
    page.evaluate("document.querySelectorAll('audio').forEach(audio => { audio.loop = true; })")
    page.keyboard.press("j")
    page.keyboard.press("j")
    card = page.locator(SHOWN).nth(1)
    page.keyboard.press(" ")
    until(page, "[...document.querySelectorAll('audio')].some(a => a.currentTime > 0)")
    assert card.locator("audio").evaluate_all(playing) == [0]
    assert card.locator(".head").is_visible()
    page.keyboard.press("2")
    # The others are paused by an event, which comes when the browser finds the time.
    until(page, "[...document.querySelectorAll('audio')].filter(a => !a.paused).length == 1")
    assert card.locator("audio").evaluate_all(playing) == [2]
    page.keyboard.press("2")
    assert page.locator("audio").evaluate_all(playing) == []


def test_a_click_on_the_picture_plays_from_there(page: Page) -> None:
    card = page.locator(SHOWN).first
    picture, audio = card.locator(".picture"), card.locator(".heard audio")
    width = picture.bounding_box()["width"]  # type: ignore[index]
    picture.click(position={"x": width * 0.3, "y": 20})
    until(page, "document.querySelector('.heard audio').currentTime > 0")
    window = float(str(picture.get_attribute("data-seconds")))
    assert audio.evaluate("a => a.currentTime") >= 0.29 * window


def test_g_shows_where_it_looked_for_the_answer_then_for_the_label_then_not(page: Page) -> None:
    n_cards = page.locator(SHOWN).count()
    assert looked(page) == []
    for kind in ("answer", "label"):
        page.keyboard.press("g")
        found = looked(page)
        assert len(found) == n_cards
        assert all(kind in words.split() for words in found)
        assert page.locator(f"input[value={kind}]").is_checked()
    page.keyboard.press("g")
    assert looked(page) == []


def test_the_filter_takes_every_word_and_leaves_the_keys_alone_meanwhile(page: Page) -> None:
    everything = page.locator(SHOWN).count()
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type("wrong gj")
    assert page.locator("#search").input_value() == "wrong gj"
    assert looked(page) == []
    assert page.locator(SHOWN).count() == 0
    page.locator("#search").fill("wrong")
    kinds = {str(card.get_attribute("class")) for card in page.locator(SHOWN).all()}
    assert kinds == {"clip wrong"}
    assert page.locator("#told").inner_text().startswith(f"{page.locator(SHOWN).count()} of ")
    page.keyboard.press("Escape")
    assert page.locator(SHOWN).count() == everything
    page.locator("#search").fill(HOSTILE[:12])
    assert page.locator(SHOWN).count() == everything  # their groups have it


def test_keys_can_be_turned_off(page: Page) -> None:
    page.locator("#keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press("g")
    assert looked(page) == []


def test_the_theme_follows_the_system_until_it_is_chosen(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.locator("#theme").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light
    page.locator("#theme").click()
    assert page.evaluate(ground) == dark


def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_tab_reaches_a_skip_link_first(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#clips")


def test_paper_shows_neither_tools_nor_players(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".tools").is_visible()
    assert page.locator("audio:visible").count() == 0
    assert page.locator(SHOWN).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
