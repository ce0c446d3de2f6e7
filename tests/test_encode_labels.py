import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from clone import REPOSITORY
from conftest import write_wav
from sklearn.preprocessing import LabelEncoder

from stages.encode_labels import main
from timbre.clips import read_clips
from timbre.columns import CLIP_COLUMNS
from timbre.problems import InputError

PARAMS = (
    "data:\n  root: corpus\n  table: ''\n  audio: ''\n  allow_outside: false\n"
    "  bad_audio: fail\n  max_quarantined: 0.5\n"
)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty corpus folder beside a params.yaml, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def fill(corpus: Path, rows: list[str], header: str = "FilePath,Class", seed: int = 0) -> None:
    """Write the table, and for each of its rows a WAV of its own audio."""
    (corpus / "filespaths.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    for number, row in enumerate(rows):
        write_wav(corpus / row.split(",")[0], seed=seed + number)


def encode(corpus: Path) -> tuple[pd.DataFrame, dict[str, object]]:
    main(corpus, Path("out/clips.csv"), Path("out/labels.json"), Path("out/bad.csv"))
    return read_clips(Path("out/clips.csv")), json.loads(Path("out/labels.json").read_text("utf-8"))


def problems(corpus: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        encode(corpus)
    assert not Path("out/clips.csv").exists()
    return caught.value.problems


def test_every_column_holds_what_the_table_and_the_file_say(corpus: Path) -> None:
    fill(
        corpus,
        ["x/b.wav,dog,g1,train", "./a.wav,cat,g1,val"],
        header="FilePath,Class,Group,Split",
    )
    write_wav(corpus / "a.wav", 0.01, 16_000, n_channels=2)
    clips, labels = encode(corpus)
    assert list(clips.columns) == list(CLIP_COLUMNS)
    assert clips.drop(columns="sha256").to_numpy().tolist() == [
        ["a.wav", "a.wav", "cat", 0, "g1", "g1", "val", 16_000, 2, 160],
        ["x/b.wav", "x/b.wav", "dog", 1, "g1", "g1", "train", 8000, 1, 400],
    ]
    for path, sha256 in zip(clips["path"], clips["sha256"], strict=True):
        assert hashlib.sha256((corpus / path).read_bytes()).hexdigest() == sha256
    assert labels == {
        "classes": ["cat", "dog"],
        "n_clips": {"cat": 1, "dog": 1},
        "n_duplicates": 0,
    }


def test_labels_json_is_readable_text_with_labels_as_written(corpus: Path) -> None:
    fill(corpus, ["a.wav,NA", "b.wav,عبد", "c.wav,01", "d.wav,NA"])
    encode(corpus)
    assert Path("out/labels.json").read_bytes().decode("utf-8") == (
        '{\n  "classes": [\n    "01",\n    "NA",\n    "عبد"\n  ],\n'
        '  "n_clips": {\n    "01": 1,\n    "NA": 2,\n    "عبد": 1\n  },\n'
        '  "n_duplicates": 0\n}\n'
    )


def test_the_target_is_the_index_of_the_label(corpus: Path) -> None:
    fill(corpus, [f"{i}.wav,{label}" for i, label in enumerate(["b", "A", "a", "ä", "10", "9"])])
    clips, labels = encode(corpus)
    classes = labels["classes"]
    assert isinstance(classes, list)
    assert [classes[target] for target in clips["target"]] == clips["label"].to_list()
    assert classes == sorted(classes)


def test_classes_are_numbered_as_scikit_learn_numbers_them(corpus: Path) -> None:
    # The letters past U+FFFF sort otherwise as UTF-16, blanks and signs otherwise in a locale.
    labels = ["é", "e", "z", "Z", "_", "-1", "10", "9", "NA", "nan", "True", "عبد", "ß", "ss"]
    labels += ["a b", "a-b", "ab", "a", "\U0001f3b5", "\uff5e", "\ufb03", "#", "None", "e\u0328"]
    fill(corpus, [f"{i}.wav,{label}" for i, label in enumerate(labels)])
    clips, written = encode(corpus)
    oracle = LabelEncoder().fit(clips["label"].to_numpy(dtype=object))
    assert written["classes"] == oracle.classes_.tolist()
    assert clips["target"].tolist() == oracle.transform(clips["label"]).tolist()
    assert clips["target"].nunique() == len(labels)


def test_row_order_changes_no_byte(corpus: Path) -> None:
    rows = ["b.wav,dog", "a.wav,cat", "c.wav,dog"]
    fill(corpus, rows)
    encode(corpus)
    before = [Path(f"out/{name}").read_bytes() for name in ("clips.csv", "labels.json")]
    (corpus / "filespaths.csv").write_text("\n".join(["FilePath,Class", *rows[::-1], ""]))
    encode(corpus)
    assert before == [Path(f"out/{name}").read_bytes() for name in ("clips.csv", "labels.json")]


def test_equal_audio_shares_one_group_and_is_counted(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(corpus, ["a.wav,x", "b.wav,x", "c.wav,y"])
    (corpus / "b.wav").write_bytes((corpus / "a.wav").read_bytes())
    clips, labels = encode(corpus)
    assert clips["group"].to_list() == ["a.wav", "a.wav", "c.wav"]
    assert clips["table_group"].to_list() == ["", "", ""]
    assert labels["n_duplicates"] == 1
    shown = capsys.readouterr()
    assert shown.out == "encode_labels: 3 clips, 2 classes, 2 groups, 1 duplicates\n"
    assert "warning: 1 clips have the same audio as another, such as 'b.wav'" in shown.err


def test_equal_audio_joins_the_groups_of_the_table(corpus: Path) -> None:
    header = "FilePath,Class,Group"
    fill(corpus, ["a.wav,x,g2", "b.wav,x,g1", "c.wav,y,g2", "d.wav,y,g3"], header)
    (corpus / "b.wav").write_bytes((corpus / "a.wav").read_bytes())
    clips, _ = encode(corpus)
    assert clips["group"].to_list() == ["g1", "g1", "g1", "g3"]
    assert clips["table_group"].to_list() == ["g2", "g1", "g2", "g3"]


def test_paths_are_relative_to_root_and_ids_to_the_audio_folder(corpus: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("audio: ''", "audio: Dataset"))
    fill(corpus, ["Dataset/x/a.wav,cat", "Dataset/b.wav,dog"])
    table = corpus / "filespaths.csv"
    table.write_text(table.read_text().replace("Dataset", "."))
    clips, _ = encode(corpus)
    assert clips["clip_id"].to_list() == ["b.wav", "x/a.wav"]
    assert clips["path"].to_list() == ["Dataset/b.wav", "Dataset/x/a.wav"]


def test_a_file_outside_is_listed_by_its_absolute_path_where_allowed(corpus: Path) -> None:
    fill(corpus, ["../a.wav,cat", "b.wav,dog"])
    assert "data.allow_outside" in problems(corpus)[0]
    Path("params.yaml").write_text(PARAMS.replace("false", "true"))
    clips, _ = encode(corpus)
    assert clips["path"].to_list() == [str(corpus.parent / "a.wav"), "b.wav"]
    assert all((corpus / path).is_file() for path in clips["path"])


def test_all_bad_audio_and_contradictions_are_told_at_once(corpus: Path) -> None:
    fill(corpus, ["a.wav,x", "./b.wav,y", "c.wav,y", "d.wav,y"])
    (corpus / "b.wav").write_bytes(b"")
    (corpus / "c.wav").write_text("hello")
    (corpus / "d.wav").write_bytes((corpus / "a.wav").read_bytes())
    assert problems(corpus) == [
        "row 3: './b.wav' is empty (0 bytes)",
        "row 4: 'c.wav' is text, not audio",
        "2 of 4 clips cannot be used: mend them, drop their rows, or set data.bad_audio to "
        "quarantine",
        "row 5: 'd.wav' has Class 'y', but row 2, the same audio as 'a.wav', says 'x': "
        "mend or drop one of the two",
    ]


def test_rare_classes_are_named_in_a_warning(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(corpus, [*(f"a{i}.wav,many" for i in range(3)), "b.wav,two", "c.wav,two"])
    encode(corpus)
    assert capsys.readouterr().err == (
        "warning: class 'two' has 2 of the 3 clips that it needs to be in train, val and test: "
        "add clips, or drop the class\n"
    )


def test_warnings_of_the_table_reach_the_user(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(corpus, [*(f"a{i}.wav,cat" for i in range(3)), *(f"b{i}.wav,Cat" for i in range(3))])
    with (corpus / "filespaths.csv").open("a") as table:
        table.write("a0.wav,cat\n")
    clips, _ = encode(corpus)
    assert len(clips) == 6
    told = capsys.readouterr().err.splitlines()
    assert [line[:20] for line in told] == ["warning: labels 'Cat", "warning: 1 rows name"]


def test_a_wrong_setting_is_told_with_its_key(corpus: Path) -> None:
    fill(corpus, ["a.wav,x", "b.wav,y"])
    Path("params.yaml").write_text(PARAMS.replace("false", "0"))
    (told,) = problems(corpus)
    assert "data.allow_outside" in told


def test_the_command_tells_problems_without_a_traceback(corpus: Path) -> None:
    (corpus / "filespaths.csv").write_text("FilePath,Class\nنعم.wav,\nb.wav,x\n", encoding="utf-8")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "stages.encode_labels",
            "corpus",
            "out/c.csv",
            "out/l.json",
            "out/b",
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr == "error: row 2: Class is empty\n"


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "audio", "n_clips", "n_classes", "n_groups"),
    [("reciters", "Dataset", 1640, 12, None), ("fsdd", "", 3000, 10, 6)],
)
def test_real_corpora_are_encoded_whole(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    audio: str,
    n_clips: int,
    n_classes: int,
    n_groups: int | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS.replace("audio: ''", f"audio: '{audio}'"))
    clips, labels = encode(real_data / folder)
    classes = labels["classes"]
    assert isinstance(classes, list)
    assert (len(clips), len(classes)) == (n_clips, n_classes)
    assert (clips["n_samples"] > 0).all()
    if n_groups is not None:
        assert clips["group"].nunique() == n_groups
