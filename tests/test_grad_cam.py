import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from timbre import grad_cam as module
from timbre.grad_cam import grad_cam
from timbre.layers import BandNormalisation, Network
from timbre.networks import build_network

N_MELS, N_FRAMES = 16, 24
SIZES: dict[str, dict[str, Any]] = {
    "cnn": {
        "channels": [4, 8],
        "stride": 1,
        "pool": 2,
        "last_pool": 1,
        "hidden": [8],
        "dropout": 0.1,
        "view_dropout": 0.4,
    },
    "resnet": {"dropout": 0.1, "view_dropout": 0.4},
    "notebook": {"n_frames": N_FRAMES},
}
MAPS = {"cnn": (4, 12), "resnet": (1, 1), "notebook": (2, 3)}
QUIET, LOUD = -80.0, 0.0


def network_of(name: str) -> Network:
    torch.manual_seed(0)
    network = build_network(name, n_classes=3, n_mels=N_MELS, **SIZES[name])
    network.normalise.set_statistics(torch.full((N_MELS,), -40.0), torch.full((N_MELS,), 20.0))
    return network


def windows(n: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (-80 * torch.rand((n, 1, N_MELS, N_FRAMES), generator=generator)).half()


each_network = pytest.mark.parametrize("name", SIZES)


@each_network
def test_a_map_holds_0_to_1_for_each_cell_of_the_last_convolution(name: str) -> None:
    found = grad_cam(network_of(name), windows(5), torch.tensor([0, 1, 2, 0, 1]))
    assert found.shape == (5, *MAPS[name])
    assert found.min() >= 0
    highest = found.max(axis=(1, 2))
    assert all(value == pytest.approx(1.0) or value == 0.0 for value in highest)
    assert found.max() == pytest.approx(1.0)


@each_network
def test_where_no_class_depends_on_the_window_the_map_is_0(name: str) -> None:
    network = network_of(name)
    assert isinstance(network.output, nn.Linear)
    nn.init.zeros_(network.output.weight)
    assert not grad_cam(network, windows(2), torch.tensor([0, 1])).any()


@each_network
def test_the_network_is_left_as_it_was(name: str) -> None:
    network, heard = network_of(name).eval(), windows(3).float()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        answers = network(heard)
    grad_cam(network, heard, torch.tensor([0, 1, 2]))
    with torch.no_grad():
        assert torch.equal(network(heard), answers)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not heard.requires_grad
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_windows_map_does_not_hang_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    network, heard, targets = network_of("cnn"), windows(7), torch.arange(7) % 3
    whole = grad_cam(network, heard, targets)
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    assert grad_cam(network, heard, targets) == pytest.approx(whole, abs=1e-5)


class Patches(Network):
    """Says class 0 by what it hears in a low band early on, class 1 by a high band later on."""

    PLACES = ((slice(1, 3), slice(2, 5)), (slice(9, 11), slice(14, 18)))

    def __init__(self) -> None:
        super().__init__()
        self.normalise = BandNormalisation(N_MELS)
        convolution = nn.Conv2d(1, 1, kernel_size=1)
        nn.init.ones_(convolution.weight)
        assert convolution.bias is not None
        nn.init.constant_(convolution.bias, -QUIET)
        self.blocks = nn.Sequential(convolution, nn.ReLU(inplace=True))
        self.output = nn.Linear(2, 2, bias=False)
        nn.init.eye_(self.output.weight)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the mean over each patch."""
        heard = self.blocks(self.normalise(log_mel))
        return torch.cat([heard[:, :, f, t].mean(dim=(2, 3)) for f, t in self.PLACES], dim=1)


@pytest.mark.parametrize("target", [0, 1])
def test_a_network_that_hears_one_patch_alone_looks_there_and_nowhere_else(target: int) -> None:
    loud = torch.full((1, 1, N_MELS, N_FRAMES), LOUD)  # all is loud, elsewhere too
    found = grad_cam(Patches(), loud, torch.tensor([target]))[0]
    bands, moments = Patches.PLACES[target]
    assert found[bands, moments] == pytest.approx(1.0)
    assert found.sum() == pytest.approx(found[bands, moments].sum())


def test_what_is_silent_in_the_patch_speaks_for_nothing() -> None:
    quiet = torch.full((1, 1, N_MELS, N_FRAMES), LOUD)
    bands, moments = Patches.PLACES[0]
    quiet[0, 0, bands, moments] = QUIET
    assert not grad_cam(Patches(), quiet, torch.tensor([0])).any()


def test_what_is_lost_without_the_brightest_cells_is_more_than_without_others() -> None:
    network, heard = network_of("cnn").eval(), windows(40).float()
    with torch.no_grad():
        logits = network(heard)
        targets = logits.argmax(dim=1)
    found = torch.from_numpy(grad_cam(network, heard, targets))
    n_cells = math.prod(MAPS["cnn"])

    def lost(order: torch.Tensor) -> float:
        """Silence the first quarter of the cells in an order and return the mean loss in logits."""
        chosen = order[:, : n_cells // 4]
        mask = torch.zeros(40, n_cells).scatter_(1, chosen, 1.0).view(40, 1, *MAPS["cnn"])
        covered = nn.functional.interpolate(mask, size=(N_MELS, N_FRAMES)) > 0
        with torch.no_grad():
            now = network(torch.where(covered, torch.tensor(-40.0), heard))
        return float((logits - now).gather(1, targets[:, None]).mean())

    brightest = found.flatten(1).argsort(dim=1, descending=True)
    anywhere = torch.rand(40, n_cells, generator=torch.Generator().manual_seed(2)).argsort(dim=1)
    assert lost(brightest) > 2 * max(0.0, lost(anywhere))
    assert lost(brightest) > lost(brightest.flip(1))


def test_maps_are_numbers_where_logits_are_huge() -> None:
    network = network_of("cnn")
    assert isinstance(network.output, nn.Linear)
    nn.init.constant_(network.output.weight, 1e20)
    assert np.isfinite(grad_cam(network, windows(2), torch.tensor([0, 1]))).all()
