"""There and back again through lossy codecs, in memory, by libsndfile."""

import io

import soundfile

from timbre.audio import Waveform, resample
from timbre.filters import fit

# Hz that MPEG-2 layer III knows. At these bit rates encoders choose them for wider bands too.
MP3_RATES = (16_000, 22_050, 24_000)
MP3_KBPS = (8, 160)  # what libsndfile makes of compression levels 1 and 0, in MPEG-2
# Of LAME's encoder, 576, and of any decoder, 529. A file whose first frame has room for LAME's tag
# says so itself, and libsndfile takes it off; a low constant rate leaves no room.
MP3_DELAY = 576 + 529
OPUS_RATES = (8000, 12_000, 16_000, 24_000, 48_000)
OPUS_KBPS = (6, 256)  # what libsndfile makes of compression levels 1 and 0, mono


def mp3(waveform: Waveform, sample_rate: int, kbps: float) -> Waveform:
    """Encode by LAME at a constant bit rate, in MPEG-2, and decode."""
    rate = _at_least(sample_rate, MP3_RATES)
    plain = resample(waveform, sample_rate, rate)
    level = _level(kbps, MP3_KBPS)
    decoded = _round_trip(plain, rate, "MP3", "MPEG_LAYER_III", level, "CONSTANT")
    if len(decoded) > len(plain):
        decoded = decoded[MP3_DELAY:]
    return fit(resample(decoded, rate, sample_rate), len(waveform))


def vorbis(waveform: Waveform, sample_rate: int, quality: float) -> Waveform:
    """Encode as Ogg Vorbis of `quality` 0 to 10, as `oggenc -q` has it, and decode."""
    decoded = _round_trip(waveform, sample_rate, "OGG", "VORBIS", 1 - quality / 10)
    return fit(decoded, len(waveform))


def opus(waveform: Waveform, sample_rate: int, kbps: float) -> Waveform:
    """Encode as Ogg Opus of a mean bit rate and decode."""
    rate = _at_least(sample_rate, OPUS_RATES)
    plain = resample(waveform, sample_rate, rate)
    decoded = _round_trip(plain, rate, "OGG", "OPUS", _level(kbps, OPUS_KBPS))
    return fit(resample(decoded, rate, sample_rate), len(waveform))


def _at_least(sample_rate: int, rates: tuple[int, ...]) -> int:
    return min((rate for rate in rates if rate >= sample_rate), default=rates[-1])


def _level(kbps: float, span: tuple[int, int]) -> float:
    """Return libsndfile's compression level, 0 to 1: linear in the bit rate."""
    least, most = span
    return (most - kbps) / (most - least)


def _round_trip(
    waveform: Waveform,
    sample_rate: int,
    container: str,
    codec: str,
    level: float,
    bitrate_mode: str | None = None,
) -> Waveform:
    if not len(waveform):  # a sample or two at a high rate are none at a lower; LAME refuses that
        return waveform
    encoded = encode(waveform, sample_rate, container, codec, level, bitrate_mode)
    decoded: Waveform = soundfile.read(io.BytesIO(encoded), dtype="float32")[0]
    return decoded


def encode(
    waveform: Waveform,
    sample_rate: int,
    container: str,
    codec: str,
    level: float,
    bitrate_mode: str | None = None,
) -> bytes:
    """Return the bytes of an audio file."""
    file = io.BytesIO()
    soundfile.write(
        file,
        waveform,
        sample_rate,
        format=container,
        subtype=codec,
        compression_level=level,
        bitrate_mode=bitrate_mode,
    )
    return file.getvalue()
