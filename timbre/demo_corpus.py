"""The demo corpus: a small corpus of robot voices, made without a download."""

import csv
import io
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from timbre.problems import InputError
from timbre.synthesis import (
    Synthesizer,
    add_white_noise,
    reverberate,
    room_response,
    set_peak,
)

TABLE = "filespaths.csv"
SAMPLE_RATE = 16_000  # Hz
SEED = 2025

# Each clip draws its own value from these ranges, so that no speaker is known by one of them.
RATE = (125.0, 155.0)  # words a minute
PITCH_OFFSET = (-12.0, 12.0)  # espeak-ng's pitch steps, about 1 % of the pitch each
DECAY = (0.1, 0.4)  # seconds in which the room's reverberation falls by 60 dB
DIRECT_TO_REVERBERANT = (0.0, 6.0)  # dB
SNR = (10.0, 25.0)  # dB
PEAK = (-15.0, -1.0)  # dBFS


class Speaker(NamedTuple):
    """One class of the corpus."""

    name: str  # label and folder
    voice: str  # espeak-ng's language+variant
    pitch: int  # 0-99, 50 is the voice's own


# Near pairs are meant (plain and croak, the two klatt, the two high ones): telling all apart from
# the mean spectrum alone must fail, or the demo would not show what a network adds.
SPEAKERS = (
    Speaker("low-plain", "ar", 50),
    Speaker("low-croak", "ar+croak", 50),
    Speaker("low-dark", "ar+m6", 50),
    Speaker("low-deep", "ar+m3", 50),
    Speaker("low-klatt", "ar+klatt", 50),
    Speaker("low-klatt2", "ar+klatt2", 50),
    Speaker("high-clear", "ar+f2", 45),
    Speaker("high-breathy", "ar+f5", 45),
)

# Everyday words and numbers; what is recited is not for a robot to say.
UTTERANCES = (
    "وَاحِد اِثْنَان ثَلَاثَة أَرْبَعَة",
    "خَمْسَة سِتَّة سَبْعَة ثَمَانِيَة",
    "تِسْعَة عَشَرَة عِشْرُون ثَلَاثُون",
    "أَرْبَعُون خَمْسُون سِتُّون سَبْعُون",
    "ثَمَانُون تِسْعُون مِائَة أَلْف",
    "ثَلَاثَة وَاحِد صِفْر سَبْعَة",
    "أَلْف مِائَة خَمْسُون اِثْنَان",
    "سِتَّة ثَمَانِيَة وَاحِد خَمْسَة",
    "صِفْر تِسْعَة صِفْر أَرْبَعَة وَاحِد",
    "عِشْرُون أَرْبَعُون سِتُّون ثَمَانُون",
    "سَبْعُون ثَلَاثَة تِسْعُون وَاحِد",
    "مِلْيُون أَلْف مِائَة عَشَرَة",
    "اِثْنَان أَرْبَعَة سِتَّة ثَمَانِيَة عَشَرَة",
    "عَشَرَة تِسْعَة ثَمَانِيَة سَبْعَة",
    "خَمْسَة أَرْبَعَة ثَلَاثَة اِثْنَان",
    "نِصْف ثُلُث رُبْع خُمْس",
    "صَبَاحُ الْخَيْرِ يَا صَدِيقِي",
    "مَسَاءُ الْخَيْرِ يَا جَارِي الْعَزِيز",
    "كَيْفَ حَالُكَ هَذَا الْيَوْم",
    "شُكْرًا جَزِيلًا عَلَى الْمُسَاعَدَة",
    "إِلَى اللِّقَاءِ فِي الْمَسَاء",
    "السُّوقُ قَرِيبٌ مِنَ الْمَدْرَسَة",
    "الْقَهْوَةُ سَاخِنَةٌ وَالشَّايُ بَارِد",
    "الْكِتَابُ عَلَى الطَّاوِلَةِ الْكَبِيرَة",
    "الْقِطَّةُ نَائِمَةٌ تَحْتَ الشَّجَرَة",
    "أُرِيدُ خُبْزًا وَجُبْنًا وَزَيْتُونًا",
    "الطَّقْسُ جَمِيلٌ فِي الرَّبِيع",
    "نَذْهَبُ غَدًا إِلَى الْبَحْر",
    "الْقِطَارُ يَصِلُ بَعْدَ سَاعَة",
    "أَيْنَ مَحَطَّةُ الْحَافِلَاتِ مِنْ فَضْلِك",
    "كَمْ سِعْرُ هَذَا الْقَمِيص",
    "اللَّوْنُ الْأَزْرَقُ أَجْمَلُ مِنَ الْأَحْمَر",
    "أَخِي يَلْعَبُ كُرَةَ الْقَدَم",
    "أُخْتِي تَدْرُسُ فِي الْجَامِعَة",
    "الْمِفْتَاحُ فِي جَيْبِ الْمِعْطَف",
    "اِفْتَحِ النَّافِذَةَ وَأَغْلِقِ الْبَاب",
    "الْبَيْتُ الْقَدِيمُ فَوْقَ الْجَبَل",
    "نَشْرَبُ الْمَاءَ وَنَأْكُلُ التُّفَّاح",
    "الطَّبِيبُ يَعْمَلُ فِي الْمُسْتَشْفَى",
    "السَّمَاءُ صَافِيَةٌ وَالشَّمْسُ دَافِئَة",
    "أَكْتُبُ رِسَالَةً طَوِيلَةً إِلَى صَدِيقِي",
    "الْأَطْفَالُ يَلْعَبُونَ فِي الْحَدِيقَة",
    "هَاتِفِي الْجَدِيدُ لَا يَعْمَل",
    "تُفَّاح بُرْتُقَال مَوْز عِنَب",
    "أَحْمَر أَخْضَر أَزْرَق أَصْفَر",
    "كَلْب قِطَّة حِصَان جَمَل",
    "السَّبْت الْأَحَد الاِثْنَيْن الثُّلَاثَاء",
    "شِتَاء رَبِيع صَيْف خَرِيف",
)


