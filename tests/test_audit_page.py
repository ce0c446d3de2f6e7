"""The page of an audit: whole in itself, harmless whatever files are called, readable."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import chromium_page  # noqa: F401 (a fixture)
from planted import RATE, Corpus, sound
from playwright.sync_api import Page

from timbre.audit import Audit, audit
from timbre.audit_page import MOST_ROWS, isolated, page, with_names, write_page
from timbre.cli import main
from timbre.finding_kinds import KINDS
from timbre.findings import Item, finding
from timbre.listing import NO_ROWS, Listing
from timbre.problems import InputError

HOSTILE = "<script>document.title = 'gone'</script>"
NAMES = [HOSTILE, "\"><img src=x onerror='document.title=1'>", "&amp; {{ 1 + 1 }}", "محمود 7"]
VOID = {"meta", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and demands that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & {*self.opened}:
            self.text += data


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Return the audit of a corpus whose files, classes and groups are called to do harm."""
    monkeypatch.setattr("timbre.survey.map_unordered", lambda work, tasks, *_: map(work, tasks))
    corpus = Corpus(tmp_path / "corpus")
    for number, name in enumerate(NAMES):
        file = f"{name.replace('/', '_')}/{name.replace('/', '_')}.wav"
        corpus.put(file, name, name, samples=np.zeros(RATE))
        corpus.put(f"{number}.wav", name, name, samples=sound(30 + number))
        corpus.put(f"{name} is not there", name, "g0")
    corpus.write()
    return audit(corpus.root, "", "", False, 1)


def test_hostile_names_are_text_and_nothing_else(hostile: Audit) -> None:
    read = Reader(page(hostile))
    assert read.opened == []
    assert [tag for tag, _ in read.tags].count("script") == 1  # its own
    assert "img" not in {tag for tag, _ in read.tags}
    assert not [name for _, own in read.tags for name in own if name.startswith("on")]
    for name in NAMES:
        assert name in read.text
        assert f"{name.replace('/', '_')}/{name.replace('/', '_')}.wav" in read.text


def test_the_page_asks_nobody_for_anything(hostile: Audit) -> None:
    text = page(hostile)
    read = Reader(text)
    assert not re.search("https?:", text)
    links = [own[name] for _, own in read.tags for name in ("href", "src") if name in own]
    assert links
    anchors = {f"#{own['id']}" for _, own in read.tags if "id" in own}
    assert {*links} <= anchors
    (policy,) = [own["content"] for tag, own in read.tags if tag == "meta" and "http-equiv" in own]
    assert policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_every_finding_is_in_the_table_with_its_file(hostile: Audit) -> None:
    text = Reader(page(hostile)).text
    for found in hostile.findings:
        assert KINDS[found.kind].why in text
        assert KINDS[found.kind].way_out in text
        for item in found.items:
            assert item.file in text
            assert item.told in text


def test_each_class_has_a_row_and_each_picture_a_size(hostile: Audit) -> None:
    read = Reader(page(hostile))
    assert {own.get("viewbox") for tag, own in read.tags if tag == "svg"} == {
        "0 0 100 10",
        "0 0 40 100",
    }
    for tag, own in read.tags:
        for name in ("width", "height", "x", "y", "x1", "x2"):
            if tag in ("rect", "line") and name in own:
                assert 0 <= float(own[name] or "") <= 110
    assert set(hostile.clips["label"]) == {"cat", "dog", *NAMES}


def test_names_stand_in_their_own_direction() -> None:
    assert isolated("محمود/07.wav") == "<bdi>محمود</bdi>/<bdi>07.wav</bdi>"
    told = with_names("class 'محمود' (1 clip), and 'a\\'b<' of \"it's\" here")
    assert told == (
        "class &#39;<bdi>محمود</bdi>&#39; (1 clip), and &#39;<bdi>a\\&#39;b&lt;</bdi>&#39; of "
        "&#34;<bdi>it&#39;s</bdi>&#34; here"
    )


def empty(*findings: tuple[str, list[Item]]) -> Audit:
    listing = Listing(Path("corpus"), None, NO_ROWS, [])
    told = [found for kind, items in findings for found in finding(kind, items)]
    return Audit(listing, NO_ROWS, told, None, 0)


def test_a_corpus_without_clips_has_a_page_too() -> None:
    read = Reader(page(empty(("table", [Item("", "row 2: Class is empty")]))))
    assert read.opened == []
    assert "row 2: Class is empty" in read.text
    assert "no clip with usable audio" in read.text
    assert "Nothing to mend." in Reader(page(empty())).text


def test_a_table_that_no_browser_could_sort_is_cut_and_that_is_told() -> None:
    items = [Item(f"{number}.wav", "is gone") for number in range(MOST_ROWS + 7)]
    read = Reader(page(empty(("audio", items))))
    assert [tag for tag, _ in read.tags].count("tr") == MOST_ROWS + 1
    assert "7 more files without usable audio: --json has all." in read.text
    assert f"files without usable audio: {MOST_ROWS + 7}" in read.text


def test_names_that_are_not_utf8_can_be_written(tmp_path: Path) -> None:
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    write_page(empty(("skipped", [Item(name, "is passed over")])), tmp_path / "a.html")
    assert r"caf\udce9.wav" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"a\.html: cannot be written: "):
        write_page(empty(), tmp_path / "file" / "a.html")


def test_the_command_writes_the_page_and_still_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Corpus(tmp_path)
    out = tmp_path / "check.html"
    assert main(["check", str(tmp_path), "--html", str(out), "--jobs", "1"]) == 0
    assert capsys.readouterr().out.endswith("nothing to mend\n")
    assert "Nothing to mend." in Reader(out.read_text(encoding="utf-8")).text


@pytest.mark.browser
def test_in_a_browser_nothing_runs_and_the_keyboard_sorts(
    hostile: Audit,
    tmp_path: Path,
    chromium_page: Page,  # noqa: F811 (the fixture)
) -> None:
    out = tmp_path / "check.html"
    write_page(hostile, out)
    complaints: list[str] = []
    chromium_page.on("console", lambda message: complaints.append(message.text))
    chromium_page.on("pageerror", lambda error: complaints.append(str(error)))
    grounds = []
    for scheme in ("light", "dark"):
        chromium_page.emulate_media(color_scheme=scheme)
        chromium_page.goto(out.as_uri())
        grounds.append(chromium_page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 24, 31)"]
    assert chromium_page.title().startswith("Check of ")
    cells = "[...document.querySelectorAll('#all tbody tr')].map(row => row.cells[2].textContent)"
    before = chromium_page.evaluate(cells)
    button = chromium_page.locator("#all th button").nth(2)
    button.focus()
    button.press("Enter")
    upward = chromium_page.evaluate(cells)
    assert sorted(upward) == sorted(before)
    assert chromium_page.locator("#all th").nth(2).get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    downward = chromium_page.evaluate(cells)
    assert upward[0] == downward[-1] == ""
    assert downward[0] != ""
    chromium_page.locator("#wanted").fill("محمود")
    shown = chromium_page.locator("#all tbody tr:visible").count()
    assert 0 < shown < len(before)
    assert chromium_page.locator("#count").inner_text() == f"{shown} of {len(before)}"
    wide = chromium_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert wide
    assert complaints == []
