import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timbre.layers import TwoViews

WINDOWS = torch.rand(400, 1, 3, 5) + 1


def views(dropped: float, seed: int = 0) -> torch.Tensor:
    """Both views of WINDOWS as training has them, exact."""
    torch.manual_seed(seed)
    shown: torch.Tensor = TwoViews(dropped).train()(WINDOWS)
    return shown


def which(shown: torch.Tensor) -> torch.Tensor:
    """Which of the two views are there, `(n, 2)`."""
    return (shown != 0).any(3).any(2)


@pytest.mark.parametrize("dropped", [0.0, 0.4, 1.0])
def test_a_model_in_use_sees_both_views(dropped: float) -> None:
    both = TwoViews(dropped).eval()(WINDOWS)
    assert torch.equal(both[:, :1], WINDOWS)
    assert torch.equal(both[:, 1:], WINDOWS - WINDOWS.mean(3, keepdim=True))
    assert float(both[:, 1:].mean(3).abs().max()) < 1e-6


def test_without_dropping_training_sees_the_same() -> None:
    assert torch.equal(views(0.0), TwoViews(0.0).eval()(WINDOWS))


@given(st.floats(0, 1), st.integers(0, 100))
def test_a_view_is_whole_or_gone_and_one_is_always_there(dropped: float, seed: int) -> None:
    shown = views(dropped, seed)
    there = which(shown)
    assert bool(there.any(1).all())
    whole = TwoViews(0.0)(WINDOWS) * there[:, :, None, None]
    assert torch.equal(shown, whole)


def test_either_view_is_dropped_as_often_as_it_is_told() -> None:
    gone = ~which(views(0.5))
    assert gone.float().mean(0) == pytest.approx(0.25, abs=0.06)  # 400 windows: 3 deviations
    assert bool((~which(views(1.0))).sum(1).eq(1).all())
