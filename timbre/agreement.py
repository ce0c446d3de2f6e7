"""Whether a model fits the classes and spectrograms that it is to be asked about."""

from pathlib import Path

from timbre.model_file import ModelCard
from timbre.problems import InputError
from timbre.shards import read_index, shard_paths


def check_fits(
    card: ModelCard, classes: list[str], model: Path, spectrograms: Path, labels: Path
) -> None:
    """Raise InputError if the model was trained on other classes or other features."""
    problems = []
    if card.classes != classes:
        problems.append(f"{model}: was trained on other classes than {labels} holds: retrain")
    features = read_index(shard_paths(spectrograms)[0]).attributes
    names = sorted({*features, *card.features})
    if other := [name for name in names if features.get(name) != card.features.get(name)]:
        problems.append(
            f"{model}: was trained on other features than {spectrograms} holds "
            f"({', '.join(other)}): retrain"
        )
    if problems:
        raise InputError(problems)
