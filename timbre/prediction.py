"""What the network says about the windows of whole clips."""

from contextlib import closing

import numpy as np
import torch
from tqdm import tqdm

from timbre.answers import Answers, Floats, Integers
from timbre.dataset import SpectrogramDataset, batches
from timbre.layers import Network


def ask(network: Network, dataset: SpectrogramDataset, batch_size: int) -> Answers:
    """Return the network's answers for all windows of a split.

    Runs in evaluation mode and in float32, where the network lies: a score must not hang on the
    hardware's shortcuts.
    """
    device = next(network.parameters()).device
    network.eval()
    order = dataset.reading_order()
    logits, embeddings = [], []
    with (
        torch.inference_mode(),
        tqdm(total=len(dataset), unit="window", disable=None) as bar,
        closing(batches(dataset, batch_size, order)) as windows,
    ):
        for log_mel, _ in windows:
            embedding = network.embed(log_mel.to(device, torch.float32))
            # To the CPU first: Apple's GPU has no float64.
            logits.append(network.output(embedding).cpu().double().numpy())
            embeddings.append(embedding.cpu().numpy())
            bar.update(len(log_mel))
    places = order.cpu().numpy()
    return Answers(_put_back(logits, places), _put_back(embeddings, places), dataset.table.clip)


def _put_back(parts: list[Floats], order: Integers) -> Floats:
    """Join what was found in an order, and return it in the order of the table."""
    joined = np.concatenate(parts)
    back = np.empty_like(joined)
    back[order] = joined
    return back
