"""A remote on S3: what is pushed, what a fresh machine fetches, and that no more is moved."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clone import Clone, files_below, read_table
from conftest import write_wav

from bench.object_store import NAME, REMOTE, SECRET, ObjectStore, object_store
from timbre.shards import read_index, shard_paths

pytestmark = pytest.mark.pipeline

SHARDS = "data/spectrograms"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as server:
        yield server


@pytest.fixture(scope="module")
def pushed(
    store: ObjectStore, on_own_corpus: Clone, tmp_path_factory: pytest.TempPathFactory
) -> Clone:
    """A finished clone that has pushed all to the store. Copy it to change it."""
    clone = on_own_corpus.copy(tmp_path_factory.mktemp("pushed") / "clone")
    clone.dvc("remote", "add", "--default", "store", REMOTE)
    let_in(clone, store)
    clone.commit()
    clone.dvc("push", "--run-cache")
    return clone


@pytest.fixture
def elsewhere(pushed: Clone, store: ObjectStore, tmp_path: Path) -> Clone:
    """A clone by git on a machine that has nothing yet; the store counts from here."""
    assert pushed.run("git", "clone", "--quiet", ".", str(tmp_path / "elsewhere")).returncode == 0
    clone = Clone(tmp_path / "elsewhere", tmp_path / "home")
    clone.home.mkdir()
    let_in(clone, store)
    store.requests.clear()
    return clone


def let_in(clone: Clone, store: ObjectStore) -> None:
    options = {"endpointurl": store.url, "access_key_id": NAME, "secret_access_key": SECRET}
    for option, value in options.items():
        clone.dvc("remote", "modify", "--local", "store", option, value)


def cached(clone: Clone) -> dict[str, int]:
    """Return the sizes of the objects in DVC's cache, by their MD5s."""
    files = files_below(clone.folder / ".dvc" / "cache" / "files" / "md5")
    return {path.parent.name + path.name: path.stat().st_size for path in files}


def shards_of(clone: Clone) -> dict[str, list[str]]:
    """Return the ids of the clips in each shard, by the shard's MD5."""
    return {md5(path): read_index(path).clip_ids for path in shard_paths(clone.folder / SHARDS)}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def change(clone: Clone, clip_ids: list[str]) -> None:
    """Put other sounds in the place of these clips."""
    for seed, clip_id in enumerate(clip_ids, start=1):
        path = clone.folder / "corpus" / clip_id
        path.unlink()  # a link into the cache, maybe
        write_wav(path, seconds=0.4, seed=seed)


def test_a_clone_elsewhere_pulls_all_and_has_nothing_to_do(
    pushed: Clone, elsewhere: Clone, store: ObjectStore
) -> None:
    elsewhere.dvc("pull")
    assert elsewhere.repro() == []
    assert "Running stage" not in elsewhere.dvc("repro", "--all-pipelines")  # the demo's too
    assert elsewhere.run("git", "status", "--porcelain").stdout == ""
    results = (SHARDS, "models", "metrics", "plots")
    assert elsewhere.digests(*results) == pushed.digests(*results)
    files = [name for name in store.md5s("GET") if not name.endswith(".dir")]
    assert len(files) == len(set(files))
    assert store.moved("PUT") == []
    assert elsewhere.run("git", "grep", "--quiet", SECRET, "--", ".dvc").returncode == 1


def test_after_a_changed_clip_only_what_changed_is_pushed(
    pushed: Clone, store: ObjectStore, tmp_path: Path
) -> None:
    clone = pushed.copy(tmp_path / "clone")
    before, shards = cached(clone), shards_of(clone)
    change(clone, [read_table(clone.folder / "corpus")[1][0]])
    assert "36 clips: 1 computed, 35 reused" in clone.dvc("repro", "extract_spectrograms")
    new = {name: size for name, size in cached(clone).items() if name not in before}
    store.requests.clear()
    clone.dvc("push")
    assert sorted(store.md5s("PUT")) == sorted(new)
    assert sum(request.n_in for request in store.moved("PUT")) == sum(new.values())
    assert len(set(new) & set(shards_of(clone)) - set(shards)) == 1
    store.requests.clear()
    assert "up to date" in clone.dvc("push")
    assert store.moved("PUT") == []


def test_a_fresh_machine_fetches_the_shards_that_it_goes_on_with_and_each_once(
    pushed: Clone, elsewhere: Clone, store: ObjectStore, tmp_path: Path
) -> None:
    here = pushed.copy(tmp_path / "here")
    earlier, table = shards_of(here), md5(here.folder / "data/clips.csv")
    (lost, all_of_it), (_, others), *_ = earlier.items()
    elsewhere.dvc("pull", "corpus")
    store.requests.clear()
    for clone in (here, elsewhere):
        change(clone, [*all_of_it, others[0]])
    told = elsewhere.dvc("repro", "extract_spectrograms")
    n_new = len(all_of_it) + 1
    assert f"36 clips: {n_new} computed, {36 - n_new} reused" in told
    files = [name for name in store.md5s("GET") if not name.endswith(".dir")]
    assert sorted(files) == sorted([table, *earlier.keys() - {lost}])
    sizes = cached(here)
    n_bytes = sum(r.n_out for r in store.moved("GET") if not r.key.endswith(".dir"))
    assert n_bytes == sum(sizes[name] for name in files)
    here.dvc("repro", "extract_spectrograms")
    assert elsewhere.digests(SHARDS) == here.digests(SHARDS)
    # A second look finds all of it in DVC's cache.
    store.requests.clear()
    shutil.rmtree(elsewhere.folder / SHARDS)
    elsewhere.dvc("checkout", SHARDS)
    assert store.requests == []
