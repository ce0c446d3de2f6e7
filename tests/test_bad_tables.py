"""Tables of every bad kind, each through the real stage: what is said, and what is left."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from commands import Done, digests, run
from conftest import write_wav
from settings import DATA

from stages import encode_labels, split
from timbre.clips import read_clips

ROOT, CLIPS, LABELS = Path("corpus"), Path("data/clips.csv"), Path("data/labels.json")
BAD_HEADERS = Path("data/bad_headers.csv")
COPIES, SPLITS, COUNTS = Path("data/copies.csv"), Path("data/splits.csv"), Path("split.json")
SPLIT: dict[str, Any] = {
    "method": "grouped",
    "train": 0.5,
    "val": 0.25,
    "test": 0.25,
    "seed": 0,
    "n_folds": 0,
    "fold": 0,
    "copies": "together",
    "seen": 0.0,
}
UNKNOWN = {"unknown": [], "unknown_folds": 0, "unknown_fold": 0}
NAMES = [f"{label}{number}.wav" for label in "ab" for number in range(4)]
PLAIN = "FilePath,Class\n" + "".join(f"{name},{name[0]}\n" for name in NAMES)
OUTSIDE = "move it in, or set data.allow_outside to true (DVC will not see when the file changes)"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the stage has run on a good table."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed, name in enumerate(NAMES):
            write_wav(ROOT / name, seed=seed)
        set_params()
        assert encode(PLAIN).code == 0
        COPIES.write_text("one,other,offset,overlap,error_rate\n")
    return folder


@pytest.fixture(autouse=True)
def place(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a copy of that folder, beside a clip that is no part of the corpus."""
    shutil.copytree(good, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    write_wav(Path("outside.wav"), seed=50)


def set_params(data: dict[str, Any] | None = None, **changes: object) -> None:
    sections = {"data": DATA | (data or {}), "split": SPLIT | changes, "evaluate": UNKNOWN}
    Path("params.yaml").write_text(yaml.safe_dump(sections))


def encode(table: str | bytes) -> Done:
    content = table if isinstance(table, bytes) else table.encode()
    (ROOT / "filespaths.csv").write_bytes(content)
    return run(encode_labels.main, ROOT, CLIPS, LABELS, BAD_HEADERS)


def rows(*lines: str, header: str = "FilePath,Class") -> str:
    return "\n".join([header, *lines, ""])


class Bad(NamedTuple):
    """A table that cannot be used, and how each message about it begins."""

    case: str
    table: str | bytes
    told: list[str]


TABLE = "corpus/filespaths.csv: "
MISSING = "is missing; the table has "
QUOTED = "is a quotation mark not closed, or not doubled inside quotes?"
BAD = [
    Bad("empty", b"", [f"{TABLE}is empty: it needs the columns FilePath and Class"]),
    Bad("blank lines", b"\n\n \n", [f"{TABLE}is empty: it needs"]),
    Bad(
        "separators alone", b" ;\n", [f"{TABLE}column {n} {MISSING}" for n in ("FilePath", "Class")]
    ),
    Bad("a mark alone", b"\xef\xbb\xbf", [f"{TABLE}is empty: it needs"]),
    Bad("header alone", "FilePath,Class\n", [f"{TABLE}there is a header but no row below it"]),
    Bad("no FilePath", "Name,Class\na0.wav,a\n", [f"{TABLE}column FilePath {MISSING}'Name', 'Cl"]),
    Bad("no Class", "FilePath,Kind\na0.wav,a\n", [f"{TABLE}column Class {MISSING}'FilePath', "]),
    Bad(
        "neither column",
        "a0.wav,a\nb0.wav,b\n",
        [f"{TABLE}column {name} {MISSING}'a0.wav', 'a'" for name in ("FilePath", "Class")],
    ),
    Bad(
        "columns named twice",
        "FilePath,Class,class,File Path\na0.wav,a,b,c\n",
        [
            f"{TABLE}column FilePath is there more than once: 'FilePath', 'File Path'",
            f"{TABLE}column Class is there more than once: 'Class', 'class'",
        ],
    ),
    Bad("Excel", b"PK\x03\x04" + bytes(90), [f"{TABLE}is an Excel or zip file, not CSV text"]),
    Bad(
        "old Excel",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90),
        [f"{TABLE}is an old Excel file"],
    ),
    Bad(
        "Git LFS pointer",
        "version https://git-lfs.github.com/spec/v1\n",
        [f"{TABLE}is a Git LFS pointer, not the table: run `git lfs pull`"],
    ),
    Bad("cut UTF-16", PLAIN.encode("utf-16")[:-1], [f"{TABLE}is damaged utf-16 text: "]),
    Bad("binary", bytes(range(1, 256)) * 3, [f"{TABLE}its first line is no text"]),
    Bad("zeros", bytes(64), [f"{TABLE}its first line is no text"]),
    Bad("HTML", "<!DOCTYPE html>\n<html>\n", [f"{TABLE}column FilePath {MISSING}", TABLE]),
    Bad("open quote", rows('"a0.wav,a', "b0.wav,b"), [f"{TABLE}row 2: "]),
    Bad("open quote in the header", '"FilePath,Class\na,b\n', [f"{TABLE}row 1: "]),
    Bad("quote in a cell", rows("a0.wav,a", '"b0"x.wav,b'), [f"{TABLE}row 3: "]),
    Bad("too many cells", rows("a0.wav,a", "b,0.wav,b"), ["row 3: has 3 cells, the header has 2"]),
    Bad("too few cells", rows("a0.wav,a", "b0.wav"), ["row 3: Class is empty"]),
    Bad("empty path", rows(",a", "b0.wav,b"), ["row 2: FilePath is empty"]),
    Bad("empty label", rows("a0.wav,a", "b0.wav, "), ["row 3: Class is empty"]),
    Bad(
        "a group left out",
        rows("a0.wav,a,g", "b0.wav,b,", header="FilePath,Class,Group"),
        ["row 3: Group is empty: fill all cells of the column or none"],
    ),
    Bad(
        "a split left out",
        rows("a0.wav,a,train", "b0.wav,b,", header="FilePath,Class,Split"),
        ["row 3: Split is empty: fill all cells of the column or none"],
    ),
    Bad(
        "an unknown split",
        rows("a0.wav,a,train", "b0.wav,b,eval", header="FilePath,Class,Split"),
        ["row 3: Split 'eval' is unknown: write train, val or test"],
    ),
    Bad("carriage return", rows('"a\r0.wav",a', "b0.wav,b"), ["row 2: FilePath holds a carriage"]),
    Bad("NUL", rows("a0.wav,a\0", "b0.wav,b"), ["row 2: Class holds a carriage return or a NUL"]),
    Bad("one class", rows("a0.wav,a", "a1.wav,a"), ["all rows have Class 'a': a classifier needs"]),
    Bad("no such file", rows("a0.wav,a", "x.wav,b"), ["row 3: 'x.wav' is not there: no such file"]),
    Bad("no such folder", rows("a0.wav,a", "x/y.wav,b"), ["row 3: 'x/y.wav' is not there: no"]),
    Bad("below a file", rows("a0.wav,a", "a1.wav/y,b"), ["row 3: 'a1.wav/y' is not there: no"]),
    Bad("formula", rows("a0.wav,a", "=1+1,b"), ["row 3: '=1+1' is not there: no such file"]),
    Bad("leading dash", rows("a0.wav,a", "-rf,b"), ["row 3: '-rf' is not there: no such file"]),
    Bad("home", rows("a0.wav,a", "~/b.wav,b"), ["row 3: '~/b.wav' is not there: no such file"]),
    Bad("address", rows("a0.wav,a", "https://x.org/b.wav,b"), ["row 3: 'https://x.org/b.wav' is"]),
    Bad("endless name", rows("a0.wav,a", f"{'x' * 5000},b"), ["row 3: '" + "x" * 50]),
    Bad("folder", rows("a0.wav,a", "folder,b"), ["row 3: 'folder' is a folder, not an audio"]),
    Bad("the corpus", rows("a0.wav,a", ".,b"), ["row 3: '.' is a folder, not an audio file"]),
    Bad("FIFO", rows("a0.wav,a", "fifo,b"), ["row 3: 'fifo' is a FIFO or device, not an audio"]),
    Bad("device", rows("a0.wav,a", "/dev/zero,b"), ["row 3: '/dev/zero' lies outside corpus: "]),
    Bad("link to a device", rows("a0.wav,a", "null,b"), ["row 3: 'null' is a FIFO or device, not"]),
    Bad("broken link", rows("a0.wav,a", "broken,b"), ["row 3: 'broken' is a symbolic link to a"]),
    Bad("link to itself", rows("a0.wav,a", "loop,b"), ["row 3: 'loop' cannot be read: "]),
    Bad("up", rows("a0.wav,a", "../outside.wav,b"), ["row 3: '../outside.wav' lies outside corp"]),
    Bad(
        "up by the back", rows("a0.wav,a", "..\\outside.wav,b"), ["row 3: '..\\\\outside.wav' lies"]
    ),
    Bad(
        "down and up", rows("a0.wav,a", "x/../../outside.wav,b"), ["row 3: 'x/../../outside.wav' l"]
    ),
    Bad(
        "absolute", rows("a0.wav,a", "/etc/hosts,b"), ["row 3: '/etc/hosts' lies outside corpus: "]
    ),
    Bad(
        "link out", rows("a0.wav,a", "out.wav,b"), ["row 3: 'out.wav' is reached by a symbolic li"]
    ),
    Bad(
        "folder out", rows("a0.wav,a", "up/outside.wav,b"), ["row 3: 'up/outside.wav' is reached b"]
    ),
    Bad(
        "drive", rows("a0.wav,a", "C:\\x\\b.wav,b"), ["row 3: 'C:\\\\x\\\\b.wav' names a Windows d"]
    ),
    Bad(
        "a path with two labels",
        rows("a0.wav,a", "./a0.wav,b"),
        ["row 3: 'a0.wav' has Class 'b', but row 2 says 'a': mend or drop one of the two"],
    ),
    Bad(
        "a path with two groups",
        rows("a0.wav,a,g", "a0.wav,a,h", "b0.wav,b,g", header="FilePath,Class,Group"),
        ["row 3: 'a0.wav' has Group 'h', but row 2 says 'g': mend or drop one of the two"],
    ),
    Bad(
        "a path with two splits",
        rows("a0.wav,a,train", "a0.wav,a,test", "b0.wav,b,val", header="FilePath,Class,Split"),
        ["row 3: 'a0.wav' has Split 'test', but row 2 says 'train': mend or drop one of the two"],
    ),
    Bad(
        "audio with two labels",
        rows("a0.wav,a", "b0.wav,b", "twin.wav,b"),
        ["row 4: 'twin.wav' has Class 'b', but row 2, the same audio as 'a0.wav', says 'a': mend"],
    ),
    Bad(
        "audio with two splits",
        rows("a0.wav,a,train", "twin.wav,a,test", "b0.wav,b,val", header="FilePath,Class,Split"),
        ["row 3: 'twin.wav' has Split 'test', but row 2, the same audio as 'a0.wav', says 'train'"],
    ),
    Bad(
        "names that differ in Unicode's form alone",
        rows("a0.wav,a", "é.wav,b", "e\u0301.wav,b"),
        ["row 4: 'é.wav' and the file of row 3 are two files whose names differ only in Unicode's"],
    ),
    Bad(
        "all at once",
        rows("x.wav,a", "a0.wav,a", "/etc/hosts,b", "folder,b", "a0.wav,b"),
        [
            "row 2: 'x.wav' is not there",
            "row 4: '/etc/hosts' lies outside",
            "row 5: 'folder' is a folder",
            "row 6: 'a0.wav' has Class 'b', but row 3 says 'a'",
        ],
    ),
    Bad(
        "a hundred of a kind",
        rows("a0.wav,a", *(f"x{n}.wav,b" for n in range(100))),
        [*(f"row {n + 3}: 'x{n}.wav'" for n in range(50)), "... and 50 more like the one above"],
    ),
    Bad(
        "files that lie in a subfolder",
        rows("c0.wav,a", "c1.wav,b"),
        ["row 2: 'c0.wav'", "row 3: 'c1.wav'", "the files seem to be in 'Dataset': set data.audio"],
    ),
]


