"""Robot speech and the room it is heard in: espeak-ng's voices, reverberation, noise, level."""

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre.problems import InputError

Waveform = NDArray[np.float32]

WAY_OUT = (
    "reinstall package espeakng-loader, or set data.root in params.yaml to a corpus of your own"
)

# Values from espeak-ng's public header, speak_lib.h.
_SYNCHRONOUS = 2  # audio goes to the callback; Synth returns when all of it is there
_DO_NOT_EXIT = 0x8000  # without it the library calls exit() when its data are missing
_RATE, _PITCH = 1, 3
_BY_CHARACTER = 1
_UTF8 = 1
_OK = 0

_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

_SIGNATURES: dict[str, tuple[type | None, list[Any]]] = {
    "espeak_Initialize": (
        ctypes.c_int,
        [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int],
    ),
    "espeak_Info": (ctypes.c_char_p, [ctypes.POINTER(ctypes.c_char_p)]),
    "espeak_SetSynthCallback": (None, [_SynthCallback]),
    "espeak_SetVoiceByName": (ctypes.c_int, [ctypes.c_char_p]),
    "espeak_SetParameter": (ctypes.c_int, [ctypes.c_int, ctypes.c_int, ctypes.c_int]),
    "espeak_ng_SetRandSeed": (None, [ctypes.c_long]),
    "espeak_Synth": (
        ctypes.c_int,
        [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint),
            ctypes.c_void_p,
        ],
    ),
    "espeak_Synchronize": (ctypes.c_int, []),
}


class Synthesizer:
    """espeak-ng from package espeakng_loader: text in, waveform out, no audio device, no network.

    The library carries the phase of its oscillators from one call to the next and nothing resets
    it: the same sequence of calls in a fresh process gives the same samples, a single call taken
    out of its sequence does not.
    """

    sample_rate: int  # Hz, of every waveform that `speak` returns

    def __init__(self) -> None:
        """Load the library; raises InputError if it or its data cannot be used."""
        self._library, self._data, self.sample_rate = _start()
        self._chunks: list[NDArray[np.int16]] = []
        # The library keeps a bare pointer only; this reference keeps what it points to alive.
        self._callback = _SynthCallback(self._collect)

    def speak(self, text: str, voice: str, *, rate: int, pitch: int, seed: int) -> Waveform:
        """Speak `text`; returns float32 (n_samples,) in [-1, 1) at `sample_rate`.

        `voice` is a language, or language+variant (`ar+m3`); `rate` is in words a minute (80-450),
        `pitch` in 0-99, where 50 is the voice's own; `seed` is of the voice's breath and noise.
        Raises InputError if the voice is unknown or nothing is heard.
        """
        self._set_voice(voice)
        self._library.espeak_ng_SetRandSeed(seed)
        self._call("espeak_SetParameter", _RATE, rate, 0)
        self._call("espeak_SetParameter", _PITCH, pitch, 0)
        # Another Synthesizer of this process may have put its own callback in between.
        self._library.espeak_SetSynthCallback(self._callback)
        self._chunks.clear()
        encoded = text.encode()
        size = len(encoded) + 1  # with the terminating zero
        self._call("espeak_Synth", encoded, size, 0, _BY_CHARACTER, 0, _UTF8, None, None)
        self._call("espeak_Synchronize")
        if not any(chunk.any() for chunk in self._chunks):
            raise InputError(f"espeak-ng gave no sound for {text!r} in voice '{voice}': {WAY_OUT}")
        return np.concatenate(self._chunks).astype(np.float32) / np.float32(32768)

    def _set_voice(self, voice: str) -> None:
        language, _, variant = voice.partition("+")
        # An unknown variant is no error for the library: it would speak in the plain voice.
        known = not variant or (self._data / "voices" / "!v" / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.encode()) != _OK:
            missing = f"language '{language}'" if known else f"variant '{variant}'"
            raise InputError(f"voice '{voice}': espeak-ng has no {missing}: {WAY_OUT}")

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != _OK:
            raise InputError(f"espeak-ng: {name} failed with status {status}: {WAY_OUT}")

    def _collect(self, samples: Any, n_samples: int, _events: int | None) -> int:  # noqa: ANN401
        if samples and n_samples > 0:
            # The library reuses the buffer: keep a copy.
            self._chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0  # go on


