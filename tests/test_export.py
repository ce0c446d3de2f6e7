"""An exported model answers in onnxruntime as its model file does in torch."""

import builtins
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch
from onnx_models import noise, run
from small_model import Trained

from timbre import export, onnx_check
from timbre.cli import main
from timbre.export import MOST_DIFFERENT, export_model
from timbre.features import read_features
from timbre.layers import Network
from timbre.model_file import ModelCard, load_model, save_model
from timbre.networks import build_network
from timbre.onnx_check import Differences
from timbre.predict import Classifier
from timbre.problems import InputError
from timbre.rejection import Landmarks, Rejection

RATE, WINDOW = 8000, 2000  # of the small model
LENGTHS = [1, 800, 1999, WINDOW, WINDOW + 1, 3000, 7400, RATE, 40_000]
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small model as ONNX."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_model(trained.model, path)
    return path


def check_answers(exported: Path, model: Path, waveforms: list[np.ndarray]) -> None:
    """Compare probabilities, scores and verdicts."""
    classifier = Classifier.load(model)
    threshold = load_model(model)[1].rejection.threshold
    rate = classifier.features.front_end.sample_rate
    for waveform in waveforms:
        found, wanted = run(exported, waveform=waveform), classifier.answer_of(waveform, rate)
        assert found["probs"].shape == wanted.probs.shape
        assert found["probs"].dtype == np.float32
        np.testing.assert_allclose(found["probs"], wanted.probs, atol=MOST_DIFFERENT, rtol=0)
        assert found["score"] == pytest.approx(wanted.score, rel=1e-3, abs=1e-3)
        if abs(wanted.score - threshold) > 1e-3 * max(1, abs(threshold)):
            assert found["known"] == wanted.is_known


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_it_answers_as_the_classifier_does_at_any_length(
    trained: Trained, exported: Path, n_samples: int
) -> None:
    check_answers(exported, trained.model, [noise(n_samples, seed) for seed in range(3)])


def test_it_answers_as_the_classifier_does_for_clips_and_for_silence(
    trained: Trained, exported: Path
) -> None:
    clips = [soundfile.read(path, dtype="float32", always_2d=True) for path in trained.clips]
    waveforms = [samples[:, 0].copy() for samples, _ in clips]
    check_answers(exported, trained.model, [*waveforms, np.zeros(3000, np.float32)])


def test_some_clips_are_known_and_some_are_not(trained: Trained, exported: Path) -> None:
    rejection = load_model(trained.model)[1].rejection
    lower, higher = np.sort(trained.known)[[len(trained.known) // 2 - 1, len(trained.known) // 2]]
    own = replace(rejection, threshold=float(lower + higher) / 2)  # no clip's own score
    _, card = load_model(trained.model)
    model = exported.parent / "middle.safetensors"
    save_model(model, load_model(trained.model)[0], replace(card, rejection=own))
    export_model(model, exported.parent / "middle.onnx")
    classifier = Classifier.load(model)
    told = []
    for path in trained.clips:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate == RATE:
            found = run(exported.parent / "middle.onnx", waveform=samples[:, 0].copy())
            told.append((bool(found["known"]), classifier.answer(path).is_known))
    assert {known for known, _ in told} == {True, False}
    assert all(known == wanted for known, wanted in told)


def tell_apart(network: Network, log_mels: torch.Tensor) -> None:
    """Have a network with random weights give answers that differ from clip to clip."""
    assert isinstance(network.output, torch.nn.Linear)
    network.train()
    with torch.no_grad():
        for _ in range(30):
            network(log_mels)  # batch norm gathers its statistics
        embedding = network.eval().embed(log_mels)
        network.output.weight /= 0.5 * network.output(embedding).std(dim=0).mean()
        network.output.bias.copy_(-network.output.weight @ embedding.mean(dim=0))


def random_model(folder: Path, network: str, windows: str, sizes: dict[str, Any]) -> Path:
    """Write a model file with random weights, normalisation and landmarks."""
    torch.manual_seed(0)
    sizes = {"n_classes": 5, "n_mels": 32, **sizes}
    features: dict[str, str | int | float] = {
        "sample_rate": RATE,
        "n_fft": 256,
        "hop_length": 100,
        "n_mels": 32,
        "window_seconds": 0.5,
        "windows": windows,
        "window_hop_seconds": 0.2,
        "fmin": 50.0,
        "fmax": 4000.0,
        "top_db": 80.0,
    }
    own = build_network(network, **sizes)
    own.normalise.set_statistics(torch.full((32,), -40.0), torch.linspace(8, 15, 32))
    clips = [noise(4000, seed) for seed in range(8)]
    tell_apart(own, torch.from_numpy(read_features(features).spectrograms(clips)).float())
    n = own.embed(torch.zeros(1, 1, 32, 41)).shape[1]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(0, 1, size).astype(np.float32) for size in ((5, n), (n, n), (n,), (n, n))]
    rejection = Rejection("class_projection", 0.1, Landmarks(*arrays))
    classes = ["a", "b", "c", "d", "é ü 東"]
    card = ModelCard(classes, network, sizes, features, {}, "f" * 64, 1.7, rejection)
    save_model(folder / "m.safetensors", own, card)
    return folder / "m.safetensors"


NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {
        "channels": [4, 8],
        "stride": 2,
        "pool": 2,
        "last_pool": 1,
        "hidden": [16, 8],
        "dropout": 0.1,
        "view_dropout": 0.4,
    },
    "resnet": {"dropout": 0.1, "view_dropout": 0.4},
    "notebook": {"n_frames": 41},
}


