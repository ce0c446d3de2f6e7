"""The recipes' own commands, on tiny corpora of the layouts that they describe."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from clone import REPOSITORY, Clone
from conftest import write_wav

from stages import encode_labels, split
from timbre.cli import main
from timbre.clips import read_clips, read_splits
from timbre.copy_table import COPY_COLUMNS, write_copies
from timbre.quarantine import write_unusable

PAGE = (REPOSITORY / "docs" / "recipes.md").read_text(encoding="utf-8")
PARAMS = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
STANDS_FOR = "/recordings"  # where the page has the corpora

Settings = dict[str, Any]


@dataclass
class Corpus:
    """A folder that grows files of a layout, no two of them alike."""

    folder: Path
    seeds: Iterator[int] = field(default_factory=count)

    def wav(self, *names: str) -> None:
        for name in names:
            write_wav(self.folder / name, seconds=0.3, seed=next(self.seeds))

    def text(self, name: str, *lines: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.M | re.S)


def experiments(title: str) -> list[list[str]]:
    """Return the words of each `dvc exp run` in a recipe."""
    lines = [line for block in blocks(title, "sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("dvc exp run ")]


def run_recipe(title: str, place: Path) -> None:
    """Make the tables of a recipe as its reader would, with the corpora in `place`."""
    for block in blocks(title, "python"):
        code = block.replace(STANDS_FOR, place.as_posix())
        subprocess.run([sys.executable, "-c", code], check=True)
    for line in "".join(blocks(title, "sh")).replace(STANDS_FOR, str(place)).splitlines():
        words = shlex.split(line)
        if words[:3] == ["python", "-m", "timbre"]:
            assert main(words[3:]) == 0


def settings(words: list[str], place: Path) -> list[Settings]:
    """Return what the command sets, once for each run that it queues."""
    named = [word.replace(STANDS_FOR, str(place)) for word in words if "=" in word]
    runs: list[Settings] = [{}]
    for key, value in (word.split("=", 1) for word in named):
        turns = re.fullmatch(r"range\((\d+),(\d+)\)", value)
        values = range(int(turns[1]), int(turns[2])) if turns else [yaml.safe_load(value)]
        runs = [{**run, key: one} for run in runs for one in values]
    return runs


def split_by(chosen: Settings, folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run encode_labels and split with these settings; return splits.csv and the leaks."""
    params = yaml.safe_load(PARAMS)
    for key, value in chosen.items():
        part, name = key.split(".")
        assert name in params[part]
        params[part][name] = value
    folder.mkdir(exist_ok=True)
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    names = ("clips.csv", "labels.json", "bad.csv", "copies.csv", "splits.csv", "split.json")
    clips, labels, bad, copies, splits, metrics = (folder / name for name in names)
    encode_labels.main(Path(params["data"]["root"]), clips, labels, bad)
    write_copies(pd.DataFrame({name: [] for name in COPY_COLUMNS}), copies)
    write_unusable([], folder / "quarantine.csv")
    split.main(clips, copies, folder / "quarantine.csv", splits, metrics)
    assert len(read_clips(clips)) == len(read_splits(splits))
    return read_splits(splits), yaml.safe_load(metrics.read_text())["leaks"]


def in_test(divided: pd.DataFrame) -> set[str]:
    return set(divided.loc[divided["split"] == "test", "clip_id"])


def reciters(place: Path) -> Corpus:
    corpus = Corpus(place / "reciters")
    paths = [
        f"{name}/{surah}_{n:03}.ogg" for name in "ab" for surah in range(61, 69) for n in (1, 2)
    ]
    corpus.wav(*(f"Dataset/{path}" for path in paths))
    rows = [f"./{path},{path[0]},surah-{path[2:4]}" for path in paths]
    corpus.text("filespaths.csv", "FilePath,Class,Group", *rows)
    return corpus


def digits(place: Path) -> Corpus:
    corpus = Corpus(place / "free-spoken-digit-dataset")
    speakers = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    names = [f"{digit}_{who}_{n}" for digit in (3, 7) for who in speakers for n in (0, 4, 5, 6, 49)]
    corpus.wav(*(f"recordings/{name}.wav" for name in names))
    return corpus


def esc50(place: Path) -> Corpus:
    corpus = Corpus(place / "ESC-50-master")
    rows = []
    for fold in range(1, 6):
        for target, label in enumerate(("dog", "rooster")):
            for take in "AB":
                name = f"{fold}-{100 * fold + target}-{take}-{target}.wav"
                corpus.wav(f"audio/{name}")
                source = 100 * fold + target
                rows.append(f"{name},{fold},{target},{label},True,{source},{take}")
    header = "filename,fold,target,category,esc10,src_file,take"
    corpus.text("meta/esc50.csv", header, *rows)
    return corpus


def urban(place: Path) -> Corpus:
    corpus = Corpus(place / "UrbanSound8K")
    rows = []
    for fold in range(1, 11):
        for target, label in enumerate(("air_conditioner", "car_horn")):
            for piece in (0, 1):
                name = f"{100 * fold + target}-{target}-0-{piece}.wav"
                corpus.wav(f"audio/fold{fold}/{name}")
                rows.append(f"{name},{100 * fold + target},0.0,4.0,1,{fold},{target},{label}")
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    corpus.text("metadata/UrbanSound8K.csv", header, *rows)
    return corpus