def name(case: object) -> str:
    """Return what a case, or the first word of one, is called."""
    return str(case[0] if isinstance(case, tuple) else case)


def set_traps() -> None:
    """Lay what the tables name beside the good clips."""
    (ROOT / "folder").mkdir()
    os.mkfifo(ROOT / "fifo")
    (ROOT / "null").symlink_to("/dev/null")
    (ROOT / "broken").symlink_to("nowhere")
    (ROOT / "loop").symlink_to("loop")
    (ROOT / "out.wav").symlink_to(Path("outside.wav").resolve())
    (ROOT / "up").symlink_to(Path.cwd())
    (ROOT / "twin.wav").write_bytes((ROOT / "a0.wav").read_bytes())
    for seed, written in enumerate(["é.wav", "e\u0301.wav", "Dataset/c0.wav", "Dataset/c1.wav"]):
        write_wav(ROOT / written, seed=60 + seed)


@pytest.mark.parametrize("case", BAD, ids=name)
def test_a_bad_table_is_explained_and_nothing_is_damaged(case: Bad) -> None:
    set_traps()
    before = digests(CLIPS, LABELS)
    done = encode(case.table)
    assert done.code == 1
    told = done.errors()
    assert [line[: len(start)] for line, start in zip(told, case.told, strict=True)] == case.told
    assert digests(CLIPS, LABELS) == before


