import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from conftest import write_wav
from torch import nn

from stages import encode_labels, extract_spectrograms
from timbre import features, predict
from timbre.answers import Floats
from timbre.audio import Waveform
from timbre.clips import read_classes, read_clips
from timbre.confidence import measure_confidence
from timbre.dataset import SpectrogramDataset, find_windows, load_dataset, mean_and_std
from timbre.layers import Network
from timbre.model_file import ModelCard, load_model, save_model
from timbre.networks import build_network
from timbre.predict import Classifier
from timbre.prediction import ask
from timbre.problems import InputError
from timbre.shards import read_index, shard_paths

REPOSITORY = Path(__file__).parent.parent
EXTRACT: dict[str, Any] = {
    "sample_rate": 8000,
    "window_seconds": 0.25,
    "windows": "all",
    "window_hop_seconds": 0.125,
    "n_fft": 256,
    "hop_length": 100,
    "n_mels": 16,
    "fmin": 50.0,
    "fmax": None,
    "top_db": 80.0,
    "n_shards": 3,
}
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


@pytest.fixture(scope="module", params=["all", "first"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp(request.param)
        patch.chdir(folder)
        patch.setenv("TIMBRE_JOBS", "1")
        yield train(folder, request.param)


def train(folder: Path, windows: str) -> Trained:
    corpus, clips, labels = folder / "corpus", folder / "clips.csv", folder / "labels.json"
    write_corpus(corpus)
    data = {
        "root": "corpus",
        "table": "",
        "audio": "",
        "allow_outside": False,
        "bad_audio": "fail",
        "max_quarantined": 0.0,
    }
    extract = EXTRACT | {"windows": windows}
    Path("params.yaml").write_text(yaml.safe_dump({"data": data, "extract": extract}))
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
    log_mel, targets = dataset.read(torch.arange(len(dataset)))
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(log_mel.float()), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def test_an_answer_is_what_evaluate_scores(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    probs = np.stack([classifier.probs(path) for path in trained.clips])
    assert probs.dtype == np.float64
    # A batch of one is summed in another order than a batch of nine.
    np.testing.assert_allclose(probs, trained.probs, atol=1e-5, rtol=0)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert np.ptp(probs, axis=0).min() > 0.2  # clips that are told apart: the law has content


def test_a_clip_is_unknown_where_its_score_is_below_the_models_threshold(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    threshold = load_model(trained.model)[1].rejection.threshold
    for path, probs, known in zip(trained.clips, trained.probs, trained.known, strict=True):
        answer = classifier.answer(path)
        assert answer.score == pytest.approx(known, rel=1e-3, abs=1e-3)
        assert answer.is_known == (answer.score >= threshold)
        assert answer.likeliest == classifier.classes[probs.argmax()]
        assert answer.label == (answer.likeliest if answer.is_known else "unknown")


@pytest.mark.parametrize(("threshold", "label"), [(-1e9, "likeliest"), (1e9, "unknown")])
def test_a_threshold_that_all_or_none_reach_makes_all_or_none_known(
    trained: Trained, tmp_path: Path, threshold: float, label: str
) -> None:
    rejection = load_model(trained.model)[1].rejection
    model = rewritten(trained, tmp_path, rejection=replace(rejection, threshold=threshold))
    answer = Classifier.load(model).answer(trained.clips[0])
    assert answer.label == (answer.likeliest if label == "likeliest" else label)


def test_a_higher_temperature_makes_less_sure_and_changes_no_likeliest_class(
    trained: Trained, tmp_path: Path
) -> None:
    cold, hot = (
        Classifier.load(rewritten(trained, tmp_path, temperature=t)).answer(trained.clips[0])
        for t in (1.0, 10.0)
    )
    assert hot.probs.max() < cold.probs.max()
    assert hot.likeliest == cold.likeliest
    assert hot.score == cold.score


def test_a_classifier_names_its_classes_in_the_order_of_its_answers(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    assert classifier.classes == ["high", "low", "middle"]
    assert classifier.probs(trained.clips[1]).shape == (3,)


def test_a_file_and_its_samples_have_one_answer(trained: Trained, tmp_path: Path) -> None:
    classifier = Classifier.load(trained.model)
    rate = 11_025
    samples = np.random.default_rng(5).uniform(-1, 1, 12_000).astype(np.float32)
    samples[: round(0.25 * rate)] *= 0.001  # what follows the window must not ring in it
    path = tmp_path / "c.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    expected = classifier.probs(path)
    np.testing.assert_allclose(classifier.probs_of(samples, rate), expected, atol=1e-9)
    np.testing.assert_allclose(classifier.probs_of(samples.astype("f8"), rate), expected, atol=1e-9)
    backwards = samples[::-1].copy()[::-1]
    np.testing.assert_allclose(classifier.probs_of(backwards, rate), expected, atol=1e-9)


def test_only_a_model_of_all_windows_hears_what_follows_the_first(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    window = np.random.default_rng(0).uniform(-0.1, 0.1, 2000).astype(np.float32)
    tone = np.sin(np.arange(6000, dtype=np.float32) / 4)
    first = classifier.probs_of(window, 8000)
    longer = classifier.probs_of(np.concatenate([window, tone]), 8000)
    assert np.allclose(first, longer, atol=1e-6) == (not classifier.features.keep_all)


@pytest.mark.parametrize("at_a_time", [1, 7, 1000])
def test_a_long_file_is_taken_in_bounded_batches(
    trained: Trained, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier.load(trained.model)
    waveform = np.random.default_rng(0).uniform(-0.1, 0.1, 40_000).astype(np.float32)
    expected = classifier.probs_of(waveform, 8000)
    monkeypatch.setattr(features, "WINDOWS_AT_A_TIME", at_a_time)
    sizes = [len(batch) for batch in classifier.features.log_mels(waveform)]
    assert sum(sizes) == (39 if classifier.features.keep_all else 1)
    assert max(sizes) <= at_a_time
    np.testing.assert_allclose(classifier.probs_of(waveform, 8000), expected, atol=1e-6)


def test_silence_has_an_answer_too(trained: Trained) -> None:
    probs = Classifier.load(trained.model).probs_of(np.zeros(1, np.float32), 48_000)
    assert probs.sum() == pytest.approx(1)


# What goes wrong.


def test_files_without_usable_audio_are_named(trained: Trained, tmp_path: Path) -> None:
    classifier = Classifier.load(trained.model)
    text, empty, broken = (tmp_path / name for name in ("a.wav", "b.wav", "c.wav"))
    text.write_text("no audio")
    soundfile.write(empty, np.zeros(0), 8000)
    soundfile.write(broken, np.array([0, np.nan]), 8000, subtype="FLOAT")
    said = {
        text: "cannot be decoded (Format not recognised)",
        empty: "holds no samples",
        broken: "holds NaN or infinite samples",
        tmp_path / "none.wav": "no such file",
        tmp_path: "no such file",
    }
    for path, reason in said.items():
        with pytest.raises(InputError) as caught:
            classifier.probs(path)
        assert caught.value.problems == [f"{path}: {reason}"]


@pytest.mark.parametrize(
    ("waveform", "sample_rate", "message"),
    [
        (np.zeros((2, 9), np.float32), 8000, r"of shape \(2, 9\), not \(n_samples,\): mix it"),
        (np.zeros(9, np.int16), 8000, "of int16, not float32: divide it by its full scale"),
        (np.zeros(0, np.float32), 8000, "holds no samples"),
        (np.array([np.inf], np.float32), 8000, "holds NaN or infinite samples"),
        (np.zeros(9, np.float32), 0, "sample_rate: 0 Hz is impossible"),
    ],
)
def test_what_is_no_waveform_is_refused(
    trained: Trained, waveform: Waveform, sample_rate: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Classifier.load(trained.model).probs_of(waveform, sample_rate)


def rewritten(trained: Trained, folder: Path, **changes: Any) -> Path:  # noqa: ANN401 (of a card)
    network, card = load_model(trained.model)
    save_model(folder / "m.safetensors", network, replace(card, **changes))
    return folder / "m.safetensors"


def test_all_features_that_a_model_lacks_are_named(trained: Trained, tmp_path: Path) -> None:
    said = load_model(trained.model)[1].features
    kept = {key: value for key, value in said.items() if key not in ("windows", "n_fft")}
    model = rewritten(trained, tmp_path, features=kept | {"top_db": -1.0})
    with pytest.raises(InputError) as caught:
        Classifier.load(model)
    assert caught.value.problems == [
        f"{model}: its features lack windows: retrain",
        f"{model}: its features lack n_fft: retrain",
        f"{model}: its top_db is -1.0: retrain",
    ]


def test_parts_that_do_not_fit_are_refused(trained: Trained, tmp_path: Path) -> None:
    said = load_model(trained.model)[1].features
    model = rewritten(trained, tmp_path, features={**said, "n_mels": 17})
    with pytest.raises(InputError, match=r"its network does not take its features \(.*\): retrain"):
        Classifier.load(model)


def test_a_device_that_is_not_there_is_refused(trained: Trained) -> None:
    if torch.cuda.is_available():
        pytest.skip("it is there")
    with pytest.raises(InputError, match="device 'cuda' is not available here"):
        Classifier.load(trained.model, "cuda")


# What it costs.


def test_few_windows_are_answered_by_one_thread_and_many_by_all() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with predict.one_thread_for_few(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with predict.one_thread_for_few(predict.FEW_WINDOWS + 1):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_slow_is_imported_but_torch() -> None:
    slow = "pandas matplotlib sklearn scipy.sparse scipy.signal h5py librosa pydantic yaml dvc"
    code = "import sys, timbre.predict; print(*sys.modules.keys() & set(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *slow.split()]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
