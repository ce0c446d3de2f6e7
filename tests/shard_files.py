"""Shards for tests, from an index and its windows."""

from pathlib import Path

from timbre import shards
from timbre.shards import Half, OpenShards, ShardIndex, StoredClip


def write_shard(path: Path, index: ShardIndex, log_mel: Half) -> None:
    """Write the clips of `index`, whose windows stand together in `log_mel`."""
    named = zip(index.clip_ids, index.audio_sha256, index.rows(), strict=True)
    clips = [
        StoredClip(clip_id, sha256, log_mel[rows.start : rows.stop])
        for clip_id, sha256, rows in named
    ]
    shards.write_shard(path, index.attributes, index.shape, clips)


def read_log_mel(path: Path, rows: slice = slice(None)) -> Half:
    """Read windows `(n_rows, n_mels, n_frames)` of one shard."""
    with OpenShards() as opened:
        return opened.read(path, rows)
