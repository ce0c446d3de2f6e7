import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from small_model import Trained

from timbre import features, predict
from timbre.audio import Waveform
from timbre.model_file import load_model, save_model
from timbre.predict import Classifier
from timbre.problems import InputError
from timbre.timeline import Segment, merge

REPOSITORY = Path(__file__).parent.parent


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


@pytest.mark.parametrize("n_together", [2, 32])
def test_answers_for_many_files_are_those_for_each(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, n_together: int
) -> None:
    monkeypatch.setattr(predict, "CLIPS_AT_A_TIME", n_together)
    classifier = Classifier.load(trained.model)
    threshold = load_model(trained.model)[1].rejection.threshold
    together = list(classifier.answers(iter(trained.clips)))
    assert len(together) == len(trained.clips)
    for path, answer in zip(trained.clips, together, strict=True):
        alone = classifier.answer(path)
        np.testing.assert_allclose(answer.probs, alone.probs, atol=1e-5, rtol=0)
        assert answer.score == pytest.approx(alone.score, rel=1e-3, abs=1e-3)
        assert answer.likeliest == alone.likeliest
        # One clip's score is the threshold itself: rounding decides there.
        if alone.score != pytest.approx(threshold, rel=1e-3, abs=1e-3):
            assert answer.label == alone.label


def test_the_files_before_an_unusable_one_are_answered(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    paths = [*trained.clips[:2], tmp_path / "bad.wav", *trained.clips[2:]]
    answers = Classifier.load(trained.model).answers(paths)
    assert len(list(itertools.islice(answers, 2))) == 2
    with pytest.raises(InputError, match=r"bad\.wav"):
        next(answers)
    assert list(Classifier.load(trained.model).answers([])) == []


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


# Long recordings.


def recording(folder: Path, seconds: float) -> tuple[Path, Waveform]:
    """Write half a second of each class in turn."""
    time = np.arange(round(8000 * seconds)) / 8000
    noise = np.random.default_rng(3).uniform(-0.1, 0.1, len(time))
    tones = 0.1 * np.sin(2 * np.pi * 300 * 3 ** (2 * time // 1 % 3) * time)
    samples = (noise + tones).astype(np.float32)
    soundfile.write(folder / "long.wav", samples, 8000, subtype="FLOAT")
    return folder / "long.wav", samples


@pytest.mark.parametrize("seconds", [0.05, 0.25, 0.3, 3.07])
@pytest.mark.parametrize("hop", [None, 0.25, 0.1])
def test_a_timeline_is_told_without_gaps_from_start_to_end(
    trained: Trained, tmp_path: Path, seconds: float, hop: float | None
) -> None:
    path, samples = recording(tmp_path, seconds)
    found = Classifier.load(trained.model).timeline(path, hop)
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(len(samples) / 8000)
    assert [s.end for s in found[:-1]] == [s.start for s in found[1:]]
    assert all(a.label != b.label for a, b in itertools.pairwise(found))


def test_windows_side_by_side_are_told_as_clips_are(trained: Trained, tmp_path: Path) -> None:
    path, samples = recording(tmp_path, 2.5)
    classifier = Classifier.load(trained.model)
    answers = [classifier.answer_of(piece, 8000) for piece in samples.reshape(10, 2000)]
    alone = [
        Segment(0.25 * n, 0.25 * (n + 1), a.label, a.probs.max()) for n, a in enumerate(answers)
    ]
    found, expected = classifier.timeline(path, 0.25), merge(alone)
    assert [(s.start, s.label) for s in found] == [(s.start, s.label) for s in expected]
    np.testing.assert_allclose(
        [s.confidence for s in found], [s.confidence for s in expected], atol=1e-5
    )
    assert len(found) > 1


def test_a_timeline_does_not_depend_on_how_much_is_read_at_a_time(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = recording(tmp_path, 3.07)
    classifier = Classifier.load(trained.model)
    expected = classifier.timeline(path)
    monkeypatch.setattr("timbre.audio.BLOCK_SAMPLES", 700)
    monkeypatch.setattr(predict, "WINDOWS_AT_A_TIME", 3)
    found = classifier.timeline(path)
    assert [(s.start, s.label) for s in found] == [(s.start, s.label) for s in expected]


@pytest.mark.parametrize("hop", [0.0, -1.0, 0.26, float("nan")])
def test_a_hop_that_leaves_gaps_is_refused(trained: Trained, hop: float) -> None:
    with pytest.raises(InputError, match=rf"hop: {hop} s, not above 0 and up to 0.25 s"):
        Classifier.load(trained.model).timeline(trained.clips[0], hop)


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
        with pytest.raises(InputError) as caught:
            classifier.timeline(path)
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