@pytest.mark.parametrize("windows", ["first", "all"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_can_be_exported(network: str, windows: str, tmp_path: Path) -> None:
    model = random_model(tmp_path, network, windows, NETWORKS[network])
    found = export_model(model, tmp_path / "m.onnx")
    assert found.checked is not None
    assert found.checked.prob <= MOST_DIFFERENT
    lengths = (800, RATE, 4000, 4001, 14_800)
    waveforms = [noise(n, seed) for seed, n in enumerate(lengths)]
    check_answers(tmp_path / "m.onnx", model, waveforms)
    classifier = Classifier.load(model)
    probs = np.stack([classifier.probs_of(waveform, RATE) for waveform in waveforms])
    assert np.ptp(probs, axis=0).max() > 0.05  # answers that differ: the law has content


def test_a_program_needs_only_the_file(trained: Trained, exported: Path) -> None:
    _, card = load_model(trained.model)
    said = {prop.key: prop.value for prop in onnx.load(exported).metadata_props}
    assert json.loads(said["classes"]) == card.classes == ["high", "low", "middle"]
    assert json.loads(said["sample_rate"]) == RATE
    assert json.loads(said["temperature"]) == card.temperature
    assert json.loads(said["threshold"]) == card.rejection.threshold
    assert json.loads(said["features"]) == card.features
    assert said["windows"] == card.features["windows"]
    assert json.loads(said["window_seconds"]) == 0.25
    assert said["score"] == "class_projection"
    assert said["unknown"] == "unknown"
    assert said["fingerprint"] == card.fingerprint
    assert said["description"].startswith("Tells 3 classes of audio clips apart. waveform: mono")


def test_inputs_and_outputs_are_those_that_are_promised(exported: Path) -> None:
    graph = onnx.load(exported).graph
    shapes = {
        own.name: [dim.dim_param or dim.dim_value for dim in own.type.tensor_type.shape.dim]
        for own in (*graph.input, *graph.output)
    }
    assert shapes == {"waveform": ["n_samples"], "probs": ["n_classes"], "score": [], "known": []}


def test_the_page_names_all_that_goes_in_and_comes_out_and_all_metadata(exported: Path) -> None:
    page = (REPOSITORY / "docs" / "export.md").read_text("utf-8")
    firsts = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    named = [name for first in firsts for name in re.findall(r"`(\w+)`", first)]
    model = onnx.load(exported)
    there = [own.name for own in (*model.graph.input, *model.graph.output)]
    assert sorted(named) == sorted(there + [own.key for own in model.metadata_props])


def test_two_exports_are_equal_and_tell_nothing_of_the_machine(
    trained: Trained, exported: Path, tmp_path: Path
) -> None:
    export_model(trained.model, tmp_path / "again.onnx")
    content = exported.read_bytes()
    assert (tmp_path / "again.onnx").read_bytes() == content
    for told in (str(REPOSITORY), str(trained.model.parent), "site-packages", ".py"):
        assert told.encode() not in content


def test_the_front_end_takes_little_of_the_file(trained: Trained, exported: Path) -> None:
    model = onnx.load(exported)
    (body,) = (node.attribute for node in model.graph.node if node.op_type == "Scan")
    (graph,) = (own.g for own in body if own.name == "body")
    own = [one.ByteSize() for one in graph.initializer if not one.name.startswith("network.")]
    assert sum(own) < 20_000


PEAK = """
import resource, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
for minutes in (1, 10):
    waveform = np.random.default_rng(0).normal(0, 0.1, minutes * 60 * 8000).astype(np.float32)
    session.run(None, {"waveform": waveform})
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_a_long_recording_takes_little_more_memory_than_its_waveform(exported: Path) -> None:
    told = subprocess.check_output([sys.executable, "-c", PEAK, str(exported)], text=True)
    minute, ten = map(int, told.split())
    assert ten - minute < 6 * 9 * 60 * 8000 * 4  # with spectra of all windows: over 20 times


def test_weights_in_8_bits_are_checked_and_told(
    trained: Trained, exported: Path, tmp_path: Path
) -> None:
    found = export_model(trained.model, tmp_path / "small.onnx", quantise=True)
    assert found.checked is not None
    assert found.checked.prob <= MOST_DIFFERENT
    assert found.rounded is not None
    assert 0 < found.rounded.prob < 0.1
    told = f"weights in 8 bits move a probability by up to {found.rounded.prob:.1g}"
    assert str(found).endswith(told)
    assert found.n_bytes == (tmp_path / "small.onnx").stat().st_size
    waveform = noise(3000)
    whole, small = (run(path, waveform=waveform) for path in (exported, found.path))
    np.testing.assert_allclose(small["probs"], whole["probs"], atol=0.1)


def test_the_line_says_what_was_checked() -> None:
    checked, rounded = Differences(3e-7, 1e-6), Differences(0.004, 0.1)
    written = export.Exported(Path("m.onnx"), 8, 1_690_000, checked, None)
    assert str(written) == (
        "m.onnx: 8 classes, 1.7 MB; checked in onnxruntime on 6 lengths: largest difference 3e-07"
    )
    assert str(replace(written, rounded=rounded)).endswith(
        "difference 3e-07; weights in 8 bits move a probability by up to 0.004"
    )
    assert str(replace(written, checked=None)) == (
        "m.onnx: 8 classes, 1.7 MB; not checked, since onnxruntime is not installed"
    )


def test_the_check_finds_a_model_that_answers_otherwise(
    trained: Trained, exported: Path, tmp_path: Path
) -> None:
    """The check asks for itself: another temperature is another model."""
    network, card = load_model(trained.model)
    save_model(tmp_path / "hot.safetensors", network, replace(card, temperature=2.0))
    classifier = Classifier.load(tmp_path / "hot.safetensors")
    assert onnx_check.measure_differences(exported, classifier).prob > 0.01


@pytest.mark.parametrize(
    "differences",
    [Differences(2e-4, 0.0), Differences(0.0, 2e-3), Differences(float("nan"), 0.0)],
)
def test_what_differs_from_torch_is_not_left_behind(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differences: Differences
) -> None:
    monkeypatch.setattr(onnx_check, "measure_differences", lambda *_: differences)
    old = tmp_path / "model.onnx"
    old.write_text("as it was")
    with pytest.raises(InputError, match="not written, since onnxruntime does not say what torch"):
        export_model(trained.model, old)
    assert old.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [old]


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Have Python find some packages no more, nor import them."""
    find, load = importlib.util.find_spec, builtins.__import__

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in packages else find(name, package)

    def loaded(name: str, *more: Any) -> Any:  # noqa: ANN401
        if name.split(".")[0] in packages:
            raise ModuleNotFoundError(name)
        return load(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    monkeypatch.setattr(builtins, "__import__", loaded)


def test_without_onnx_the_way_out_is_told(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without(monkeypatch, "onnx", "onnxscript")
    assert main(["export", str(trained.model), str(tmp_path / "m.onnx")]) == 1
    assert capsys.readouterr().err == (
        "error: an export needs onnx and onnxscript, which this environment lacks: "
        'run `pip install "timbre[export]"`, or in a clone `pip install -e ".[export]"`\n'
    )
    assert not (tmp_path / "m.onnx").exists()


def test_without_onnxruntime_nothing_is_checked_and_that_is_told(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnxruntime")
    written = export_model(trained.model, tmp_path / "m.onnx")
    assert str(written).endswith("; not checked, since onnxruntime is not installed")
    monkeypatch.undo()
    check_answers(tmp_path / "m.onnx", trained.model, [noise(3000)])


def test_the_command_exports_and_says_so(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "m.onnx"
    assert main(["export", str(trained.model), str(output), "--quantise"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{output}: 3 classes, 0.0 MB; checked in onnxruntime on 6 lengths")
    assert len(told.out.splitlines()) == 1
    assert told.err == ""
    assert run(output, waveform=noise(3000))["probs"].sum() == pytest.approx(1)


def other_score(folder: Path, trained: Trained) -> Path:
    network, card = load_model(trained.model)
    rejection = replace(card.rejection, score="energy")
    save_model(folder / "e.safetensors", network, replace(card, rejection=rejection))
    return folder / "e.safetensors"


def no_model(folder: Path, trained: Trained) -> Path:
    (folder / "text.safetensors").write_text("text")
    return folder / "text.safetensors"


Maker = Callable[[Path, Trained], Path]
BAD: list[tuple[Maker, str, str]] = [
    (lambda _, own: own.model, "m.wav", "m.wav: an exported model's name ends with .onnx"),
    (lambda _, own: own.model, "file/m.onnx", "file/m.onnx: cannot be written ("),
    (other_score, "m.onnx", "e.safetensors: its rejection score is energy"),
    (no_model, "m.onnx", "text.safetensors: not a usable Timbre model"),
    (lambda folder, _: folder / "none", "m.onnx", "none: no such model"),
]


@pytest.mark.parametrize(("make", "output", "told"), BAD)
def test_what_cannot_be_exported_is_told(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Maker,
    output: str,
    told: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["export", str(make(tmp_path, trained)), str(tmp_path / output)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / output).exists()


def test_a_model_that_no_onnx_file_holds_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match=r"its weights take 0\.0 GB, and an ONNX file holds 2"):
        export_model(trained.model, tmp_path / "m.onnx")


@pytest.mark.real
def test_it_answers_as_the_classifier_does_for_real_clips(
    real_data: Path, trained: Trained, exported: Path
) -> None:
    clips = sorted((real_data / "fsdd" / "recordings").glob("*.wav"))[::100]
    assert len(clips) == 30
    waveforms = [soundfile.read(path, dtype="float32")[0] for path in clips]
    check_answers(exported, trained.model, waveforms)
