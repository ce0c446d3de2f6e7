import hashlib
import time
import unicodedata
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.corpus import (
    audio_folder,
    disagreements,
    for_each_file,
    hash_files,
    merge_groups,
    resolve_paths,
)
from timbre.problems import InputError
from timbre.table import Table, find_table, read_table

Row = tuple[str, str]


def table(rows: list[Row], group: str = "", split: str = "") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "file_path": [path for path, _ in rows],
            "label": [label for _, label in rows],
            "group": group,
            "split": split,
            "row": range(2, len(rows) + 2),
        }
    )


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def resolve(root: Path, rows: list[Row], audio: str = "", allow_outside: bool = False) -> Table:
    return resolve_paths(table(rows), root, audio, allow_outside)


def problems(root: Path, rows: list[Row], audio: str = "") -> list[str]:
    with pytest.raises(InputError) as caught:
        resolve(root, rows, audio)
    return caught.value.problems


def test_two_files_that_differ_in_unicode_form_alone_are_told(tmp_path: Path) -> None:
    names = [unicodedata.normalize("NFC", "ö.wav"), unicodedata.normalize("NFD", "ö.wav")]
    touch(tmp_path, *names, "x.wav")
    (told,) = problems(tmp_path, [("x.wav", "b"), *((name, "a") for name in names)])
    assert told.startswith("row 4: 'ö.wav' and the file of row 3 are two files")
    assert told.endswith("rename one")


def test_all_bad_paths_contradictions_and_a_single_class_are_told_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "x/y.wav")
    rows = table([("a.wav", "cat"), ("b.wav", "cat"), ("x", "cat"), ("./a.wav", "cat")])
    rows["group"] = ["g", "g", "g", "h"]
    with pytest.raises(InputError) as caught:
        resolve_paths(rows, tmp_path, "", allow_outside=False)
    assert caught.value.problems == [
        f"row 3: 'b.wav' is not there: no such file in {tmp_path}",
        "row 4: 'x' is a folder, not an audio file",
        "row 5: 'a.wav' has Group 'h', but row 2 says 'g': mend or drop one of the two",
        "all rows have Class 'cat': a classifier needs two classes or more",
    ]


def test_many_missing_files_are_capped_by_kind(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "x/y.wav")
    told = problems(tmp_path, [("a.wav", "a"), *((f"{i}.wav", "b") for i in range(60)), ("x", "b")])
    assert len(told) == 52
    assert told[50:] == [
        "... and 10 more like the one above",
        "row 63: 'x' is a folder, not an audio file",
    ]


def test_where_no_file_is_found_the_audio_folder_is_suggested(tmp_path: Path) -> None:
    touch(tmp_path, "Dataset/cat/a.wav", "Other/b.wav")
    rows = [("./cat/a.wav", "a"), ("cat/b.wav", "b")]
    assert problems(tmp_path, rows)[-1] == "the files seem to be in 'Dataset': set data.audio to it"
    assert "data.audio, 'Other'" in problems(tmp_path, rows, "Other")[-1]


@pytest.mark.parametrize("audio", ["..", "x/../..", "/etc"])
def test_an_audio_folder_outside_root_is_told(tmp_path: Path, audio: str) -> None:
    with pytest.raises(InputError, match=r"data\.audio: .* is outside "):
        audio_folder(tmp_path, audio)


def test_a_missing_audio_folder_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    touch(tmp_path, "Dataset/a.wav")
    with pytest.raises(InputError, match=r"'Datset' is not a folder .*there: 'Dataset'"):
        audio_folder(tmp_path, "Datset")


