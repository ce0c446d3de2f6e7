"""The stage: params.yaml and clips.csv in, splits.csv and metrics out."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from stages.split import main
from timbre.clips import read_splits, write_clips
from timbre.columns import CLIP_COLUMNS
from timbre.copy_table import COPY_COLUMNS, read_copies, write_copies
from timbre.problems import InputError
from timbre.quarantine import Unusable, write_unusable

Metrics = dict[str, Any]

GROUPED = {
    "method": "grouped",
    "train": 0.5,
    "val": 0.25,
    "test": 0.25,
    "seed": 0,
    "n_folds": 0,
    "fold": 0,
    "seen": 0.0,
    "copies": "together",
}
NO_COPIES = pd.DataFrame({name: [] for name in COPY_COLUMNS})
ALL_KNOWN = {"unknown": [], "unknown_folds": 0, "unknown_fold": 0}


def clips(n_groups: int = 4, split: str = "") -> pd.DataFrame:
    """Two classes; `n_groups` groups of four clips each, which hold three different sounds."""
    rows = [
        (
            f"{label}/{group}{take}.ogg",
            label,
            target,
            f"{label}{group}",
            f"{label}{group}{take % 3}",
        )
        for target, label in enumerate(("alto", "bass"))
        for group in range(n_groups)
        for take in range(4)
    ]
    table = pd.DataFrame(rows, columns=["clip_id", "label", "target", "group", "sha256"])
    return table.assign(
        path=table["clip_id"],
        table_group=table["group"],
        split=split,
        sample_rate=16000,
        n_channels=1,
        n_samples=16000,
    )[list(CLIP_COLUMNS)]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    table: pd.DataFrame,
    /,
    pairs: pd.DataFrame = NO_COPIES,
    unusable: Sequence[Unusable] = (),
    **changes: Any,  # noqa: ANN401 (any value of a section)
) -> tuple[pd.DataFrame, Metrics]:
    """Run the stage with GROUPED, ALL_KNOWN and `changes`; give splits.csv and the metrics."""
    evaluate = {key: changes.pop(key, value) for key, value in ALL_KNOWN.items()}
    params = {"split": GROUPED | changes, "evaluate": evaluate | {"top_k": "read by another stage"}}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    write_clips(table, Path("data/clips.csv"))
    write_copies(pairs, Path("data/copies.csv"))
    write_unusable(unusable, Path("data/quarantine.csv"))
    names = ("clips", "copies", "quarantine", "splits")
    clips_csv, copies, quarantine, splits = (Path(f"data/{name}.csv") for name in names)
    main(clips_csv, copies, quarantine, splits, Path("metrics/split.json"))
    metrics = Path("metrics/split.json").read_text(encoding="utf-8")
    return read_splits(Path("data/splits.csv")), json.loads(metrics)


def problems_of(table: pd.DataFrame, **changes: Any) -> list[str]:  # noqa: ANN401 (the same)
    with pytest.raises(InputError) as caught:
        run(table, **changes)
    return caught.value.problems


def test_metrics_are_the_counts_of_the_written_split(capsys: pytest.CaptureFixture[str]) -> None:
    splits, metrics = run(clips())
    assert metrics == {
        "method": "grouped",
        "train": {"clips": 16, "groups": 4, "classes": 2},
        "val": {"clips": 8, "groups": 2, "classes": 2},
        "test": {"clips": 8, "groups": 2, "classes": 2},
        "leaks": {"audio": 0, "group": 0, "copies": 0},
        "quarantined": 0,
    }
    assert splits["split"].value_counts().to_dict() == {"train": 16, "val": 8, "test": 8}
    assert capsys.readouterr() == (
        "split: grouped: train 16, val 8, test 8 clips; leaks: 0 audio, 0 groups, 0 copies\n",
        "",
    )


def test_every_clip_gets_a_split_and_keeps_what_the_table_says() -> None:
    table = clips()
    splits, _ = run(table.sample(frac=1, random_state=0))
    columns = ["clip_id", "label", "target", "group"]
    pd.testing.assert_frame_equal(splits[columns], table[columns], check_dtype=False)


def test_row_order_changes_no_byte() -> None:
    run(clips())
    first = [Path(path).read_bytes() for path in ("data/splits.csv", "metrics/split.json")]
    run(clips().sample(frac=1, random_state=1))
    assert first == [Path(path).read_bytes() for path in ("data/splits.csv", "metrics/split.json")]


@pytest.mark.parametrize("method", ["random", "stratified"])
def test_leaks_are_counted_shown_and_warned_of(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    splits, metrics = run(clips(), method=method)
    torn = int((splits.groupby("group")["split"].nunique() > 1).sum())
    audio = splits["group"] + splits["clip_id"].str[-5].replace("3", "0")
    copies = int((splits.groupby(audio)["split"].nunique() > 1).sum())
    assert torn > 0
    assert copies > 0
    assert metrics["leaks"] == {"audio": copies, "group": torn, "copies": 0}
    output, errors = capsys.readouterr()
    assert output.endswith(f"; leaks: {copies} audio, {torn} groups, 0 copies\n")
    assert errors == (
        f"warning: method {method} leaks: groups in more than one split: {torn}, identical audio: "
        f"{copies}; the score will flatter: use method grouped\n"
    )


def test_a_leaking_official_split_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    table = clips()
    run(table.assign(split=["train", "train", "val", "test"] * 8), method="column")
    assert capsys.readouterr().err == (
        "warning: the table's own split leaks: groups in more than one split: 8, identical audio: "
        "8; the score will flatter: use method grouped\n"
    )


def test_folds_take_the_place_of_the_shares(capsys: pytest.CaptureFixture[str]) -> None:
    tests = []
    for fold in range(4):
        splits, _ = run(clips(), n_folds=4, fold=fold)
        tests += splits.loc[splits["split"] == "test", "clip_id"].tolist()
    assert sorted(tests) == clips()["clip_id"].tolist()
    assert capsys.readouterr().out.splitlines()[3] == (
        "split: grouped, fold 3 of 4: train 16, val 8, test 8 clips; "
        "leaks: 0 audio, 0 groups, 0 copies"
    )


def test_official_folds_are_followed_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    table = clips().assign(split=[f"{number}" for number in range(1, 5) for _ in range(4)] * 2)
    splits, metrics = run(table, method="column", n_folds=4, fold=3)
    assert set(splits.loc[splits["split"] == "test", "group"]) == {"alto3", "bass3"}
    assert set(splits.loc[splits["split"] == "val", "group"]) == {"alto0", "bass0"}
    assert metrics["leaks"] == {"audio": 0, "group": 0, "copies": 0}
    assert capsys.readouterr() == (
        "split: column, fold 3 of 4: train 16, val 8, test 8 clips; "
        "leaks: 0 audio, 0 groups, 0 copies\n",
        "",
    )


def test_shares_may_be_spelled_as_dvc_writes_them() -> None:
    splits, _ = run(clips(), train="5e-1", val="0.25", test=".25")
    assert splits["split"].value_counts()["train"] == 16


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"train": 0.6}, ["split: train + val + test must be 1, not 1.1"]),
        ({"seen": 0.6}, ["split.seen: Input should be less than or equal to 0.5 (got 0.6)"]),
        ({"unknown_fold": 1}, ["evaluate: unknown_fold must be 0 without unknown_folds, not 1"]),
        (
            {"unknown": [7]},
            ["evaluate.unknown.0: Input should be a valid string (got 7)"],
        ),
        ({"fold": 1}, ["split: fold must be 0 without n_folds, not 1"]),
        ({"n_folds": 5, "fold": 5}, ["split: fold must be below n_folds = 5, not 5"]),
        (
            {"n_folds": 2},
            ["split.n_folds: must be 0 (no cross-validation) or at least 3 (got 2)"],
        ),
        (
            {"n_folds": 3, "fold": 3, "val": 0.5},
            [
                "split: train + val + test must be 1, not 1.25; fold must be below n_folds = 3, "
                "not 3"
            ],
        ),
        (
            {"test": 0, "seed": -1, "method": "groups"},
            [
                "split.method: Input should be 'random', 'stratified', 'grouped', 'column' or "
                "'hashed' (got 'groups')",
                "split.test: Input should be greater than 0 (got 0)",
                "split.seed: Input should be greater than or equal to 0 (got -1)",
            ],
        ),
    ],
)
def test_impossible_settings_are_explained(changes: dict[str, object], problems: list[str]) -> None:
    assert problems_of(clips(), **changes) == [f"params.yaml: {line}" for line in problems]


def test_nothing_is_written_when_a_class_cannot_be_split() -> None:
    assert problems_of(clips(n_groups=2)) == [
        f"class {label!r} (8 clips in 2 groups) has no clip in {where}: add groups of it, try "
        "another seed, other fractions or another method, or remove the class"
        for label, where in (("alto", "test"), ("bass", "val"))
    ]
    assert not Path("data/splits.csv").exists()
    assert not Path("metrics/split.json").exists()


def three_classes() -> pd.DataFrame:
    """`clips`, and the class "cello", whose groups hold clips of "alto" as well."""
    table = clips()
    more = clips()[lambda rows: rows["label"] == "alto"]
    more = more.assign(
        clip_id=more["clip_id"].str.replace("alto", "cello"),
        path=more["path"].str.replace("alto", "cello"),
        sha256=more["sha256"] + "cello",
        label="cello",
    )
    table["target"] = table["label"].map({"alto": 0, "bass": 1})
    both: pd.DataFrame = pd.concat([table, more.assign(target=2)], ignore_index=True)
    return both


def test_a_class_held_out_is_unknown_and_the_known_are_split_as_if_it_were_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    splits, metrics = run(three_classes(), unknown=["alto"])
    held_out = splits["label"] == "alto"
    assert (splits["split"] == "unknown").tolist() == held_out.tolist()
    assert (splits["target"] == -1).tolist() == held_out.tolist()
    assert splits.loc[~held_out, "target"].tolist() == (
        splits.loc[~held_out, "label"].map({"bass": 0, "cello": 1}).tolist()
    )
    assert metrics["unknown"] == {"clips": 16, "groups": 4, "classes": 1}
    assert metrics["train"]["classes"] == 2
    assert metrics["leaks"] == {"audio": 0, "group": 0, "copies": 0}
    assert "unknown 16 clips" in capsys.readouterr().out
    others = three_classes()[lambda rows: rows["label"] != "alto"]
    alone, _ = run(others.assign(target=others["target"] - 1))
    pd.testing.assert_frame_equal(splits[~held_out].reset_index(drop=True), alone)


def test_classes_are_unknown_in_turn() -> None:
    found = [
        set(splits.loc[splits["split"] == "unknown", "label"])
        for fold in range(3)
        for splits, _ in [run(three_classes(), unknown_folds=3, unknown_fold=fold)]
    ]
    assert found == [{"alto"}, {"bass"}, {"cello"}]


def test_a_class_that_is_not_there_cannot_be_unknown() -> None:
    assert problems_of(clips(), unknown=["basso"]) == [
        "evaluate.unknown: no class is named 'basso': did you mean 'bass'?"
    ]


@pytest.mark.parametrize("method", ["grouped", "hashed"])
def test_some_training_clips_are_set_aside_and_change_no_other_split(method: str) -> None:
    table = clips(n_groups=20)
    plain, _ = run(table, method=method)
    splits, metrics = run(table, method=method, seen=0.3)
    seen = splits["split"] == "seen"
    assert metrics["seen"]["clips"] == seen.sum() > 0
    assert set(plain.loc[seen, "split"]) == {"train"}
    assert splits.loc[~seen, "split"].tolist() == plain.loc[~seen, "split"].tolist()
    assert set(splits.loc[seen, "group"]) <= set(splits.loc[splits["split"] == "train", "group"])
    assert metrics["leaks"] == {"audio": 0, "group": 0, "copies": 0}


@pytest.mark.parametrize("method", ["random", "stratified", "column"])
def test_where_groups_are_split_no_clip_is_set_aside(method: str) -> None:
    table = clips(n_groups=20).assign(split=["train", "train", "val", "test"] * 40)
    splits, metrics = run(table, method=method, seen=0.5)
    assert set(splits["split"]) == {"train", "val", "test"}
    assert "seen" not in metrics


def copy_pairs(*pairs: tuple[str, str]) -> pd.DataFrame:
    rows = [(one, other, 0.5, 3.0, 0.1) for one, other in pairs]
    return pd.DataFrame(rows, columns=list(COPY_COLUMNS))


def test_groups_that_hold_the_same_recordings_are_one_group_and_in_one_split() -> None:
    pairs = copy_pairs(
        *(("alto/00.ogg", "alto/11.ogg"), ("alto/03.ogg", "alto/10.ogg")),  # half of each
        *(("alto/12.ogg", "alto/20.ogg"), ("alto/13.ogg", "alto/21.ogg")),
    )
    splits, metrics = run(clips(8), pairs)
    joined = splits[splits["clip_id"].str.match("alto/[012]")]
    assert set(joined["group"]) == {"alto0"}
    assert joined["split"].nunique() == 1
    assert metrics["leaks"]["copies"] == 0
    assert "copy" not in metrics


def test_a_jingle_joins_no_groups_and_is_in_one_split_the_last_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each recording of one class begins with the same sound."""
    jingles = [f"alto/{group}0.ogg" for group in range(8)]
    pairs = copy_pairs(*combinations(jingles, 2))
    splits, metrics = run(clips(8), pairs)
    place = splits.set_index("clip_id")
    assert place["group"].nunique() == 16
    used = place.loc[jingles, "split"].value_counts().to_dict()
    assert used == {"test": 2, "copy": 6}
    assert set(place.index[place["split"] == "copy"]) < set(jingles)
    assert metrics["copy"] == {"clips": 6, "groups": 6, "classes": 1}
    assert metrics["leaks"] == {"audio": 0, "group": 0, "copies": 0}
    assert "copy 6 clips; leaks: 0 audio" in capsys.readouterr().out


