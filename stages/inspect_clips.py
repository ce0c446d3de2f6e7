"""Make one page to look at and listen to: the score, what does not flatter, and the mistakes.

Reads the corpus, the model and what was measured of it; writes one HTML file that needs no server:

    python -m stages.inspect_clips data/demo data/clips.csv data/splits.csv data/labels.json \\
        data/spectrograms models/timbre.safetensors metrics/split.json metrics/test.json \\
        metrics/robustness.json plots/learning_curves.csv plots/reliability.csv plots/report.html

Nothing reads the page: what it shows of the test clips shapes no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from tqdm import tqdm

from timbre import command, confusion, curves, reliability, report, report_page
from timbre.agreement import check_fits
from timbre.answers import Floats, Integers
from timbre.asked import Asked, ask_about
from timbre.atomic import replacing
from timbre.cards import Budget, Card, Near
from timbre.clips import read_clips, read_divided
from timbre.features import Features, read_features
from timbre.grad_cam import grad_cam
from timbre.inspection import Choice, Said, choose
from timbre.layers import Network
from timbre.listening import Recording, Sounds
from timbre.model_file import ModelCard, load_model
from timbre.neighbours import nearest
from timbre.params import Section, read_section
from timbre.png import attention_png, spectrogram_png
from timbre.problems import InputError
from timbre.report_page import Heard
from timbre.scores import predict

MEGABYTE = 1_000_000
PNG = "image/png"


class Inspect(Section):
    """The section `inspect` of params.yaml."""

    max_clips: int = Field(ge=1)  # test clips on the page
    unsure_below: float = Field(ge=0, le=1)  # right answers with less confidence are shown too
    neighbours: int = Field(ge=0, le=9)  # nearest training clips of each
    max_seconds: float = Field(gt=0, le=600)  # of each sound
    max_mb: float = Field(ge=0, le=1000)  # of sounds and pictures together


@dataclass(frozen=True)
class Model:
    """A trained network, and what its file says."""

    network: Network
    card: ModelCard
    features: Features


def main(
    root: Path,
    clips: Path,
    splits: Path,
    labels: Path,
    spectrograms: Path,
    model_file: Path,
    split_json: Path,
    test_json: Path,
    robustness_json: Path,
    learning_curves: Path,
    reliability_csv: Path,
    page: Path,
) -> None:
    """Write the page of the test clips below `root`."""
    params = read_section("inspect", Inspect)
    files = split_json, test_json, robustness_json
    split, test, robustness = (report.read_metrics(path) for path in files)
    epochs, bins = curves.read_csv(learning_curves), reliability.read_rows(reliability_csv)
    recordings = list_recordings(root, clips)
    model = load(model_file)
    table, classes = read_divided(splits, labels, ("train", "test"))
    check_fits(model.card, classes, model_file, spectrograms, labels)
    tested, trained = (tell(model, table, name, spectrograms) for name in ("test", "train"))
    said = judge(tested, model.card)
    choice = choose(said, params.unsure_below, params.max_clips)
    budget = Budget(params.max_mb * MEGABYTE)
    sounds = Sounds(recordings, model.features, params.max_seconds, budget)
    cards = list(make_cards(model, said, choice, tested, trained, params.neighbours, sounds))
    matrix = confusion.count(said.targets, said.predicted(), len(classes))
    threshold = model.card.rejection.threshold
    heard = Heard(cards, choice, params.unsure_below, threshold, budget.n_refused, matrix)
    try:
        fits = said.agrees_with(test["n_clips"], test["accuracy"])
        text = report_page.text(
            (split, test, robustness), epochs, bins, model.card, model.features, heard
        )
    except (LookupError, TypeError, ValueError, AttributeError, InputError) as error:
        raise InputError(
            f"{', '.join(map(str, files))}: one of them is not as its stage wrote it "
            f"({type(error).__name__}: {error}): delete them and run `dvc repro`"
        ) from None
    if not fits:
        raise InputError(f"{test_json}: is of another model than {model_file}: run dvc repro")
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print_summary(page, choice, len(text.encode()), budget.n_refused)


def list_recordings(root: Path, clips: Path) -> dict[str, Recording]:
    """Return the file of each clip by its id. Raises InputError if the corpus is not there."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: it is the corpus, data.root in params.yaml")
    table = read_clips(clips)
    rows = zip(table["clip_id"], table["path"], table["sha256"], strict=True)
    return {clip_id: Recording(root / path, sha256) for clip_id, path, sha256 in rows}


