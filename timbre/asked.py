"""Clips that a network was asked about: their windows, and what it says of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from timbre.answers import Answers, ClipAnswers, Floats, Integers, softmax
from timbre.dataset import SpectrogramDataset, find_windows, map_dataset
from timbre.layers import Network
from timbre.neighbours import nearest
from timbre.prediction import ask

BATCH_SIZE = 64  # windows at a time


@dataclass(frozen=True)
class Asked:
    """Some clips, in one order everywhere."""

    clips: pd.DataFrame  # rows of splits.csv
    windows: SpectrogramDataset
    answers: Answers  # of the windows
    summed: ClipAnswers

    def windows_of(self, clip: int) -> Integers:
        """Return where the windows of a clip lie among all."""
        return np.flatnonzero(self.answers.clip == clip)

    def clearest(self, clip: int, predicted: int) -> int:
        """Return which of a clip's windows, from 0, gives most to the answer."""
        own = self.answers.logits[self.windows_of(clip)]
        return int(softmax(own, 1.0)[:, predicted].argmax())

    def nearest(self, clip: int, embedding: Floats) -> int:
        """Return which of a clip's windows, from 0, is nearest to an embedding `(n_features,)`."""
        own = self.answers.embeddings[self.windows_of(clip)]
        return int(nearest(embedding[None], own, 1).index[0, 0])


def ask_about(
    network: Network, temperature: float, clips: pd.DataFrame, spectrograms: Path
) -> Asked:
    """Ask about clips, rows of splits.csv. Raises InputError if they have no spectrograms."""
    windows = find_windows(spectrograms, clips["clip_id"].tolist())
    dataset = map_dataset(windows, clips["target"].to_numpy())
    answers = ask(network, dataset, BATCH_SIZE)
    return Asked(clips, dataset, answers, answers.of_clips(temperature))
