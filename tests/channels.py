"""Channels for tests: one that changes nothing, one that changes all it can."""

from timbre.channel import Channel

QUIET = Channel(
    equalise_db=0,
    noise=0,
    babble=0,
    reverb=0,
    distortion=0,
    gate=0,
    band_limit=0,
    crop=0,
    raise_floor=0,
    speed=0,
    floor_db=-80.0,
    hop_seconds=0.02,
    mel_range=(0.0, 11025.0),
)
LOUD = Channel(
    equalise_db=4,
    noise=0.4,
    babble=0.3,
    reverb=0.5,
    distortion=0.3,
    gate=0.2,
    band_limit=0.5,
    crop=0.3,
    raise_floor=0.2,
    speed=0.06,
    floor_db=-80.0,
    hop_seconds=0.02,
    mel_range=(0.0, 11025.0),
)
SWITCHES = (
    *("equalise_db", "noise", "babble", "reverb", "distortion"),
    *("gate", "band_limit", "crop", "raise_floor", "speed"),
)
