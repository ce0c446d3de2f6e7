from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from timbre.params import Section, read_section
from timbre.problems import InputError


class Example(Section):
    lr: float = Field(gt=0, le=1)
    epochs: int = Field(ge=1)
    kind: Literal["first", "all"]
    fast: bool


GOOD = {"lr": "0.1", "epochs": "3", "kind": "first", "fast": "true"}


def read(folder: Path, **changes: str | None) -> Example:
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    text = "example:\n" + "".join(f"  {key}: {value}\n" for key, value in values.items())
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return read_section("example", Example, folder / "params.yaml")


def problems(folder: Path, **changes: str | None) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(folder, **changes)
    return [line.split("params.yaml: ", 1)[1] for line in caught.value.problems]


@pytest.mark.parametrize("text", ["1e-3", "1e-03", "0.001", "1.0e-3", ".001", "'0.001'", "1E-3"])
def test_every_spelling_of_a_number_is_the_number(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, lr=text).lr == 0.001


@given(st.floats(1e-300, 1), st.sampled_from(["{!r}", "{:.17g}", "{:.17e}", "'{!r}'"]))
def test_any_number_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, value: float, spelling: str
) -> None:
    assert read(tmp_path_factory.getbasetemp(), lr=spelling.format(value)).lr == value


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=5,
)


@settings(max_examples=60)
@given(values | st.dictionaries(st.sampled_from([*GOOD, "more"]), values))
def test_whatever_stands_in_a_section_is_taken_or_explained(
    tmp_path_factory: pytest.TempPathFactory, section: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump({"example": section}), encoding="utf-8")
    told: list[str] = []
    try:
        read_section("example", Example, path)
    except InputError as error:
        told = error.problems
    if told:
        assert all(str(path) in problem for problem in told)
    else:
        assert isinstance(section, dict)
        assert set(section) == set(GOOD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "5."}, "example.lr: Input should be less than or equal to 1 (got 5.0)"),
        ({"lr": "0"}, "example.lr: Input should be greater than 0 (got 0)"),
        ({"lr": ".inf"}, "example.lr: Input should be a finite number (got inf)"),
        ({"lr": "nan"}, "example.lr: Input should be a finite number (got 'nan')"),
        ({"lr": "null"}, "example.lr: Input should be a valid number (got None)"),
        ({"lr": "[0.1]"}, "example.lr: Input should be a valid number (got [0.1])"),
        ({"lr": "true"}, "example: lr: True is not a number"),
        ({"lr": None}, "example.lr: missing: add it"),
        (
            {"epochs": "2.5"},
            "example.epochs: Input should be a valid integer, got a number with a fractional part "
            "(got 2.5)",
        ),
        ({"kind": "frist"}, "example.kind: Input should be 'first' or 'all' (got 'frist')"),
        ({"epocs": "3"}, "example.epocs: unknown key: did you mean 'example.epochs'?"),
        ({"zzz": "3"}, "example.zzz: unknown key: no such key; remove it"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    assert problems(tmp_path, **changes) == [message]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, lr="2", epochs="0", kind="x")) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: 1\n", "section 'example' is missing or not a mapping"),
        ("example: 3\n", "section 'example' is missing or not a mapping"),
        ("", "section 'example' is missing or not a mapping"),
        ("example: [\n", "is not valid YAML: .* line 2"),
    ],
)
def test_a_broken_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_section("example", Example, tmp_path / "params.yaml")


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing: run from the repository's top folder"):
        read_section("example", Example, tmp_path / "params.yaml")


def test_a_stage_that_needs_part_of_a_section_is_given_its_own_keys_alone(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("example:\n  lr: 0.1\n  epochs: 3\n  kind: first\n  fast: true\n  other: 1\n")
    assert read_section("example", Example, path, own_keys=True).epochs == 3
    with pytest.raises(InputError, match=r"example\.other: unknown key"):
        read_section("example", Example, path)
    path.write_text("example:\n  lr: 0.1\n  epoch: 3\n  kind: first\n  fast: true\n")
    with pytest.raises(InputError, match=r"example\.epochs: missing: add it"):
        read_section("example", Example, path, own_keys=True)
