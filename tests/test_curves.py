import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from timbre import curves
from timbre.curves import Epoch
from timbre.problems import InputError

six_digits = st.floats(0, 1e6).map(lambda value: float(f"{value:.6g}"))


def run(val: Sequence[float], train: Sequence[float] | None = None) -> list[Epoch]:
    """Epochs with these losses; the training loss falls unless given."""
    falling = train or [2 * 0.8**i for i in range(len(val))]
    return [
        Epoch(i, t, 1 / (1 + t), v, 1 / (1 + v), 1e-4)
        for i, (t, v) in enumerate(zip(falling, val, strict=True), start=1)
    ]


@given(st.lists(st.builds(Epoch, st.integers(1, 10**6), *[six_digits] * 5), max_size=5))
def test_reading_gives_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, epochs: list[Epoch]
) -> None:
    path = tmp_path_factory.mktemp("curves") / "epochs.csv"
    curves.write_csv(epochs, path)
    assert curves.read_csv(path) == epochs


def test_the_file_has_these_bytes(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "epochs.csv"
    curves.write_csv([Epoch(1, 1.23456789, 0.5, math.nan, 0.25, 1e-5)], path)
    assert path.read_bytes() == (
        b"epoch,train_loss,val_loss,train_accuracy,val_accuracy,lr\n1,1.23457,nan,0.5,0.25,1e-05\n"
    )
    assert math.isnan(curves.read_csv(path)[0].val_loss)


def test_every_row_that_is_not_six_numbers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "epochs.csv"
    header = ",".join(curves.COLUMNS)
    path.write_text(f"{header}\n1,1,1,1,1,1\n2,1,1,one,1,1\n3,1\n1.5,1,1,1,1,1\n")
    with pytest.raises(InputError) as caught:
        curves.read_csv(path)
    assert caught.value.problems == [
        f"{path}, line 3: '2,1,1,one,1,1' is not six numbers",
        f"{path}, line 4: '3,1' is not six numbers",
        f"{path}, line 5: '1.5,1,1,1,1,1' is not six numbers",
    ]


@pytest.mark.parametrize("text", ["", "epoch,loss\n1,2\n"])
def test_other_columns_are_refused_with_those_expected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "epochs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="expected epoch,train_loss,val_loss"):
        curves.read_csv(path)


@pytest.mark.parametrize("kind", ["csv", "png"])
def test_a_crash_while_writing_leaves_the_old_file_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"curve.{kind}"

    def write(epochs: list[Epoch]) -> None:
        curves.write_csv(epochs, path) if kind == "csv" else curves.draw(epochs, 1, None, path)

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    write(run([2]))
    old = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write(run([2, 1]))
    assert path.read_bytes() == old
    write(run([2, 1]))
    assert path.read_bytes() != old
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_overfitting_starts_after_the_lowest_validation_loss() -> None:
    assert curves.overfitting_epoch(run([5, 4, 3, 2, 3, 4, 5, 6])) == 5


def test_losses_that_fall_or_level_out_are_no_overfitting() -> None:
    assert curves.overfitting_epoch(run([2 * 0.9**i for i in range(25)])) is None
    assert curves.overfitting_epoch(run([0.3 + 2 * 0.5**i for i in range(25)])) is None
    assert curves.overfitting_epoch(run([0.5] * 25)) is None


def test_overfitting_is_called_only_after_patience_epochs() -> None:
    val = [5.0, 4, 3, 2, 3, 4, 5, 6, 7]
    called = [curves.overfitting_epoch(run(val[:n])) for n in range(len(val) + 1)]
    assert called == [None] * 7 + [5, 5, 5]
    assert curves.overfitting_epoch(run(val), patience=5) == 5
    assert curves.overfitting_epoch(run(val), patience=6) is None


def test_a_rise_of_less_than_5_percent_is_none() -> None:
    assert curves.overfitting_epoch(run([3, 2, 1, 1, 1, *[1.04] * 10])) is None
    assert curves.overfitting_epoch(run([3, 2, 1, 1, 1, *[1.08] * 10])) is not None


def test_a_rise_that_comes_back_down_is_none() -> None:
    assert curves.overfitting_epoch(run([4, 3, 2, 3, 4, 5, 4, 3, 2.05, 2.05])) is None


def test_rising_validation_loss_without_falling_training_loss_is_no_overfitting() -> None:
    val, train = [5.0, 4, 3, 2, 3, 4, 5, 6], [5.0, 4, 3, 2, 3, 4, 5, 6]
    assert curves.overfitting_epoch(run(val, train)) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_on_a_level_loss_is_no_overfitting_and_hides_no_strong_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = 1 + 0.05 * rng.normal(size=40)
    falling = 0.5 + 2 * 0.7 ** np.arange(40)
    rising = falling + 0.03 * np.maximum(np.arange(40) - 12, 0)
    assert curves.overfitting_epoch(run((falling * noise).tolist())) is None
    assert 8 <= (curves.overfitting_epoch(run((rising * noise).tolist())) or 0) <= 20


@pytest.mark.parametrize("n_epochs", range(4))
def test_three_epochs_are_too_few_to_tell(n_epochs: int) -> None:
    assert curves.overfitting_epoch(run([1.0, 5, 9][:n_epochs])) is None


def test_a_loss_that_is_not_finite_is_not_called_overfitting() -> None:
    assert curves.overfitting_epoch(run([5, 4, 3, 2, 3, 4, 5, math.nan])) is None
    assert curves.overfitting_epoch(run([5, 4, 3, 2, 3, 4, 5, math.inf])) is None


@pytest.mark.parametrize(
    ("val", "best", "overfitting"),
    [
        ([], None, None),
        ([2.0], 1, None),
        ([2.0, 1.0], 2, None),
        ([5.0, 4, 3, 2, 3, 4, 5, 6], 4, 5),
        ([2.0, math.nan, math.inf], 1, None),
        ([math.nan], None, None),
        ([1.0] * 60, 1, None),
    ],
)
def test_any_run_can_be_drawn_in_the_same_size(
    val: list[float], best: int | None, overfitting: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "plots" / "curves.png"
    curves.draw(run(val), best, overfitting, path)
    with Image.open(path) as picture:
        assert picture.size == (1100, 440)
        assert picture.format == "PNG"
    assert b"Software" not in path.read_bytes()


def test_the_picture_names_both_splits_the_best_epoch_and_overfitting() -> None:
    figure = curves.picture(run([5, 4, 3, 2, 3, 4, 5, 6]), 4, 5)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["training", "validation", "best epoch (4)", "overfitting (from epoch 5)"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (nats)", "accuracy"]
    for axes in figure.axes:
        assert axes.get_xlabel() == "epoch"
        ticks = axes.get_xticks()
        assert np.array_equal(ticks, ticks.round())


def test_curves_that_are_missing_or_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    with pytest.raises(InputError, match=r"c\.csv: cannot be read \(.*run dvc repro"):
        curves.read_csv(path)
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(InputError, match=r"c\.csv: cannot be read \(.*run dvc repro"):
        curves.read_csv(path)
