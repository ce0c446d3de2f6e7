import json
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from clone import REPOSITORY
from conftest import write_wav
from shard_files import read_log_mel

from stages import encode_labels, extract_conditions, extract_spectrograms
from timbre import condition_shards
from timbre.audio import AudioError, load
from timbre.clips import read_clips, write_splits
from timbre.condition_shards import Clip
from timbre.problems import InputError
from timbre.shards import Half, read_index, shard_name
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
    "n_shards": 2,
    "scheduler": "",
    "audio_url": "",
}
QUIET = ["clean", "telephone", "white_noise_5db"]  # each clip for itself
ALL = [*QUIET, "babble_5db"]
CORPUS, CLIPS, SPLITS = Path("corpus"), Path("data/clips.csv"), Path("data/splits.csv")
SPECTROGRAMS, CONDITIONS = Path("data/spectrograms"), extract_conditions.OUTPUT
BAD_HEADERS, QUARANTINE = Path("data/bad_headers.csv"), Path("data/quarantine.csv")
CACHE = Path("cache")
TEST = [f"{label}/{n}.wav" for label in "ab" for n in range(3)]
OTHERS = {"a/train.wav": "train", "b/train.wav": "train", "a/val.wav": "val"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a DVC repository, with six test clips of two classes, and three others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMBRE_JOBS", "1")
    for seed, name in enumerate([*TEST, *OTHERS]):
        write_wav(CORPUS / name, 0.3 + seed / 10, 8000, seed)
    prepare()


def prepare(
    conditions: list[str] | None = None, labels: dict[str, str] | None = None, **changes: object
) -> None:
    """Run what comes before: list the clips, split them, extract their spectrograms."""
    robustness = {"conditions": ALL if conditions is None else conditions, "max_clips": 0}
    data = {"root": "corpus", "table": "", "audio": "", "allow_outside": False}
    data |= {"bad_audio": "fail", "max_quarantined": 0.0}
    document = {"data": data, "extract": EXTRACT, "robustness": robustness | {"seed": 0} | changes}
    Path("params.yaml").write_text(yaml.safe_dump(document))
    names = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*.wav"))
    rows = [f"{name},{(labels or {}).get(name, name[0])}\n" for name in names]
    (CORPUS / "filespaths.csv").write_text("FilePath,Class\n" + "".join(rows))
    encode_labels.main(CORPUS, CLIPS, Path("data/labels.json"), BAD_HEADERS)
    table = read_clips(CLIPS)
    table["split"] = table["clip_id"].map(OTHERS).fillna("test")
    write_splits(table, SPLITS)
    shutil.rmtree(SPECTROGRAMS, ignore_errors=True)
    extract_spectrograms.main(CORPUS, CLIPS, BAD_HEADERS, SPECTROGRAMS, QUARANTINE)


def extract() -> dict[str, bytes]:
    """Run the stage; return each condition's shard."""
    shutil.rmtree(CONDITIONS, ignore_errors=True)  # as DVC does before it runs a stage
    extract_conditions.main(CORPUS, CLIPS, SPLITS, SPECTROGRAMS, CONDITIONS)
    shards = sorted(CONDITIONS.rglob("*.h5"))
    assert {path.name for path in shards} <= {shard_name(0)}
    return {path.parent.name: path.read_bytes() for path in shards}


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """What the stage printed at the end since it was last asked."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self) -> str:
        return "".join(re.findall(r"extract_conditions: (.*)\n", self.capsys.readouterr().out))


def here(fill: Any, parts: Any, *_: Any) -> Any:  # noqa: ANN401
    """Do the work of the workers in this process, where it can be watched."""
    return map(fill, parts)


def remember(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Let the shards be found in DVC's cache, under names that say nothing; return their places."""
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir()
    places = {}
    for number, path in enumerate(sorted(CONDITIONS.rglob("*.h5"), reverse=True)):
        places[path.parent.name] = Path(shutil.copyfile(path, CACHE / f"{number:030x}"))
    monkeypatch.setattr(
        "timbre.earlier_conditions.cached_files", lambda *_: sorted(CACHE.iterdir())
    )
    return places


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timbre.earlier_conditions.cached_files", lambda *_: [])


def problems() -> list[str]:
    with pytest.raises(InputError) as caught:
        extract()
    return caught.value.problems


def test_each_condition_holds_the_test_clips_and_no_other(said: Said) -> None:
    shards = extract()
    assert said() == "6 test clips under 4 conditions: 24 computed, 0 reused"
    assert list(shards) == sorted(ALL)
    for name in ALL:
        assert read_index(CONDITIONS / name / shard_name(0)).clip_ids == TEST


def test_a_clip_that_is_not_tested_with_is_not_even_opened() -> None:
    whole = extract()
    for name in OTHERS:
        (CORPUS / name).unlink()
    assert extract() == whole


def test_nobody_of_the_training_split_babbles(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    voices_for = condition_shards.voices_for

    def watched(clip: Clip, voices: list[Clip]) -> list[Clip]:
        heard.extend(voice.clip_id for voice in voices_for(clip, voices))
        return voices_for(clip, voices)

    monkeypatch.setattr(condition_shards, "voices_for", watched)
    monkeypatch.setattr(extract_conditions, "map_unordered", here)
    extract()
    assert set(heard) == set(TEST)


def test_the_clean_condition_is_what_the_network_is_tested_with_otherwise() -> None:
    extract()
    clean = CONDITIONS / "clean" / shard_name(0)
    index = read_index(clean)
    found: dict[str, Half] = {}
    for path in SPECTROGRAMS.iterdir():
        own = read_index(path)
        assert index.attributes.items() >= own.attributes.items()
        found |= dict(zip(own.clip_ids, read_log_mel(path), strict=True))
    for clip_id, log_mel in zip(index.clip_ids, read_log_mel(clean), strict=True):
        assert log_mel.tobytes() == found[clip_id].tobytes()


def test_workers_are_started_for_many_clips_and_change_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def watched(fill: Any, parts: Any, n_processes: int, *others: Any) -> Any:  # noqa: ANN401
        asked.append(n_processes)
        return map_unordered(fill, parts, n_processes, *others)

    monkeypatch.setattr(extract_conditions, "map_unordered", watched)
    monkeypatch.setattr(condition_shards, "PART_CLIPS", 2)
    alone = extract()
    monkeypatch.setenv("TIMBRE_JOBS", "2")
    assert extract() == alone
    assert asked == [1, 2]


def test_another_seed_changes_what_is_up_to_chance_and_nothing_else() -> None:
    before = extract()
    prepare(seed=1)
    extract()
    for name in ALL:
        path = CONDITIONS / name / shard_name(0)
        now = read_log_mel(path)
        path.write_bytes(before[name])
        same = now.tobytes() == read_log_mel(path).tobytes()
        assert same is (name in ("clean", "telephone")), name


def test_without_a_change_nothing_is_computed_and_no_audio_is_read(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    before = extract()
    places = remember(monkeypatch)
    shutil.rmtree(CORPUS)
    said()
    assert extract() == before
    assert said() == "6 test clips under 4 conditions: 0 computed, 24 reused"
    assert all(place.samefile(CONDITIONS / name / shard_name(0)) for name, place in places.items())


def test_a_changed_clip_is_computed_alone(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    prepare(QUIET)
    before = extract()
    remember(monkeypatch)
    write_wav(CORPUS / TEST[1], 0.4, 8000, seed=99)
    prepare(QUIET)
    for name in {*TEST} - {TEST[1]}:
        (CORPUS / name).unlink()
    said()
    after = extract()
    assert said() == "6 test clips under 3 conditions: 3 computed, 15 reused"
    assert all(after[name] != before[name] for name in QUIET)


def test_what_is_reused_in_part_is_what_is_computed_anew(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    extract()
    remember(monkeypatch)
    write_wav(CORPUS / TEST[1], 0.4, 8000, seed=99)
    write_wav(CORPUS / "a/10.wav", 0.4, 8000, seed=77)
    (CORPUS / TEST[4]).unlink()
    prepare([*ALL, "gain_-12db"])
    said()
    reused = extract()
    # Two clips under each of three; all under the new one, and babble, whose voices have changed.
    assert said() == "6 test clips under 5 conditions: 18 computed, 12 reused"
    forget(monkeypatch)
    assert extract() == reused


def test_a_clip_that_is_taken_away_computes_nothing_but_babble(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    extract()
    remember(monkeypatch)
    (CORPUS / TEST[5]).unlink()
    prepare()
    said()
    reused = extract()
    assert said() == "5 test clips under 4 conditions: 5 computed, 15 reused"
    forget(monkeypatch)
    assert extract() == reused


def test_a_corrected_label_changes_who_babbles_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    before = extract()
    remember(monkeypatch)
    prepare(labels={TEST[0]: "b"})
    said()
    after = extract()
    assert said() == "6 test clips under 4 conditions: 6 computed, 18 reused"
    assert [name for name in after if after[name] != before[name]] == ["babble_5db"]


def test_another_list_of_conditions_computes_the_new_ones_alone(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    before = extract()
    remember(monkeypatch)
    prepare(["gain_+6db", "clean"])
    said()
    after = extract()
    assert said() == "6 test clips under 2 conditions: 6 computed, 6 reused"
    assert list(after) == ["clean", "gain_+6db"]
    assert after["clean"] == before["clean"]


@pytest.mark.parametrize("changed", ["seed", "features", "code"])
def test_nothing_is_reused_that_was_made_otherwise(
    changed: str, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    extract()
    remember(monkeypatch)
    if changed == "seed":
        prepare(seed=1)
    elif changed == "features":
        monkeypatch.setitem(EXTRACT, "top_db", 60.0)
        prepare()
    else:
        monkeypatch.setattr(extract_conditions, "VALUE_MODULES", ("timbre.noise",))
    said()
    extract()
    assert said() == "6 test clips under 4 conditions: 24 computed, 0 reused"


@pytest.mark.parametrize("another_clip", [False, True])
def test_a_damaged_cached_shard_is_computed_again(
    another_clip: bool, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    prepare(QUIET)
    before = extract()
    places = remember(monkeypatch)
    if another_clip:
        write_wav(CORPUS / TEST[1], 0.4, 8000, seed=99)
        prepare(QUIET)
        log_mel = read_log_mel(places["telephone"])[3].tobytes()
        raw = bytearray(before["telephone"])
        raw[raw.index(log_mel)] ^= 1
        places["telephone"].write_bytes(raw)
    else:
        places["telephone"].write_bytes(before["telephone"][:-100])
    said()
    reused = extract()
    assert said().endswith("8 computed, 10 reused" if another_clip else "6 computed, 12 reused")
    forget(monkeypatch)
    assert extract() == reused


def test_a_run_that_was_cut_short_goes_on_and_leaves_nothing_in_staging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(condition_shards, "PART_CLIPS", 2)
    prepare(QUIET)  # a broken voice would keep all clips from babble
    whole = extract()
    assert not extract_conditions.STAGING.exists()
    good = (CORPUS / TEST[5]).read_bytes()
    (CORPUS / TEST[5]).write_bytes(b"broken")
    assert len(problems()) == 2
    (CORPUS / TEST[5]).write_bytes(good)
    made: list[str] = []
    compute = condition_shards._compute

    def watched(condition: Any, clip: Clip, *others: Any) -> Any:  # noqa: ANN401
        made.append(clip.clip_id)
        return compute(condition, clip, *others)

    monkeypatch.setattr(condition_shards, "_compute", watched)
    monkeypatch.setattr(extract_conditions, "map_unordered", here)
    assert extract() == whole
    assert set(made) == {TEST[4], TEST[5]}
    assert not extract_conditions.STAGING.exists()


def test_no_more_clips_are_taken_than_asked_for(said: Said) -> None:
    prepare(max_clips=4)
    said()
    extract()
    assert said() == "4 test clips under 4 conditions: 16 computed, 0 reused"
    ids = [read_index(path).clip_ids for path in CONDITIONS.rglob("*.h5")]
    assert all(own == ids[0] and len(own) == 4 for own in ids)


def test_without_conditions_nothing_is_computed(said: Said) -> None:
    prepare([])
    said()
    assert extract() == {}
    assert said() == "6 test clips under 0 conditions: 0 computed, 0 reused"
    assert CONDITIONS.is_dir()


def test_all_windows_of_long_clips_are_put_under_conditions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EXTRACT, "windows", "all")
    prepare()
    extract()
    n_windows = {tuple(read_index(path).n_windows) for path in CONDITIONS.rglob("*.h5")}
    assert n_windows == {(2, 3, 3, 4, 5, 6)}


def test_all_bad_clips_are_listed_with_their_number() -> None:
    (CORPUS / TEST[1]).unlink()
    write_wav(CORPUS / TEST[4], 0.1)
    assert problems() == [
        "corpus/a/1.wav: cannot be read (No such file or directory)",
        "corpus/b/1.wav: has changed since encode_labels ran: run `dvc repro` again",
        "2 test clips cannot be used",
    ]
    assert not CONDITIONS.exists()


def test_a_clip_ends_where_damage_begins_that_extraction_did_not_hear() -> None:
    # 0.25 s are heard, faster speech needs more of the clip, babble 10 s.
    whole = np.random.default_rng(5).uniform(-0.1, 0.1, 8000)
    soundfile.write(CORPUS / TEST[0], whole, 8000, format="FLAC")
    content = (CORPUS / TEST[0]).read_bytes()
    (CORPUS / TEST[0]).write_bytes(content[: len(content) * 2 // 3])
    prepare(["clean", "speed_+4%", "babble_5db"])
    cut = extract()
    assert set(cut) == {"clean", "speed_+4%", "babble_5db"}
    with pytest.raises(AudioError, match="to its end"):
        load(CORPUS / TEST[0], 8000)


def test_a_clip_of_another_table_is_named() -> None:
    table = read_clips(CLIPS)
    table["split"] = "test"
    table.loc[0, "clip_id"] = "a/0 old.wav"
    write_splits(table, SPLITS)
    assert problems() == ["data/splits.csv: a/0 old.wav is not in data/clips.csv: run `dvc repro`"]


@pytest.mark.parametrize("number", ["0", "", "many"])
def test_a_length_that_is_none_is_named(number: str) -> None:
    table = pd.read_csv(CLIPS, dtype=str, keep_default_na=False)
    table["sample_rate"] = number
    table.to_csv(CLIPS, index=False)
    told = problems()
    assert len(told) == 1
    assert told[0].startswith("data/clips.csv: cannot be used (")
    assert told[0].endswith("): run `dvc repro`, which makes it anew")


def test_babble_without_anyone_to_babble_is_refused() -> None:
    for name in TEST[1:]:
        (CORPUS / name).unlink()
    prepare()
    assert problems() == [
        "params.yaml: robustness.conditions: 'babble_5db' is made of other test clips, and there "
        "are none: remove it, or enlarge the test split"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"conditions": ["clean", "telefone", "mp3_33kbps"]},
            "params.yaml: robustness.conditions: 'telefone': unknown condition: did you mean "
            "'telephone'?\nparams.yaml: robustness.conditions: 'mp3_33kbps': 33 is not one of 16",
        ),
        (
            {"conditions": ["clean", "clean"]},
            "robustness.conditions: 'clean': is there twice: remove one",
        ),
        ({"conditions": "clean"}, "robustness.conditions: Input should be a valid list"),
        ({"max_clips": -1}, "robustness.max_clips: Input should be greater than or equal to 0"),
        ({"seed": None}, "robustness.seed: Input should be a valid integer"),
        ({"sed": 1}, "robustness.sed: unknown key: did you mean 'robustness.seed'?"),
    ],
)
def test_a_wrong_setting_is_explained(changes: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(Path("params.yaml").read_text())
    document["robustness"] |= changes
    Path("params.yaml").write_text(yaml.safe_dump(document))
    assert message in "\n".join(problems())


def test_missing_inputs_are_named() -> None:
    CLIPS.unlink()
    assert problems()[0].startswith("data/clips.csv: cannot be used (No such file")
    shutil.rmtree(SPECTROGRAMS)
    assert problems() == [
        "data/spectrograms: no spectrogram shards: run `dvc repro extract_spectrograms`"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_fft": 2**40}, "its n_fft is 1099511627776"),
        ({"hop_length": 50, "n_fft": 0}, "its n_fft is 0"),
        ({"n_mels": 8}, r"its windows are \(\d+, \d+\), and its features make \(8, \d+\)"),
    ],
)
def test_clean_shards_whose_features_are_none_or_others_are_told(
    changes: dict[str, int], reason: str
) -> None:
    for path in SPECTROGRAMS.iterdir():
        made_by = json.dumps(read_index(path).attributes | changes)
        raw = path.read_bytes()
        path.unlink()  # its other names keep what they have
        path.write_bytes(raw)
        with h5py.File(path, "r+") as file:
            file.attrs["made_by"] = np.bytes_(made_by)
    (told,) = problems()
    assert re.match(rf"data/spectrograms/shard-\d+\.h5: {reason}: delete it and run `dvc", told)


def test_training_hangs_on_no_module_that_makes_or_reports_conditions() -> None:
    pipeline = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text("utf-8"))["stages"]
    own = {f"{module.replace('.', '/')}.py" for module in extract_conditions.VALUE_MODULES}
    own |= {"timbre/robustness.py", "data/conditions"}
    for stage in ("extract_spectrograms", "split", "train_cnn", "evaluate"):
        assert not own & set(pipeline[stage]["deps"]), stage
    used = {*pipeline["extract_conditions"]["deps"], *pipeline["measure_robustness"]["deps"]}
    assert own <= used
