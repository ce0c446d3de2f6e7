from pathlib import Path

import numpy as np
import torch
from shard_files import write_shard
from torch import nn

from timbre.dataset import find_windows, map_dataset
from timbre.prediction import clip_probs
from timbre.shards import ShardIndex, shard_name


class FirstCells(nn.Module):
    """Takes the first two cells of a window for its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        return log_mel[:, 0, 0, :2]


def test_a_clips_answer_is_the_mean_over_its_windows(tmp_path: Path) -> None:
    log_mel = np.zeros((3, 1, 2), np.float16)
    log_mel[:, 0] = [[0, 0], [np.log(3), 0], [0, np.log(4)]]
    index = ShardIndex({}, ["one", "two"], ["0" * 64] * 2, [1, 2], (1, 2))
    write_shard(tmp_path / shard_name(0), index, log_mel)
    dataset = map_dataset(find_windows(tmp_path, ["two", "one"]), np.array([0, 1]))
    probs = clip_probs(FirstCells(), dataset, n_clips=2, batch_size=2)
    expected = [[(3 / 4 + 1 / 5) / 2, (1 / 4 + 4 / 5) / 2], [0.5, 0.5]]
    np.testing.assert_allclose(probs, expected, atol=1e-3)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
