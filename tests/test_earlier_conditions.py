from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fetching import Fits, caught

from timbre import earlier_conditions
from timbre.condition_shards import Clip, content
from timbre.earlier_conditions import earlier_shards
from timbre.shards import Attributes, StoredClip, write_shard

OURS: dict[str, Attributes] = {
    name: {"n_mels": 4, "condition": name, "condition_seed": 0} for name in ("mp3", "hum", "babble")
}
OURS["babble"]["voices"] = "now"
NAMES = [f"{name}/shard-0000.h5" for name in ("babble", "hum", "mp3", "telephone")]


def clip(name: str) -> Clip:
    return Clip(name, Path(name), name * 8, "a", 1.0)


def asked(monkeypatch: pytest.MonkeyPatch, earlier: list[Clip]) -> tuple[Sequence[str], Fits]:
    """Return which names are chosen if `earlier` clips were tested, and what tells a fit."""
    found = caught(monkeypatch, earlier_conditions)
    place = Path("data/conditions")
    assert earlier_shards(place, place, OURS, [clip("a"), clip("b")], lambda _: earlier) == {}
    choose, fits = found[0]
    return choose(NAMES, Path), fits


def test_conditions_that_nobody_wants_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, [clip("b"), clip("c")])[0] == NAMES[:3]


def test_conditions_of_other_clips_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, [clip("c")])[0] == []


@pytest.mark.parametrize(
    ("name", "changes", "fit"),
    [
        ("mp3", {}, True),
        ("babble", {"voices": "others"}, True),  # says nothing of conditions without voices
        ("mp3", {"condition_seed": 1}, False),
        ("babble", {"n_mels": 5}, False),
    ],
)
def test_the_first_shard_tells_whether_the_others_are_of_use(
    name: str, changes: Attributes, fit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fits = asked(monkeypatch, [clip("a")])
    path = tmp_path / "shard-0000.h5"
    ((clip_id, sha256),) = content([clip("a")])
    stored = StoredClip(clip_id, sha256, np.zeros((1, 4, 8), np.float16))
    write_shard(path, OURS[name] | changes, (4, 8), [stored])
    assert fits(path) == fit
    path.write_bytes(b"")
    assert fits(path)  # damaged, it says nothing
