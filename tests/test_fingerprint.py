from pathlib import Path

from timbre.fingerprint import fingerprint_of


def test_it_is_the_same_for_the_same_and_another_for_whatever_differs(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    first = fingerprint_of([one, two], "lr=1")
    assert fingerprint_of([one, two], "lr=1") == first
    others = {fingerprint_of([two, one], "lr=1"), fingerprint_of([one, two], "lr=2")}
    one.write_bytes(b"3")
    others.add(fingerprint_of([one, two], "lr=1"))
    assert len(others | {first}) == 4
