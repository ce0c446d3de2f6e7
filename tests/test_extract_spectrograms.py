import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import write_wav

from stages import encode_labels, extract_spectrograms
from stages.extract_spectrograms import FEW_CLIPS, Fill
from timbre.extraction import ShardResult, ShardTask
from timbre.problems import InputError
from timbre.shards import read_index, shard_name, shard_number
from timbre.workers import map_unordered

EXTRACT: dict[str, Any] = {
    "sample_rate": 8000,
    "window_seconds": 0.25,
    "windows": "first",
    "window_hop_seconds": 0.125,
    "n_fft": 256,
    "hop_length": 100,
    "n_mels": 16,
    "fmin": 0.0,
    "fmax": None,
    "top_db": 80.0,
    "n_shards": 3,
    "scheduler": "",
    "audio_url": "",
}
CORPUS, CLIPS, SHARDS = Path("corpus"), Path("data/clips.csv"), Path("data/spectrograms")
BAD_HEADERS, QUARANTINE = Path("data/bad_headers.csv"), Path("data/quarantine.csv")
CACHE = Path("cache")
NAMES = [f"{label}/{n}.wav" for label in ("a", "b") for n in range(3)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a DVC repository, with a corpus of six clips of two classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMBRE_JOBS", "1")
    for seed, name in enumerate(NAMES):
        write_wav(CORPUS / name, 0.3 + seed / 10, 8000, seed)
    list_clips(NAMES)


def list_clips(names: list[str]) -> None:
    rows = [f"{name},{name[0]}" for name in names]
    (CORPUS / "filespaths.csv").write_text("FilePath,Class\n" + "\n".join(rows) + "\n")


def prepare(**changes: object) -> None:
    data = {"root": "corpus", "table": "", "audio": "", "allow_outside": False}
    policy = {"bad_audio": "fail", "max_quarantined": 0.0}
    document = {"data": data | policy, "extract": EXTRACT | changes}
    Path("params.yaml").write_text(yaml.safe_dump(document))
    encode_labels.main(CORPUS, CLIPS, Path("data/labels.json"), BAD_HEADERS)


def extract() -> dict[str, bytes]:
    shutil.rmtree(SHARDS, ignore_errors=True)  # as DVC does before it runs a stage
    extract_spectrograms.main(CORPUS, CLIPS, BAD_HEADERS, SHARDS, QUARANTINE)
    return {path.name: path.read_bytes() for path in sorted(SHARDS.iterdir())}


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """What the stage printed about the clips since it was last asked."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self) -> str:
        return "".join(re.findall(r"clips: (.*)\n", self.capsys.readouterr().out))


def remember(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Let the shards be found in DVC's cache, under names that say nothing; return their places."""
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir()
    places = {}
    for number, path in enumerate(sorted(SHARDS.iterdir(), reverse=True)):
        places[path.name] = Path(shutil.copyfile(path, CACHE / f"{number:030x}"))
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: sorted(CACHE.iterdir()))
    return places


def shard_of(clip_id: str, n_shards: int = 3) -> str:
    return shard_name(shard_number(clip_id, n_shards))


def test_every_clip_is_in_one_of_the_shards() -> None:
    prepare()
    shards = extract()
    assert list(shards) == ["shard-0000.h5", "shard-0001.h5", "shard-0002.h5"]
    indices = [read_index(SHARDS / name) for name in shards]
    assert sorted(c for index in indices for c in index.clip_ids) == [
        f"{label}/{n}.wav" for label in "ab" for n in range(3)
    ]
    assert all(index.shape == (16, 21) for index in indices)
    assert [shard_of(index.clip_ids[0]) for index in indices] == list(shards)


def test_a_shard_says_all_that_made_it() -> None:
    prepare(fmax=3000)
    extract()
    attributes = read_index(SHARDS / "shard-0000.h5").attributes
    without = {"n_shards", "scheduler", "audio_url"}  # the same bytes whatever they are
    settings = {k: v for k, v in EXTRACT.items() if k not in without} | {"fmax": 3000}
    assert attributes.items() >= settings.items()
    made_by = {"numpy", "opencv", "soxr", "libsndfile", "code"}
    assert set(attributes) == set(settings) | made_by


def test_the_line_says_how_many_clips_were_computed(capsys: pytest.CaptureFixture[str]) -> None:
    prepare()
    capsys.readouterr()
    extract()
    assert capsys.readouterr().out == "extract_spectrograms: 6 clips: 6 computed, 0 reused\n"


