"""What a model's card tells, and that no label can make it tell something else."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from small_model import Trained

from timbre import model_card, model_file
from timbre.model_card import Facts, markdown, plain, read_facts
from timbre.problems import InputError

DIVIDED: dict[str, Any] = {
    "method": "grouped",
    "train": {"clips": 240, "groups": 16, "classes": 2},
    "val": {"clips": 30, "groups": 2, "classes": 2},
    "test": {"clips": 30, "groups": 2, "classes": 2},
    "leaks": {"audio": 0, "group": 0},
    "quarantined": 3,
}
DOCUMENT: dict[str, Any] = {
    "classes": ["alto", "bass"],
    "features": {"window_seconds": 2.5, "sample_rate": 8000, "n_mels": 40, "fmax": None},
    "trained": {
        "model": "cnn",
        "lr": 0.002,
        "channels": [4, 8],
        "on": "cpu float32",
        "parameters": 12345,
        "epochs": 30,
        "best_epoch": 21,
        "val_accuracy": 0.875,
        "val_loss": 0.4,
    },
    "fingerprint": "f" * 64,
    "rejection": {"score": "class_projection", "threshold": 12.3456},
}


def facts_of(**changes: object) -> Facts:
    document = DOCUMENT | changes
    return Facts(
        sha256="0" * 64,
        classes=document["classes"],
        features=document["features"],
        trained=document["trained"],
        fingerprint=document["fingerprint"],
        threshold=12.3456,
    )


def card(**changes: object) -> str:
    return markdown("m.safetensors", facts_of(**changes), DIVIDED, ["| a | b |"], ["it is so"])


def test_the_card_tells_what_it_is_what_of_and_what_to_expect() -> None:
    told = card()
    for text in (
        "of 2 classes. It hears windows of 2.5 s at 8000 Hz as 40 mel bands.",
        "12,345 parameters, trained on `cpu float32`; of 30 epochs\nthe one kept is 21",
        "87.5% of the validation windows right",
        "| alto, bass |",
        "| train | 240 | 16 | 2 |",
        "3 clips could not be used. Method of the split: `grouped`.",
        "| a | b |",
        "below 12.35 is called unknown",
        "- It is so.",
        "| `train.lr` | `0.002` |",
        "| `train.channels` | `[4, 8]` |",
        "| `extract.fmax` | `None` |",
        f"`{'0' * 64}`",
        f"`{'f' * 64}`",
    ):
        assert text in told, text


def test_what_came_out_of_the_training_is_no_setting() -> None:
    named = set(re.findall(r"^\| `train\.(\w+)`", card(), re.M))
    assert named == {"model", "lr", "channels"}


@given(st.text(max_size=20))
@example("<script>|*_`[x](y)")
@example("a\n# heading\n| b |")
def test_any_label_is_shown_by_its_letters_in_one_cell(label: str) -> None:
    written = plain(label)
    visible = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in label)
    assert html.unescape(re.sub(r"\\(.)", r"\1", written)) == visible
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~$]", written)
    assert not re.search(r"[<>\r\n]", written)


def test_a_hostile_label_changes_no_other_line() -> None:
    usual, hostile = card().splitlines(), card(classes=["alto", "|\n\n# b<img src=x>"]).splitlines()
    assert len(usual) == len(hostile)
    changed = [there for here, there in zip(usual, hostile, strict=True) if here != there]
    assert changed == [r"| alto, \|\\n\\n# b&lt;img src=x&gt; |"]


def test_the_facts_are_those_of_the_model_file(trained: Trained) -> None:
    assert model_card.KEY == model_file.KEY
    facts, (_, known) = read_facts(trained.model), model_file.load_model(trained.model)
    assert (facts.classes, facts.fingerprint) == (known.classes, known.fingerprint)
    assert (facts.features, facts.trained) == (known.features, known.trained)
    assert facts.threshold == known.rejection.threshold


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({key: value for key, value in DOCUMENT.items() if key != "classes"}, "classes"),
        ({**DOCUMENT, "rejection": {"threshold": "high"}}, "could not convert"),
        ({**DOCUMENT, "features": 3}, "not iterable"),
        ([], "is no JSON object"),
    ],
)
def test_a_model_without_its_facts_is_refused(
    document: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    save_file({}, path, metadata={"timbre": json.dumps(document)})
    with pytest.raises(InputError, match=f"no usable Timbre model .*{reason}.*: retrain"):
        read_facts(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"RIFF")
    for name in ("m", "none"):
        with pytest.raises(InputError, match="no usable Timbre model"):
            read_facts(tmp_path / name)
