"""The page in a real browser: what it shows is what the model says."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import chromium_page
from playwright.sync_api import ConsoleMessage, Page, expect
from serving import WAIT_SECONDS, Served, served
from small_model import Trained

from timbre.model_file import load_model, save_model
from timbre.predict import Classifier

__all__ = ["chromium_page"]  # the fixture
pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("trained", ["first"], indirect=True),  # one will do
]

ARABIC = {"high": "الحصري", "low": "عبد الباسط (ورش)", "middle": "<b>middle</b>"}
WAIT = 1000 * WAIT_SECONDS


@pytest.fixture(scope="module")
def arabic(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model with names that a page may get wrong; half of its clips it does not know."""
    network, card = load_model(trained.model)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    classes = [ARABIC[name] for name in card.classes]
    rejection = replace(card.rejection, threshold=float(np.median(trained.known)))
    save_model(path, network, replace(card, classes=classes, rejection=rejection))
    return path


@pytest.fixture(scope="module")
def server(arabic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a running server."""
    with served(arabic, tmp_path_factory.mktemp("serve"), "--max-mb", "1") as running:
        yield running


@pytest.fixture
def page(server: Served, chromium_page: Page) -> Iterator[Page]:
    """Return the page; in the end nothing may have gone wrong that was not provoked."""
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # The browser itself tells of every refusal; that the page shows it is tested.
        provoked = any(text in message.text for text in ("status of 400", "CONNECTION_REFUSED"))
        if message.type in ("error", "warning") and not provoked:
            wrong.append(message.text)

    chromium_page.on("console", note)
    chromium_page.on("pageerror", lambda error: wrong.append(str(error)))
    chromium_page.on("request", lambda request: allowed(request.url, server.url, wrong))
    chromium_page.set_default_timeout(WAIT)
    chromium_page.goto(server.url)
    expect(chromium_page.locator("#facts dt").first).to_be_attached(timeout=WAIT)
    yield chromium_page
    assert wrong == []


def allowed(url: str, own: str, wrong: list[str]) -> None:
    if not url.startswith((f"{own}/", "blob:")):
        wrong.append(f"asked {url}")


def give(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    expect(page.locator("#result")).to_be_visible(timeout=WAIT)


def shown(page: Page) -> tuple[str, list[tuple[str, str]]]:
    """Return the verdict, and the bars as names and shares."""
    names = page.locator("#likeliest .name").all_inner_texts()
    shares = page.locator("#likeliest .share").all_inner_texts()
    return page.inner_text("#verdict"), list(zip(names, shares, strict=True))


def test_the_answer_is_that_of_the_command_line(page: Page, arabic: Path, trained: Trained) -> None:
    classifier = Classifier.load(arabic)
    for path in (trained.clips[n] for n in (np.argmax(trained.known), np.argmin(trained.known))):
        answer = classifier.answer(path)
        give(page, path)
        verdict, bars = shown(page)
        begins = "Sounds like" if answer.is_known else "Unknown; most like"
        assert verdict == f"{begins} {answer.likeliest}"
        order = np.argsort(-answer.probs)
        assert bars == [(classifier.classes[n], f"{100 * answer.probs[n]:.1f} %") for n in order]
        assert page.inner_text("#status") == path.name


def test_the_timeline_is_that_of_the_command_line_and_plays(
    page: Page, arabic: Path, tmp_path: Path
) -> None:
    rate = 8000
    tones = [np.sin(2 * np.pi * hz * np.arange(2 * rate) / rate) for hz in (300, 2700)]
    clip = np.concatenate([*tones, np.random.default_rng(0).normal(0, 0.3, rate)])
    soundfile.write(tmp_path / "clip.wav", 0.3 * clip, rate, subtype="PCM_16")
    segments = Classifier.load(arabic).timeline(tmp_path / "clip.wav")
    assert len(segments) > 1
    give(page, tmp_path / "clip.wav")
    assert page.locator("#timeline button").all_inner_texts() == [s.label for s in segments]
    last = page.locator("#timeline button").last
    last.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        f"document.getElementById('player').currentTime >= {segments[-1].start - 0.01}"
    )
    heights = "document.getElementById('spectrogram').height"
    assert page.evaluate(heights) == 16


def test_what_is_unknown_is_said_plainly(page: Page, arabic: Path, trained: Trained) -> None:
    path = trained.clips[int(np.argmin(trained.known))]
    answer = Classifier.load(arabic).answer(path)
    assert not answer.is_known
    give(page, path)
    assert page.inner_text("#verdict") == f"Unknown; most like {answer.likeliest}"
    assert page.inner_text("#meaning") == (
        "The clip does not sound enough like any class that this model knows. The bars say which "
        "it would be if it had to be one of them: "
        f"{answer.likeliest}, with {100 * answer.probs.max():.1f} %."
    )


def test_names_are_text_in_their_own_direction(page: Page, trained: Trained) -> None:
    give(page, trained.clips[0])
    assert page.locator("#result b").count() == 0
    for name in page.locator("#likeliest .name").all():
        direction = name.evaluate("element => getComputedStyle(element).direction")
        arabic = re.search("[\u0600-\u06ff]", name.inner_text()) is not None
        assert direction == ("rtl" if arabic else "ltr")


def test_a_bad_file_is_told_in_plain_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("words")
    page.set_input_files("#file", tmp_path / "notes.wav")
    expect(page.locator("#problem")).to_have_text(
        "notes.wav: This file is text, not audio.", timeout=WAIT
    )
    expect(page.locator("#result")).to_be_hidden()


def test_too_large_a_file_is_told_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    (tmp_path / "large.wav").write_bytes(bytes(1_200_000))
    page.set_input_files("#file", tmp_path / "large.wav")
    expect(page.locator("#problem")).to_have_text(
        "large.wav: This clip has 1.2 MB, and the server takes 1 MB at most.", timeout=WAIT
    )


def test_what_the_browser_alone_can_decode_is_converted(page: Page, tmp_path: Path) -> None:
    """Two seconds of WebM, as Chromium records it, given as a file."""
    recorded = page.evaluate(
        """async () => {
            const context = new AudioContext();
            const tone = context.createOscillator();
            const out = context.createMediaStreamDestination();
            tone.connect(out);
            tone.start();
            const recorder = new MediaRecorder(out.stream);
            const parts = [];
            recorder.ondataavailable = (event) => parts.push(event.data);
            recorder.start();
            await new Promise((done) => setTimeout(done, 2000));
            const stopped = new Promise((done) => { recorder.onstop = done; });
            recorder.stop();
            await stopped;
            return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
        }"""
    )
    (tmp_path / "clip.webm").write_bytes(bytes(recorded))
    give(page, tmp_path / "clip.webm")
    assert shown(page)[0]
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(2, abs=0.7)


def test_a_recording_is_answered(page: Page) -> None:
    page.click("#record")
    expect(page.locator("#record")).to_have_text("Stop", timeout=WAIT)
    expect(page.locator("#status")).to_have_text("Recording: 1 s", timeout=WAIT)
    page.click("#record")
    expect(page.locator("#result")).to_be_visible(timeout=WAIT)
    assert page.inner_text("#status") == "Your recording"
    assert page.inner_text("#record") == "Record"
    assert page.inner_text("#seconds").split()[-2] >= "1.0"


def test_without_a_microphone_the_reason_is_told(page: Page) -> None:
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('', 'NotFoundError')); }"
    )
    page.click("#record")
    expect(page.locator("#problem")).to_have_text(
        "This computer has no microphone that the browser can use."
    )


def test_a_dropped_file_is_taken(page: Page, trained: Trained) -> None:
    content = list(trained.clips[0].read_bytes())
    page.evaluate(
        """(content) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(content)], "dropped.wav"));
            const drop = { dataTransfer: files, cancelable: true };
            document.dispatchEvent(new DragEvent("drop", drop));
        }""",
        content,
    )
    expect(page.locator("#result")).to_be_visible(timeout=WAIT)
    assert page.inner_text("#status") == "dropped.wav"


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_nothing_is_wider_than_the_screen(page: Page, trained: Trained, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    give(page, trained.clips[0])
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_all_can_be_reached_by_the_keyboard(page: Page, trained: Trained) -> None:
    give(page, trained.clips[0])
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"file", "record", "player", "BUTTON", "SUMMARY"} <= reached


def test_a_server_that_has_gone_is_told(page: Page, trained: Trained) -> None:
    page.route("**/api/predict*", lambda route: route.abort("connectionrefused"))
    page.set_input_files("#file", trained.clips[0])
    expect(page.locator("#problem")).to_contain_text("The server does not answer.", timeout=WAIT)
    page.unroute("**/api/predict*")
