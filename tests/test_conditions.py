import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.audio import Waveform
from timbre.condition_names import EXAMPLES, KINDS, parse
from timbre.conditions import MAKERS, apply, generator, source_seconds
from timbre.problems import InputError

RATE = 16_000
SHORTENED = {"speed_+4%": 1 / 1.04, "shift_500ms": 0.5, "short_3s": 1, "short_2s": 1, "short_1s": 1}
LENGTHENED = {"speed_-4%": 1 / 0.96}
BY_CHANCE = ("random_eq_", "reverb_", "white_noise_", "babble_", "short_")

each_condition = pytest.mark.parametrize("name", EXAMPLES)


def clip(seed: int = 0, seconds: float = 1.0, sample_rate: int = RATE) -> Waveform:
    """Noise that swells and fades: it has bands, pauses and peaks."""
    rng = np.random.default_rng(seed)
    swell = np.sin(np.linspace(0, 7, round(seconds * sample_rate))) ** 2
    return (0.2 * swell * rng.standard_normal(len(swell))).astype(np.float32)


OTHERS = [clip(seed, 0.3) for seed in range(1, 9)]


def under(name: str, waveform: Waveform, seed: int = 0, sample_rate: int = RATE) -> Waveform:
    return apply(name, waveform, sample_rate, generator(seed, name, "a/1.wav"), OTHERS)


def test_every_kind_has_its_maker() -> None:
    assert list(MAKERS) == [kind.prefix for kind in KINDS]


def test_clean_is_the_clip_itself() -> None:
    waveform = clip()
    assert under("clean", waveform).tobytes() == waveform.tobytes()


@each_condition
def test_the_same_seed_gives_the_same_bytes_and_the_clip_stays_as_it_was(name: str) -> None:
    waveform = clip()
    before = waveform.tobytes()
    assert under(name, waveform).tobytes() == under(name, waveform.copy()).tobytes()
    assert waveform.tobytes() == before


@each_condition
def test_another_seed_changes_what_is_up_to_chance_and_nothing_else(name: str) -> None:
    waveform = clip(seconds=4)
    same = under(name, waveform).tobytes() == under(name, waveform, seed=1).tobytes()
    assert same is not (parse(name).kind.prefix in BY_CHANCE)


@each_condition
def test_only_clean_leaves_a_clip_as_it_is(name: str) -> None:
    waveform = clip(seconds=4)
    changed = under(name, waveform)
    assert (len(changed) != len(waveform) or not np.array_equal(changed, waveform)) is (
        name != "clean"
    )


@each_condition
def test_the_duration_stays_but_where_time_itself_is_changed(name: str) -> None:
    waveform = clip()
    expected = round(len(waveform) * (SHORTENED | LENGTHENED).get(name, 1))
    assert under(name, waveform).shape == (expected,)


@each_condition
@pytest.mark.parametrize("sample_rate", [8000, 22_050, 44_100])
def test_empty_silent_and_very_short_clips_do_no_harm(name: str, sample_rate: int) -> None:
    for waveform in (
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.full(1, 0.5, np.float32),
        np.zeros(300, np.float32),
        clip(seconds=300 / RATE),
    ):
        changed = under(name, waveform, sample_rate=sample_rate)
        assert changed.dtype == np.float32
        assert changed.ndim == 1
        assert changed.flags.c_contiguous
        assert bool(len(changed)) is bool(len(waveform))
        assert np.isfinite(changed).all()
        assert waveform.any() or np.abs(changed).max(initial=0) < 1e-3  # silence stays


@given(st.integers(0, 99), st.sampled_from(EXAMPLES), st.text(max_size=5))
def test_a_generator_hangs_on_seed_name_and_clip_alone(seed: int, name: str, clip_id: str) -> None:
    def drawn(*key: object) -> float:
        return generator(*key).random()  # type: ignore[arg-type]

    assert drawn(seed, name, clip_id) == drawn(seed, name, clip_id)
    assert drawn(seed, name, clip_id) != drawn(seed + 1, name, clip_id)
    assert drawn(seed, name, clip_id) != drawn(seed, f"{name}.", clip_id)
    assert drawn(seed, name, clip_id) != drawn(seed, name, f"{clip_id}.")


def test_generators_are_the_same_on_every_machine() -> None:
    drawn = generator(0, "white_noise_10db", "a/é.wav").integers(1 << 30, size=3)
    assert drawn.tolist() == [487780677, 1057622492, 857557635]


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(InputError, match="did you mean 'reverb_400ms'"):
        under("reverb_40ms0", clip())


def test_a_clip_played_faster_or_begun_later_needs_more_of_its_file() -> None:
    needed = {name: source_seconds(parse(name), 5.0) for name in EXAMPLES}
    more = {name: seconds for name, seconds in needed.items() if seconds != 5}
    assert more == pytest.approx({"speed_+4%": 5.2, "shift_500ms": 5.5})
    for name, seconds in more.items():
        assert len(under(name, clip(seconds=seconds))) == pytest.approx(5 * RATE, abs=1)