ONE_LABEL = "some labels differ only by blanks around them: they are read as one label"


class Odd(NamedTuple):
    """A table that means the same as the plain one, and how each warning about it begins."""

    case: str
    table: str | bytes
    told: list[str]


ODD = [
    Odd("plain", PLAIN, []),
    Odd("other spellings", PLAIN.replace("FilePath,Class", " file_path ,CLASS"), []),
    Odd("blanks in the header", PLAIN.replace("FilePath", "File Path"), []),
    Odd("further columns", PLAIN.replace("\n", ",x,,\n"), []),
    Odd("semicolons", PLAIN.replace(",", ";"), []),
    Odd("tabs", PLAIN.replace(",", "\t"), []),
    Odd("CRLF", PLAIN.replace("\n", "\r\n"), []),
    Odd("CR", PLAIN.replace("\n", "\r"), []),
    Odd("no last line end", PLAIN.rstrip("\n"), []),
    Odd("blank lines", PLAIN.replace("\n", "\n\n,\n"), []),
    Odd("BOM", PLAIN.encode("utf-8-sig"), []),
    Odd("UTF-16", PLAIN.encode("utf-16"), []),
    Odd("UTF-16 without a mark", PLAIN.encode("utf-16-le"), []),
    Odd("UTF-32", PLAIN.encode("utf-32"), []),
    Odd("Latin-1", PLAIN.encode() + b",\n,\xe9\n".replace(b",\xe9\n", b""), []),
    Odd("all quoted", '"' + PLAIN.rstrip().replace(",", '","').replace("\n", '"\n"') + '"', []),
    Odd("rows in another order", rows(*reversed(PLAIN.splitlines()[1:])), []),
    Odd("paths with ./", PLAIN.replace("\na", "\n./a"), []),
    Odd("paths with .\\", PLAIN.replace("\nb", "\n.\\b"), []),
    Odd("paths through a folder and back", PLAIN.replace("\na", "\nx/../a"), []),
    Odd("blanks around paths", PLAIN.replace(".wav", ".wav "), []),
    Odd("blanks around a label", PLAIN.replace("a0.wav,a", "a0.wav, a "), [ONE_LABEL]),
    Odd(
        "a row twice", PLAIN + "a0.wav,a\n", ["1 rows name a clip again and are left out: rows 10"]
    ),
    Odd("empty columns", PLAIN.replace("\n", ",,\n").replace("Class,,", "Class,Group,Split"), []),
]


