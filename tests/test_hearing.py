"""What a worker of the server says of a clip."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import write_wav
from small_model import Trained
from sounds import encoded, flac_of, mp3_with_hole, mpeg4, noise, wav

from timbre import hearing
from timbre.answer_json import as_object
from timbre.audio_header import read_header
from timbre.hearing import Clip, hear
from timbre.predict import Classifier
from timbre.problems import InputError
from timbre.refusal import RefusedError


def refusal(trained: Trained, path: Path, max_seconds: float = 600.0) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        hear(trained.model, "cpu", Clip(path, max_seconds))
    assert str(path.parent) not in caught.value.message
    return caught.value


def test_answers_are_those_of_the_classifier(trained: Trained) -> None:
    classifier = Classifier.load(trained.model)
    for path in trained.clips:
        found = hear(trained.model, "cpu", Clip(path, 600.0, timeline=True))
        wanted = as_object(classifier.answer(path), classifier.classes)
        assert {key: found[key] for key in wanted} == wanted
        assert found["timeline"] == [asdict(part) for part in classifier.timeline(path)]
        assert found["seconds"] == pytest.approx(soundfile.info(path).duration, abs=0.01)


def test_only_what_is_asked_for_is_told(trained: Trained) -> None:
    path = trained.clips[0]
    bare = hear(trained.model, "cpu", Clip(path, 600.0))
    assert {"timeline", "spectrogram"} & set(bare) == set()
    assert "spectrogram" in hear(trained.model, "cpu", Clip(path, 600.0, spectrogram=True))


def test_the_model_tells_of_itself_what_json_can_hold(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier.load(trained.model)
    said = {"lr": 0.1, "epochs": 3, "val_loss": float("nan"), "channels": [1], "stopped": None}
    classifier.card = replace(classifier.card, trained=said)
    monkeypatch.setattr(hearing, "_classifier", lambda *_: classifier)
    told = hear(trained.model, "cpu", None)
    json.dumps(told, allow_nan=False)
    assert told["trained"] == {"lr": 0.1, "epochs": 3}
    assert told["classes"] == ["high", "low", "middle"]
    assert told["heard_seconds"] == (None if classifier.features.keep_all else 0.25)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"words", "This file is text, not audio."),
        (b"<!doctype html><p>no", "This file is a web page, not audio (a failed download?)."),
        (mpeg4(), "This file is M4A/MP4 (AAC), which libsndfile cannot read: convert it to WAV"),
        (wav(body=b""), "This file holds no samples."),
        (mp3_with_hole(), "This file cannot be decoded to its end"),
        (encoded("WAV", "FLOAT", np.full((400, 1), np.nan)), "This file holds NaN or infinite"),
    ],
)
def test_what_is_no_usable_audio_is_told_with_the_reason_and_without_a_path(
    trained: Trained, tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "clip").write_bytes(content)
    refused = refusal(trained, tmp_path / "clip")
    assert (refused.status, refused.code) == (400, "undecodable")
    assert refused.message.startswith(told)


def test_a_clip_may_be_as_long_as_allowed_and_no_longer(trained: Trained, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "clip.wav", 2.0, 11_025)
    assert hear(trained.model, "cpu", Clip(path, 2.0))["seconds"] == 2.0
    refused = refusal(trained, path, 1.9)
    assert (refused.status, refused.code) == (413, "too_long")
    assert refused.message == (
        "This clip lasts more than 1.9 s, the longest that this server takes: cut it."
    )


def test_a_header_that_claims_too_little_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "clip.wav", 3.0)
    honest = read_header(path)
    monkeypatch.setattr(hearing, "read_header", lambda _: honest._replace(n_samples=8))
    with pytest.raises(RefusedError, match="lasts more than 2 s"):
        hearing.bounded(path, 8000, 2.0)


def test_a_header_that_claims_hours_is_refused_before_they_are_decoded(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip").write_bytes(flac_of(2**35))
    monkeypatch.setattr(hearing, "stream", lambda *_: pytest.fail("decoded"))
    assert refusal(trained, tmp_path / "clip").code == "too_long"


def test_all_that_libsndfile_reads_is_taken_without_a_name(
    trained: Trained, tmp_path: Path
) -> None:
    for container, subtype in (("FLAC", None), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        path = tmp_path / "clip"
        path.write_bytes(encoded(container, subtype, noise(16_000), 16_000))
        assert hear(trained.model, "cpu", Clip(path, 600.0))["seconds"] == pytest.approx(1, abs=0.1)


def test_an_unusable_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"no")
    with pytest.raises(InputError, match="not a usable Timbre model"):
        hear(tmp_path / "model", "cpu", None)
