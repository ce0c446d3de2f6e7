import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from timbre.condition_names import EXAMPLES, FAMILIES, KINDS, Kind, parse, parse_all
from timbre.problems import InputError

VALUED = [kind for kind in KINDS if kind.limits is not None]


def problem(name: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(name)
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_usual_name_is_that_of_its_condition(name: str) -> None:
    assert parse(name).name == name


def test_the_usual_conditions_are_of_every_kind_and_none_is_there_twice() -> None:
    conditions = parse_all(EXAMPLES)
    assert {condition.kind.prefix for condition in conditions} == {kind.prefix for kind in KINDS}


@given(st.sampled_from([kind for kind in VALUED if not kind.values]), st.data())
def test_any_value_within_the_limits_has_one_name(kind: Kind, data: st.DataObject) -> None:
    assert kind.limits is not None
    low, high = kind.limits
    tenths = data.draw(st.integers(round(10 * low), round(10 * high)))
    condition = parse(kind.name(tenths / 10))
    assert condition.kind is kind
    assert condition.value == pytest.approx(tenths / 10, rel=1e-5)


def test_names_are_words_that_yaml_and_file_systems_take_as_they_are() -> None:
    assert yaml.safe_load("[" + ", ".join(EXAMPLES) + "]") == list(EXAMPLES)
    assert not set("".join(EXAMPLES)) & set('/\\:*?"<>| ')


def test_the_extreme_ones_are_noise_as_loud_as_the_signal_and_a_second() -> None:
    extreme = [name for name in EXAMPLES if parse(name).extreme]
    assert extreme == ["white_noise_0db", "babble_0db", "short_1s"]
    assert parse("babble_-5db").extreme
    assert not parse("short_1.5s").extreme


def test_families_are_in_the_order_of_their_kinds() -> None:
    assert FAMILIES == ("clean", "level", "codec", "line", "room", "noise", "time")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("white_nose_10db", "unknown condition: did you mean 'white_noise_10db'?"),
        ("mp3_32", "unknown condition: did you mean 'mp3_32kbps'?"),
        ("Clean", "unknown condition: did you mean 'clean'?"),
        ("telephone_2", "unknown condition: did you mean 'telephone'?"),
        ("xyz", f"unknown condition: there are {', '.join(EXAMPLES)}"),
        ("", f"unknown condition: there are {', '.join(EXAMPLES)}"),
        ("white_noise_10.0db", "write it as 'white_noise_10db'"),
        ("gain_6db", "write it as 'gain_+6db'"),
        ("gain_-0db", "write it as 'gain_+0db'"),
        ("white_noise_+5db", "write it as 'white_noise_5db'"),
        ("reverb_9ms", "9 is not between 50 and 5000"),
        ("speed_-60%", "-60 is not between -50 and 100"),
        ("mp3_33kbps", "33 is not one of 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160"),
    ],
)
def test_a_name_that_is_none_is_explained(name: str, told: str) -> None:
    assert problem(name) == f"'{name}': {told}"


def test_all_problems_of_a_list_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_all(["clean", "claen", "reverb_9ms", "short_1s", "clean"])
    assert caught.value.problems == [
        "'claen': unknown condition: did you mean 'clean'?",
        "'reverb_9ms': 9 is not between 50 and 5000",
        "'clean': is there twice: remove one",
    ]


def test_no_names_are_no_conditions() -> None:
    assert parse_all([]) == []