def test_test_clips_are_the_same_whatever_small_copies_are_found() -> None:
    pairs = copy_pairs(("alto/00.ogg", "alto/10.ogg"), ("bass/10.ogg", "bass/20.ogg"))
    with_copies, without = run(clips(8), pairs)[0], run(clips(8))[0]
    assert with_copies[with_copies["split"] == "test"].equals(without[without["split"] == "test"])


def test_a_class_all_of_whose_training_clips_are_copies_is_named() -> None:
    bass = run(clips(8))[0].query("label == 'bass'")
    elsewhere = bass[bass["split"] != "train"].groupby("group")["clip_id"].first()
    training = bass[bass["split"] == "train"].groupby("group")["clip_id"]
    pairs = copy_pairs(*(pair for _, own in training for pair in zip(own, elsewhere, strict=True)))
    assert problems_of(clips(8), pairs=pairs) == [
        "class 'bass' (16 clips in 4 groups) has no clip in train: its others are left out as "
        "copies of test or val clips, see data/copies.csv"
    ]


@pytest.mark.parametrize("changes", [{"copies": "counted"}, {"method": "stratified"}])
def test_copies_that_are_torn_are_counted_and_warned_of(
    changes: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    names = clips(8)["clip_id"].tolist()
    pairs = copy_pairs(*((one, other) for one in names[:6] for other in names[6:32]))
    splits, metrics = run(clips(8), pairs, (), **changes)
    place = splits.set_index("clip_id")["split"]
    torn = sum(
        place[one] != place[other] for one, other in zip(pairs.one, pairs.other, strict=True)
    )
    assert metrics["leaks"]["copies"] == torn > 0
    assert f"pairs of copies: {torn}; the score will flatter" in capsys.readouterr().err


def test_copies_of_clips_that_are_gone_are_ignored() -> None:
    assert run(clips(), copy_pairs(("alto/00.ogg", "gone.ogg")))[1]["leaks"]["copies"] == 0


def test_a_missing_table_of_copies_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"copies.csv: cannot be read .*dvc repro find_copies"):
        read_copies(tmp_path / "copies.csv")


def test_clips_that_cannot_be_used_are_split_as_if_they_were_not_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = clips()
    bad = [Unusable(name, name, "is empty") for name in ("alto/00.ogg", "bass/33.ogg")]
    kept = table[~table["clip_id"].isin([clip.clip_id for clip in bad])]
    alone, counts = run(kept)
    capsys.readouterr()
    splits, metrics = run(table, unusable=bad)
    assert splits.equals(alone)
    assert metrics == counts | {"quarantined": 2}
    assert capsys.readouterr().out.endswith("; 2 clips left out, see data/quarantine.csv\n")


def test_a_class_without_a_usable_clip_is_named() -> None:
    table = clips()
    bad = [Unusable(name, name, "is empty") for name in table["clip_id"] if name[0] == "a"]
    with pytest.raises(InputError) as caught:
        run(table, unusable=bad)
    assert caught.value.problems == [
        "class 'alto': none of its clips can be used: mend one, or drop the class"
    ]
