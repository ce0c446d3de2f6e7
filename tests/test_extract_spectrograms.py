import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import write_wav

from stages import encode_labels, extract_spectrograms
from timbre.problems import InputError
from timbre.shards import read_index

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
}
CORPUS, CLIPS, SHARDS = Path("corpus"), Path("data/clips.csv"), Path("data/spectrograms")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a DVC repository, with a corpus of six clips of two classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMBRE_JOBS", "1")
    rows = [f"{label}/{n}.wav,{label}" for label in ("a", "b") for n in range(3)]
    for seed, row in enumerate(rows):
        write_wav(CORPUS / row.split(",")[0], 0.3 + seed / 10, 8000, seed)
    (CORPUS / "filespaths.csv").write_text("FilePath,Class\n" + "\n".join(rows) + "\n")


def prepare(**changes: object) -> None:
    data = {"root": "corpus", "table": "", "audio": "", "allow_outside": False}
    Path("params.yaml").write_text(yaml.safe_dump({"data": data, "extract": EXTRACT | changes}))
    encode_labels.main(CORPUS, CLIPS, Path("data/labels.json"))


def extract() -> dict[str, bytes]:
    shutil.rmtree(SHARDS, ignore_errors=True)  # as DVC does before it runs a stage
    extract_spectrograms.main(CORPUS, CLIPS, SHARDS)
    return {path.name: path.read_bytes() for path in sorted(SHARDS.iterdir())}


def test_every_clip_is_in_one_of_the_shards() -> None:
    prepare()
    shards = extract()
    assert list(shards) == ["shard-0000.h5", "shard-0001.h5", "shard-0002.h5"]
    indices = [read_index(SHARDS / name) for name in shards]
    assert sorted(c for index in indices for c in index.clip_ids) == [
        f"{label}/{n}.wav" for label in "ab" for n in range(3)
    ]
    assert all(index.shape == (16, 21) for index in indices)


def test_a_shard_says_all_that_made_it() -> None:
    prepare(fmax=3000)
    extract()
    attributes = read_index(SHARDS / "shard-0000.h5").attributes
    settings = {k: v for k, v in EXTRACT.items() if k != "n_shards"} | {"fmax": 3000}
    assert attributes.items() >= settings.items()
    made_by = {"numpy", "scipy", "soxr", "torch", "libsndfile", "code"}
    assert set(attributes) == set(settings) | made_by


def test_the_number_of_workers_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare()
    alone = extract()
    monkeypatch.setenv("TIMBRE_JOBS", "3")
    assert extract() == alone


def test_nothing_is_left_in_staging() -> None:
    prepare()
    extract()
    assert not extract_spectrograms.STAGING.exists()


def test_a_run_cut_short_goes_on_with_its_finished_shards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare()
    whole = extract()
    bad = CORPUS / "a/0.wav"
    good = bad.read_bytes()
    bad.write_bytes(b"broken")
    with pytest.raises(InputError, match="has changed since encode_labels"):
        extract()
    bad.write_bytes(good)
    capsys.readouterr()
    assert extract() == whole
    said = capsys.readouterr().out
    assert " 0 copied, " in said
    assert ", 0 finished before" not in said


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
        ({"n_mels": 160}, r"extract.n_mels: \d+ of 160 mel bands .* hear nothing .* lower n_mels"),
        ({"windows": "some"}, "extract.windows: Input should be 'first' or 'all'"),
    ],
)
def test_impossible_settings_are_explained(changes: dict[str, object], message: str) -> None:
    prepare(**changes)
    with pytest.raises(InputError, match=message):
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
