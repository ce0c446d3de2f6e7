"""What is fuzzed reads what it begins from, and no bytes make it fail; `make fuzz` takes longer."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.readers import TARGETS

each_target = pytest.mark.parametrize("name", TARGETS)


@each_target
def test_seeds_are_read_and_so_are_their_pieces(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)
    assert seeds
    for seed in seeds:
        for end in (len(seed), len(seed) - 1, len(seed) // 2, 0):
            target.read(tmp_path / "input", seed[:end])


@each_target
@settings(max_examples=30)
@given(data=st.data())
def test_no_changed_bytes_make_a_reader_fail(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    seed = bytearray(data.draw(st.sampled_from(TARGETS[name].seeds(folder))))
    for _ in range(data.draw(st.integers(1, 8))):
        seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    TARGETS[name].read(folder / "input", bytes(seed))