def test_workers_are_started_for_many_clips_and_change_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def watched(
        fill: Fill,
        tasks: Sequence[ShardTask],
        n_processes: int,
        *others: Any,  # noqa: ANN401 (handed on)
    ) -> Iterator[ShardResult]:
        asked.append(n_processes)
        return map_unordered(fill, tasks, n_processes, *others)

    monkeypatch.setattr(extract_spectrograms, "map_unordered", watched)
    monkeypatch.setenv("TIMBRE_JOBS", "3")
    assert len(NAMES) <= FEW_CLIPS
    prepare()
    alone = extract()
    for few, n_processes in ((6, 1), (5, 3)):
        monkeypatch.setattr(extract_spectrograms, "FEW_CLIPS", few)
        assert extract() == alone
        assert asked[-1] == n_processes


def test_unchanged_shards_are_linked_and_their_audio_is_not_read(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    prepare()
    before = extract()
    places = remember(monkeypatch)
    changed = shard_of(NAMES[0])
    write_wav(CORPUS / NAMES[0], 0.4, 8000, seed=99)
    prepare()
    for name in NAMES[1:]:
        (CORPUS / name).unlink()
    said()
    after = extract()
    assert said() == "1 computed, 5 reused"
    assert {name for name in after if after[name] != before[name]} == {changed}
    linked = {name for name, place in places.items() if place.samefile(SHARDS / name)}
    assert linked == set(before) - {changed}
    assert {name: place.read_bytes() for name, place in places.items()} == before


def test_where_no_link_can_be_made_unchanged_shards_are_copied(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    def no_links(target: Path, source: Path) -> None:
        raise OSError("another file system")

    prepare()
    before = extract()
    places = remember(monkeypatch)
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    said()
    assert extract() == before
    assert said() == "0 computed, 6 reused"
    assert not any(place.samefile(SHARDS / name) for name, place in places.items())


def test_a_renamed_clip_is_not_computed_again(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    prepare()
    extract()
    remember(monkeypatch)
    (CORPUS / NAMES[0]).rename(CORPUS / "a/another name.wav")
    list_clips(["a/another name.wav", *NAMES[1:]])
    prepare()
    said()
    reused = extract()
    assert said() == "0 computed, 6 reused"
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: [])
    assert extract() == reused


def test_another_number_of_shards_computes_nothing(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    prepare()
    extract()
    remember(monkeypatch)
    prepare(n_shards=5)
    said()
    reused = extract()
    assert said() == "0 computed, 6 reused"
    assert list(reused) == [shard_name(number) for number in range(5)]
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: [])
    assert extract() == reused


def test_other_settings_reuse_nothing(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    prepare()
    extract()
    remember(monkeypatch)
    prepare(top_db=60.0)
    said()
    extract()
    assert said() == "6 computed, 0 reused"


def test_a_cached_shard_that_cannot_be_read_is_computed_again(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    prepare()
    before = extract()
    places = remember(monkeypatch)
    name = shard_of(NAMES[0])
    n_clips = len(read_index(places[name]).clip_ids)
    places[name].write_bytes(before[name][:-100])
    said()
    assert extract() == before
    assert said() == f"{n_clips} computed, {6 - n_clips} reused"


def test_nothing_is_left_in_staging() -> None:
    prepare()
    extract()
    assert not extract_spectrograms.STAGING.exists()


def cut_short(name: str) -> None:
    """Leave all shards in staging but the one of this clip."""
    good = (CORPUS / name).read_bytes()
    (CORPUS / name).write_bytes(b"broken")
    with pytest.raises(InputError, match="has changed since encode_labels"):
        extract()
    (CORPUS / name).write_bytes(good)


def test_a_run_cut_short_goes_on_with_its_finished_shards(said: Said) -> None:
    prepare()
    whole = extract()
    n_clips = len(read_index(SHARDS / shard_of(NAMES[0])).clip_ids)
    cut_short(NAMES[0])
    said()
    assert extract() == whole
    assert said() == f"{n_clips} computed, {6 - n_clips} reused"


def test_a_run_cut_short_while_its_shards_are_put_in_place_computes_nothing_again(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    prepare()
    whole = extract()
    link = Path.hardlink_to

    def killed_at_the_second(target: Path, source: Path) -> None:
        if target.name == shard_name(1):
            raise KeyboardInterrupt
        link(target, source)

    monkeypatch.setattr(Path, "hardlink_to", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        extract()
    monkeypatch.setattr(Path, "hardlink_to", link)
    said()
    assert extract() == whole
    assert said() == "0 computed, 6 reused"


def test_a_shard_in_staging_is_taken_under_its_own_name_alone(said: Said) -> None:
    prepare()
    whole = extract()
    last = shard_of(NAMES[0])
    cut_short(NAMES[0])
    (staging,) = extract_spectrograms.STAGING.iterdir()
    one, other = sorted(staging.iterdir())
    assert {one.name, other.name} == set(whole) - {last}
    one.rename(staging / "kept")
    other.rename(one)
    (staging / "kept").rename(other)
    said()
    assert extract() == whole
    assert said() == "6 computed, 0 reused"


def test_shards_in_staging_from_another_number_of_shards_do_no_harm() -> None:
    prepare(n_shards=2)
    whole = extract()
    prepare()
    cut_short(NAMES[0])
    prepare(n_shards=2)
    assert extract() == whole


def test_all_bad_clips_are_listed_with_their_number() -> None:
    prepare()
    for name in ("a/1.wav", "b/2.wav"):
        (CORPUS / name).unlink()
    with pytest.raises(InputError) as caught:
        extract()
    assert caught.value.problems == [
        "corpus/a/1.wav: cannot be read (No such file or directory)",
        "corpus/b/2.wav: cannot be read (No such file or directory)",
        "2 of 6 clips cannot be used",
    ]
    assert not SHARDS.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fmax": 4001}, "fmax 4001 Hz is above half the sample_rate 8000"),
        ({"fmin": 4000.0}, "fmin 4000 Hz is not below fmax 4000 Hz"),
        ({"hop_length": 2001}, "window_seconds is shorter than hop_length"),
        ({"window_seconds": None, "hop_length": 8001}, "window_seconds is shorter than hop_length"),
        (
            {"window_seconds": 0.009, "hop_length": None},
            "window_seconds is shorter than hop_length",
        ),
        ({"hop_length": True}, "extract: hop_length: True is not a number"),
        ({"window_seconds": True}, "extract: window_seconds: True is not a number"),
        ({"fmax": True}, "extract: fmax: True is not a number"),
        (
            {"sample_rate": 16_000, "fmin": 4000.0},
            "extract.fmin: 4000 Hz is not below 4000 Hz, where the bands end as the clips do",
        ),
        ({"n_mels": 160}, r"extract.n_mels: \d+ of 160 mel bands .* hear nothing .* lower n_mels"),
        ({"windows": "some"}, "extract.windows: Input should be 'first' or 'all'"),
        ({"window_hop_seconds": 1e-5}, "window_hop_seconds is shorter than a sample"),
    ],
)
def test_impossible_settings_are_explained(changes: dict[str, object], message: str) -> None:
    prepare(**changes)
    with pytest.raises(InputError, match=message):
        extract()


def test_without_a_length_windows_are_as_long_as_the_clips(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_wav(CORPUS / NAMES[0], 1.3, 8000, 0)
    prepare(window_seconds=None, hop_length=None, window_hop_seconds=2.5, windows="all")
    capsys.readouterr()
    fitted = extract()
    assert capsys.readouterr().out == (
        "extract_spectrograms: windows of 2 s, as the clips need them\n"
        "extract_spectrograms: 6 clips: 6 computed, 0 reused\n"
    )
    prepare(window_seconds=2.0, hop_length=80, window_hop_seconds=2.0, windows="all")
    assert extract() == fitted
    assert {read_index(path).attributes["hop_length"] for path in SHARDS.iterdir()} == {80}


def test_without_an_edge_bands_end_where_the_clips_do(capsys: pytest.CaptureFixture[str]) -> None:
    prepare(sample_rate=16_000, n_fft=512)
    capsys.readouterr()
    fitted = extract()
    assert capsys.readouterr().out == (
        "extract_spectrograms: bands up to 4000 Hz, as the clips need them\n"
        "extract_spectrograms: 6 clips: 6 computed, 0 reused\n"
    )
    prepare(sample_rate=16_000, n_fft=512, fmax=4000.0)
    assert extract() == fitted


def test_one_more_clip_of_usual_length_costs_one_extraction(
    said: "Said", monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(window_seconds=None)
    extract()
    remember(monkeypatch)
    write_wav(CORPUS / "a/new.wav", 0.9, 8000, 9)
    list_clips([*NAMES, "a/new.wav"])
    prepare(window_seconds=None)
    said()
    extract()
    assert said() == "1 computed, 6 reused"


def test_a_table_whose_lengths_are_no_numbers_is_named() -> None:
    prepare(window_seconds=None)
    text = CLIPS.read_text("utf-8")
    CLIPS.write_text(text.replace(",8000,", ",eight,"), "utf-8")
    with pytest.raises(InputError, match=r"^data/clips\.csv: cannot be used \(invalid literal"):
        extract()


def test_a_missing_table_is_named() -> None:
    prepare()
    CLIPS.unlink()
    with pytest.raises(InputError, match=r"^data/clips\.csv: cannot be used \(No such file"):
        extract()


def test_long_clips_give_several_windows_when_asked() -> None:
    prepare(windows="all")
    extract()
    counts: dict[str, int] = {}
    for path in SHARDS.iterdir():
        index = read_index(path)
        counts |= dict(zip(index.clip_ids, index.n_windows, strict=True))
    seconds = {
        f"{label}/{n}.wav": 0.3 + (3 * k + n) / 10 for k, label in enumerate("ab") for n in range(3)
    }
    # Windows of 0.25 s each 0.125 s, and one more that ends with the clip.
    assert counts == {c: 2 + int((s - 0.25 - 1e-9) / 0.125) for c, s in seconds.items()}
