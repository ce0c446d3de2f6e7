"""What an exported model is worth: `python -m bench.export`, a training and some minutes more.

Trains on 12 reciters, grouped by surah, or takes a pipeline that was run (`--pipeline FOLDER`).
Asks torch and each exported form about the clips of the test split, in turn, on one thread; 8 bits
are calibrated on validation clips. With TIMBRE_ORT_WEB, which names the folder dist of npm's
onnxruntime-web, Chromium is asked too. Writes bench/export.json and the tables of docs/export.md.

Times are the shortest: all clips that last a window are the same work, and what else a shared
machine does only adds to them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from tqdm import tqdm

from bench import machine, report
from bench.browser import milliseconds_in_browser
from bench.corpora import NoRecordingsError, recordings
from bench.onnx_variants import one_thread, write_forms, write_spectra
from bench.voice_tasks import RECITERS
from bench.workshop import REPOSITORY, Pipeline, change_params
from timbre.audio import Waveform, load
from timbre.clips import read_clips, read_splits
from timbre.features import Features
from timbre.predict import Classifier

RESULTS = REPOSITORY / "bench" / "export.json"
PAGE = REPOSITORY / "docs" / "export.md"
BEGIN, END = "<!-- begin: bench/export.json -->", "<!-- end: bench/export.json -->"
N_CALIBRATION = 100  # validation clips
N_ROUNDS = 50  # of one window's spectra
FRAMES = ((2048, 432), (1024, 256), (441, 147), (400, 160))  # n_fft, hop_length
PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript")
TORCH = "torch"

Results = dict[str, Any]
Answer = tuple[npt.NDArray[Any], bool]  # probabilities, and whether the clip is known
Ask = Callable[[Waveform], Answer]
Clips = list[tuple[Waveform, int]]  # and the target


def main(arguments: Sequence[str]) -> int:
    """Measure and write; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.export", description=__doc__)
    parser.add_argument("--pipeline", type=Path, help="a folder in which train_cnn has run")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as name:
        folder = Path(name)
        try:
            trained = options.pipeline or train(folder / "pipeline")
        except NoRecordingsError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        results = measure(trained, folder)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(page, results), encoding="utf-8")
    print(tables(results))
    return 0


def train(folder: Path) -> Path:
    """Train on the first of six folds of the reciters; return the pipeline's folder."""
    root = recordings() / "reciters"
    pipeline = Pipeline.make(folder, root, {**RECITERS, "split": {"n_folds": 6}})
    change_params(folder / "params.yaml", {"data": {"root": str(root.resolve())}})
    pipeline.run_needed_by("train_cnn")
    pipeline.run("train_cnn")
    return folder


def measure(trained: Path, folder: Path) -> Results:
    """Return what each form of a pipeline's model says and takes, and what spectra take."""
    model = trained / "models" / "timbre.safetensors"
    classifier = Classifier.load(model)
    test, val = (read_split(trained, name, classifier.features) for name in ("test", "val"))
    forms = write_forms(model, folder, [waveform for waveform, _ in val[:N_CALIBRATION]])
    asks = {TORCH: asking(classifier), **{name: asking_onnx(path) for name, path in forms.items()}}
    sizes = {name: path.stat().st_size for name, path in {TORCH: model, **forms}.items()}
    in_browser = milliseconds_in_browser(forms, test[0][0])
    told = machine.describe()
    return {
        "machine": {key: told[key] for key in ("cpu", "cores", "system", "python")},
        "versions": {name: machine.version(name) for name in PACKAGES},
        "n_clips": len(test),
        "forms": {
            name: {"mb": sizes[name] / 1e6, **found, "browser_ms": in_browser.get(name)}
            for name, found in ask_all(asks, test).items()
        },
        "spectra": {
            f"{n_fft}": spectra_ms(classifier.features, n_fft, hop_length, folder)
            for n_fft, hop_length in FRAMES
        },
    }


def read_split(trained: Path, split: str, features: Features) -> Clips:
    """Return the waveforms of a split and their targets."""
    data = yaml.safe_load((trained / "params.yaml").read_text(encoding="utf-8"))["data"]
    root = trained.resolve() / data["root"]
    paths = read_clips(trained / "data" / "clips.csv").set_index("clip_id")["path"]
    splits = read_splits(trained / "data" / "splits.csv")
    own = splits[splits["split"] == split]
    rate, seconds = features.front_end.sample_rate, features.heard_seconds()
    return [
        (load(root / paths[clip_id], rate, seconds), int(target))
        for clip_id, target in zip(own["clip_id"], own["target"], strict=True)
    ]


