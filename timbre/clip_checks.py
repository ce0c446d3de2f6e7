"""What can be wrong with single clips: silence, clipping, a DC offset, a missing end, no treble."""

from collections.abc import Callable

import pandas as pd

from timbre.findings import Finding, Item, finding
from timbre.window_sizes import fitting_seconds

FMAX_HZ = 11_025.0  # half of extract.sample_rate: what lies above is heard in no clip
SILENT_DBFS = -66.0  # of the loudest frame; log_mel.SILENCE is this level
QUIET_DBFS = -50.0  # of the loudest frame: 48 dB above the rounding of 16 bits
CLIPPED = 0.001  # share of the samples
OFFSET = 0.01  # of full scale
SHORT_SECONDS = 0.1
REACHED = 0.8  # of the bandwidth that there could be: less is told
NEARLY_ALL = 0.9  # of the clips: if so many have a narrow band, they do not differ by it


def clip_findings(clips: pd.DataFrame) -> list[Finding]:
    """Find the clips, with columns of SoundFacts and `missing`, that have something wrong.

    Of each kind the worst come first.
    """
    silent = clips["loudest"] < SILENT_DBFS
    sounding = clips[~silent]
    narrow = sounding[is_narrow(sounding)]
    if len(narrow) > NEARLY_ALL * len(sounding):
        narrow = narrow.iloc[:0]
    loudness, bias = sounding["loudest"], clips["offset"].abs()
    late = sounding[sounding["onset"] >= fitting_seconds(clips["seconds"].to_numpy())]
    cut = clips[clips["clipped"] >= CLIPPED]
    return [
        *_each("silent", clips[silent], lambda c: f"nothing above {c.loudest:.0f} dBFS"),
        *_each("late", late.sort_values("onset", ascending=False), _late),
        *_each("torn", clips[clips["missing"] != ""], lambda c: str(c.missing)),
        *_each("clipped", cut.sort_values("clipped", ascending=False), _clipped),
        *_each(
            "quiet",
            sounding[loudness < QUIET_DBFS].sort_values("loudest"),
            lambda c: f"at most {c.loudest:.0f} dBFS",
        ),
        *_each("offset", clips.loc[bias[bias >= OFFSET].sort_values().index[::-1]], _offset),
        *_each("bandwidth", narrow.sort_values("bandwidth"), _narrow),
        *_each("short", clips[clips["seconds"] < SHORT_SECONDS], lambda c: f"{c.seconds:.3f} s"),
    ]


def is_narrow(clips: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which clips end well below what their sample rate could hold and Timbre would hear."""
    possible = (clips["sample_rate"] / 2).clip(upper=FMAX_HZ)
    return clips["bandwidth"] < REACHED * possible


def _each(kind: str, clips: pd.DataFrame, tell: Callable[..., str]) -> list[Finding]:
    return finding(kind, [Item(str(clip.clip_id), tell(clip)) for clip in clips.itertuples()])


def _late(clip: pd.Series) -> str:
    return f"{clip.onset:.1f} of {clip.seconds:.1f} s pass before the sound"


def _clipped(clip: pd.Series) -> str:
    return f"{clip.clipped:.1%} of the samples are cut off at full scale"


def _offset(clip: pd.Series) -> str:
    return f"{clip.offset:+.1%} of full scale"


def _narrow(clip: pd.Series) -> str:
    return f"ends at {clip.bandwidth / 1000:.1f} kHz, stored at {clip.sample_rate / 1000:g} kHz"