@pytest.mark.parametrize("case", ODD, ids=name)
def test_an_odd_table_means_what_the_plain_one_means(case: Odd) -> None:
    before = digests(CLIPS, LABELS)
    done = encode(case.table)
    assert (done.code, done.errors()) == (0, [])
    told = done.warnings()
    assert [line[: len(start)] for line, start in zip(told, case.told, strict=True)] == case.told
    assert digests(CLIPS, LABELS) == before


def test_an_absolute_path_into_the_corpus_is_a_path_like_others() -> None:
    before = digests(CLIPS, LABELS)
    assert encode(PLAIN.replace("\n", f"\n{ROOT.resolve()}/").rsplit("\n", 1)[0]).code == 0
    assert digests(CLIPS, LABELS) == before


@pytest.mark.parametrize(
    "label",
    ["NA", "None", "nan", "null", "true", "True", "01", "1.0", "1e5", "inf", "-", "=1+1", "#N/A"],
)
def test_labels_that_look_like_something_else_are_text(label: str) -> None:
    assert encode(PLAIN.replace(",a\n", f",{label}\n")).errors() == []
    assert sorted(set(read_clips(CLIPS)["label"])) == sorted(["b", label])


@pytest.mark.parametrize(
    "written",
    [
        *("with blank.wav", "-rf.wav", "=1.wav", "~.wav", "صوت.wav", "é.wav", "e\u0301.wav"),
        *("comma,.wav", "line\nbreak.wav", 'quote".wav', "semi;colon.wav", "tab\t.wav", "%s.wav"),
        *("back\\slash.wav", "$(x).wav", "..wav", " lead.wav", "CON", "no_extension", "\U0001f3b5"),
    ],
)
def test_files_of_odd_names_are_found(written: str) -> None:
    write_wav(ROOT / written, seed=70)
    quoted = '"' + written.replace('"', '""') + '"'
    done = encode(PLAIN + f"{quoted},a\n")
    assert (done.code, done.err) == (0, "")
    assert len(read_clips(CLIPS)) == len(NAMES) + 1


