"""A trained model that answers for audio files, out of its model file alone.

    from timbre.predict import Classifier

    classifier = Classifier.load(Path("models/timbre.safetensors"))
    answer = classifier.answer(Path("clip.wav"))
    print(answer.label, answer.likeliest, answer.probs.max())

Imports nothing that is slow but torch: a program that asks once pays for each import.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from timbre.answers import Answers, ClipAnswers, Floats
from timbre.audio import AudioError, Waveform, load, resample, stream
from timbre.device import choose_device
from timbre.features import WINDOWS_AT_A_TIME, Features, read_features
from timbre.layers import Network
from timbre.model_file import ModelCard, load_model
from timbre.problems import InputError
from timbre.rejection import UNKNOWN
from timbre.timeline import Segment, cells, merge
from timbre.waveform_check import check_waveform
from timbre.windows import stream_windows, window_starts

CLIPS_AT_A_TIME = 32  # asked about together, where no more than a window is heard of each
FEW_WINDOWS = 4  # so quickly answered by one thread that waking the others takes longer

Probs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a model says of one clip."""

    likeliest: str  # of the classes that it knows
    probs: Probs  # (n_classes,), calibrated
    score: float  # how known the clip looks, on the scale of this model's rejection
    is_known: bool  # whether the score reaches the model's threshold

    @property
    def label(self) -> str:
        """Return the likeliest class, or "unknown" for a clip that looks like none of them."""
        return self.likeliest if self.is_known else UNKNOWN


