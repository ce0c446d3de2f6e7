from pathlib import Path

import numpy as np
import torch
from shard_files import write_shard
from torch import nn

from timbre.dataset import find_windows, map_dataset
from timbre.layers import Network
from timbre.prediction import ask
from timbre.shards import ShardIndex, shard_name


class FirstCells(Network):
    """Takes the first two cells of a window for its embedding, and their doubles for logits."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(2, 2, bias=False)
        self.output.weight.data = 2 * torch.eye(2)
        self.dropout = nn.Dropout(0.5)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.dropout(log_mel[:, 0, 0, :2])
        return embedding


def test_answers_are_those_of_each_window_in_the_order_of_the_clips(tmp_path: Path) -> None:
    log_mel = np.zeros((3, 1, 2), np.float16)
    log_mel[:, 0] = [[0, 0], [1, 2], [3, 4]]
    index = ShardIndex({}, ["one", "two"], ["0" * 64] * 2, [1, 2], (1, 2))
    write_shard(tmp_path / shard_name(0), index, log_mel)
    dataset = map_dataset(find_windows(tmp_path, ["two", "one"]), np.array([0, 1]))
    assert dataset.clip_targets().tolist() == [0, 1]
    answers = ask(FirstCells(), dataset, batch_size=2)
    np.testing.assert_array_equal(answers.embeddings, [[1, 2], [3, 4], [0, 0]])
    np.testing.assert_array_equal(answers.logits, 2 * answers.embeddings)
    assert answers.clip.tolist() == [0, 0, 1]
