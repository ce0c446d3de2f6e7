from pathlib import Path

import numpy as np
import pytest
from fetching import caught
from hypothesis import given
from hypothesis import strategies as st

from timbre import shard_plan
from timbre.shard_plan import deal, earlier_shards, shards_with
from timbre.shards import StoredClip, shard_name, write_shard
from timbre.sources import Source

AUDIO = st.sampled_from("abcdef")
TABLES = st.dictionaries(st.sampled_from([f"{n}.wav" for n in range(9)]), AUDIO)


def sources(table: dict[str, str]) -> list[Source]:
    return [Source(clip_id, clip_id, audio) for clip_id, audio in sorted(table.items())]


@given(earlier=TABLES, now=TABLES, n_shards=st.integers(1, 5))
def test_exactly_the_shards_are_fetched_that_hold_audio_of_now(
    earlier: dict[str, str], now: dict[str, str], n_shards: int
) -> None:
    names = [shard_name(number) for number in range(n_shards)]
    wanted = set(now.values())
    needed = [
        name
        for name, own in zip(names, deal(sources(earlier), n_shards), strict=True)
        if any(source.sha256 in wanted for source in own)
    ]
    assert shards_with(wanted, sources(earlier), names) == needed


def test_a_shard_with_other_attributes_does_not_fit_and_a_damaged_one_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = caught(monkeypatch, shard_plan)
    assert earlier_shards(tmp_path, tmp_path, Path("clips.csv"), [], {"n_mels": 4}) == []
    ((_, fits),) = asked
    clip = StoredClip("a.wav", "0" * 64, np.zeros((1, 4, 8), np.float16))
    for n_mels in (4, 5):
        write_shard(tmp_path / f"{n_mels}.h5", {"n_mels": n_mels}, (4, 8), [clip])
    (tmp_path / "damaged.h5").write_bytes(b"")
    found = {path.stem: fits(path) for path in tmp_path.glob("*.h5")}
    assert found == {"4": True, "5": False, "damaged": True}
