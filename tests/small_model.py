"""A small trained model and its clips, for what is done with a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from conftest import write_wav
from settings import DATA, EXTRACT
from torch import nn

from stages import encode_labels, extract_spectrograms
from timbre.answers import Floats
from timbre.clips import read_classes, read_clips
from timbre.confidence import measure_confidence
from timbre.dataset import SpectrogramDataset, find_windows, load_dataset, mean_and_std
from timbre.layers import Network
from timbre.model_file import ModelCard, save_model
from timbre.networks import build_network
from timbre.prediction import ask
from timbre.shards import read_index, shard_paths

SIZES: dict[str, Any] = {
    "n_classes": 3,
    "n_mels": 16,
    "channels": [4, 8],
    "stride": 1,
    "pool": 2,
    "hidden": [8],
    "dropout": 0.1,
}
# Seconds, Hz and channels of three clips a class: shorter than a window, of more windows than are
# taken at a time, resampled, mixed.
RECORDINGS = ((0.1, 8000, 1), (4.7, 8000, 1), (0.6, 11_025, 2))


@dataclass(frozen=True)
class Trained:
    """A trained model, its clips, and what `evaluate` would score for them."""

    model: Path
    clips: list[Path]
    probs: Floats
    known: Floats


def train(folder: Path, windows: str) -> Trained:
    corpus, clips, labels = folder / "corpus", folder / "clips.csv", folder / "labels.json"
    write_corpus(corpus)
    extract = EXTRACT | {"windows": windows}
    Path("params.yaml").write_text(yaml.safe_dump({"data": DATA, "extract": extract}))
    encode_labels.main(corpus, clips, labels, folder / "bad.csv")
    shards, quarantine = folder / "spectrograms", folder / "quarantine.csv"
    extract_spectrograms.main(corpus, clips, folder / "bad.csv", shards, quarantine)
    table = read_clips(clips)
    found = find_windows(folder / "spectrograms", table.clip_id.tolist())
    dataset = load_dataset(found, table.target.to_numpy())
    network = fit(dataset)
    temperature, rejection = measure_confidence(network, dataset, dataset, 5)
    features = read_index(shard_paths(folder / "spectrograms")[0]).attributes
    classes, written = read_classes(labels), "0" * 64
    card = ModelCard(classes, "cnn", SIZES, features, {}, written, temperature, rejection)
    save_model(folder / "m.safetensors", network, card)
    paths = [corpus / path for path in table.path]
    answers = ask(network, dataset, batch_size=5).of_clips(temperature)
    return Trained(folder / "m.safetensors", paths, answers.probs, rejection.scores(answers))


def write_corpus(corpus: Path) -> None:
    rows = ["FilePath,Class"]
    for seed, label in enumerate(("low", "middle", "high")):
        for n, (seconds, rate, n_channels) in enumerate(RECORDINGS):
            path = write_wav(corpus / label / f"{n}.wav", seconds, rate, 10 * seed + n, n_channels)
            samples, _ = soundfile.read(path, always_2d=True)
            tone = np.sin(2 * np.pi * 300 * 3**seed * np.arange(len(samples)) / rate)
            soundfile.write(path, samples + 0.1 * tone[:, None], rate, subtype="PCM_16")
            rows.append(f"{label}/{n}.wav,{label}")
    (corpus / "filespaths.csv").write_text("\n".join(rows) + "\n")


def fit(dataset: SpectrogramDataset) -> Network:
    torch.manual_seed(0)
    network = build_network("cnn", **SIZES)
    network.normalise.set_statistics(*mean_and_std(dataset))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    log_mel, targets = dataset.read(torch.arange(len(dataset))), dataset.targets
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(log_mel.float()), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()
