"""The windows that a training learns from and is measured on: in memory, or streamed."""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from timbre.clips import SplitClips
from timbre.dataset import Integers, SpectrogramDataset, WindowTable, find_windows, load_dataset
from timbre.device import room_told
from timbre.problems import InputError
from timbre.streaming import BESIDES, LEAST_BUFFER, stream_dataset
from timbre.team import ALONE, Team

MOST_FOR_VAL = 4  # beside a streamed training split: the validation split gets this fraction


class Found(NamedTuple):
    """Where a split's windows lie, and the target `(n_clips,)` of each of its clips."""

    table: WindowTable
    targets: Integers


class TrainingData(NamedTuple):
    """The two splits, and what of validation is this process's to measure."""

    train: SpectrogramDataset
    val: SpectrogramDataset  # the whole of it in the process that leads, in others their part
    part: SpectrogramDataset


def open_splits(
    learned: SplitClips,
    measured: SplitClips,
    spectrograms: Path,
    memory_gb: float,
    batch_size: int,
    device: torch.device,
    team: Team = ALONE,
) -> TrainingData:
    """Bring training and validation split to the device, if both fit into `memory_gb` together.

    What does not is streamed, and a line says so. All processes of a team decide that alike, by the
    whole splits: else their orders would differ. Raises InputError if the memory is too small even
    for that, or if a clip has no spectrogram.
    """
    train, val = (
        Found(find_windows(spectrograms, own.clip_ids), own.targets) for own in (learned, measured)
    )
    sizes = train.table.n_bytes(), val.table.n_bytes()
    window = sizes[0] // max(len(train.table), 1)
    room, besides = round(min(memory_gb * 1e9, 2**62)), (BESIDES + batch_size + 1) * window
    least = besides + LEAST_BUFFER * window
    train_fits, val_fits = what_fits(*sizes, room, least)
    if not train_fits:
        _check_room(room, sizes[0], least)
    buffer = (room - val_fits * sizes[1] - besides) // max(window, 1)
    if team.leads:
        _tell(sizes, (train_fits, val_fits), memory_gb, buffer)

    def opened(found: Found) -> SpectrogramDataset:
        return _load(found, "val", sum(sizes), device) if val_fits else stream_dataset(*found)

    own: SpectrogramDataset = (
        _load(train, "train", sizes[0], device) if train_fits else stream_dataset(*train, buffer)
    )
    part = opened(val._replace(table=val.table.of(team.part(len(val.table)))))
    return TrainingData(own, opened(val) if team.leads and team.size > 1 else part, part)


def what_fits(train: int, val: int, room: int, least: int) -> tuple[bool, bool]:
    """Tell which of two splits lies in memory, all in bytes; `least` is what streaming needs.

    Training comes first: its order hangs on whether it is streamed, that of validation hangs on
    nothing.
    """
    if train <= room:
        return True, train + val <= room
    return False, val <= room / MOST_FOR_VAL and val + least <= room


def _load(found: Found, name: str, enough: int, device: torch.device) -> SpectrogramDataset:
    lower = f"lower it below {enough / 1e9:.3g}, and they are read from disk"
    with room_told("train.memory_gb", device, f"the windows of split {name}", lower):
        return load_dataset(*found, device)


def _check_room(room: int, n_bytes: int, least: int) -> None:
    if least > room:
        enough = math.ceil(min(least, n_bytes) / 1e5) / 1e4
        raise InputError(
            f"params.yaml: train.memory_gb: {room / 1e9:g} GB is too little to stream the training "
            f"split of {n_bytes / 1e9:.3g} GB through: raise it to {enough:g} or more"
        )


def _tell(sizes: tuple[int, int], fits: tuple[bool, bool], memory_gb: float, buffer: int) -> None:
    """Say what is streamed, and why."""
    (train, val), (train_fits, val_fits) = sizes, fits
    room = f"train.memory_gb {memory_gb:g}"
    streamed = "streamed from disk"
    if not train_fits:
        more = f"{streamed}, shuffled among {buffer} windows at a time"
        print(f"training split {train / 1e9:.3g} GB > {room}: {more}", flush=True)
    if not val_fits:
        part = "what training leaves of" if train_fits else "its part of"
        print(f"validation split {val / 1e9:.3g} GB > {part} {room}: {streamed}", flush=True)
