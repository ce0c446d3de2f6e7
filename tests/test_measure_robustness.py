import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from shard_files import write_shard
from torch import nn

from stages import measure_robustness
from timbre.clips import read_splits, write_splits
from timbre.model_file import ModelCard
from timbre.problems import InputError
from timbre.rejection import Rejection, find_landmarks
from timbre.shards import ShardIndex, shard_name

SHAPE = (3, 8)  # (n_mels, n_frames)
FEATURES: dict[str, str | int | float] = {"sample_rate": 8000, "top_db": 80.0, "code": "x"}
CARD = ModelCard(
    classes=["class 0", "class 1", "class 2"],
    network="cnn",
    sizes={},
    features=FEATURES,
    trained={},
    fingerprint="0" * 64,
    temperature=1.0,
    rejection=Rejection("cosine", 0.3, find_landmarks(np.eye(3), np.arange(3), 3)),
)
MODEL, CONDITIONS = Path("models/m.safetensors"), Path("data/conditions")
SPLITS, LABELS = Path("splits.csv"), Path("labels.json")
OUTPUTS = (Path("metrics/r.json"), Path("plots/r.csv"), Path("plots/r.png"))
NAMES = [f"{n:02d}.wav" for n in range(18)]
TARGETS = np.arange(18) % 3
TEST = list(range(6, 18))  # twelve clips of four groups


class LoudestBand(nn.Module):
    """Answers with the class whose band is loudest: a shard then says what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(3, 3)
        nn.init.eye_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the mean of each band."""
        return log_mel.mean(dim=(1, 3))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a split, labels, and a model that answers with the loudest band."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(
        {
            "clip_id": NAMES,
            "label": [f"class {target}" for target in TARGETS],
            "target": TARGETS,
            "group": [f"g{n // 3}" for n in range(18)],
            "split": ["train"] * 6 + ["test"] * 12,
        }
    )
    write_splits(table, SPLITS)
    LABELS.write_text(json.dumps({"classes": CARD.classes}))
    use(monkeypatch, CARD)


def use(monkeypatch: pytest.MonkeyPatch, card: ModelCard) -> None:
    monkeypatch.setattr(measure_robustness, "load_model", lambda _: (LoudestBand(), card))


