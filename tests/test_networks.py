from typing import Any

import pytest
import torch
from torch import nn

from timbre.layers import Network
from timbre.networks import CompactCNN, NotebookCNN, build_network, n_parameters
from timbre.residual import ResidualCNN

SIZES: dict[str, Any] = {
    "channels": [32, 64, 128],
    "stride": 2,
    "pool": 2,
    "hidden": [256, 128, 64],
    "dropout": 0.3,
}


def test_the_notebooks_network_has_the_notebooks_parameters() -> None:
    with torch.device("meta"):
        network = NotebookCNN(n_classes=6, n_mels=128, n_frames=256)
    assert n_parameters(network) == 138_968_326


def test_the_notebooks_network_keeps_its_one_relu() -> None:
    with torch.device("meta"):
        layers = list(NotebookCNN(6, 128, 256).modules())
    assert sum(isinstance(layer, nn.ReLU) for layer in layers) == 1


def test_the_default_network_is_small() -> None:
    assert n_parameters(build_network("cnn", n_classes=12, n_mels=128, **SIZES)) < 1_000_000


def test_the_default_network_has_the_blocks_that_are_promised() -> None:
    network = CompactCNN(n_classes=12, n_mels=128, **SIZES)
    kinds = [type(layer).__name__ for layer in network.blocks]
    assert kinds == ["Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU"] * 3
    kinds = [type(layer).__name__ for layer in network.head]
    assert kinds == ["BatchNorm1d", *["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3]
    assert isinstance(network.output, nn.Linear)


@pytest.mark.parametrize(("last_pool", "n_moments"), [(None, 16), (2, 16), (1, 32), (4, 8)])
def test_the_last_block_leaves_as_many_moments_as_it_is_told(
    last_pool: int | None, n_moments: int
) -> None:
    network = CompactCNN(n_classes=12, n_mels=128, **SIZES, last_pool=last_pool)
    assert network.blocks(torch.zeros(1, 2, 128, 256)).shape == (1, 128, 8, n_moments)
    assert network(torch.zeros(2, 1, 128, 256)).shape == (2, 12)


def test_the_stronger_network_stays_below_five_million() -> None:
    sizes = {"n_classes": 12, "n_mels": 128, "dropout": 0.1}
    assert 1_000_000 < n_parameters(build_network("resnet", **sizes)) < 5_000_000


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 256), (64, 101), (37, 50), (40, 16)])
def test_any_image_gives_one_logit_a_class(n_mels: int, n_frames: int) -> None:
    log_mel = torch.zeros(3, 1, n_mels, n_frames)
    assert CompactCNN(n_classes=5, n_mels=n_mels, **SIZES)(log_mel).shape == (3, 5)
    assert ResidualCNN(n_classes=5, n_mels=n_mels, dropout=0.1)(log_mel).shape == (3, 5)


def test_the_notebooks_network_gives_one_logit_a_class() -> None:
    network = NotebookCNN(n_classes=5, n_mels=16, n_frames=24)
    assert network(torch.zeros(3, 1, 16, 24)).shape == (3, 5)


@pytest.mark.parametrize(
    "network",
    [
        CompactCNN(n_classes=5, n_mels=16, **SIZES | {"channels": [4]}),
        CompactCNN(n_classes=5, n_mels=16, **SIZES | {"channels": [4], "hidden": []}),
        NotebookCNN(n_classes=5, n_mels=16, n_frames=24),
        ResidualCNN(n_classes=5, n_mels=16, dropout=0.1),
    ],
)
def test_logits_are_what_the_output_layer_makes_of_the_embedding(network: Network) -> None:
    network.eval()
    log_mel = torch.rand(3, 1, 16, 24) * -80
    embedding = network.embed(log_mel)
    assert embedding.ndim == 2
    assert torch.equal(network.output(embedding), network(log_mel))


@pytest.mark.parametrize(
    "network",
    [
        CompactCNN(n_classes=3, n_mels=16, **SIZES | {"channels": [4]}),
        ResidualCNN(n_classes=3, n_mels=16, dropout=0.1),
    ],
)
def test_normalisation_lies_in_the_network(network: Network) -> None:
    network.eval()
    log_mel = torch.rand(2, 1, 16, 20) * -80
    plain = network(log_mel)
    network.normalise.set_statistics(torch.full((16,), -7.0), torch.full((16,), 4.0))
    assert torch.allclose(network(log_mel * 4 - 7), plain, atol=1e-4)
    assert {"normalise.mean", "normalise.std"} <= set(network.state_dict())


def test_half_precision_input_is_accepted() -> None:
    network = CompactCNN(n_classes=3, n_mels=16, **SIZES | {"channels": [4]}).eval()
    log_mel = torch.rand(2, 1, 16, 20).half()
    assert torch.equal(network(log_mel), network(log_mel.float()))