def load(path: Path) -> Model:
    """Read a model file."""
    network, card = load_model(path)
    try:
        return Model(network, card, read_features(card.features))
    except InputError as error:
        raise InputError(f"{path}: {problem}: retrain" for problem in error.problems) from None


def tell(model: Model, table: pd.DataFrame, split: str, spectrograms: Path) -> Asked:
    """Ask the model about the clips of a split; `table` as in splits.csv."""
    clips = table[table["split"] == split].reset_index(drop=True)
    return ask_about(model.network, model.card.temperature, clips, spectrograms)


def judge(tested: Asked, card: ModelCard) -> Said:
    """Return what the model says of the test clips as the page tells it."""
    probs = np.asarray(tested.summed.probs, np.float64)
    predict(probs)  # refuses what is not finite
    known = np.asarray(card.rejection.scores(tested.summed), np.float64)
    accepted = np.asarray(card.rejection.accepts(known), np.bool_)
    return Said(probs, tested.clips["target"].to_numpy(), known, accepted)


def make_cards(
    model: Model,
    said: Said,
    choice: Choice,
    tested: Asked,
    trained: Asked,
    n_near: int,
    sounds: Sounds,
) -> Iterator[Card]:
    """Yield what the page tells of each of the chosen test clips."""
    chosen = choice.clips
    predicted, doubt, of_another = said.predicted(), said.doubt(), said.of_another()
    windows = [tested.clearest(clip, int(predicted[clip])) for clip in chosen]
    places = [tested.windows_of(clip)[window] for clip, window in zip(chosen, windows, strict=True)]
    log_mel = tested.windows.read(torch.tensor(places))
    looked = where_it_looked(model.network, log_mel, predicted[chosen], said.targets[chosen])
    url, top_db = sounds.budget.url, model.features.front_end.top_db
    embeddings = tested.summed.embeddings[chosen]
    found = nearest(embeddings, trained.summed.embeddings, n_near)
    for number, clip in enumerate(tqdm(chosen, unit="clip", disable=None)):
        row, window = tested.clips.iloc[clip], windows[number]
        yield Card(
            clip_id=row["clip_id"],
            group=row["group"],
            actual=int(said.targets[clip]),
            predicted=int(predicted[clip]),
            probs=[(target, float(said.probs[clip, target])) for target in said.likeliest(clip)],
            kind=choice.kinds[number],
            accepted=bool(said.accepted[clip]),
            known=float(said.known[clip]),
            doubt=float(doubt[clip]),
            of_another=bool(of_another[clip]),
            window=window + 1,
            n_windows=len(tested.windows_of(clip)),
            picture=url(spectrogram_png(log_mel[number, 0].numpy(), top_db), PNG),
            looked=[
                (target, url(attention_png(own), PNG)) for target, own in looked[number].items()
            ],
            sound=sounds.of(row["clip_id"], window),
            near=[
                near_of(trained, place, similarity, embeddings[number], sounds)
                for place, similarity in found.of(number)
            ],
        )


def where_it_looked(
    network: Network, log_mel: torch.Tensor, answers: Integers, labels: Integers
) -> list[dict[int, Floats]]:
    """Return for each window where what speaks for its answer lies, and for its label."""
    maps = [grad_cam(network, log_mel, torch.from_numpy(own)) for own in (answers, labels)]
    return [
        {answer: for_answer, label: for_label}
        for answer, label, for_answer, for_label in zip(
            answers.tolist(), labels.tolist(), *maps, strict=True
        )
    ]


def near_of(
    trained: Asked, clip: int, similarity: float, embedding: Floats, sounds: Sounds
) -> Near:
    """Return a training clip that is near an embedding `(n_features,)`, with its nearest window."""
    row = trained.clips.iloc[clip]
    sound = sounds.of(row["clip_id"], trained.nearest(clip, embedding))
    return Near(row["clip_id"], row["label"], row["group"], similarity, sound)


def print_summary(page: Path, choice: Choice, n_bytes: int, n_refused: int) -> None:
    """Say what is on the page and what is not."""
    print(
        f"inspect_clips: {page}: {choice.n_wrong} wrong and {choice.n_unsure} unsure test clips, "
        f"{len(choice.clips)} to listen to; {n_bytes / MEGABYTE:.1f} MB"
    )
    if n_refused:
        print(
            f"inspect_clips: warning: {n_refused} sounds and pictures found no room on the page: "
            "raise inspect.max_mb, or lower inspect.max_clips, neighbours or max_seconds"
        )


if __name__ == "__main__":
    command.run(main)