def put(
    name: str,
    n_wrong: int,
    clips: list[int] | None = None,
    sure: float = 10.0,
    features: dict[str, Any] | None = None,
) -> None:
    """Write a condition under which the first `n_wrong` clips are taken for the next class."""
    own = TEST if clips is None else clips
    answers = (TARGETS[own] + (np.arange(len(own)) < n_wrong)) % 3
    log_mel = np.full((len(own), *SHAPE), -40.0)
    log_mel[np.arange(len(own)), answers] += sure
    attributes = FEATURES | {"condition": name} | (features or {})
    index = ShardIndex(
        attributes, [NAMES[n] for n in own], ["0" * 64] * len(own), [1] * len(own), SHAPE
    )
    path = CONDITIONS / name / shard_name(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_shard(path, index, log_mel.astype(np.float16))


def run() -> dict[str, Any]:
    CONDITIONS.mkdir(parents=True, exist_ok=True)
    measure_robustness.main(MODEL, CONDITIONS, SPLITS, LABELS, *OUTPUTS)
    summary: dict[str, Any] = json.loads(OUTPUTS[0].read_text())
    return summary


def problems() -> list[str]:
    with pytest.raises(InputError) as caught:
        run()
    return caught.value.problems


def softmax(logits: list[float]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum())


def test_each_condition_is_scored_by_the_models_answers() -> None:
    for name, n_wrong in (("clean", 0), ("telephone", 3), ("babble_0db", 9), ("mp3_32kbps", 1)):
        put(name, n_wrong)
    summary = run()
    assert {name: own["accuracy"] for name, own in summary["conditions"].items()} == pytest.approx(
        {"clean": 1, "mp3_32kbps": 11 / 12, "telephone": 9 / 12, "babble_0db": 3 / 12}, abs=1e-6
    )
    assert (summary["n_clips"], summary["n_groups"]) == (12, 4)
    assert summary["clean_accuracy"] == 1
    assert summary["worst_usual_condition"] == "telephone"
    assert summary["worst_condition"] == "babble_0db"
    with OUTPUTS[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["condition"] for row in rows] == list(summary["conditions"])
    assert [row["n_wrong"] for row in rows] == ["0", "1", "3", "9"]
    assert OUTPUTS[2].read_bytes().startswith(b"\x89PNG")


def test_the_confidence_of_wrong_answers_is_the_calibrated_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put("telephone", 2, sure=3.0)
    for temperature in (1.0, 2.0):
        use(monkeypatch, replace(CARD, temperature=temperature))
        told = run()["conditions"]["telephone"]["wrong_confidence"]
        assert told == pytest.approx(softmax([3 / temperature, 0, 0])[0], abs=1e-5)


def test_the_same_inputs_give_the_same_bytes() -> None:
    put("clean", 1)
    put("speed_+4%", 5)
    run()
    first = [path.read_bytes() for path in OUTPUTS]
    run()
    assert [path.read_bytes() for path in OUTPUTS] == first


def test_some_of_the_test_clips_are_enough() -> None:
    put("clean", 1, clips=TEST[:4])
    summary = run()
    assert (summary["n_clips"], summary["n_groups"], summary["clean_accuracy"]) == (4, 2, 0.75)


def test_the_line_tells_clean_mean_and_worst(capsys: pytest.CaptureFixture[str]) -> None:
    for name, n_wrong in (("clean", 0), ("telephone", 1), ("babble_0db", 9)):
        put(name, n_wrong)
    run()
    assert capsys.readouterr().out == (
        "measure_robustness: 3 conditions: clean 100.0%, mean of the others 58.3%, "
        "worst 91.7% (telephone), worst with the extreme ones 25.0% (babble_0db)\n"
    )


@pytest.mark.parametrize(("n_wrong", "warned"), [(2, True), (1, False)])
def test_who_loses_more_than_a_tenth_to_a_usual_condition_is_warned(
    n_wrong: int, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    put("clean", 0)
    put("telephone", n_wrong)
    put("short_1s", 12)
    run()
    warning = (
        "measure_robustness: warning: telephone costs 17 points: the model hears the recording, "
        "not only what the labels mean (docs/robustness.md)\n"
    )
    said = capsys.readouterr().out
    assert (warning in said) is warned
    assert ("warning" in said) is warned


def test_without_the_clean_clips_no_drop_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    put("telephone", 12)
    assert "clean_accuracy" not in run()
    assert "warning" not in capsys.readouterr().out


def test_without_conditions_the_outputs_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == {"n_clips": 0, "n_groups": 0, "conditions": {}}
    assert OUTPUTS[1].read_text().count("\n") == 1
    assert OUTPUTS[2].read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == (
        "measure_robustness: nothing measured: robustness.conditions is empty\n"
    )


def test_clips_that_are_no_test_clips_are_refused() -> None:
    put("clean", 0, clips=[0, *TEST])
    assert problems() == [
        "data/conditions/clean: holds clips that are not in the test split: run dvc repro"
    ]


def test_conditions_of_other_clips_than_the_first_are_refused() -> None:
    put("clean", 0)
    put("telephone", 0, clips=TEST[1:])
    assert problems() == [
        "data/conditions/telephone: no spectrogram of 1 clips (the first is 06.wav): "
        "run `dvc repro`"
    ]


def test_a_model_of_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put("clean", 0)
    use(monkeypatch, replace(CARD, classes=["x", "y", "z"]))
    assert problems() == [
        "models/m.safetensors: was trained on other classes than labels.json holds: retrain"
    ]


def test_an_unknown_class_is_no_class_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    put("clean", 0, clips=[n for n in TEST if TARGETS[n] != 2])
    table = read_splits(SPLITS)
    third = table["target"] == 2
    table["split"] = table["split"].mask(third, "unknown")
    table["target"] = table["target"].mask(third, -1)
    write_splits(table, SPLITS)
    assert "other classes than labels.json" in problems()[0]
    use(monkeypatch, replace(CARD, classes=["class 0", "class 1"]))
    assert run()["n_clips"] == 8


def test_all_conditions_of_other_features_are_named() -> None:
    put("clean", 0)
    put("telephone", 0, features={"top_db": 60.0, "code": "y"})
    put("mp3_32kbps", 0, features={"sample_rate": 16_000})
    assert problems() == [
        "models/m.safetensors: was trained on other features than data/conditions/mp3_32kbps "
        "holds (sample_rate): retrain",
        "models/m.safetensors: was trained on other features than data/conditions/telephone "
        "holds (code, top_db): retrain",
    ]


def test_a_folder_that_is_no_condition_is_named() -> None:
    put("clean", 0)
    put("telefone", 0)
    assert problems() == ["'telefone': unknown condition: did you mean 'telephone'?"]


def test_a_damaged_shard_is_named() -> None:
    put("clean", 0)
    path = CONDITIONS / "clean" / shard_name(0)
    path.write_bytes(path.read_bytes()[:-100])
    assert problems()[0].startswith("data/conditions/clean/shard-0000.h5: damaged (")


def test_an_empty_folder_is_named() -> None:
    (CONDITIONS / "clean").mkdir(parents=True)
    assert problems()[0].startswith("data/conditions/clean: no spectrogram shards: run `dvc repro")


def test_missing_inputs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    put("clean", 0)
    SPLITS.unlink()
    assert problems()[0].startswith("splits.csv: cannot be used (No such file")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"m\.safetensors: no such model: run `dvc repro train"):
        measure_robustness.main(MODEL, CONDITIONS, SPLITS, LABELS, *OUTPUTS)


def test_a_missing_folder_of_conditions_is_named() -> None:
    with pytest.raises(InputError) as caught:
        measure_robustness.main(MODEL, CONDITIONS, SPLITS, LABELS, *OUTPUTS)
    assert caught.value.problems == [
        "data/conditions: is missing: run dvc repro extract_conditions"
    ]