def speak_demo(folder: Path) -> str:
    """Write the demo corpus to `folder`, which is new or empty; say how large it is.

    Raises InputError if that cannot be.
    """
    try:
        write_corpus(folder, SPEAKERS, UTTERANCES)
    except OSError as error:
        raise InputError(
            f"{folder}: the demo corpus cannot be written ({error}): name a folder that can be "
            "made, on a disk with 60 MB free"
        ) from None
    n_clips = len(SPEAKERS) * len(UTTERANCES)
    return f"{n_clips} clips, {len(SPEAKERS)} speakers, {len(UTTERANCES)} utterances"


def write_corpus(folder: Path, speakers: tuple[Speaker, ...], utterances: tuple[str, ...]) -> None:
    """Let every speaker say every utterance once, and write WAV files and table to `folder`.

    Equal arguments give equal bytes in every fresh process; espeak-ng carries state from clip to
    clip, so a second call in one process gives other bytes. Raises InputError if `folder` holds
    anything or espeak-ng cannot be used.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder} is not empty: the demo corpus would mix with what is there: "
            "name a new folder, or remove this one first"
        )
    synthesizer = Synthesizer()
    rows = []
    said = [(speaker, *said) for speaker in speakers for said in enumerate(utterances, start=1)]
    for speaker, number, text in tqdm(said, desc="synthesize_demo", unit="clip", disable=None):
        path = f"{speaker.name}/{number:03d}.wav"
        # Drawn from the clip's own name: a further speaker or utterance changes no other room.
        rng = np.random.default_rng([SEED, zlib.crc32(path.encode())])
        _write_wav(_clip(speaker, text, synthesizer, rng), folder / path)
        rows.append((path, speaker.name, text))
    _write_table(rows, folder / TABLE)


def _clip(
    speaker: Speaker, text: str, synthesizer: Synthesizer, rng: np.random.Generator
) -> NDArray[np.float32]:
    speech = synthesizer.speak(
        text,
        speaker.voice,
        rate=round(rng.uniform(*RATE)),
        pitch=round(speaker.pitch + rng.uniform(*PITCH_OFFSET)),
        seed=int(rng.integers(1, 2**31)),
    )
    waveform = soxr.resample(speech, synthesizer.sample_rate, SAMPLE_RATE)
    room = room_response(rng.uniform(*DECAY), rng.uniform(*DIRECT_TO_REVERBERANT), SAMPLE_RATE, rng)
    heard = add_white_noise(reverberate(waveform, room), rng.uniform(*SNR), rng)
    return set_peak(heard, rng.uniform(*PEAK))


def _write_wav(waveform: NDArray[np.float32], path: Path) -> None:
    # Through memory: a full disk is then an OSError and not a line of libsndfile's.
    file = io.BytesIO()
    samples = np.round(waveform * 32767).astype(np.int16)
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())


def _write_table(rows: list[tuple[str, str, str]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("FilePath", "Class", "Group"))
        writer.writerows(rows)
