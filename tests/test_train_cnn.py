import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Never

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from commands import run
from shard_files import read_log_mel, write_shard
from sklearn.metrics import roc_auc_score

from stages import evaluate, train_cnn
from timbre import curves
from timbre.answers import Answers
from timbre.channel import IMITATIONS
from timbre.clips import read_splits, write_splits
from timbre.curves import Epoch
from timbre.model_file import load_model
from timbre.problems import InputError
from timbre.rejection import SHIPPED
from timbre.reliability import expected_calibration_error
from timbre.shards import ShardIndex, shard_name

REPOSITORY = Path(__file__).parent.parent
SHAPE = (16, 20)
FEATURES: dict[str, str | int | float] = {
    "sample_rate": 8000,
    "hop_length": 160,
    "fmin": 0.0,
    "fmax": 4000.0,
    "top_db": 80.0,
    "code": "x",
}
SMALL = {
    "channels": [4, 8],
    "hidden": [16],
    "epochs": 3,
    "lr": 0.01,
    "batch_size": 8,
    "device": "cpu",
    # The classes here differ by one steady band, which is what these imitate or take away.
    **dict.fromkeys((*IMITATIONS, "view_dropout", "mask_bands", "mask_frames", "ramp"), 0),
    "warmup": 0.05,
}
INPUTS = (Path("spectrograms"), Path("splits.csv"), Path("labels.json"))
MODEL = Path("models/m.safetensors")
TRAINED = (MODEL, Path("train.json"), Path("curves.csv"), Path("curves.png"))
SCORED = tuple(
    map(
        Path,
        (
            *("test.json", "class.json", "confusion.csv", "confusion.png"),
            *("reliability.csv", "reliability.png", "told.csv"),
        ),
    )
)
TOLD = SCORED[-1]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with 60 clips of three classes, told apart by their loud band."""
    monkeypatch.chdir(tmp_path)
    names = [f"{n:02d}.wav" for n in range(60)]
    targets = np.arange(60) % 3
    log_mel = np.random.default_rng(0).normal(-60, 5, (60, *SHAPE))
    log_mel[np.arange(60), targets * 4 + 2] += 25
    index = ShardIndex(FEATURES, names, ["0" * 64] * 60, [1] * 60, SHAPE)
    write_shard(INPUTS[0] / shard_name(0), index, log_mel.astype(np.float16))
    table = pd.DataFrame(
        {
            "clip_id": names,
            "label": [f"class {t}" for t in targets],
            "target": targets,
            "group": [f"g{n // 3}" for n in range(60)],
            "split": ["train"] * 36 + ["val"] * 12 + ["test"] * 12,
        }
    )
    write_splits(table, INPUTS[1])
    INPUTS[2].write_text(json.dumps({"classes": ["class 0", "class 1", "class 2"]}))


def choose(**changes: object) -> None:
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["train"].update(SMALL | changes)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def train(**changes: object) -> dict[str, Any]:
    choose(**changes)
    train_cnn.main(*INPUTS, *TRAINED)
    summary: dict[str, Any] = json.loads(TRAINED[1].read_text())
    return summary


def score() -> dict[str, Any]:
    evaluate.main(MODEL, *INPUTS, *SCORED)
    summary: dict[str, Any] = json.loads(SCORED[0].read_text())
    return summary


def test_training_leaves_a_model_its_metrics_and_its_curves() -> None:
    summary = train()
    assert summary["epochs"] == 3
    assert 1 <= summary["best_epoch"] <= 3
    assert len(TRAINED[2].read_text().splitlines()) == 4
    assert TRAINED[3].read_bytes().startswith(b"\x89PNG")
    _, card = load_model(MODEL)
    assert card.classes == ["class 0", "class 1", "class 2"]
    assert card.features == FEATURES
    assert card.trained["val_loss"] == summary["val_loss"]
    assert card.temperature == pytest.approx(summary["temperature"], abs=1e-6)
    assert card.rejection.score == SHIPPED
    assert len(card.fingerprint) == 64
    assert not train_cnn.STAGING.exists()


def test_curves_are_drawn_while_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(curves, "draw", lambda epochs, *_: drawn.append(len(epochs)))
    monkeypatch.setattr(train_cnn, "PICTURE_SECONDS", 0)
    train()
    assert drawn == [1, 2, 3, 3]


def test_the_table_of_the_curves_is_whole_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editor watches: the file that dvc.yaml plots, not one that is copied at the end."""
    rows: list[int] = []
    write = curves.write_csv

    def write_and_look(epochs: Sequence[curves.Epoch], path: Path) -> None:
        write(epochs, path)
        rows.append(len(curves.read_csv(TRAINED[2])))

    monkeypatch.setattr(curves, "write_csv", write_and_look)
    train()
    assert rows == [1, 2, 3, 3]


