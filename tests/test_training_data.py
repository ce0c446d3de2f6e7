from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shard_files import write_shard

from timbre.clips import SplitClips
from timbre.problems import InputError
from timbre.shards import ShardIndex, shard_name
from timbre.streaming import BESIDES, LEAST_BUFFER, StreamedDataset
from timbre.team import ALONE, Team
from timbre.training_data import MOST_FOR_VAL, TrainingData, open_splits, what_fits

CPU = torch.device("cpu")
SHAPE = (1, 4)
WINDOW = 8  # bytes
N_TRAIN, N_VAL, BATCH_SIZE = 2000, 400, 16
NEEDED = BESIDES + BATCH_SIZE + 1 + LEAST_BUFFER  # windows, to stream at all

BYTES = st.integers(0, 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    names = [f"{number:04d}" for number in range(N_TRAIN + N_VAL)]
    log_mel = np.zeros((len(names), *SHAPE), np.float16)
    index = ShardIndex({}, names, ["0" * 64] * len(names), [1] * len(names), SHAPE)
    write_shard(folder / shard_name(0), index, log_mel)
    return folder


def opened(folder: Path, n_windows: float, team: Team = ALONE) -> TrainingData:
    """Open both splits with memory for so many windows."""
    names = [f"{number:04d}" for number in range(N_TRAIN + N_VAL)]
    train, val = (
        SplitClips(own, np.zeros(len(own), np.int64)) for own in (names[:N_TRAIN], names[N_TRAIN:])
    )
    return open_splits(train, val, folder, n_windows * WINDOW / 1e9, BATCH_SIZE, CPU, team)


def streamed(data: TrainingData) -> tuple[bool, bool]:
    train, val = (isinstance(split, StreamedDataset) for split in data[:2])
    return train, val


@pytest.mark.parametrize(
    ("n_windows", "expected"),
    [
        (N_TRAIN + N_VAL, (False, False)),
        (N_TRAIN + N_VAL - 1, (False, True)),
        (N_TRAIN, (False, True)),
        (N_TRAIN - 1, (True, False)),
        (NEEDED + N_VAL, (True, False)),
        (NEEDED + N_VAL - 1, (True, True)),
        (NEEDED, (True, True)),
    ],
)
def test_what_fits_to_the_byte_lies_in_memory_and_the_rest_is_streamed(
    folder: Path, n_windows: int, expected: tuple[bool, bool]
) -> None:
    data = opened(folder, n_windows)
    assert streamed(data) == expected
    assert tuple(map(len, data)) == (N_TRAIN, N_VAL, N_VAL)


@pytest.mark.parametrize("n_windows", [N_TRAIN + N_VAL, NEEDED + N_VAL, NEEDED])
def test_processes_divide_validation_and_agree_on_all_else(
    folder: Path, n_windows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = opened(folder, n_windows)
    alone = capsys.readouterr().out
    data = [opened(folder, n_windows, Team(rank, 3)) for rank in range(3)]
    assert capsys.readouterr().out == alone  # told once
    rows = [row for one in data for row in one.part.table.row.tolist()]
    assert rows == whole.val.table.row.tolist()
    assert [len(one.val) for one in data] == [N_VAL, *(len(one.part) for one in data[1:])]
    orders = [
        one.train.epoch_order(torch.Generator().manual_seed(1)).tolist() for one in (whole, *data)
    ]
    assert orders == [orders[0]] * 4


@pytest.mark.parametrize("n_windows", [N_TRAIN - 1, NEEDED + N_VAL, NEEDED])
def test_the_buffer_takes_what_the_rest_leaves(folder: Path, n_windows: int) -> None:
    train, val, _ = opened(folder, n_windows)
    assert isinstance(train, StreamedDataset)
    held = 0 if isinstance(val, StreamedDataset) else len(val)
    assert train.buffer == n_windows - held - (BESIDES + BATCH_SIZE + 1)


def test_too_little_memory_is_told_and_what_is_enough_is_enough(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        opened(folder, NEEDED - 1)
    told = str(caught.value)
    assert told.startswith("params.yaml: train.memory_gb: ")
    assert "is too little to stream the training split of 1.6e-05 GB through" in told
    enough = float(told.split("raise it to ")[1].split()[0])
    opened(folder, enough * 1e9 / WINDOW)


@given(BYTES, BYTES, BYTES, BYTES)
def test_what_is_held_never_takes_more_than_the_room_and_training_has_most_of_it(
    train: int, val: int, room: int, least: int
) -> None:
    train_fits, val_fits = what_fits(train, val, room, least)
    assert train_fits == (train <= room)
    assert train * train_fits + val * val_fits <= room
    if val_fits and not train_fits:
        assert val <= room / MOST_FOR_VAL
        assert least <= room - val


def test_nothing_is_said_of_what_lies_in_memory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(folder, N_TRAIN + N_VAL)
    assert capsys.readouterr().out == ""