def test_what_may_be_meant_is_warned_of_and_done() -> None:
    done = encode(PLAIN.replace("b3.wav,b", "b3.wav,B").replace("a3.wav,a", "a3.wav,c"))
    assert done.code == 0
    assert [line.split(":")[0] for line in done.warnings()] == [
        "labels 'B', 'b' differ only by case or blanks and are different classes",
        "class 'B' has 1 of the 3 clips that it needs to be in train, val and test",
        "class 'c' has 1 of the 3 clips that it needs to be in train, val and test",
    ]


def test_other_encodings_are_guessed_with_a_warning() -> None:
    done = encode(PLAIN.encode().replace(b",b\n", b",\xe9\n"))
    (told,) = done.warnings()
    assert (done.code, told.split(":")[0]) == (0, "corpus/filespaths.csv")
    assert set(read_clips(CLIPS)["label"]) == {"a", "é"}


def test_the_same_audio_under_two_names_is_one_group() -> None:
    (ROOT / "twin.wav").write_bytes((ROOT / "a0.wav").read_bytes())
    done = encode(PLAIN + "twin.wav,a\n")
    (told,) = done.warnings()
    assert told.startswith("1 clips have the same audio as another, such as 'twin.wav'")
    assert len(read_clips(CLIPS)["group"].unique()) == len(NAMES)


def remove_table() -> None:
    (ROOT / "filespaths.csv").unlink()


def second_table() -> None:
    shutil.copy(ROOT / "filespaths.csv", ROOT / "files_paths.csv")


def table_is_a_folder() -> None:
    remove_table()
    (ROOT / "filespaths.csv").mkdir()


def no_corpus() -> None:
    shutil.rmtree(ROOT)


def corpus_is_a_file() -> None:
    shutil.rmtree(ROOT)
    ROOT.write_text("")


PLACES: list[tuple[str, Callable[[], None], dict[str, Any], str]] = [
    ("no corpus", no_corpus, {}, "corpus: no such folder: data.root must be a folder that holds"),
    ("a file for a corpus", corpus_is_a_file, {}, "corpus: no such folder: data.root must be"),
    (
        "no table",
        remove_table,
        {},
        "corpus: filespaths.csv is missing (there is no other CSV file)",
    ),
    ("a folder for a table", table_is_a_folder, {}, "corpus: filespaths.csv is missing (there is"),
    ("two tables", second_table, {}, "corpus: both filespaths.csv and files_paths.csv are there"),
    ("no named table", lambda: None, {"table": "x.csv"}, "corpus: x.csv is missing (there is fil"),
    ("a table outside", lambda: None, {"table": "../x.csv"}, "data.table: '../x.csv' is outside"),
    ("no audio folder", lambda: None, {"audio": "x"}, "data.audio: 'x' is not a folder in corpus"),
    ("audio outside", lambda: None, {"audio": ".."}, "data.audio: '..' is outside corpus: it must"),
    ("absolute audio", lambda: None, {"audio": "/etc"}, "data.audio: '/etc' is outside corpus: it"),
    ("audio is a file", lambda: None, {"audio": "a0.wav"}, "data.audio: 'a0.wav' is not a folder"),
]


