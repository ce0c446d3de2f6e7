"""Every kind of finding: how bad it is, why it matters, what to do."""

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Kind(NamedTuple):
    """Findings of one kind."""

    severity: Severity  # error: the pipeline ends, or the score is spoilt
    title: str  # a plural, before a colon and their number
    why: str
    way_out: str


# The worst first: in this order they are told.
KINDS: dict[str, Kind] = {
    "table": Kind(
        "error",
        "problems of the table",
        "the pipeline ends before anything is computed",
        "mend these rows",
    ),
    "files": Kind(
        "error",
        "rows whose file or cells cannot be used",
        "the pipeline ends before anything is computed",
        "mend or drop these rows",
    ),
    "audio": Kind(
        "error",
        "files without usable audio",
        "the pipeline ends, unless data.bad_audio is quarantine, which leaves them out",
        "fetch or convert them again, or drop their rows",
    ),
    "lost_class": Kind(
        "error",
        "classes without any usable clip",
        "a class that cannot be heard cannot be learned: the pipeline ends",
        "mend a clip of each, or drop the class",
    ),
    "contradiction": Kind(
        "error",
        "identical files with two labels or on both sides of Split",
        "one recording cannot be of two classes, nor teach and test: the pipeline ends",
        "mend or drop one of each two rows",
    ),
    "untestable": Kind(
        "error",
        "classes that split.method grouped cannot test",
        "a class needs groups in train, val and test; a class in one group alone can only be "
        "tested on the recording that it was learned from",
        "record more groups of it, or drop it; groups that are not really one want other names",
    ),
    "leak_groups": Kind(
        "error",
        "groups on both sides of the table's Split",
        "with split.method column the score is also that of known recordings, and flatters",
        "keep split.method grouped; or, if the groups may be torn, drop the Group column",
    ),
    "leak_copies": Kind(
        "error",
        "likely copies of one recording on both sides of the table's Split",
        "with split.method column the test holds what was trained on, and the score flatters",
        "listen to both; drop one of them, or give them one Split; or keep split.method grouped",
    ),
    "giveaway": Kind(
        "warning",
        "signs that the recording gives the class away",
        "a network takes the easiest way: it may learn microphones, codecs and levels, score high "
        "here and fail on recordings made otherwise",
        "record all classes in the same ways, or bring them to one rate, bandwidth and codec; "
        "look at the robustness page, and test on recordings from elsewhere",
    ),
    "two_labels": Kind(
        "warning",
        "likely copies of one recording under two labels",
        "one of the labels is wrong, or both are heard in it, or the same was said alike",
        "listen to both; mend or drop one",
    ),
    "silent": Kind(
        "warning",
        "silent clips",
        "they carry a label and nothing that explains it",
        "drop their rows, unless silence is what the class means",
    ),
    "late": Kind(
        "warning",
        "clips that are silent as far as they are heard",
        "with extract.windows first no more than 5 s are heard, and sound begins later",
        "cut the silence off, or set extract.windows to all",
    ),
    "torn": Kind(
        "warning",
        "files whose end is missing or damaged",
        "they are heard as far as they go, and may end before what their label names",
        "fetch or copy them again",
    ),
    "clipped": Kind(
        "warning",
        "clipped clips",
        "cut peaks add harmonics that the sound never had, at the same level wherever they occur",
        "record with less gain; clipping cannot be undone, so drop the worst",
    ),
    "quiet": Kind(
        "warning",
        "very quiet clips",
        "the spectrogram is relative to the loudest moment, so it shows hiss and rounding as well",
        "check that the right channel and the right part were recorded",
    ),
    "offset": Kind(
        "warning",
        "clips with a DC offset",
        "it is loud at 0 Hz, pulls the floor up, and tells one recorder from another",
        "take it out with a high-pass filter at 20 Hz",
    ),
    "bandwidth": Kind(
        "warning",
        "clips that end far below their sample rate",
        "upsampled or thinned out by a codec, while others here are not: that can be learned in "
        "place of the class",
        "find better originals, or lower extract.fmax to where all clips have sound",
    ),
    "identical": Kind(
        "warning",
        "identical files under two names",
        "they weigh twice; Timbre keeps them in one split",
        "drop all but one",
    ),
    "copies": Kind(
        "warning",
        "likely copies of one recording: re-encoded, trimmed or shifted",
        "across splits they are leaks; Timbre joins their groups or leaves copies out of training",
        "listen; drop all but one, or give them one Group; or nothing, if the same was said alike",
    ),
    "no_groups": Kind(
        "warning",
        "groups that keep nothing together",
        "clips of one recording may stand in train and test, and the score flatters",
        "add a Group column: the recording, the speaker, the session",
    ),
    "labels": Kind(
        "warning",
        "things to look at in the table",
        "two spellings are two classes, and a wrong encoding changes names",
        "write them alike if they are meant alike",
    ),
    "rare": Kind(
        "warning",
        "rare classes",
        "a class that is not in train, val and test is not learned or not tested",
        "add clips, or drop the class",
    ),
    "imbalance": Kind(
        "warning",
        "classes much smaller than the largest",
        "a network may neglect them, and accuracy hides it",
        "set train.class_weights to balanced, and read the balanced accuracy",
    ),
    "unheard": Kind(
        "warning",
        "sound that is not heard",
        "with extract.windows first no more than the first 5 s of a clip are heard",
        "set extract.windows to all, or cut the clips",
    ),
    "column": Kind(
        "warning",
        "reasons why split.method column would end the pipeline",
        "every class must be in train, val and test",
        "mend the Split cells, or keep split.method grouped",
    ),
    "short": Kind(
        "warning",
        "very short clips",
        "below 0.1 s there is hardly a frame to hear",
        "check how they were cut",
    ),
    "few_groups": Kind(
        "note",
        "classes with few groups",
        "they are tested on one or two recordings: the score hangs on which",
        "collect more groups, or use split.n_folds to test on each in turn",
    ),
    "mixed": Kind(
        "note",
        "ways in which the clips are stored",
        "Timbre brings all to one rate and one channel; only differences between classes do harm",
        "nothing, unless the recording gives the class away",
    ),
    "padding": Kind(
        "note",
        "windows that are mostly padding",
        "a window much longer than the clips costs time and teaches nothing",
        "set extract.window_seconds lower",
    ),
    "unlisted": Kind(
        "note",
        "audio files that the table does not name",
        "perhaps rows were forgotten",
        "add their rows, or nothing",
    ),
    "uncompared": Kind(
        "note",
        "reasons why no copies were looked for",
        "copies across splits are leaks",
        "check parts of the corpus, each in a table of its own",
    ),
    "skipped": Kind(
        "note",
        "files and linked folders that are passed over",
        "by their names they are not audio that libsndfile reads",
        "convert M4A and AAC to WAV or FLAC",
    ),
}
