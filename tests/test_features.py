import re

import pytest
from pydantic.fields import FieldInfo
from settings import EXTRACT

from stages.extract_spectrograms import Extract
from timbre import features
from timbre.features import read_features
from timbre.log_mel import LogMel
from timbre.problems import InputError

GOOD = {key: value for key, value in EXTRACT.items() if key != "n_shards"} | {"fmax": 4000.0}


def test_features_are_those_of_the_card() -> None:
    found = read_features(GOOD)
    assert found.front_end == LogMel(8000, 256, 100, 16, 50.0, 4000.0, 80.0)
    assert (found.window_seconds, found.hop_seconds) == (0.25, 0.125)
    assert found.keep_all
    assert found.heard_seconds() is None
    assert found.shape() == (16, 21)
    assert read_features({**GOOD, "windows": "first"}).heard_seconds() == 0.25


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("windows", "some"),
        ("sample_rate", 0),
        ("hop_length", 2.5),
        ("n_mels", "16"),
        ("n_fft", True),
        ("fmin", -1.0),
        ("fmax", float("nan")),
        ("top_db", float("inf")),
        ("window_seconds", 0.0),
        ("window_hop_seconds", -0.5),
        ("sample_rate", 2**62),
        ("n_fft", 2**40),
        ("n_mels", 2**40),
        ("hop_length", 10**400),
        ("window_seconds", 1e300),
    ],
)
def test_impossible_features_are_refused(key: str, value: str | float) -> None:
    with pytest.raises(InputError, match=re.escape(f"its {key} is {value!r}")):
        read_features({**GOOD, key: value})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fmin": 4000.0}, "its bands from 4000 to 4000 Hz do not fit a rate of 8000 Hz"),
        ({"fmax": 4001.0}, "its bands from 50 to 4001 Hz do not fit a rate of 8000 Hz"),
        ({"window_hop_seconds": 1e-5}, "its windows are shorter than its hops"),
        ({"window_seconds": 0.01}, "its windows are shorter than its hops"),
        (
            {"window_seconds": 600.0, "hop_length": 1, "n_mels": 1024},
            "its windows have 4800000 samples, 4915201024 cells: too many",
        ),
    ],
)
def test_numbers_that_contradict_each_other_or_take_all_memory_are_refused(
    changes: dict[str, float], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_features({**GOOD, **changes})
    assert caught.value.problems == [problem]


def limits(field: FieldInfo) -> tuple[float, float]:
    """Return the least and the most that a field of the section `extract` takes."""
    rules = {type(rule).__name__: rule for rule in field.metadata}
    least: float = rules["Ge"].ge if "Ge" in rules else rules["Gt"].gt
    most: float = rules["Le"].le
    return least, most


def test_a_file_may_ask_for_what_params_yaml_may_ask_for() -> None:
    own = {**features.WHOLE, **features.REAL}
    settings = {name: field for name, field in Extract.model_fields.items() if name in own}
    assert set(own) == set(settings)
    for name in set(own) - {"fmin", "fmax"}:
        assert limits(settings[name]) == own[name], name
    assert own["fmin"] == own["fmax"] == (0, features.WHOLE["sample_rate"][1] / 2)


def test_windows_too_large_for_a_file_are_too_large_for_params_yaml() -> None:
    changes = {"window_seconds": 600.0, "hop_length": 1, "n_mels": 1024, "n_shards": 1}
    with pytest.raises(ValueError, match="4800000 samples and 4915201024 cells"):
        Extract.model_validate({**GOOD, **changes})
