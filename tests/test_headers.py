from pathlib import Path

import pytest
from conftest import write_wav

from timbre import headers
from timbre.audio_header import AudioHeader, HeaderError, UnreadableError
from timbre.headers import Batch, read_batch, read_headers, without_file


def paths(folder: Path, count: int) -> list[str]:
    return [str(write_wav(folder / f"{n}.wav", (n + 1) / 1000)) for n in range(count)]


def test_headers_come_in_the_order_of_the_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "BATCH", 3)
    found = read_headers(paths(tmp_path, 10))
    assert found == [AudioHeader(8000, 1, 8 * (n + 1)) for n in range(10)]
    assert read_headers([]) == []


def test_bad_headers_are_told_in_their_place(tmp_path: Path) -> None:
    good, empty, gone, deadly = paths(tmp_path, 4)
    Path(empty).write_bytes(b"")
    Path(gone).unlink()
    batch = without_file(Batch(7, [good, empty, gone, deadly]), deadly, "crashes its decoder")
    first, found = read_batch(batch)
    assert first == 7
    assert found[0] == AudioHeader(8000, 1, 8)
    assert [(type(error), str(error)) for error in found[1:]] == [
        (HeaderError, "is empty (0 bytes)"),
        (UnreadableError, "no such file"),
        (HeaderError, "crashes its decoder"),
    ]
