"""How many planted copies are found, and at what cost: `python -m bench.planted_leaks`.

Copies of some reciters' clips are made in every way that a recording is doctored, and put among all
clips. Writes the table of docs/leaks.md, with what else is taken for copies and what the search
costs.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import istft, stft
from tqdm import tqdm

from bench.corpora import NoRecordingsError, reciter_recordings
from bench.ours import front_end
from bench.workshop import REPOSITORY
from timbre.audio import load
from timbre.codecs import mp3, opus, vorbis
from timbre.copies import Index
from timbre.levels import change_level
from timbre.noise import add_noise, white
from timbre.subfingerprints import Fingerprints, Listening, listening
from timbre.windows import cut

Waveform = npt.NDArray[np.float32]
Half = npt.NDArray[np.float16]
Change = Callable[[Waveform, int], Waveform]

PAGE = REPOSITORY / "docs" / "leaks.md"
BEGIN, END = "<!-- begin: bench/planted_leaks.py -->", "<!-- end: bench/planted_leaks.py -->"
SECONDS = 5.0  # of a window
# Bands end at half the rate of the recordings, as `extract_spectrograms` has them by itself.
FRONT_END = replace(front_end(), fmax=8000.0)
BATCH = 64


def denoise(waveform: Waveform, sample_rate: int) -> Waveform:
    """Weaken by 20 dB what lies below 2.5 times the tenth quantile of its frequency."""
    _, _, spectrum = stft(waveform, sample_rate, nperseg=1024)
    size = np.abs(spectrum)
    floor = 2.5 * np.quantile(size, 0.1, axis=1, keepdims=True)
    gated = spectrum * np.where(size < floor, 0.1, 1.0)
    return np.asarray(istft(gated, sample_rate, nperseg=1024)[1], np.float32)


def noisy(waveform: Waveform, _: int) -> Waveform:
    """Add white noise 20 dB below."""
    return add_noise(waveform, white(len(waveform), np.random.default_rng(0)), 20.0)


def later(seconds: float) -> Change:
    """Return what leaves the beginning away: by no whole number of frames."""
    return lambda waveform, rate: waveform[round(seconds * rate) + 137 :]


CHANGES: dict[str, Change] = {
    "MP3, 64 kbps": lambda w, rate: mp3(w, rate, 64),
    "MP3, 32 kbps": lambda w, rate: mp3(w, rate, 32),
    "Vorbis, quality 0": lambda w, rate: vorbis(w, rate, 0),
    "Opus, 16 kbps": lambda w, rate: opus(w, rate, 16),
    "20 dB softer, 16 bits": lambda w, _: change_level(w, -20.0),
    "6 dB louder, peaks cut": lambda w, _: change_level(w, 6.0),
    "noise reduced": denoise,
    "white noise, 20 dB": noisy,
    "first half alone": lambda w, rate: w[: round(2.5 * rate)],
    "shifted by 0.5 s": later(0.5),
    "shifted by 2 s": later(2.0),
}


@dataclass(frozen=True)
class Planted:
    """What became of planted copies."""

    found: dict[str, list[bool]]  # by the kind of copy, one entry a clip
    n_pairs: int  # of originals
    alarms: list[tuple[int, int]]  # pairs of originals that are taken for copies

    def share(self) -> float:
        """Return the share of all planted copies that were found."""
        return sum(map(sum, self.found.values())) / sum(map(len, self.found.values()))


def main(arguments: Sequence[str]) -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.planted_leaks", description=__doc__)
    parser.add_argument("--clips", type=int, default=400, help="of which copies are made")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    options = parser.parse_args(arguments)
    try:
        paths = reciter_recordings()
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    started = time.perf_counter()
    originals = spectrograms(paths)
    extraction = (time.perf_counter() - started) / len(paths)
    started = time.perf_counter()
    pairs_of(originals)
    search = (time.perf_counter() - started) / len(paths)
    text = markdown(plant(paths, originals, options.clips), paths, extraction, search)
    print(text)
    if not options.print:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    return 0


def plant(paths: Sequence[Path], originals: Half, n_copied: int) -> Planted:
    """Copy some clips in every way, look for each kind of copy among all originals."""
    rate = FRONT_END.sample_rate
    chosen = np.random.default_rng(0).choice(len(paths), n_copied, replace=False).tolist()
    waveforms = [load(paths[n], rate) for n in chosen]
    found = {}
    for name, change in tqdm(CHANGES.items(), disable=None):
        copies = np.stack([spectrogram(change(waveform, rate)) for waveform in waveforms])
        pairs = pairs_of(originals, copies)
        found[name] = [(n, len(originals) + k) in pairs for k, n in enumerate(chosen)]
    n_pairs = len(paths) * (len(paths) - 1) // 2
    return Planted(found, n_pairs, sorted(pairs_of(originals)))


def markdown(planted: Planted, paths: Sequence[Path], extraction: float, search: float) -> str:
    """Return the table, and what it cost."""
    between = [
        pair for pair in planted.alarms if reciter(paths, pair[0]) != reciter(paths, pair[1])
    ]
    rows = [f"| {name} | {sum(hits) / len(hits):.1%} |" for name, hits in planted.found.items()]
    n_copied = len(next(iter(planted.found.values())))
    told = (
        f"{n_copied} of {len(paths)} clips, each copied in {len(planted.found)} ways. Of the "
        f"{planted.n_pairs} pairs of clips without planted copies {len(planted.alarms)} "
        f"({len(planted.alarms) / planted.n_pairs:.4%}) are taken for copies, {len(between)} "
        f"of them between two reciters. Search takes {1e3 * search:.2f} ms a clip, extraction "
        f"{1e3 * extraction:.2f} (one core, Vorbis at 16 kHz)."
    )
    head = ["| copy | found |", "|---|---|", *rows, f"| **all** | **{planted.share():.1%}** |"]
    return "\n".join([told, "", *head])


def reciter(paths: Sequence[Path], number: int) -> str:
    """Return who recites."""
    return paths[number].parent.name


def spectrograms(paths: Sequence[Path]) -> Half:
    """Return the log-mels `(n, n_mels, n_frames)` of the clips' first seconds."""
    rate = FRONT_END.sample_rate
    return np.stack([spectrogram(load(path, rate)) for path in tqdm(paths, disable=None)])


def spectrogram(waveform: Waveform) -> Half:
    """Return the log-mel of the first seconds, as a shard holds it."""
    window = cut(waveform, [0], round(SECONDS * FRONT_END.sample_rate))[0]
    return FRONT_END(window).astype(np.float16)


def pairs_of(originals: Half, copies: Half | None = None) -> set[tuple[int, int]]:
    """Return all pairs of windows that are taken for copies, or all that `copies` are part of."""
    method = listening({**vars(FRONT_END)}, *originals.shape[1:])
    assert method
    windows = originals if copies is None else np.concatenate([originals, copies])
    index = Index(parts(windows, method))
    first, found = 0 if copies is None else len(originals), set()
    for part in parts(windows[first:], method):
        found |= {(copy.one, copy.other) for copy in index.copies(part, first)}
        first += len(part.words)
    return found


def parts(log_mel: Half, method: Listening) -> Iterator[Fingerprints]:
    """Make fingerprints a batch at a time."""
    for start in range(0, len(log_mel), BATCH):
        yield method.fingerprints(log_mel[start : start + BATCH])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