class Classifier:
    """A trained network with its classes and its features.

    Its answer for a clip is what `evaluate` scores: the mean over the probabilities of the windows.
    """

    def __init__(self, network: Network, card: ModelCard, features: Features) -> None:
        """Take a network in evaluation mode, which runs where it lies."""
        self.classes = card.classes
        self.features = features
        self.card = card
        self._network = network
        self._device = next(network.parameters()).device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read a model file, wherever it was trained, to run in float32 on `device`.

        Devices are those of `train.device` in params.yaml. Raises InputError for a file that is no
        Timbre model, whose features are not all there, or whose parts do not fit each other.
        """
        where = choose_device(device)
        network, card = load_model(path)
        try:
            features = read_features(card.features)
            classifier = cls(network.to(where, torch.float32), card, features)
            classifier._try_out()
        except InputError as error:
            raise InputError(f"{path}: {problem}: retrain" for problem in error.problems) from None
        return classifier

    def probs(self, path: Path) -> Probs:
        """Return the probabilities `(n_classes,)` for an audio file, in the order of `classes`.

        Raises InputError, which names the file, if it holds no usable audio.
        """
        return self.answer(path).probs

    def probs_of(self, waveform: Waveform, sample_rate: int) -> Probs:
        """Return the probabilities `(n_classes,)` for a waveform, as `answer_of` takes it."""
        return self.answer_of(waveform, sample_rate).probs

    def answer(self, path: Path) -> Answer:
        """Return the answer for an audio file.

        Raises InputError, which names the file, if it holds no usable audio.
        """
        return self._answers([self._load(path)])[0]

    def answers(self, paths: Iterable[Path]) -> Iterator[Answer]:
        """Yield the answer for each audio file; the windows of many are asked about together.

        Quicker than `answer` for each, and equal to it but for rounding. Raises InputError, which
        names the file, at the first that holds no usable audio, after the answers for all before.
        """
        remaining = iter(paths)
        n_together = 1 if self.features.heard_seconds() is None else CLIPS_AT_A_TIME
        while some := list(islice(remaining, n_together)):
            loaded, unusable = [], None
            for path in some:
                try:
                    loaded.append(self._load(path))
                except InputError as error:
                    unusable = error
                    break
            yield from self._answers(loaded)
            if unusable:
                raise unusable

    def answer_of(self, waveform: Waveform, sample_rate: int) -> Answer:
        """Return the answer for a mono waveform `(n_samples,)`, full scale 1.

        `sample_rate` in Hz. Raises InputError for what is no such waveform.
        """
        check_waveform(waveform, sample_rate)
        seconds = self.features.heard_seconds()
        heard = waveform if seconds is None else waveform[: round(seconds * sample_rate)]
        heard = np.ascontiguousarray(heard, np.float32)
        rate = self.features.front_end.sample_rate
        return self._answers([resample(heard, sample_rate, rate)])[0]

    def hears_part_of(self, path: Path) -> bool:
        """Tell whether an audio file is longer than what `answer` hears of it."""
        seconds = self.features.heard_seconds()
        return seconds is not None and soundfile.info(path).duration > seconds

    def timeline(self, path: Path, hop_seconds: float | None = None) -> list[Segment]:
        """Return who or what is heard in a recording of any length, from its start to its end.

        A window is asked each `hop_seconds` (None: half a window); where windows overlap, the mean
        of their answers counts. Raises InputError, which names the file, if its audio is unusable.
        """
        rate = self.features.front_end.sample_rate
        window = self.features.samples(rate)
        most = self.features.window_seconds
        wanted = most / 2 if hop_seconds is None else hop_seconds
        hop = round(wanted * rate) if 0 < wanted <= most else 0
        if not 0 < hop <= window:
            raise InputError(f"hop: {hop_seconds} s, not above 0 and up to {most:g} s")
        counted = _Counted(stream(_existing(path), rate))
        try:
            heard = list(self._ask_stream(stream_windows(counted, window, hop)))
        except AudioError as error:
            raise InputError(f"{path}: {error}") from None
        starts = window_starts(counted.n_samples, window, hop)
        return self._segments(heard, starts, window, counted.n_samples)

    def _ask_stream(self, windows: Iterator[Waveform]) -> Iterator[tuple[Floats, Floats]]:
        while some := list(islice(windows, WINDOWS_AT_A_TIME)):
            yield self._ask_some(self.features.spectrograms(some))

    def _segments(
        self, heard: list[tuple[Floats, Floats]], starts: list[int], window: int, n_samples: int
    ) -> list[Segment]:
        logits, embeddings = (np.concatenate(parts) for parts in zip(*heard, strict=True))
        cell, asked = cells(starts, window)
        clips = Answers(logits[asked], embeddings[asked], cell).of_clips(self.card.temperature)
        known = self.card.rejection.accepts(self.card.rejection.scores(clips))
        seconds = np.array([*starts, n_samples]) / self.features.front_end.sample_rate
        return merge(
            [
                Segment(
                    start=float(seconds[place]),
                    end=float(seconds[place + 1]),
                    label=self.classes[row.argmax()] if known[place] else UNKNOWN,
                    confidence=float(row.max()),
                )
                for place, row in enumerate(clips.probs)
            ]
        )

    def _load(self, path: Path) -> Waveform:
        rate = self.features.front_end.sample_rate
        try:
            return load(_existing(path), rate, self.features.heard_seconds())
        except AudioError as error:
            raise InputError(f"{path}: {error}") from None

    def _answers(self, waveforms: Sequence[Waveform]) -> list[Answer]:
        if not waveforms:
            return []
        clips, rejection = self._ask(waveforms), self.card.rejection
        scores = rejection.scores(clips)
        told = zip(clips.probs.astype(np.float64), scores, rejection.accepts(scores), strict=True)
        return [
            Answer(self.classes[probs.argmax()], probs, float(score), bool(is_known))
            for probs, score, is_known in told
        ]

    def _ask(self, waveforms: Sequence[Waveform]) -> ClipAnswers:
        asked, clip = [], []
        for log_mel, numbers in self._blocks(waveforms):
            asked.append(self._ask_some(log_mel))
            clip += numbers
        logits, embeddings = (np.concatenate(parts) for parts in zip(*asked, strict=True))
        answers = Answers(logits, embeddings, np.array(clip, np.int64))
        return answers.of_clips(self.card.temperature)

    def _blocks(
        self, waveforms: Sequence[Waveform]
    ) -> Iterator[tuple[npt.NDArray[np.float16], list[int]]]:
        """Yield all windows, some at a time, and the number of the clip of each."""
        waiting: list[npt.NDArray[np.float16]] = []
        numbers: list[int] = []
        for number, waveform in enumerate(waveforms):
            for log_mel in self.features.log_mels(waveform):
                waiting.append(log_mel)
                numbers += [number] * len(log_mel)
                if len(numbers) >= WINDOWS_AT_A_TIME:
                    yield np.concatenate(waiting), numbers
                    waiting, numbers = [], []
        if waiting:
            yield np.concatenate(waiting), numbers

    def _ask_some(self, log_mel: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        with torch.inference_mode(), one_thread_for_few(len(log_mel)):
            windows = torch.from_numpy(log_mel).to(self._device, torch.float32)
            embedding = self._network.embed(windows)
            # To the CPU first: Apple's GPU has no float64.
            logits = self._network.output(embedding).cpu().double()
        return logits.numpy(), embedding.cpu().numpy()

    def _try_out(self) -> None:
        """Ask for a window of silence. Raises InputError if network and features disagree."""
        try:
            self._ask([np.zeros(1, np.float32)])
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"its network does not take its features ({reason})") from None


class _Counted:
    """Pieces of a waveform, and how many samples they had."""

    def __init__(self, pieces: Iterator[Waveform]) -> None:
        self._pieces = pieces
        self.n_samples = 0

    def __iter__(self) -> Iterator[Waveform]:
        for piece in self._pieces:
            self.n_samples += len(piece)
            yield piece


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path


@contextmanager
def one_thread_for_few(n_windows: int) -> Iterator[None]:
    """Let one thread compute inside, if it is for a few windows.

    On a busy machine the threads of a pool wait for each other: a window of 2 ms took 140.
    """
    before = torch.get_num_threads()
    if n_windows > FEW_WINDOWS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
