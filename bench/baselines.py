"""Extraction as others do it: the notebook's recipe, and a user's other choice of library.

The notebook's recipe was published as: librosa.load of the first 5 s at 22 050 Hz, melspectrogram
with n_fft 2048, hop 512 and 128 bands, power_to_db against the maximum, fix_length to 216 frames,
resize to 128 x 256. Written here from that description.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import kaldi_native_fbank
import librosa
import numpy as np
import numpy.typing as npt
import skimage.transform

SAMPLE_RATE, SECONDS = 22_050, 5
N_FFT, HOP_LENGTH, N_MELS = 2048, 512, 128
N_FRAMES, SHAPE = 216, (128, 256)

Spectrogram = npt.NDArray[np.float32]

resize: Callable[..., Spectrogram] = skimage.transform.resize  # scikit-image leaves it untyped


def notebook_log_mel(path: Path) -> Spectrogram:
    """Return the notebook's values `(128, n_frames)`, in dB, before they are resized."""
    waveform, _ = librosa.load(path, sr=SAMPLE_RATE, duration=SECONDS)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS
    )
    log_mel: Spectrogram = librosa.power_to_db(power, ref=np.max)
    return log_mel


def notebook_clip(path: Path) -> Spectrogram:
    """Return the notebook's image of one clip `(128, 256)`."""
    log_mel = librosa.util.fix_length(notebook_log_mel(path), size=N_FRAMES, axis=1)
    return resize(log_mel, SHAPE)


def notebook_loop(paths: Sequence[Path]) -> Spectrogram:
    """Return the images of all clips `(n_clips, 128, 256)`, one after another in one process."""
    return np.stack([notebook_clip(path) for path in paths])


def notebook_joblib(paths: Sequence[Path], n_jobs: int) -> Spectrogram:
    """Return the same, on several cores as joblib's documentation shows it."""
    with warnings.catch_warnings():
        # One of joblib's workers may start anew between two rounds: that is no news here.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        images = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(notebook_clip)(p) for p in paths)
    return np.stack(images)


def kaldi_options() -> kaldi_native_fbank.FbankOptions:
    """Return settings that give librosa's values, with Timbre's hop: 5 s become 256 frames."""
    options = kaldi_native_fbank.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq = SAMPLE_RATE
    frame.frame_length_ms = 1000 * (N_FFT + 0.5) / SAMPLE_RATE  # cut to whole samples, as float32
    frame.frame_shift_ms = 1000 * (432 + 0.5) / SAMPLE_RATE
    frame.window_type, frame.dither, frame.preemph_coeff = "hann", 0.0, 0.0
    frame.remove_dc_offset, frame.snip_edges = False, True
    mel.num_bins, mel.low_freq, mel.high_freq, mel.is_librosa = N_MELS, 0.0, 0.0, True
    options.use_log_fbank = False
    return options


def kaldi_clip(path: Path, options: kaldi_native_fbank.FbankOptions) -> Spectrogram:
    """Return one clip's log-mel `(128, 256)` in dB, by kaldi-native-fbank."""
    waveform, _ = librosa.load(path, sr=SAMPLE_RATE, duration=SECONDS)
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(SAMPLE_RATE, np.pad(waveform, N_FFT // 2))
    bank.input_finished()
    mel = np.stack([bank.get_frame(frame) for frame in range(bank.num_frames_ready)])
    log_mel: Spectrogram = librosa.power_to_db(mel.T, ref=np.max)
    return log_mel
