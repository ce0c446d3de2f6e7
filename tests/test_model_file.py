from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from timbre.model_file import FORMAT, KEY, ModelCard, load_model, save_model
from timbre.networks import build_network
from timbre.problems import InputError
from timbre.rejection import Rejection, find_landmarks
from timbre.tensor_file import check_digest, read_tensors, write_tensors

SIZES: dict[str, Any] = {
    "n_classes": 3,
    "n_mels": 16,
    "channels": [4, 8],
    "stride": 2,
    "pool": 2,
    "last_pool": 1,
    "hidden": [8],
    "dropout": 0.1,
    "view_dropout": 0.4,
}
CARD = ModelCard(
    classes=["a", "ب", "1.0"],
    network="cnn",
    sizes=SIZES,
    features={"sample_rate": 8000, "top_db": 80.0, "code": "x"},
    trained={"best_epoch": 3},
    fingerprint="0" * 64,
    temperature=1.7,
    rejection=Rejection(
        "cosine", 0.3, find_landmarks(np.eye(8)[:4].astype(np.float64), np.array([0, 1, 2, 0]), 3)
    ),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "m.safetensors", build_network("cnn", **SIZES), CARD)
    return tmp_path / "m.safetensors"


def test_a_model_comes_back_with_its_card_and_its_answers(tmp_path: Path) -> None:
    network = build_network("cnn", **SIZES)
    network.normalise.set_statistics(torch.full((16,), -30.0), torch.full((16,), 9.0))
    network.eval()
    save_model(tmp_path / "m.safetensors", network, CARD)
    loaded, card = load_model(tmp_path / "m.safetensors")
    own, written = card.rejection, CARD.rejection
    assert replace(card, rejection=written) == CARD
    assert (own.score, own.threshold) == ("cosine", 0.3)
    for name, array in vars(written.landmarks).items():
        np.testing.assert_array_equal(getattr(own.landmarks, name), array, strict=True)
    assert not loaded.training
    log_mel = torch.rand(2, 1, 16, 40) * -80
    assert torch.equal(loaded(log_mel), network(log_mel))


def test_a_model_from_before_its_network_had_more_sizes_is_read(tmp_path: Path) -> None:
    newer = ("view_dropout", "last_pool")
    of_then = {name: size for name, size in SIZES.items() if name not in newer}
    network = build_network("cnn", **of_then)
    save_model(tmp_path / "m.safetensors", network, replace(CARD, sizes=of_then))
    again, card = load_model(tmp_path / "m.safetensors")
    assert card.sizes == of_then
    log_mel = torch.rand(2, 1, 16, 20) * -80
    assert torch.equal(again(log_mel), network.eval()(log_mel))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    network = build_network("cnn", **SIZES)
    for name in ("one", "two"):
        save_model(tmp_path / name, network, CARD)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_missing_model_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model: run `dvc repro train_cnn`"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04K\x01.", b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0{}", b"<html></html>"],
    ids=["empty", "pickle", "huge header", "no tensors", "html"],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.safetensors: not a usable Timbre model \(.*retrain"):
        load_model(path)


def test_a_truncated_model_is_refused(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a usable Timbre model"):
        load_model(model)


def rewrite(model: Path, **changes: object) -> None:
    document, tensors = read_tensors(model, KEY)
    check_digest(document, tensors)
    # Loaded tensors may be views of the file, which must not change under them.
    own = {name: value.clone() for name, value in tensors.items()}
    write_tensors(model, KEY, {**document, **changes}, own)


def test_a_model_of_another_format_is_refused(model: Path) -> None:
    rewrite(model, format=99)
    with pytest.raises(InputError, match=f"model format 99, this version reads {FORMAT}: retrain"):
        load_model(model)


def test_weights_of_another_architecture_are_refused(model: Path) -> None:
    rewrite(model, sizes={**SIZES, "hidden": [9]})
    with pytest.raises(InputError, match="not a usable Timbre model"):
        load_model(model)


def test_an_unknown_network_is_refused(model: Path) -> None:
    rewrite(model, network="os.system")
    with pytest.raises(InputError, match="not a usable Timbre model"):
        load_model(model)


def test_a_rejection_that_this_version_does_not_know_is_refused(model: Path) -> None:
    rewrite(model, rejection={"score": "entropy", "threshold": 0.0})
    with pytest.raises(InputError, match="no rejection score is named 'entropy'"):
        load_model(model)
