"""The sound of a room: a random impulse response, and what is heard through it."""

import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform
from timbre.noise import mean_power

SPEED_OF_SOUND = 343.0  # m/s, in air of 20 degrees
VOLUME = 60.0  # cubic metres: a living room
DISTANCE = 1.0  # m from mouth to microphone
DECAY = 3 * np.log(10)  # the amplitude falls by 60 dB as exp(-DECAY * t / RT60)

Response = npt.NDArray[np.float64]


def room_response(rt60: float, sample_rate: int, rng: np.random.Generator) -> Response:
    """Return the impulse response `(n_samples,)` of a room with reverberation time `rt60`, seconds.

    Sample 0 is the direct sound, of amplitude 1. Reflections follow at random moments, ever denser:
    4 pi c^3 t^2 / V a second on average, t after the mouth, as mirror images of the mouth have it
    in any room. Each is weaker by its way, 1/t, and by the walls, 60 dB in `rt60`; its sign is
    random. So a few early echoes turn into noise that falls exponentially, and the reverberant
    energy is that of Sabine's diffuse field: 16 pi d^2 / A times the direct sound's, where the
    absorption A is 24 ln(10) V / (c T). Source: H. Kuttruff, "Room Acoustics", 6th ed. 2016,
    chapters 4 and 5. Left out: that walls swallow treble more than bass.
    """
    direct = DISTANCE / SPEED_OF_SOUND
    times = direct + np.arange(1, max(round(rt60 * sample_rate), 1)) / sample_rate
    density = 4 * np.pi * SPEED_OF_SOUND**3 * times**2 / VOLUME  # reflections a second
    half = density / sample_rate / 2
    reflections = rng.poisson(half) - rng.poisson(half)  # those of either sign
    amplitudes = direct / times * np.exp(-DECAY * (times - direct) / rt60)
    return np.concatenate([[1.0], reflections * amplitudes])


def reverberate(waveform: Waveform, response: Response) -> Waveform:
    """Convolve `(n_samples,)` with `response`; as long and as loud as before, the last tail cut."""
    from scipy import fft  # here: the stage starts its workers without it

    n_fft = fft.next_fast_len(len(waveform) + len(response) - 1, real=True)
    spectrum = fft.rfft(waveform, n_fft) * fft.rfft(response.astype(np.float32), n_fft)
    heard = fft.irfft(spectrum, n_fft)[: len(waveform)].astype(np.float32)
    power = mean_power(heard)
    if power == 0:
        return waveform
    loud: Waveform = heard * np.float32(np.sqrt(mean_power(waveform) / power))
    return loud