def asking(classifier: Classifier) -> Ask:
    """Return the function of a model in torch."""
    rate = classifier.features.front_end.sample_rate

    def ask(waveform: Waveform) -> Answer:
        answer = classifier.answer_of(waveform, rate)
        return answer.probs, answer.is_known

    return ask


def asking_onnx(path: Path) -> Ask:
    """Return the function of an exported model."""
    session = one_thread(path)

    def ask(waveform: Waveform) -> Answer:
        probs, known = session.run(["probs", "known"], {"waveform": waveform})
        return probs, bool(known)

    return ask


def ask_all(asks: Mapping[str, Ask], test: Clips) -> dict[str, Results]:
    """Ask all about each clip in turn, each time another one first."""
    names = list(asks)
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for ask in asks.values():
        ask(test[0][0])  # to warm up
    for number, (waveform, _) in enumerate(tqdm(test, unit="clip", disable=None)):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            answers[name].append(asks[name](waveform))
            seconds[name].append(time.perf_counter() - begun)
    targets = np.array([target for _, target in test])
    return {
        name: {
            **agreement(answers[name], answers[TORCH], targets),
            "ms": 1000 * min(seconds[name]),
        }
        for name in names
    }


def agreement(
    told: Sequence[Answer], exact: Sequence[Answer], targets: npt.NDArray[np.int64]
) -> Results:
    """Return the accuracy of answers, and how far they are from the exact ones."""
    (probs, known), (wanted, really_known) = (
        (np.stack([own for own, _ in answers]), np.array([own for _, own in answers]))
        for answers in (told, exact)
    )
    differ = (probs.argmax(axis=1) != wanted.argmax(axis=1)) | (known != really_known)
    return {
        "accuracy": float(np.mean(probs.argmax(axis=1) == targets)),
        "difference": float(np.abs(probs - wanted).max()),
        "other_answers": int(differ.sum()),
    }


def spectra_ms(features: Features, n_fft: int, hop_length: int, folder: Path) -> Results:
    """Return how long each way to the spectra of a window takes, here and in a browser."""
    front_end = replace(features.front_end, n_fft=n_fft, hop_length=hop_length)
    own = replace(features, front_end=front_end)
    n_samples = own.samples(front_end.sample_rate)
    heard = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    models = write_spectra(own, folder)
    in_browser = milliseconds_in_browser(models, heard)
    return {
        name: {"ms": best_ms(path, heard), "browser_ms": in_browser.get(name)}
        for name, path in models.items()
    }


def best_ms(path: Path, heard: Waveform) -> float:
    """Return the shortest time of a model for a window, after one run to warm up."""
    session = one_thread(path)
    taken = []
    for _ in range(1 + N_ROUNDS):
        begun = time.perf_counter()
        session.run(None, {"heard": heard})
        taken.append(time.perf_counter() - begun)
    return 1000 * min(taken[1:])


def tables(results: Results) -> str:
    """Return what was measured: the machine, the forms of the model, the ways to a spectrum."""
    told = {**results["machine"], **results["versions"]}
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines = [
        f"On one thread of {told['cpu']}, {told['system']}, Python {told['python']}, {versions}:",
        "",
        f"| model | MB | accuracy on {results['n_clips']} test clips | largest difference of a "
        "probability from torch's | clips with another answer | ms a clip | in Chromium |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in results["forms"].items():
        cells = [f"{own['mb']:.2f}", f"{own['accuracy']:.2%}", f"{own['difference']:.1g}"]
        cells += [str(own["other_answers"]), f"{own['ms']:.1f}", _ms(own["browser_ms"])]
        lines.append(f"| {' | '.join([name, *cells])} |")
    lines += ["", "| spectra of a window | n_fft | ms | in Chromium |", "|---|---|---|---|"]
    for n_fft, ways in results["spectra"].items():
        for name, own in ways.items():
            lines.append(f"| {name} | {n_fft} | {own['ms']:.1f} | {_ms(own['browser_ms'])} |")
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def with_tables(page: str, results: Results) -> str:
    """Return the page with the tables between its two markers."""
    return report.between(page, BEGIN, END, tables(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
