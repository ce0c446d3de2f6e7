from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from timbre.audio import Waveform
from timbre.front_end import LogMelFrontEnd
from timbre.log_mel import LogMel

SMALL = LogMel(8000, 256, 100, 16, 0.0, 4000.0, 80.0)


def front_end(log_mel: LogMel = SMALL, windows_at_a_time: int = 4) -> LogMelFrontEnd:
    return LogMelFrontEnd(**asdict(log_mel), windows_at_a_time=windows_at_a_time)


def noise(n: int, n_samples: int = 2000, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, n_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def sound(kind: str, n_samples: int, seed: int) -> Waveform:
    rng = np.random.default_rng(seed)
    hiss = rng.standard_normal(n_samples)
    tone = np.sin(rng.uniform(0.01, 3) * np.arange(n_samples))
    sounds: dict[str, npt.NDArray[np.float64]] = {
        "noise": 0.1 * hiss,
        "tone": 0.5 * tone,
        "tone in noise": 0.5 * tone + 0.01 * hiss,
        "half silent": np.where(np.arange(n_samples) < n_samples // 2, 0.1 * hiss, 0),
        "click": np.eye(1, n_samples, n_samples // 3)[0],
        "near-silence": 2.0**-15 * np.round(hiss),
        "silence": np.zeros(n_samples),
    }
    return sounds[kind].astype(np.float32)


BROAD = ("noise", "half silent", "click", "near-silence", "silence")
TONES = ("tone", "tone in noise")


@st.composite
def transforms(draw: st.DrawFn, whole_range: bool = False) -> LogMel:
    sample_rate = draw(st.sampled_from([8000, 16_000, 22_050, 44_100]))
    fmin = 0.0 if whole_range else draw(st.sampled_from([0.0, 20.0, 300.0]))
    fmax = sample_rate / 2 if whole_range else draw(st.floats(fmin + 500, sample_rate / 2))
    return LogMel(
        sample_rate=sample_rate,
        n_fft=draw(st.sampled_from([256, 400, 511, 1024, 2048])),
        hop_length=draw(st.integers(50, 2500)),
        n_mels=draw(st.integers(4, 64)),
        fmin=fmin,
        fmax=fmax,
        top_db=draw(st.sampled_from([40.0, 80.0])),
    )


@settings(max_examples=150)
@given(transforms(), st.sampled_from(BROAD), st.integers(1, 12_000), st.integers(0, 99))
def test_a_window_equals_log_mel_to_a_thousandth_db(
    log_mel: LogMel, kind: str, n_samples: int, seed: int
) -> None:
    waveform = sound(kind, n_samples, seed)
    batch = front_end(log_mel)(torch.from_numpy(waveform)[None])
    assert batch.dtype == torch.float32
    assert batch.shape == (1, 1, log_mel.n_mels, 1 + n_samples // log_mel.hop_length)
    np.testing.assert_allclose(batch[0, 0].numpy(), log_mel(waveform), atol=1e-3, rtol=0)


@given(transforms(whole_range=True), st.sampled_from(TONES), st.integers(1, 12_000))
def test_a_tones_skirts_differ_by_no_more_than_float32_rounds(
    log_mel: LogMel, kind: str, n_samples: int
) -> None:
    # What either transform finds far below a tone is the rounding of the tone itself.
    waveform = sound(kind, n_samples, seed=n_samples)
    ours = front_end(log_mel)(torch.from_numpy(waveform)[None])[0, 0].double().numpy()
    theirs = log_mel(waveform).astype(np.float64)
    loud = theirs > -50
    np.testing.assert_allclose(ours[loud], theirs[loud], atol=1e-3, rtol=0)
    np.testing.assert_allclose(10 ** (ours / 20), 10 ** (theirs / 20), atol=2e-6, rtol=1e-4)


def test_each_window_has_its_own_loudest_cell() -> None:
    waveforms = np.stack([sound(kind, 2000, seed) for seed, kind in enumerate(BROAD)])
    batch = front_end()(torch.from_numpy(waveforms))
    expected = np.stack([SMALL(waveform) for waveform in waveforms])
    np.testing.assert_allclose(batch[:, 0].numpy(), expected, atol=1e-3, rtol=0)


def test_silence_is_at_the_floor_and_dither_stays_quiet() -> None:
    assert front_end()(torch.zeros(1, 2000)).numpy() == pytest.approx(-80, abs=1e-4)
    assert front_end()(noise(1) * 1e-5).max() < -50


@given(st.lists(st.integers(0, 8), min_size=1, max_size=9), st.integers(1, 10))
def test_a_window_does_not_hang_on_its_batch(chosen: list[int], at_a_time: int) -> None:
    waveforms = noise(9)
    alone = torch.cat([front_end()(waveform[None]) for waveform in waveforms])
    batch = front_end(windows_at_a_time=at_a_time)(waveforms[chosen])
    np.testing.assert_allclose(batch.numpy(), alone[chosen].numpy(), atol=1e-4, rtol=0)


def test_an_empty_batch_gives_an_empty_batch() -> None:
    assert front_end()(torch.zeros(0, 2000)).shape == (0, 1, 16, 21)


def test_no_gradient_passes_and_a_network_behind_it_learns() -> None:
    batch = front_end()(noise(2).requires_grad_())
    assert not batch.requires_grad
    behind = nn.Conv2d(1, 1, 3)
    behind(batch).sum().backward()
    assert behind.weight.grad is not None


def test_a_model_with_it_saves_no_more_than_without() -> None:
    assert list(front_end().state_dict()) == []
    assert list(front_end().parameters()) == []
    assert {buffer.device.type for buffer in front_end().to("meta").buffers()} == {"meta"}


@pytest.fixture
def spectra(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[str, str]]]:
    """For each spectrum that is made: of how many windows, and with which shortcuts on."""
    seen: list[tuple[int, tuple[str, str]]] = []
    rfft = torch.fft.rfft

    def watched(frames: torch.Tensor) -> torch.Tensor:
        seen.append((len(frames), shortcuts()))
        spectrum: torch.Tensor = rfft(frames)
        return spectrum

    monkeypatch.setattr(torch.fft, "rfft", watched)
    return seen


def shortcuts() -> tuple[str, str]:
    """How CUDA and the CPU are to take products of float32."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    return torch.backends.cuda.matmul.fp32_precision, matmul.fp32_precision


def test_spectra_are_made_of_so_many_windows_at_a_time(
    spectra: list[tuple[int, tuple[str, str]]],
) -> None:
    front_end(windows_at_a_time=3)(noise(8))
    assert [n for n, _ in spectra] == [3, 3, 2]


def test_nothing_waits_for_a_value_and_no_shape_hangs_on_one() -> None:
    # Tensors without values raise where one is asked for; as a GPU's would be waited for.
    with FakeTensorMode():
        assert front_end()(torch.empty(5, 2000)).shape == (5, 1, 16, 21)


def test_autocast_around_it_changes_nothing() -> None:
    expected = front_end()(noise(2))
    with torch.autocast("cpu", torch.bfloat16):
        batch = front_end()(noise(2))
    assert batch.dtype == torch.float32
    assert torch.equal(batch, expected)


def test_products_are_taken_in_float32_whatever_shortcut_is_on(
    spectra: list[tuple[int, tuple[str, str]]],
) -> None:
    expected = front_end()(noise(2))
    try:
        torch.set_float32_matmul_precision("medium")
        batch = front_end()(noise(2))
        assert shortcuts() == ("tf32", "bf16")
    finally:
        torch.set_float32_matmul_precision("highest")
    assert spectra[1] == (2, ("ieee", "ieee"))
    assert torch.equal(batch, expected)


def test_without_a_shortcut_no_setting_is_touched(
    spectra: list[tuple[int, tuple[str, str]]],
) -> None:
    before = shortcuts()
    front_end()(noise(2))
    assert spectra == [(2, before)]
    assert shortcuts() == before
