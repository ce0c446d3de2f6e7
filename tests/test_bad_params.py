"""Settings of every bad kind, each through the stage that reads them: what is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from clone import REPOSITORY
from commands import run

from stages import (
    encode_labels,
    evaluate,
    extract_conditions,
    extract_spectrograms,
    inspect_clips,
    split,
    train_cnn,
)
from timbre.params import read_section
from timbre.training_settings import Train

NO = Path("nowhere")
PARAMS = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
STAGES: dict[str, Callable[..., None]] = {
    "data": encode_labels.main,
    "split": split.main,
    "extract": extract_spectrograms.main,
    "train": train_cnn.main,
    "evaluate": evaluate.main,
    "robustness": extract_conditions.main,
    "inspect": inspect_clips.main,
}
WHOLE, NUMBER = "Input should be a valid integer", "Input should be a valid number"


class Bad(NamedTuple):
    """A setting that cannot be, as YAML, and how the message after its key begins."""

    key: str
    written: str
    told: str


BAD = [
    Bad("data.root", "3", "Input should be a valid string (got 3)"),
    Bad("data.table", "null", "Input should be a valid string (got None)"),
    Bad("data.audio", "[a]", "Input should be a valid string (got ['a'])"),
    Bad("data.allow_outside", "maybe", "Input should be a valid boolean (got 'maybe')"),
    Bad("data.allow_outside", "1", "Input should be a valid boolean (got 1)"),
    Bad("data.allow_outside", "'true'", "Input should be a valid boolean (got 'true')"),
    Bad("data.bad_audio", "skip", "Input should be 'fail' or 'quarantine' (got 'skip')"),
    Bad("data.max_quarantined", "1", "Input should be less than 1 (got 1)"),
    Bad("data.max_quarantined", "5%", f"{NUMBER}, unable to parse string as a number (got '5%')"),
    Bad("split.method", "kfold", "Input should be 'random', 'stratified', "),
    Bad("split.method", "null", "Input should be 'random', 'stratified', "),
    Bad("split.train", "0", "Input should be greater than 0 (got 0)"),
    Bad("split.train", "70%", f"{NUMBER}, unable to parse string as a number (got '70%')"),
    Bad("split.val", "-0.1", "Input should be greater than 0 (got -0.1)"),
    Bad("split.test", "1.0", "Input should be less than 1 (got 1.0)"),
    Bad("split.test", "0,15", f"{NUMBER}, unable to parse string as a number (got '0,15')"),
    Bad("split.seed", "-1", "Input should be greater than or equal to 0 (got -1)"),
    Bad("split.seed", "random", f"{WHOLE}, unable to parse string as an integer (got 'random')"),
    Bad("split.n_folds", "2", "must be 0 (no cross-validation) or at least 3 (got 2)"),
    Bad("split.n_folds", "[5]", f"{WHOLE} (got [5])"),
    Bad("split.copies", "true", "Input should be 'together' or 'counted' (got True)"),
    Bad("split.seen", "0.6", "Input should be less than or equal to 0.5 (got 0.6)"),
    Bad("extract.sample_rate", "0", "Input should be greater than or equal to 1000 (got 0)"),
    Bad("extract.sample_rate", "22.05 kHz", f"{WHOLE}, unable to parse string as an integer (got"),
    Bad("extract.sample_rate", "22050.5", f"{WHOLE}, got a number with a fractional part (got 2"),
    Bad("extract.sample_rate", "1000000000", "Input should be less than or equal to 384000 (got"),
    Bad("extract.window_seconds", ".inf", "Input should be a finite number (got inf)"),
    Bad("extract.window_seconds", "inf", "Input should be a finite number (got 'inf')"),
    Bad("extract.window_seconds", ".nan", "Input should be a finite number (got nan)"),
    Bad("extract.window_seconds", "0", "Input should be greater than 0 (got 0)"),
    Bad("extract.window_seconds", "1e9", "Input should be less than or equal to 600 (got "),
    Bad("extract.windows", "last", "Input should be 'first' or 'all' (got 'last')"),
    Bad("extract.n_fft", "0", "Input should be greater than or equal to 32 (got 0)"),
    Bad("extract.n_fft", "1e12", f"{WHOLE}, unable to parse string as an integer (got '1e12')"),
    Bad("extract.hop_length", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("extract.n_mels", "1000000", "Input should be less than or equal to 1024 (got 1000000)"),
    Bad("extract.fmin", "-1", "Input should be greater than or equal to 0 (got -1)"),
    Bad("extract.fmax", "high", f"{NUMBER}, unable to parse string as a number (got 'high')"),
    Bad("extract.top_db", "0", "Input should be greater than 0 (got 0)"),
    Bad("extract.n_shards", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("extract.n_shards", "1000000", "Input should be less than or equal to 4096 (got 1000000)"),
    Bad("train.model", "cnn2", "Input should be 'cnn', 'resnet' or 'notebook' (got 'cnn2')"),
    Bad("train.channels", "16", "Input should be a valid list (got 16)"),
    Bad("train.channels", "[]", "List should have at least 1 item after validation, not 0"),
    Bad("train.dropout", "1", "Input should be less than 1 (got 1)"),
    Bad("train.view_dropout", "1.1", "Input should be less than or equal to 1 (got 1.1)"),
    Bad("train.optimizer", "sgd", "Input should be 'adam' or 'adamw' (got 'sgd')"),
    Bad("train.lr", "0", "Input should be greater than 0 (got 0)"),
    Bad("train.lr", "-1e-3", "Input should be greater than 0 (got "),
    Bad("train.lr", "1e-3x", f"{NUMBER}, unable to parse string as a number (got '1e-3x')"),
    Bad("train.lr", "nan", "Input should be a finite number (got 'nan')"),
    Bad("train.lr", "null", f"{NUMBER} (got None)"),
    Bad("train.lr", "[0.1, 0.2]", f"{NUMBER} (got [0.1, 0.2])"),
    Bad("train.lr", "{start: 0.1}", f"{NUMBER}"),
    Bad("train.batch_size", "1", "Input should be greater than or equal to 2 (got 1)"),
    Bad("train.epochs", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("train.epochs", "2.5", f"{WHOLE}, got a number with a fractional part (got 2.5)"),
    Bad("train.class_weights", "equal", "Input should be 'none' or 'balanced' (got 'equal')"),
    Bad("train.noise", "1.5", "Input should be less than or equal to 1 (got 1.5)"),
    Bad("train.device", "gpu", "String should match pattern"),
    Bad("train.device", "cuda:x", "String should match pattern"),
    Bad("train.precision", "float16", "Input should be 'auto', 'float32' or 'bfloat16' (got"),
    Bad("train.compile", "1", "Input should be a valid boolean (got 1)"),
    Bad("train.memory_gb", "0", "Input should be greater than 0 (got 0)"),
    Bad("evaluate.unknown", "anna", "Input should be a valid list (got 'anna')"),
    Bad("evaluate.unknown_folds", "1", "must be 0 (no classes in turn) or at least 2 (got 1)"),
    Bad("evaluate.top_k", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("evaluate.batch_size", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("robustness.conditions", "clean", "Input should be a valid list (got 'clean')"),
    Bad("robustness.conditions", "[dirty]", "'dirty'"),
    Bad("robustness.max_clips", "-1", "Input should be greater than or equal to 0 (got -1)"),
    Bad("inspect.max_clips", "0", "Input should be greater than or equal to 1 (got 0)"),
    Bad("inspect.unsure_below", "60", "Input should be less than or equal to 1 (got 60)"),
    Bad("inspect.neighbours", "10", "Input should be less than or equal to 9 (got 10)"),
    Bad("inspect.max_seconds", "0", "Input should be greater than 0 (got 0)"),
    Bad("inspect.max_mb", "-1", "Input should be greater than or equal to 0 (got -1)"),
    Bad("robustness.seed", "1.5", f"{WHOLE}, got a number with a fractional part (got 1.5)"),
]
IMPOSSIBLE = [
    Bad("extract.fmax", "11026", "fmax 11026 Hz is above half the sample_rate 22050"),
    Bad("extract.fmin", "11025", "fmin 11025 Hz is not below fmax 11025 Hz"),
    Bad("extract.window_seconds", "0.01", "window_seconds is shorter than hop_length"),
    Bad("extract.window_hop_seconds", "1e-6", "window_hop_seconds is shorter than a sample"),
    Bad("split.train", "0.6", "train + val + test must be 1, not 0.9"),
    Bad("split.fold", "1", "fold must be 0 without n_folds, not 1"),
    Bad("evaluate.unknown_fold", "1", "unknown_fold must be 0 without unknown_folds"),
]
NUMBERS = [
    *("0.5", ".5", "5e-1", "5.e-1", "5E-1", "'0.5'", "'5e-1'", "+.5", "0.50"),
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def params(key: str, written: str | None) -> None:
    """Write the repository's params.yaml with one value changed, or its line left out."""
    section, name = key.split(".")
    lines = PARAMS.splitlines(keepends=True)
    start = lines.index(f"{section}:\n")
    if name in yaml.safe_load(PARAMS)[section]:
        at = next(i for i in range(start, len(lines)) if lines[i].startswith(f"  {name}:"))
        end = at + 1
        while end < len(lines) and lines[end].startswith("  - "):
            end += 1
    else:
        at = end = start + 1
    lines[at:end] = [] if written is None else [f"  {name}: {written}\n"]
    Path("params.yaml").write_text("".join(lines), encoding="utf-8")