def test_overfitting_is_told_with_its_first_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("timbre.training.overfitting_epoch", lambda _: 2)
    train()
    assert "train_cnn: overfitting from epoch 2: " in capsys.readouterr().out


def test_the_same_seed_gives_the_same_bytes() -> None:
    train()
    first = [path.read_bytes() for path in TRAINED]
    train()
    assert [path.read_bytes() for path in TRAINED] == first
    train(seed=1)
    assert TRAINED[0].read_bytes() != first[0]


class KilledError(Exception):
    """Stands for SIGKILL."""


def train_and_be_killed(after: int, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Leave what a training that was killed after so many epochs leaves."""
    write = curves.write_csv

    def killed(epochs: list[Epoch], path: Path) -> None:
        write(epochs, path)
        if len(epochs) == after:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(curves, "write_csv", killed)
        with pytest.raises(KilledError):
            train(**changes)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_stage_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    after: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    whole = [path.read_bytes() for path in TRAINED]
    train_and_be_killed(after, monkeypatch)
    train()
    assert f"goes on after epoch {after}\n" in capsys.readouterr().out
    assert [path.read_bytes() for path in TRAINED] == whole


def change_split() -> None:
    place_clips("val", [0])


def change_labels() -> None:
    document = json.loads(INPUTS[2].read_text())
    INPUTS[2].write_text(json.dumps({**document, "n_duplicates": 1}))


def change_spectrograms() -> None:
    path = INPUTS[0] / shard_name(0)
    log_mel = read_log_mel(path)
    log_mel[0] += 1
    names = [f"{n:02d}.wav" for n in range(60)]
    write_shard(path, ShardIndex(FEATURES, names, ["1" * 64] * 60, [1] * 60, SHAPE), log_mel)


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (change_split, {}),
        (change_labels, {}),
        (change_spectrograms, {}),
        (None, {"lr": 0.02}),
        (None, {"seed": 1}),
        (None, {"epochs": 4}),
        (None, {"precision": "bfloat16"}),
    ],
)
def test_a_stage_never_goes_on_from_the_state_of_other_inputs(
    change: Callable[[], None] | None,
    settings: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train_and_be_killed(2, monkeypatch)
    if change:
        change()
    train(**settings)
    assert "goes on" not in capsys.readouterr().out
    found = [path.read_bytes() for path in TRAINED]
    train(**settings)
    assert [path.read_bytes() for path in TRAINED] == found


def test_a_training_that_dvc_did_not_record_is_handed_over_again_without_an_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("timbre.handover.STAGING", train_cnn.STAGING.parent)
    monkeypatch.setenv("DVC_STAGE", "train_cnn")
    train()
    found = [path.read_bytes() for path in TRAINED]
    for path in TRAINED:
        path.unlink()  # as DVC does before it runs the stage again
    train()
    assert "goes on after epoch 3\n" in capsys.readouterr().out
    assert [path.read_bytes() for path in TRAINED] == found


def test_only_the_training_split_shapes_the_input() -> None:
    train()
    network, _ = load_model(MODEL)
    before = network.state_dict()["normalise.mean"].clone()
    table = pd.read_csv(INPUTS[1])
    table.loc[table.split != "train", "split"] = ["test"] * 12 + ["val"] * 12
    write_splits(table, INPUTS[1])
    train()
    assert (load_model(MODEL)[0].state_dict()["normalise.mean"] == before).all()


def test_the_notebooks_network_is_trained_the_same_way() -> None:
    assert train(model="notebook", epochs=1)["parameters"] > 5_000_000


def test_the_stronger_network_is_trained_the_same_way() -> None:
    assert 1_000_000 < train(model="resnet", epochs=1)["parameters"] < 5_000_000
    assert load_model(MODEL)[1].network == "resnet"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so few clips streamed as many are: a few windows at a time."""
    monkeypatch.setattr("timbre.epoch_order.BLOCK_ROWS", 4)
    monkeypatch.setattr("timbre.training_data.BESIDES", 0)
    monkeypatch.setattr("timbre.training_data.LEAST_BUFFER", 4)


WINDOW = SHAPE[0] * SHAPE[1] * 2
STREAMED = 25 * WINDOW / 1e9  # GB: for 25 windows, where training has 36 and validation 12


@pytest.mark.usefixtures("small_blocks")
def test_a_training_that_is_streamed_says_so_and_is_as_good(
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_memory = train(epochs=25, batch_size=4)
    assert "streamed" not in capsys.readouterr().out
    mean = load_model(MODEL)[0].state_dict()["normalise.mean"]
    summary = train(epochs=25, batch_size=4, memory_gb=STREAMED)
    assert capsys.readouterr().out.splitlines()[:2] == [
        "training split 2.3e-05 GB > train.memory_gb 1.6e-05: streamed from disk, shuffled among "
        "20 windows at a time",
        "validation split 7.68e-06 GB > its part of train.memory_gb 1.6e-05: streamed from disk",
    ]
    assert min(summary["val_accuracy"], in_memory["val_accuracy"]) > 0.9
    assert (load_model(MODEL)[0].state_dict()["normalise.mean"] == mean).all()


@pytest.mark.usefixtures("small_blocks")
def test_a_validation_split_that_is_streamed_changes_no_weight(
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = train(epochs=2)
    weights = load_model(MODEL)[0].state_dict()
    summary = train(epochs=2, memory_gb=40 * WINDOW / 1e9)
    assert capsys.readouterr().out.splitlines()[1] == (
        "validation split 7.68e-06 GB > what training leaves of train.memory_gb 2.56e-05: streamed "
        "from disk"
    )
    assert summary["val_loss"] == pytest.approx(whole["val_loss"], abs=2e-6)
    for name, value in load_model(MODEL)[0].state_dict().items():
        assert (weights[name] == value).all(), name


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("after", [1, 2])
def test_a_streamed_training_that_was_killed_ends_with_the_same_bytes(
    after: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(memory_gb=STREAMED)
    whole = [path.read_bytes() for path in TRAINED]
    train_and_be_killed(after, monkeypatch, memory_gb=STREAMED)
    train(memory_gb=STREAMED)
    assert f"goes on after epoch {after}\n" in capsys.readouterr().out
    assert [path.read_bytes() for path in TRAINED] == whole


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("memory_gb", [4.0, STREAMED])
def test_a_damaged_window_ends_training_and_evaluation_with_the_shards_name(
    memory_gb: float,
) -> None:
    train(epochs=1)
    path = INPUTS[0] / shard_name(0)
    good, windows = path.read_bytes(), read_log_mel(path)
    for row, stage in ((20, partial(train, epochs=1, memory_gb=memory_gb)), (50, score)):
        raw = bytearray(good)
        raw[good.index(windows[row].tobytes())] ^= 1
        path.write_bytes(raw)
        with pytest.raises(InputError, match=r"^spectrograms/shard-0000\.h5: damaged \("):
            stage()


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "balanced"},
        {"mixup": 0.4, "shift_frames": 3, "label_smoothing": 0.1},
        {"optimizer": "adam", "schedule": "constant", "precision": "bfloat16"},
    ],
)
def test_every_switch_can_be_turned(changes: dict[str, object]) -> None:
    assert train(**changes)["epochs"] == 3


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, inside
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_is_saved_like_any_other() -> None:
    assert train(compile=True, epochs=1)["epochs"] == 1
    network, card = load_model(MODEL)
    assert card.trained["compile"] is True
    assert network(torch.zeros(1, 1, *SHAPE)).shape == (1, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 37}, "train.batch_size: 37 is more than the 36 windows of the training"),
        (
            {"channels": [4] * 4},
            "nothing is left of a 16 x 20 spectrogram that is made 32 times lower",
        ),
        ({"device": "cuda"}, "'cuda' is not available here"),
        (
            {"memory_gb": 1e-6},
            r"train\.memory_gb: 1e-06 GB is too little to stream the training split of 2\.3e-05 GB "
            r"through: raise it to 0\.0001 or more",
        ),
        ({"device": "gpu"}, "train.device: String should match pattern"),
    ],
)
def test_impossible_settings_are_explained(
    changes: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        train(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"hop_length": "x"}, "invalid literal.*"), ({"sample_rate": 0}, "division by zero")],
)
def test_shards_whose_features_are_none_are_told(changes: dict[str, Any], reason: str) -> None:
    names = read_splits(INPUTS[1]).clip_id.tolist()
    index = ShardIndex({**FEATURES, **changes}, names, ["0" * 64] * 60, [1] * 60, SHAPE)
    write_shard(INPUTS[0] / shard_name(0), index, np.zeros((60, *SHAPE), np.float16))
    with pytest.raises(InputError, match=rf"shard-0000\.h5: unusable features \({reason}\): run"):
        train(epochs=1)


