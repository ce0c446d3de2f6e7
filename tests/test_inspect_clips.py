import base64
import importlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
from commands import Done, run
from report_place import ARABIC, ATTRIBUTE, HOSTILE, Place, finished_place, write_params
from test_dvc_yaml import PIPELINE, closure

from stages import inspect_clips
from timbre.clips import read_splits, write_splits

N_TEST = 6


class Page(HTMLParser):
    """What a page holds: elements, text, and what stands in scripts and styles."""

    VOID = frozenset({"meta", "img", "input", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        """Return the attributes of all elements of a tag and class."""
        found = [attributes for name, attributes in self.elements if name == tag]
        return [a for a in found if not kind or kind in a.get("class", "").split()]

    def text(self) -> str:
        """Return all that is written, blanks made one."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A small pipeline with its page. Look, change nothing."""
    return finished_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Links to a small pipeline; its page and params.yaml are one's own."""
    monkeypatch.chdir(tmp_path)
    for path in finished.folder.iterdir():
        if path.name not in ("report.html", "params.yaml"):
            (tmp_path / path.name).symlink_to(path)
    write_params()
    return Place(tmp_path)


@pytest.fixture
def page(finished: Place) -> Page:
    """The page, read."""
    return Page(finished.page.read_text(encoding="utf-8"))


def make(place: Place, **changes: float) -> tuple[Page, Done]:
    write_params(**changes)
    done = run(inspect_clips.main, *place.arguments())
    assert done.code == 0, done.err
    return Page(place.page.read_text(encoding="utf-8")), done


def problem(place: Place) -> str:
    done = run(inspect_clips.main, *place.arguments())
    assert done.code == 1
    assert not place.page.exists()
    return "\n".join(done.errors())


def altered(place: Place, name: str, text: str) -> None:
    """Put another file in the place of a link."""
    (place.folder / name).unlink()
    (place.folder / name).write_text(text, encoding="utf-8")


def test_every_element_is_closed_and_no_id_is_there_twice(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_asks_nobody_for_anything(finished: Place, page: Page) -> None:
    places = [a[key] for _, a in page.elements for key in ("src", "href") if key in a]
    assert len(places) > 10
    assert [place for place in places if not place.startswith(("data:", "#"))] == []
    text = finished.page.read_text(encoding="utf-8")
    assert re.findall(r"https?:|//[a-z]+\.|url\(|@import|\bfetch\(|XMLHttpRequest", text) == []
    assert not page.all("link")


def test_hostile_names_are_shown_as_they_are_and_are_no_markup(page: Page) -> None:
    assert len(page.all("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.elements)
    for name in (HOSTILE, ARABIC, ATTRIBUTE):
        assert name in page.text()


def test_names_stand_apart_so_that_their_direction_turns_nothing_else(page: Page) -> None:
    assert len(page.all("bdi")) > 3 * N_TEST
    assert all(attributes["dir"] == "auto" for attributes in page.all("bdi"))


def test_what_can_be_used_has_a_name(page: Page) -> None:
    assert all("aria-label" in attributes for attributes in page.all("audio"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all("aria-label" in attributes for attributes in page.all("svg", "chart"))
    assert all("aria-label" in a and "title" in a for a in page.all("button") if "data-actual" in a)
    assert [attributes["lang"] for attributes in page.all("html")] == ["en"]


def test_each_player_holds_sound_and_each_picture_an_image(page: Page) -> None:
    audios, images = page.all("audio"), page.all("img")
    assert len(audios) == len(page.all("article")) * (1 + 3)
    for audio in audios:
        kind, content = audio["src"].split(";base64,")
        assert kind == "data:audio/mpeg"
        samples, _ = soundfile.read(io.BytesIO(base64.b64decode(content)))
        assert len(samples) > 1000
    heads = [base64.b64decode(image["src"].split(",")[1])[:8] for image in images]
    assert heads == [b"\x89PNG\r\n\x1a\n"] * len(images)


def test_the_wrong_label_is_the_first_in_the_list_and_marked(finished: Place, page: Page) -> None:
    splits = read_splits(finished.folder / "splits.csv")
    first = page.all("article")[0]
    assert splits["clip_id"][0] in first["data-text"]
    assert first["data-text"].endswith("wrong doubt") or "wrong unknown doubt" in first["data-text"]
    assert (first["data-actual"], first["data-predicted"]) != ("", "")
    assert first["data-actual"] != first["data-predicted"]


def test_the_matrix_counts_every_test_clip_and_says_how_many_are_below(page: Page) -> None:
    cells = page.all("button", "hit") + page.all("button", "miss")
    told = [
        re.findall(r"(\d+) clips of .* taken for .*, (\d+) of them below", c["aria-label"])
        for c in cells
    ]
    counts, below = zip(*((int(n), int(m)) for ((n, m),) in told), strict=True)
    assert sum(counts) == N_TEST
    assert sum(below) == len(page.all("article"))


def test_the_score_comes_with_its_interval_and_what_does_not_flatter(
    finished: Place, page: Page
) -> None:
    test = json.loads((finished.folder / "test.json").read_text(encoding="utf-8"))
    score, low, high = (f"{100 * test[f'accuracy{end}']:.1f} %" for end in ("", "_low", "_high"))
    assert 0 < test["accuracy"] < 1
    told = (
        f"{score} of {N_TEST} test clips of 2 groups are named rightly. "
        f"95 % interval {low} to {high}."
    )
    for part in (told, "random rows", "unknown, AUROC not measured", "calibration error"):
        assert part in page.text()
    assert "the test split has 2 groups only" in page.text()
    assert "telephone costs 20 points" in page.text()


def test_a_score_of_another_model_is_told(place: Place) -> None:
    test = json.loads((place.folder / "test.json").read_text(encoding="utf-8"))
    for change in ({"accuracy": (test["accuracy"] + 0.3) % 1}, {"n_clips": N_TEST + 1}):
        altered(place, "test.json", json.dumps(test | change))
        assert re.search(r"test\.json: is of another model than .*m\.safetensors", problem(place))
        altered(place, "test.json", json.dumps(test))


def test_a_score_that_flatters_says_so(place: Place) -> None:
    altered(place, "split.json", json.dumps({"method": "random", "leaks": {"group": 9}}))
    found, _ = make(place)
    assert "their groups were trained on: this flatters" in found.text()


def test_without_conditions_the_page_says_that_they_were_not_measured(place: Place) -> None:
    altered(place, "robustness.json", json.dumps({"conditions": {}}))
    found, _ = make(place)
    assert "Not measured: robustness.conditions names none." in found.text()


def test_the_same_inputs_give_the_same_bytes(finished: Place, place: Place) -> None:
    make(place)
    assert place.page.read_bytes() == finished.page.read_bytes()


def test_no_more_clips_are_shown_than_asked_for_and_the_rest_is_told(place: Place) -> None:
    found, done = make(place, max_clips=1, unsure_below=1.0)
    assert len(found.all("article")) == 1
    assert "Here are the 1 whose label is most in doubt; 5 more are left out" in found.text()
    assert "1 to listen to" in done.out


def test_a_small_budget_leaves_sounds_and_pictures_out_and_says_how_many(place: Place) -> None:
    found, done = make(place, max_mb=0.0)
    assert found.all("audio") == found.all("img") == []
    assert len(found.all("article")) > 0
    n = re.findall(r"(\d+) sounds and pictures are left out", found.text())
    assert n
    assert f"warning: {n[0]} sounds and pictures found no room on the page" in done.out
    assert place.page.stat().st_size < 100_000


def test_without_neighbours_none_are_shown(place: Place) -> None:
    found, _ = make(place, neighbours=0)
    assert len(found.all("audio")) == len(found.all("article"))
    assert "Near it in training" not in found.text()


def test_where_nothing_is_wrong_the_least_sure_clips_are_shown(place: Place) -> None:
    every, _ = make(place, unsure_below=1.0)
    good = [
        attributes["data-text"]
        for attributes in every.all("article")
        if attributes["data-actual"] == attributes["data-predicted"]
        and "unknown" not in attributes["data-text"]
    ]
    splits = read_splits(place.folder / "splits.csv")
    is_good = splits["clip_id"].map(lambda clip_id: any(f" {clip_id} " in text for text in good))
    splits["split"] = splits["split"].where((splits["split"] != "test") | is_good, "copy")
    (place.folder / "splits.csv").unlink()
    write_splits(splits, place.folder / "splits.csv")
    test = json.loads((place.folder / "test.json").read_text(encoding="utf-8"))
    altered(place, "test.json", json.dumps(test | {"n_clips": len(good), "accuracy": 1.0}))
    found, done = make(place, unsure_below=0.0)
    assert good
    assert f"Here are the {len(good)} least sure ones." in found.text()
    assert {a["class"] for a in found.all("article")} == {"clip right"}
    assert f"0 wrong and 0 unsure test clips, {len(good)} to listen to" in done.out


def test_a_clip_that_is_gone_is_shown_without_its_player_and_with_the_reason(
    finished: Place, place: Place
) -> None:
    (place.folder / "corpus").unlink()
    (place.folder / "corpus").mkdir()
    before = len(Page(finished.page.read_text(encoding="utf-8")).all("article"))
    found, _ = make(place)
    assert found.all("audio") == []
    assert len(found.all("article")) == before
    assert "no sound: cannot be read (No such file or directory)" in found.text()
    assert len(found.all("img")) >= before


def test_a_corpus_that_is_not_there_is_named(place: Place) -> None:
    (place.folder / "corpus").unlink()
    assert f"{place.folder / 'corpus'}: no such folder" in problem(place)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("learning_curves.csv", "epoch\n1\n", "columns epoch, expected epoch,"),
        ("reliability.csv", "middle\n0.5\n", "it has no column n_clips"),
        ("reliability.csv", "middle,n_clips,confidence,accuracy\n0.5,3,,\n", "empty cells"),
        ("reliability.csv", "middle,n_clips,confidence,accuracy\n0.5,x,,\n", "cannot be used"),
        ("test.json", "{", "cannot be read"),
        ("test.json", "[]", "not as its stage wrote it"),
        ("robustness.json", '{"conditions": {"clean": {}}}', "KeyError: 'accuracy'"),
        ("robustness.json", '{"conditions": {"dirt": {}}}', "unknown condition"),
        ("labels.json", '{"classes": ["a"]}', "targets are not those of"),
    ],
)
def test_a_file_that_is_none_of_its_stages_is_named(
    place: Place, name: str, content: str, told: str
) -> None:
    altered(place, name, content)
    found = problem(place)
    assert name in found
    assert re.search(told, found), found


@pytest.mark.parametrize("name", ["learning_curves.csv", "reliability.csv", "m.safetensors"])
def test_a_missing_file_is_named(place: Place, name: str) -> None:
    (place.folder / name).unlink()
    assert problem(place).startswith(f"{place.folder / name}: ")


def test_no_stage_hangs_on_the_page_or_on_a_module_that_only_the_page_uses() -> None:
    own = {
        path.stem
        for name in ("report_page", "cards", "grad_cam", "neighbours", "label_doubt", "listening")
        for path in [Path(importlib.import_module(f"timbre.{name}").__file__ or "")]
    }
    for name, stage in PIPELINE["stages"].items():
        if name != "inspect_clips":
            used = {
                path.stem
                for path in closure(Path(f"{inspect_clips.__file__}").parent / f"{name}.py")
            }
            assert not used & own, name
            assert "plots/report.html" not in stage["deps"]
