from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from timbre import confusion

Matrix = npt.NDArray[np.int64]


def random_matrix(n_classes: int) -> Matrix:
    rng = np.random.default_rng(n_classes)
    return rng.integers(0, 3, (n_classes, n_classes)) + 20 * np.eye(n_classes, dtype=np.int64)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, to read their texts."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def texts_in_cells(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_table_has_one_row_a_clip_in_the_clips_order(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "confusion.csv"
    confusion.write_rows(confusion.confusion_rows(["b", "a", "b"], ["b", "b", "b"]), path)
    assert path.read_bytes() == b"actual,predicted\nb,b\na,b\nb,b\n"


def test_labels_that_look_like_numbers_or_gaps_survive_the_table(tmp_path: Path) -> None:
    labels = ["01", "NA", "true", "a, b", 'q"uote', "سعد"]
    path = tmp_path / "confusion.csv"
    confusion.write_rows(confusion.confusion_rows(labels, labels[::-1]), path)
    found = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert found["actual"].tolist() == labels
    assert found["predicted"].tolist() == labels[::-1]


def test_rows_are_actual_and_columns_predicted_classes() -> None:
    found = confusion.count([0, 0, 1], [0, 1, 1], n_classes=3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_most_confused_counts_errors_to_and_from_a_class_and_keeps_their_order() -> None:
    matrix = np.array([[5, 0, 0, 1], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 2, 3]])
    assert confusion.most_confused(matrix, 2) == [2, 3]
    assert confusion.most_confused(matrix, 3) == [0, 2, 3]
    assert confusion.most_confused(matrix, 9) == [0, 1, 2, 3]


@pytest.mark.parametrize("n_classes", [2, 20])
def test_up_to_20_classes_show_every_count(
    n_classes: int, tmp_path: Path, drawn: list[Figure]
) -> None:
    matrix = random_matrix(n_classes)
    names = [f"class {i}" for i in range(n_classes)]
    confusion.draw(matrix, names, tmp_path / "c.png", "Test")
    assert texts_in_cells(drawn[0]) == [str(clips) for clips in matrix.ravel()]


def test_above_50_classes_the_most_confused_are_shown_and_the_title_says_so(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    matrix = np.diag(np.full(60, 7))
    matrix[5, 58] = 3
    confusion.draw(matrix, [f"class {i}" for i in range(60)], tmp_path / "c.png", "Test")
    axes = drawn[0].axes[0]
    assert "the 50 most confused of 60 classes" in axes.get_title()
    assert "accuracy 99.3% (420 of 423 clips)" in axes.get_title()
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert len(names) == 50
    assert {"class 5", "class 58"} < set(names)
    assert texts_in_cells(drawn[0]) == []


def test_letters_are_light_on_dark_cells_and_dark_on_light_ones(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    confusion.draw(np.array([[100, 0], [2, 98]]), ["a", "b"], tmp_path / "c.png", "Test")
    colours = [text.get_color() for text in drawn[0].axes[0].texts]
    assert colours == ["white", "#222222", "#222222", "white"]


@pytest.mark.parametrize(
    "names",
    [
        ["عبد الباسط", "سعد الغامدي"],
        ["中文", "日本語"],
        ["$x", "a$\\frac{$b"],
        ["long " * 60, "line\nbreak\x00\t"],
        ["", " "],
    ],
)
def test_no_name_breaks_the_picture_or_warns(names: Sequence[str], tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    confusion.draw(np.array([[3, 1], [0, 4]]), names, path, "Test $")
    with Image.open(path) as picture:
        assert max(picture.size) < 1500


def test_long_names_keep_both_ends(tmp_path: Path, drawn: list[Figure]) -> None:
    names = ["recorded in the mosque, plain", "recorded in the mosque, denoised"]
    confusion.draw(np.eye(2, dtype=np.int64), names, tmp_path / "c.png", "Test")
    shown = [text.get_text() for text in drawn[0].axes[0].get_xticklabels()]
    assert shown == ["recorded in …sque, plain", "recorded in …e, denoised"]


def test_a_class_without_clips_and_a_matrix_without_any_can_be_drawn(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    confusion.draw(np.array([[3, 1], [0, 0]]), ["a", "b"], tmp_path / "c.png", "Test")
    confusion.draw(np.zeros((2, 2), dtype=np.int64), ["a", "b"], tmp_path / "d.png", "Test")
    assert drawn[1].axes[0].get_title() == "Test: accuracy unknown (0 of 0 clips)"


def test_equal_input_gives_equal_bytes_and_other_input_other_bytes(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    for name, matrix in (("1", random_matrix(3)), ("2", random_matrix(3)), ("3", np.eye(3))):
        confusion.draw(matrix.astype(np.int64), names, tmp_path / name, "Test")
    first, second, third = ((tmp_path / name).read_bytes() for name in "123")
    assert first == second != third
    assert b"Software" not in first


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    confusion.draw(random_matrix(3), ["a", "b", "c"], tmp_path / "c.png", "Test")
    assert dict(mpl.rcParams) == before