def test_evaluation_scores_the_test_split_alone() -> None:
    train(epochs=25, batch_size=4)
    summary = score()
    assert (summary["n_clips"], summary["n_groups"]) == (12, 4)
    told = pd.read_csv(TOLD)
    assert list(told.columns) == [
        *("clip_id", "split", "group", "label", "predicted", "known_score", "accepted"),
        *("p:class 0", "p:class 1", "p:class 2"),
    ]
    assert set(told.split) == {"test"}
    assert summary["false_rejects"] == pytest.approx((~told.accepted).mean(), abs=1e-6)
    confidence = told[[f"p:class {n}" for n in range(3)]].max(axis=1).to_numpy()
    error = expected_calibration_error(confidence, (told.label == told.predicted).to_numpy())
    assert summary["ece"] == pytest.approx(error, abs=1e-5)
    assert {"random_rows_accuracy", "unknown_auroc"} & set(summary) == set()
    assert told.clip_id.tolist() == [f"{n}.wav" for n in range(48, 60)]
    assert summary["accuracy"] == pytest.approx((told.label == told.predicted).mean(), abs=1e-6)
    assert summary["accuracy"] > 0.9
    assert summary["accuracy_low"] <= summary["accuracy"] <= summary["accuracy_high"]
    rows = pd.read_csv(SCORED[2])
    assert rows.actual.tolist() == told.label.tolist()
    assert rows.predicted.tolist() == told.predicted.tolist()
    assert pd.read_csv(SCORED[4]).n_clips.sum() == 12
    assert SCORED[5].read_bytes().startswith(b"\x89PNG")
    per_class = json.loads(SCORED[1].read_text())
    assert [entry["support"] for entry in per_class.values()] == [4, 4, 4]