@functools.cache
def _start() -> tuple[ctypes.CDLL, Path, int]:
    # Once a process: initializing again frees tables that the current voice still points into, and
    # speaking then reads freed memory (seen as a segmentation fault, rarely).
    library, data = _load()
    return library, data, _initialize(library, data)


def _load() -> tuple[ctypes.CDLL, Path]:
    try:
        # Imported here: on a platform without a wheel the message below is due, not a traceback.
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        return library, Path(espeakng_loader.get_data_path())
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise InputError(f"espeak-ng cannot be loaded ({error}): {WAY_OUT}") from None


def _initialize(library: ctypes.CDLL, data: Path) -> int:
    if not (data / "phontab").is_file():
        raise InputError(f"espeak-ng: file {data / 'phontab'} is missing: {WAY_OUT}")
    rate: int = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DO_NOT_EXIT)
    used = ctypes.c_char_p()
    library.espeak_Info(ctypes.byref(used))
    # A folder that it cannot take makes the library look elsewhere, for voices of another version.
    if rate <= 0 or used.value != os.fsencode(data):
        raise InputError(
            f"espeak-ng does not take its data folder {data} ({len(os.fsencode(data))} bytes; "
            "from 160 on a path is too long for it): put the virtual environment into a folder "
            "with a shorter path, or set data.root in params.yaml to a corpus of your own"
        )
    return rate


def room_response(
    decay: float, direct_to_reverberant: float, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a random room's impulse response (n_samples,), of unit energy.

    The direct sound is sample 0. The rest is white noise that falls by 60 dB within `decay`
    seconds, and ends there; the direct sound's energy is `direct_to_reverberant` dB above its.
    Model: J. A. Moorer, "About This Reverberation Business", Computer Music Journal 3(2), 1979.
    """
    seconds = np.arange(1, round(decay * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / decay)
    tail *= 10 ** (-direct_to_reverberant / 20) / np.sqrt(_energy(tail))
    response = np.concatenate([[1.0], tail])
    response /= np.sqrt(_energy(response))
    return response


def reverberate(waveform: Waveform, response: NDArray[np.float64]) -> Waveform:
    """Convolve (n,) with (m,) to (n + m - 1,): the room's tail after the last word is kept."""
    n_samples = len(waveform) + len(response) - 1
    n_fft = 1 << (n_samples - 1).bit_length()
    spectrum = np.fft.rfft(waveform.astype(np.float64), n_fft) * np.fft.rfft(response, n_fft)
    return np.fft.irfft(spectrum, n_fft)[:n_samples].astype(np.float32)


def add_white_noise(waveform: Waveform, snr: float, rng: np.random.Generator) -> Waveform:
    """Add white noise `snr` dB below the waveform's mean power, pauses included; same shape."""
    noise = rng.standard_normal(len(waveform))
    noise *= 10 ** (-snr / 20) * np.sqrt(_energy(waveform) / _energy(noise))
    return (waveform + noise).astype(np.float32)


def set_peak(waveform: Waveform, peak: float) -> Waveform:
    """Scale so that the largest magnitude is `peak` dBFS, at most 0; silence stays silence."""
    largest = float(np.abs(waveform).max(initial=0.0))
    if largest == 0.0:
        return waveform
    return (waveform * (10 ** (peak / 20) / largest)).astype(np.float32)


def _energy(samples: NDArray[np.floating]) -> float:
    # Not np.dot or np.linalg.norm: BLAS rounds by the number of its threads, numpy's own sum does
    # not, and the corpus must be the same bytes every time.
    return float(np.square(samples, dtype=np.float64).sum())
