"""Names are data: no shell reads them, and none leads out of the corpus."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from clone import Clone, files_below, ran, read_table, write_table
from conftest import write_wav

from stages import encode_labels
from timbre.problems import InputError

# Each of these makes the file `harm` if a shell reads it, quoted or not.
HARMFUL = (
    "$(touch harm)",
    "`touch harm`",
    "; touch harm;",
    "& touch harm &",
    '" ; touch harm ; "',
    "' ; touch harm ; '",
    "| touch harm",
    "-rf *",
    "$HOME ${data.root} %TEMP% !x $a$ \\",
)


def plant(clone: Clone, root: Path) -> None:
    """Give the demo's folder, files, labels and groups names that a shell would run."""
    shutil.copytree(clone.folder / "data" / "demo", root)
    header, *rows = read_table(root)
    speakers = sorted({row[1] for row in rows})
    new = []
    for number, (path, label, group) in enumerate(rows):
        odd = HARMFUL[number % len(HARMFUL)].replace("/", "-")
        moved = f"{odd} {number}/{odd}.wav"
        (root / moved).parent.mkdir()
        (root / path).rename(root / moved)
        new.append([moved, f"{HARMFUL[-1 - speakers.index(label)]} {label}", f"{odd} {group}"])
    write_table(root, [header, *new])


@pytest.mark.pipeline
def test_no_shell_reads_a_name_in_any_stage(finished: Clone, tmp_path: Path) -> None:
    clone = finished.copy(tmp_path / "clone")
    root = tmp_path / f"corpus {' '.join(HARMFUL[:7])}"
    plant(clone, root)
    clone.set_params(
        {
            "data": {"root": str(root)},
            "train": {"epochs": 1},
            "robustness": {"conditions": ["clean"]},
        }
    )
    output = clone.dvc("repro")
    assert len(ran(output)) == 10  # all but the demo
    harm = [path for path in files_below(tmp_path) if path.name == "harm"]
    assert harm == []
    told = pd.read_csv(clone.folder / "data" / "predictions.csv", dtype=str)
    assert set(told["label"]) <= {f"{odd} {name}" for odd in HARMFUL for name in names(finished)}


def names(clone: Clone) -> set[str]:
    """Return the labels of the demo."""
    return {row[1] for row in read_table(clone.folder / "data" / "demo")[1:]}


def test_a_shell_would_run_these_names(tmp_path: Path) -> None:
    for harmful in HARMFUL[:2]:
        os.system(f'cd "{tmp_path}" && echo "{harmful}" > said')  # noqa: S605 (what dvc.yaml must not do)
        assert (tmp_path / "harm").exists()
        (tmp_path / "harm").unlink()


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus with one good clip of two, beside recordings that are none of its business."""
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "private" / "secret.wav", seed=1)
    write_wav(tmp_path / "corpus" / "good.wav", seed=2)
    return tmp_path / "corpus"


def encode(corpus: Path, path: str, allow_outside: bool) -> pd.DataFrame:
    (corpus / "filespaths.csv").write_text(f"FilePath,Class\ngood.wav,a\n{path},b\n")
    allowed = str(allow_outside).lower()
    Path("params.yaml").write_text(
        f"data: {{root: corpus, table: '', audio: '', allow_outside: {allowed}, "
        "bad_audio: fail, max_quarantined: 0.05}"
    )
    encode_labels.main(corpus, Path("clips.csv"), Path("labels.json"), Path("bad_headers.csv"))
    return pd.read_csv("clips.csv", dtype=str)


def ways_out(corpus: Path) -> dict[str, str]:
    secret = corpus.parent / "private" / "secret.wav"
    (corpus / "linked.wav").symlink_to(secret)
    (corpus / "folder").symlink_to(secret.parent)
    (corpus / "chain.wav").symlink_to("linked.wav")
    (corpus / "hidden").mkdir()
    (corpus / "hidden" / "up").symlink_to("../..")
    return {
        "dots": "../private/secret.wav",
        "dots inside": "hidden/../../private/secret.wav",
        "absolute": str(secret),
        "a linked file": "linked.wav",
        "a linked folder": "folder/secret.wav",
        "a link to a link": "chain.wav",
        "a link upwards": "hidden/up/private/secret.wav",
    }


@pytest.mark.parametrize(
    "way",
    [
        *("dots", "dots inside", "absolute", "a linked file", "a linked folder"),
        *("a link to a link", "a link upwards"),
    ],
)
def test_no_path_leaves_the_corpus_unless_the_user_says_so(corpus: Path, way: str) -> None:
    path = ways_out(corpus)[way]
    with pytest.raises(InputError) as caught:
        encode(corpus, path, allow_outside=False)
    assert all("set data.allow_outside to true" in problem for problem in caught.value.problems)
    assert not Path("clips.csv").exists()
    assert len(encode(corpus, path, allow_outside=True)) == 2