def test_a_model_of_other_classes_or_features_is_refused() -> None:
    train(epochs=1)
    INPUTS[2].write_text(json.dumps({"classes": ["x", "y", "z"]}))
    table = read_splits(INPUTS[1])
    write_splits(
        table.assign(label=[("x", "y", "z")[target] for target in table.target]), INPUTS[1]
    )
    index = ShardIndex({**FEATURES, "code": "y"}, [], [], [], SHAPE)
    write_shard(INPUTS[0] / shard_name(0), index, np.zeros((0, *SHAPE), np.float16))
    with pytest.raises(InputError) as caught:
        score()
    assert caught.value.problems == [
        "models/m.safetensors: was trained on other classes than labels.json holds: retrain",
        "models/m.safetensors: was trained on other features than spectrograms holds (code): "
        "retrain",
    ]


def place_clips(split: str, clips: list[int]) -> None:
    """Put some of the 36 training clips into another split."""
    table = read_splits(INPUTS[1])
    table.loc[clips, "split"] = split
    write_splits(table, INPUTS[1])


def test_clips_set_aside_are_scored_beside_the_test_split_and_never_trained_on() -> None:
    place_clips("seen", [0, 5, 10, 15, 20])
    train(epochs=1, batch_size=31)
    with pytest.raises(InputError, match="32 is more than the 31 windows of the training split"):
        train(epochs=1, batch_size=32)
    summary = score()
    told = pd.read_csv(TOLD)
    seen = told[told.split == "seen"]
    assert seen.clip_id.tolist() == [f"{n:02d}.wav" for n in (0, 5, 10, 15, 20)]
    hits = (seen.label == seen.predicted).mean()
    assert summary["random_rows_accuracy"] == pytest.approx(hits, abs=1e-6)
    assert summary["random_rows_accuracy_low"] <= hits <= summary["random_rows_accuracy_high"]
    assert summary["n_clips"] == 12
    assert pd.read_csv(SCORED[2]).shape[0] == 12