def errors(section: str) -> list[str]:
    """Run the stage that reads the section, without any input; it must fail."""
    main = STAGES[section]
    done = run(main, *[NO] * main.__code__.co_argcount)
    assert done.code == 1
    assert not NO.exists()
    return done.errors()


def case_id(case: Bad) -> str:
    return f"{case.key}={case.written}"


@pytest.mark.parametrize("case", BAD, ids=case_id)
def test_a_value_that_cannot_be_is_named_with_what_may_be(case: Bad) -> None:
    params(case.key, case.written)
    (told,) = errors(case.key.split(".")[0])
    assert told.startswith(f"params.yaml: {case.key}: {case.told}")


@pytest.mark.parametrize("case", IMPOSSIBLE, ids=case_id)
def test_values_that_do_not_fit_together_are_named(case: Bad) -> None:
    params(case.key, case.written)
    section = case.key.split(".")[0]
    (told,) = errors(section)
    assert told.startswith(f"params.yaml: {section}: ")
    assert case.told in told


@pytest.mark.parametrize("section", STAGES)
def test_an_unknown_key_is_told_with_the_nearest(section: str) -> None:
    known = next(iter(yaml.safe_load(PARAMS)[section]))
    params(f"{section}.{known}s", "1")
    (told,) = errors(section)
    start = f"params.yaml: {section}.{known}s: unknown key: did you mean '{section}."
    assert told.startswith(start)