@pytest.mark.parametrize(("case", "spoil", "data", "told"), PLACES, ids=[p[0] for p in PLACES])
def test_a_corpus_that_is_not_there_is_explained(
    case: str, spoil: Callable[[], None], data: dict[str, Any], told: str
) -> None:
    before = digests(CLIPS, LABELS)
    Path("x.csv").write_text(PLAIN)
    spoil()
    set_params(data)
    done = run(encode_labels.main, ROOT, CLIPS, LABELS, BAD_HEADERS)
    assert done.code == 1
    assert [line[: len(told)] for line in done.errors()] == [told]
    assert digests(CLIPS, LABELS) == before


def test_a_table_without_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Permission bits bind no test that runs as root: the refusal itself is played.
    opened = Path.open

    def refuse(path: Path, *args: Any, **named: Any) -> Any:  # noqa: ANN401 (those of Path.open)
        if path.suffix == ".csv":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        done = run(encode_labels.main, ROOT, CLIPS, LABELS, BAD_HEADERS)
    assert (done.code, done.errors()) == (1, [f"{TABLE}cannot be read: Permission denied"])


FOUR = "FilePath,Class,Group,Split\n"


def in_groups(group: Callable[[str], str], part: Callable[[str], str] = lambda _: "train") -> str:
    cells = ((name, name[0], group(name), part(name)) for name in NAMES)
    return FOUR + "".join(",".join(row) + "\n" for row in cells)


SPLIT_CASES: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "one group for all",
        in_groups(lambda _: "g"),
        {},
        "all clips form one group, and method grouped needs at least 3: give each",
    ),
    (
        "a group for each class",
        in_groups(lambda n: n[0]),
        {},
        "there are only 2 groups, and method grouped needs",
    ),
    ("a class of two clips", PLAIN.replace("a2.wav,a\na3.wav,a\n", ""), {}, "class 'a'"),
    (
        "no Split column",
        PLAIN,
        {"method": "column"},
        "method column needs a Split column in the table: add it",
    ),
    (
        "train alone",
        in_groups(lambda n: n),
        {"method": "column"},
        "no clip has Split test: mark the official test clips",
    ),
    ("more folds than clips", PLAIN, {"n_folds": 9}, "9 folds but only 8 clips: use fewer folds"),
    ("shares that sum to 0.9", PLAIN, {"val": 0.15}, "params.yaml: split: train + val + test must"),
    ("an unknown method", PLAIN, {"method": "kfold"}, "params.yaml: split.method: Input should be"),
    ("a fold too many", PLAIN, {"n_folds": 3, "fold": 3}, "params.yaml: split: fold must be below"),
    ("two folds", PLAIN, {"n_folds": 2}, "params.yaml: split.n_folds: must be 0 (no cross-valid"),
]


@pytest.mark.parametrize(
    ("case", "table", "params", "told"), SPLIT_CASES, ids=[case[0] for case in SPLIT_CASES]
)
def test_a_table_that_cannot_be_split_is_explained(
    case: str, table: str, params: dict[str, Any], told: str
) -> None:
    set_params(**params)
    assert encode(table).code == 0
    done = run(split.main, CLIPS, COPIES, BAD_HEADERS, SPLITS, COUNTS)
    assert done.code == 1
    assert told in done.errors()[0], done.err
    assert not SPLITS.exists()


def test_groups_of_one_clip_each_are_as_no_groups() -> None:
    set_params()
    assert encode(in_groups(lambda n: n)).code == 0
    assert run(split.main, CLIPS, COPIES, BAD_HEADERS, SPLITS, COUNTS).code == 0
