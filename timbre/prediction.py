"""What the network says about whole clips."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from timbre.dataset import SpectrogramDataset, batches


def clip_probs(
    network: nn.Module, dataset: SpectrogramDataset, n_clips: int, batch_size: int
) -> npt.NDArray[np.float64]:
    """Return `(n_clips, n_classes)`: each clip's mean over the probabilities of its windows.

    Runs in float32 where the network lies: a score must not hang on the hardware's shortcuts.
    """
    device = next(network.parameters()).device
    probs = []
    with torch.inference_mode(), tqdm(total=len(dataset), unit="window", disable=None) as bar:
        for log_mel, _ in batches(dataset, batch_size):
            logits = network(log_mel.to(device, torch.float32))
            probs.append(logits.cpu().double().softmax(dim=1).numpy())
            bar.update(len(log_mel))
    by_window = np.concatenate(probs)
    clip = dataset.table.clip
    sums = np.zeros((n_clips, by_window.shape[1]))
    np.add.at(sums, clip, by_window)
    return sums / np.bincount(clip, minlength=n_clips)[:, None]