@pytest.mark.parametrize("section", STAGES)
def test_every_missing_key_is_told(section: str) -> None:
    for key in yaml.safe_load(PARAMS)[section]:
        params(f"{section}.{key}", None)
        assert f"params.yaml: {section}.{key}: missing: add it" in errors(section)


@pytest.mark.parametrize("section", STAGES)
@pytest.mark.parametrize("content", ["{}\n", "[1, 2]\n", "", "other: 1\n"])
def test_a_missing_section_is_told(section: str, content: str) -> None:
    Path("params.yaml").write_text(content)
    assert errors(section)[0] == f"params.yaml: section '{section}' is missing or not a mapping"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"train: [\n", "params.yaml is not valid YAML: "),
        (b"train:\n\tlr: 1\n", "params.yaml is not valid YAML: "),
        (b"train: *nowhere\n", "params.yaml is not valid YAML: "),
        (b"\xff\xfe\0", "params.yaml is not valid YAML: "),
        (b"train: !!python/object:os.system {}\n", "params.yaml is not valid YAML: "),
        (b"train: 1\x00\n", "params.yaml is not valid YAML: "),
        (b"<<<<<<< HEAD\ntrain:\n", "params.yaml is not valid YAML: "),
    ],
)
def test_a_broken_file_is_told(content: bytes, told: str) -> None:
    Path("params.yaml").write_bytes(content)
    (line,) = errors("train")
    assert line.startswith(told)


def test_a_missing_file_is_told() -> None:
    assert errors("train") == ["params.yaml is missing: run from the repository's top folder"]


def test_a_folder_for_a_file_is_told() -> None:
    Path("params.yaml").mkdir()
    assert errors("train") == ["params.yaml cannot be read: Is a directory"]


@pytest.mark.parametrize("written", NUMBERS)
def test_every_spelling_of_a_number_is_the_number(written: str) -> None:
    params("train.lr", written)
    assert read_section("train", Train).lr == 0.5


def test_underscores_in_a_whole_number_are_none_of_its_digits() -> None:
    params("train.epochs", "1_000")
    assert read_section("train", Train).epochs == 1000


def test_bands_that_hear_nothing_are_told() -> None:
    params("extract.n_mels", "1024")
    (told,) = errors("extract")
    assert told.startswith("params.yaml: extract.n_mels: ")
    assert "hear nothing" in told


def test_all_problems_of_a_section_are_told_at_once() -> None:
    values: dict[str, Any] = yaml.safe_load(PARAMS)
    values["train"] |= {"lr": 2, "epochs": 0, "model": "x", "epoch": 3}
    del values["train"]["seed"]
    Path("params.yaml").write_text(yaml.safe_dump(values))
    assert [line.split(": ")[1] for line in sorted(errors("train"))] == [
        "train.epoch",
        "train.epochs",
        "train.lr",
        "train.model",
        "train.seed",
    ]
