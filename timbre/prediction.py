"""What the network says about the windows of whole clips."""

import numpy as np
import torch
from tqdm import tqdm

from timbre.answers import Answers
from timbre.dataset import SpectrogramDataset, batches
from timbre.layers import Network


def ask(network: Network, dataset: SpectrogramDataset, batch_size: int) -> Answers:
    """Return the network's answers for all windows of a split.

    Runs in evaluation mode and in float32, where the network lies: a score must not hang on the
    hardware's shortcuts.
    """
    device = next(network.parameters()).device
    network.eval()
    logits, embeddings = [], []
    with torch.inference_mode(), tqdm(total=len(dataset), unit="window", disable=None) as bar:
        for log_mel, _ in batches(dataset, batch_size):
            embedding = network.embed(log_mel.to(device, torch.float32))
            # To the CPU first: Apple's GPU has no float64.
            logits.append(network.output(embedding).cpu().double().numpy())
            embeddings.append(embedding.cpu().numpy())
            bar.update(len(log_mel))
    return Answers(np.concatenate(logits), np.concatenate(embeddings), dataset.table.clip)
