"""How much goes through a remote after one clip in a hundred has changed: bytes, not seconds.

The remote is on the loopback interface, so that seconds would tell nothing of a real one.
"""

from collections.abc import Callable
from pathlib import Path

from bench.corpora import change_clip, digit_wavs
from bench.figures import Figure, value_figure
from bench.object_store import NAME, REMOTE, SECRET, ObjectStore, object_store
from bench.repository import Repository, make_clone
from bench.workshop import Workshop

ONE_IN = 100
STAGE = "extract_spectrograms"


def storage(workshop: Workshop) -> list[Figure]:
    """Count what is pushed, and what a fresh machine fetches, with few shards and with many."""
    n_clips = workshop.size(3000, 100)
    return [
        figure
        for n_shards in (64, workshop.size(512, 128))
        for figure in of_shards(workshop.new_folder(f"storage-{n_shards}"), n_clips, n_shards)
    ]


def of_shards(folder: Path, n_clips: int, n_shards: int) -> list[Figure]:
    """Push a corpus' spectrograms, change clips, push again; then do the same from a new clone."""
    paths = digit_wavs(folder / "corpus", n_clips)
    changed = paths[:: len(paths) // (len(paths) // ONE_IN)]
    here = make_clone(folder, folder / "corpus", {"extract": {"n_shards": n_shards}})
    with object_store() as store:
        here.run("dvc", "remote", "add", "--default", "store", REMOTE)
        let_in(here, store)
        here.run("dvc", "repro", STAGE)
        here.commit()
        whole = moved(store, "PUT", lambda: here.run("dvc", "push"))
        there = Repository(folder / "elsewhere", folder / "home elsewhere")
        there.home.mkdir()
        here.run("git", "clone", "--quiet", ".", str(there.folder))
        let_in(there, store)
        for path in changed:
            change_clip(path, 0.9)
        here.run("dvc", "repro", STAGE)
        pushed = moved(store, "PUT", lambda: here.run("dvc", "push"))
        fetched = moved(store, "GET", lambda: there.run("dvc", "repro", STAGE))
    name = f"{len(changed)} of {n_clips} clips changed, {n_shards} shards"
    return [
        value_figure(f"{name}: pushed", [100 * pushed / whole], "% of all bytes"),
        value_figure(f"{name}: fetched elsewhere", [100 * fetched / whole], "% of all bytes"),
    ]


def let_in(repository: Repository, store: ObjectStore) -> None:
    """Tell a repository's DVC, and nobody else, where the remote answers and to whom."""
    options = {"endpointurl": store.url, "access_key_id": NAME, "secret_access_key": SECRET}
    for option, value in options.items():
        repository.run("dvc", "remote", "modify", "--local", "store", option, value)


def moved(store: ObjectStore, method: str, work: Callable[[], object]) -> int:
    """Return the bytes of all objects that went with these requests."""
    store.requests.clear()
    work()
    return sum(request.n_in + request.n_out for request in store.moved(method))