def commands(place: Path) -> Corpus:
    corpus = Corpus(place / "speech_commands_v0.02")
    names = [
        f"{word}/{who:08x}_nohash_{n}.wav"
        for word in ("no", "yes")
        for who in range(9)
        for n in (0, 1)
    ]
    corpus.wav(*names, "_background_noise_/white_noise.wav")
    corpus.text("validation_list.txt", *(name for name in names if "00000007" in name))
    corpus.text("testing_list.txt", *(name for name in names if "00000008" in name))
    return corpus


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMBRE_JOBS", "1")


MAKE: dict[str, Callable[[Path], Corpus]] = {
    "12 reciters": reciters,
    "Free spoken digits": digits,
    "ESC-50": esc50,
    "UrbanSound8K": urban,
    "Speech Commands": commands,
}


def test_every_corpus_of_the_page_is_tried() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.M)
    assert titles == [*MAKE, "Another corpus"]


@pytest.mark.parametrize("title", MAKE)
def test_the_layout_is_the_one_that_is_drawn(title: str, tmp_path: Path) -> None:
    corpus = MAKE[title](tmp_path)
    root, *drawn = "".join(blocks(title, "text")).splitlines()
    assert root == f"{corpus.folder.name}/"
    for line in drawn:
        folder = line.split()[0].split("/")[0]
        assert (corpus.folder / folder).exists(), line


def test_reciters_are_split_by_surah_with_either_table(tmp_path: Path) -> None:
    reciters(tmp_path)
    run_recipe("12 reciters", tmp_path)
    found = [
        split_by(run, tmp_path / "out")
        for words in experiments("12 reciters")
        for run in settings(words, tmp_path)
    ]
    assert len(found) == 2
    for divided, leaks in found:
        assert leaks == {"audio": 0, "group": 0, "copies": 0}
        assert divided["group"].nunique() == 8


def test_numbers_0_to_4_of_the_digits_are_the_test_and_each_speaker_has_a_turn(
    tmp_path: Path,
) -> None:
    digits(tmp_path)
    title = "Free spoken digits"
    run_recipe(title, tmp_path)
    official, turns = (settings(words, tmp_path) for words in experiments(title))
    divided, leaks = split_by(official[0], tmp_path / "out")
    assert {name.split("_")[2] for name in in_test(divided)} == {"0.wav", "4.wav"}
    assert (divided["split"] == "test").sum() == 24
    assert leaks["group"] == 6
    assert "counts six leaking\ngroups" in section(title) or "six leaking groups" in section(title)
    heard = []
    for run in turns:
        divided, leaks = split_by(run, tmp_path / "out")
        assert leaks["group"] == 0
        heard += sorted({name.split("_")[1] for name in in_test(divided)})
    assert sorted(heard) == ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]


@pytest.mark.parametrize(("title", "n_folds"), [("ESC-50", 5), ("UrbanSound8K", 10)])
def test_official_folds_are_tested_one_by_one(title: str, n_folds: int, tmp_path: Path) -> None:
    MAKE[title](tmp_path)
    run_recipe(title, tmp_path)
    (words,) = experiments(title)
    runs = settings(words, tmp_path)
    assert [run["split.fold"] for run in runs] == list(range(n_folds))
    for run in runs:
        divided, leaks = split_by(run, tmp_path / "out")
        assert leaks == {"audio": 0, "group": 0, "copies": 0}
        number = run["split.fold"] + 1
        start = f"{number}-" if title == "ESC-50" else f"fold{number}/"
        assert {name for name in divided["clip_id"] if name.startswith(start)} == in_test(divided)
        assert not set(divided["label"]) & {"0", "1"}


def test_the_paths_of_urban_sounds_tell_all_but_names(tmp_path: Path) -> None:
    urban(tmp_path)
    run_recipe("UrbanSound8K", tmp_path)
    folder = tmp_path / "UrbanSound8K"
    by_name, by_number = (
        pd.read_csv(folder / name, dtype=str).set_index("FilePath").sort_index()
        for name in ("filespaths.csv", "numbers.csv")
    )
    assert by_name[["Group", "Fold"]].equals(by_number[["Group", "Fold"]])
    names = {"0": "air_conditioner", "1": "car_horn"}
    assert by_number["Class"].map(names).tolist() == by_name["Class"].tolist()


def test_the_lists_of_speech_commands_are_followed_and_noise_is_no_word(tmp_path: Path) -> None:
    corpus = commands(tmp_path)
    run_recipe("Speech Commands", tmp_path)
    (words,) = experiments("Speech Commands")
    (run,) = settings(words, tmp_path)
    divided, leaks = split_by(run, tmp_path / "out")
    assert leaks == {"audio": 0, "group": 0, "copies": 0}
    assert in_test(divided) == set((corpus.folder / "testing_list.txt").read_text().split())
    val = set(divided.loc[divided["split"] == "val", "clip_id"])
    assert val == set((corpus.folder / "validation_list.txt").read_text().split())
    assert set(divided["label"]) == {"no", "yes"}


@pytest.mark.pipeline
def test_a_recipe_runs_to_its_report(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "clone")
    clone.set_params({"robustness": {"conditions": ["clean", "telephone"]}})
    digits(tmp_path)
    run_recipe("Free spoken digits", tmp_path)
    words = [
        word.replace(STANDS_FOR, str(tmp_path)) for word in experiments("Free spoken digits")[0]
    ]
    clone.dvc(*words[1:])
    page = (clone.folder / "metrics" / "report.md").read_text(encoding="utf-8")
    assert "| random rows | " in page
    assert "6 leaks between the splits (group)" in page
