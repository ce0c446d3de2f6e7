"""The corpora that `bench.voice` trains on, and the names of what it measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.workshop import Changes

ONE_GROUP = "clean, "  # before the name of a group
KINDS = {"same_recording_reencoded": "re-encoded", "other_recording": "other recordings"}

Run = dict[str, Any]  # fold, seed, and the measures by name


@dataclass(frozen=True)
class Task:
    """A corpus, how it is split, and what is hoped for."""

    title: str
    corpus: str
    changes: Changes
    goals: Mapping[str, float]
    n_folds: int = 0
    second: bool = False  # whether the other recordings are of its classes


NOISES = ("white_noise_10db", "babble_10db")
CODECS = ("mp3_64kbps", "mp3_32kbps", "vorbis_q0", "opus_16kbps")
RECITERS: Changes = {"data": {"audio": "Dataset"}}
SPEAKERS: Changes = {"data": {"table": "filespaths_speakers.csv"}}
OFFICIAL: Changes = {"split": {"method": "column"}}
TASKS = {
    "reciters": Task(
        "12 reciters, grouped by surah",
        "reciters",
        RECITERS,
        {
            "clean": 0.99,
            **dict.fromkeys((*NOISES, *CODECS, "telephone"), 0.95),
            "worst usual condition": 0.85,
            "calibration error": 0.02,
            "re-encoded, mean over reciters": 0.97,
            "other recordings, mean over reciters": 0.75,
        },
        n_folds=6,
        second=True,
    ),
    "random": Task(
        "12 reciters, random rows", "reciters", {**RECITERS, "split": {"method": "random"}}, {}
    ),
    # As a user has them who reads no page: all settings but the split as they are shipped.
    "digits": Task("spoken digits, official split", "fsdd", OFFICIAL, {"clean": 0.993}),
    "speakers": Task(
        "who speaks the digits, official split", "fsdd", {**OFFICIAL, **SPEAKERS}, {"clean": 0.997}
    ),
    "strangers": Task("spoken digits of a speaker left out", "fsdd", {}, {}, n_folds=6),
}
