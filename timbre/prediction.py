"""What the network says about the windows of whole clips."""

from contextlib import closing

import numpy as np
import torch
from tqdm import tqdm

from timbre.answers import Answers
from timbre.dataset import SpectrogramDataset, batch_slices, batches
from timbre.layers import Network


def ask(network: Network, dataset: SpectrogramDataset, batch_size: int) -> Answers:
    """Return the network's answers for all windows of a split.

    Runs in evaluation mode and in float32, where the network lies: a score must not hang on the
    hardware's shortcuts.
    """
    device = next(network.parameters()).device
    network.eval()
    order = dataset.reading_order()
    places, n = order.cpu().numpy(), len(dataset)
    logits = np.empty((n, network.output.out_features))
    embeddings = np.empty((n, network.output.in_features), np.float32)
    with (
        torch.inference_mode(),
        tqdm(total=len(dataset), unit="window", disable=None) as bar,
        closing(batches(dataset, batch_size, order)) as windows,
    ):
        for part, (log_mel, _) in zip(batch_slices(n, batch_size), windows, strict=True):
            own, embedding = places[part], network.embed(log_mel.to(device, torch.float32))
            logits[own] = network.output(embedding).cpu().numpy()
            embeddings[own] = embedding.cpu().numpy()
            bar.update(len(log_mel))
    return Answers(logits, embeddings, dataset.table.clip)
