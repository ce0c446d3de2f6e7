"""How many planted copies are found, and at what cost: `python -m bench.planted_leaks`.

Copies of some reciters' clips are made in every way that a recording is doctored, and put among all
clips. Prints the table of docs/leaks.md, for two halves of the reciters, and what the search costs.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import istft, stft
from tqdm import tqdm

from bench.corpora import NoRecordingsError, recordings
from bench.ours import front_end
from timbre.audio import load
from timbre.codecs import mp3, opus, vorbis
from timbre.copies import Index
from timbre.levels import change_level
from timbre.log_mel import LogMel
from timbre.noise import add_noise, white
from timbre.subfingerprints import Fingerprints, Listening, listening
from timbre.windows import cut

Waveform = npt.NDArray[np.float32]
Change = Callable[[Waveform, int], Waveform]

SECONDS = 5.0  # of a window
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


def main(arguments: Sequence[str]) -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.planted_leaks", description=__doc__)
    parser.add_argument("--clips", type=int, default=400, help="of which copies are made")
    options = parser.parse_args(arguments)
    try:
        paths = sorted((recordings() / "reciters" / "Dataset").glob("*/*.ogg"))
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    started = time.perf_counter()
    transform = front_end()
    waveforms = [load(path, transform.sample_rate) for path in tqdm(paths, disable=None)]
    originals = np.stack([spectrogram(w, transform) for w in waveforms])
    extraction = (time.perf_counter() - started) / len(paths)
    features = {**vars(transform)}
    method = listening(features, *originals.shape[1:])
    assert method
    chosen = np.random.default_rng(0).choice(len(paths), options.clips, replace=False)
    reciters = sorted({path.parent.name for path in paths})
    half = np.array([reciters.index(path.parent.name) % 2 for path in paths])
    report_originals(originals, paths, method, extraction)
    print("\n| copy | found, half the reciters | found, the other half |\n|---|---|---|")
    for name, change in CHANGES.items():
        copies = [
            spectrogram(change(waveforms[n], transform.sample_rate), transform) for n in chosen
        ]
        found = is_found(originals, np.stack(copies), chosen, method)
        shares = [f"{found[half[chosen] == side].mean():.1%}" for side in (0, 1)]
        print(f"| {name} | {' | '.join(shares)} |", flush=True)
    return 0


def spectrogram(waveform: Waveform, transform: LogMel) -> npt.NDArray[np.float16]:
    """Return the log-mel of the first seconds, as a shard holds it."""
    window = cut(waveform, [0], round(SECONDS * transform.sample_rate))[0]
    return transform(window).astype(np.float16)


def parts(log_mel: npt.NDArray[np.float16], method: Listening) -> Iterator[Fingerprints]:
    """Make fingerprints a batch at a time."""
    for start in range(0, len(log_mel), BATCH):
        yield method.fingerprints(log_mel[start : start + BATCH])


def pairs_of(log_mel: npt.NDArray[np.float16], method: Listening) -> set[tuple[int, int]]:
    """Return all pairs of windows that are taken for copies."""
    index, first, found = Index(parts(log_mel, method)), 0, set()
    for part in parts(log_mel, method):
        found |= {(copy.one, copy.other) for copy in index.copies(part, first)}
        first += len(part.words)
    return found


def is_found(
    originals: npt.NDArray[np.float16],
    copies: npt.NDArray[np.float16],
    chosen: npt.NDArray[np.int64],
    method: Listening,
) -> npt.NDArray[np.bool_]:
    """Tell which copies are found as those of their own originals."""
    found = pairs_of(np.concatenate([originals, copies]), method)
    return np.array([(n, len(originals) + k) in found for k, n in enumerate(chosen.tolist())])


def report_originals(
    originals: npt.NDArray[np.float16], paths: list[Path], method: Listening, extraction: float
) -> None:
    """Print what is found among clips without planted copies, and the cost of looking."""
    started = time.perf_counter()
    found = pairs_of(originals, method)
    cost = (time.perf_counter() - started) / len(originals)
    print(
        f"{len(originals)} clips: extraction {1e3 * extraction:.2f} ms each, "
        f"search {1e3 * cost:.2f}"
    )
    clips = sorted({n for pair in found for n in pair})
    print(f"among them {len(found)} pairs of {len(clips)} clips are taken for copies:")
    for clip in clips:
        print(f"  {paths[clip].parent.name}/{paths[clip].name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