def test_a_clip_listed_again_with_equal_cells_is_kept_once_with_a_warning(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    rows, warnings = resolve(tmp_path, [("a.wav", "x"), ("b.wav", "y"), *[("./a.wav", "x")] * 6])
    assert rows["clip_id"].to_list() == ["a.wav", "b.wav"]
    assert rows["row"].to_list() == [2, 3]
    (told,) = warnings
    assert told.startswith("6 rows name a clip again and are left out: rows 4 ('a.wav'), 5 (")
    assert told.endswith("8 ('a.wav'), ...")


def test_a_clip_with_two_labels_is_told_with_both_rows(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    told = problems(tmp_path, [("a.wav", "x"), (".\\a.wav", "y")])
    assert told == ["row 3: 'a.wav' has Class 'y', but row 2 says 'x': mend or drop one of the two"]


def test_the_same_audio_may_have_two_groups_but_not_two_labels_or_splits() -> None:
    rows = table([("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")]).assign(
        clip_id=["a", "b", "c", "d"],
        sha256=["1", "1", "1", "2"],
        group=["g", "h", "g", "g"],
        split=["train", "train", "train", "test"],
    )
    (told,) = disagreements(rows, "sha256")
    assert told.startswith("row 4: 'c' has Class 'y', but row 2, the same audio as 'a', says 'x'")
    (told,) = disagreements(rows.assign(label="x", sha256="1"), "sha256")
    assert told.startswith("row 5: 'd' has Split 'test', but row 2, the same audio as 'a', says ")
    assert disagreements(rows.assign(label="x"), "sha256") == []


def test_hashes_are_sha256_of_the_bytes_in_order(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(40)]
    touch(tmp_path, *names)
    expected = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    assert hash_files([str(tmp_path / name) for name in names]) == expected


def test_all_unreadable_files_are_told_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(InputError) as caught:
        hash_files([str(tmp_path / name) for name in ("b.wav", "a.wav", ".")])
    assert len(caught.value.problems) == 2
    assert "b.wav: cannot be read: No such file" in caught.value.problems[0]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 99), max_size=50))
def test_for_each_file_is_a_map_in_order(numbers: list[int]) -> None:
    paths = [str(number) for number in numbers]
    assert for_each_file(int, paths, "testing") == numbers


keys_and_hashes = st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("0123456789")))


@given(keys_and_hashes)
def test_clips_share_a_group_exactly_where_a_chain_of_equal_keys_or_audio_joins_them(
    clips: list[tuple[str, str]],
) -> None:
    merged = merge_groups([key for key, _ in clips], [audio for _, audio in clips])
    # The definition, slowly: hand the smallest name over every link until nothing changes.
    slow = [key for key, _ in clips]
    for _ in clips:
        for i, (key, audio) in enumerate(clips):
            near = [s for s, (k, a) in zip(slow, clips, strict=True) if k == key or a == audio]
            slow[i] = min(near)
    assert merged == slow


@given(keys_and_hashes, st.randoms(use_true_random=False))
def test_row_order_changes_no_group(clips: list[tuple[str, str]], random: Random) -> None:
    order = list(range(len(clips)))
    random.shuffle(order)
    merged = merge_groups([key for key, _ in clips], [audio for _, audio in clips])
    shuffled = merge_groups([clips[i][0] for i in order], [clips[i][1] for i in order])
    assert shuffled == [merged[i] for i in order]


def test_different_audio_keeps_the_groups_of_the_table() -> None:
    assert merge_groups(["NA", "01", "NA", ""], ["1", "2", "3", "4"]) == ["NA", "01", "NA", ""]


def test_groups_of_half_a_million_clips_take_seconds() -> None:
    n = 500_000
    start = time.process_time()
    merged = merge_groups([f"g{i // 3}" for i in range(n)], [f"h{i}" for i in range(n)])
    assert merged[-1] == f"g{(n - 1) // 3}"
    assert time.process_time() - start < 15  # 1 s here; anything quadratic takes hours


def test_a_chain_through_a_hundred_thousand_groups_takes_seconds() -> None:
    # Each clip shares its group with one neighbour and its audio with the other; from the last on,
    # every link finds a smaller name for the whole chain.
    clips = range(200_000)[::-1]
    start = time.process_time()
    merged = merge_groups([f"g{i // 2:05}" for i in clips], [f"h{(i + 1) // 2}" for i in clips])
    assert set(merged) == {"g00000"}
    assert time.process_time() - start < 10  # 0.5 s here; without path splitting minutes


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "audio", "n_clips", "n_classes"),
    [("reciters", "Dataset", 1640, 12), ("fsdd", "", 3000, 10)],
)
def test_the_real_tables_resolve_without_a_word(
    real_data: Path, folder: str, audio: str, n_clips: int, n_classes: int
) -> None:
    root = real_data / folder
    listed = read_table(find_table(root))
    found = resolve_paths(listed.rows, root, audio, allow_outside=False)
    assert listed.warnings + found.warnings == []
    assert (len(found.rows), found.rows["label"].nunique()) == (n_clips, n_classes)
