"""What the tables between the stages hold: the names of columns and of splits."""

SPLITS = ("train", "val", "test")
UNKNOWN = "unknown"  # the split of clips whose class is kept from training
SEEN = "seen"  # the split of clips that are kept from training while their group is in it
COPY = "copy"  # the split of clips that are used nowhere: val or test holds the same recording

CLIP_COLUMNS = {
    "clip_id": "str",  # path below the audio folder, posix, NFC: names the clip everywhere
    "path": "str",  # path below data.root, as the file system spells it: opens the file
    "label": "str",
    "target": "int64",  # index of label in labels.json
    "group": "str",  # what must not be split; identical audio shares one group
    "table_group": "str",  # the table's Group cell as written, "" without one
    "split": "str",  # the table's Split cell: train, val, test, a fold's number, or "" without one
    "sha256": "str",  # of the audio file's bytes
    "sample_rate": "int64",  # Hz
    "n_channels": "int64",
    "n_samples": "int64",  # per channel, as the header says
}

SPLIT_COLUMNS = {
    "clip_id": "str",
    "label": "str",
    "target": "int64",  # index of label among the known classes; -1: unknown
    "group": "str",
    "split": "str",  # train, val or test; seen, unknown or copy, which are kept from all three
}