def hold_out(label: str) -> None:
    """Make a class unknown, as the stage split does."""
    table = read_splits(INPUTS[1])
    table.loc[table["label"] == label, "split"] = "unknown"
    table["target"] = table["label"].map({"class 0": 0, "class 1": -1, "class 2": 1})
    write_splits(table, INPUTS[1])


def test_an_unknown_class_is_neither_trained_on_nor_answered_with() -> None:
    hold_out("class 1")
    train(epochs=25, batch_size=4, last_pool=2)  # 24 clips teach no larger network
    _, card = load_model(MODEL)
    assert card.classes == ["class 0", "class 2"]
    assert card.sizes["n_classes"] == 2
    summary = score()
    told = pd.read_csv(TOLD)
    unknown, test = (told[told.split == name] for name in ("unknown", "test"))
    assert len(unknown) == 20
    assert set(unknown.label) == {"class 1"}
    assert set(test.label) == set(told.predicted) == {"class 0", "class 2"}
    assert summary["n_clips"] == len(test) == 8
    assert summary["unknown_false_accepts"] == pytest.approx(unknown.accepted.mean(), abs=1e-6)
    area = roc_auc_score(told.split != "unknown", told.known_score)
    assert summary["unknown_auroc"] == pytest.approx(area, abs=1e-6)
    assert summary["unknown_auroc"] > 0.5
    assert 0 <= summary["unknown_false_accepts_at_95"] <= 1
    assert list(json.loads(SCORED[1].read_text())) == ["class 0", "class 2"]


def test_a_model_that_knew_an_unknown_class_is_refused() -> None:
    train(epochs=1)
    hold_out("class 1")
    with pytest.raises(InputError, match=r"was trained on other classes than labels\.json"):
        score()


def test_a_training_that_diverged_ends_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Answers(np.full((36, 3), np.nan), np.zeros((36, 16)), np.arange(36))
    monkeypatch.setattr("timbre.confidence.ask", lambda *_: broken)
    with pytest.raises(InputError, match=r"train\.lr: the training diverged.*: lower it and train"):
        train(epochs=1)
    assert not MODEL.exists()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            "timbre.training_data.load_dataset",
            "train.memory_gb: the memory of cpu has no room for the windows of split train (CUDA "
            "out of memory. Tried to allocate 2.00 GiB): lower it below 2.3e-05, and they are read "
            "from disk, or end other programs there",
        ),
        *(
            (
                step,
                "train.batch_size: the memory of cpu has no room for 8 windows at a time (CUDA out "
                "of memory. Tried to allocate 2.00 GiB): halve it, then lower train.memory_gb, or "
                "end other programs there",
            )
            for step in ("timbre.trainer.Trainer._step", "timbre.confidence.ask")
        ),
    ],
)
def test_a_gpu_without_room_is_one_line_with_the_setting_to_lower(
    step: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Never:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"
        )

    monkeypatch.setattr(step, full)
    choose(epochs=1)
    done = run(train_cnn.main, *INPUTS, *TRAINED)
    assert done.code == 1
    assert done.errors() == [f"params.yaml: {told}"]
    assert not MODEL.exists()
