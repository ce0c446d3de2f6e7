"""Extraction on a real scheduler and real workers, on the loopback interface.

Whatever happens there: the bytes of an extraction on this machine, or one message.
"""

import os
import re
import resource
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
import yaml
from clone import REPOSITORY
from commands import Done, run
from conftest import write_wav
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from settings import DATA, EXTRACT
from shard_files import read_log_mel

from bench import dask_processes
from bench.dask_processes import Logged
from stages import encode_labels, extract_spectrograms
from timbre import cluster, cluster_shards, extraction
from timbre.extraction import Outcome, ShardResult, find_windows, write_task
from timbre.quarantine import read_unusable
from timbre.shards import read_index, shard_name, shard_number
from timbre.sources import Source

CORPUS, CLIPS, SHARDS = Path("corpus"), Path("data/clips.csv"), Path("data/spectrograms")
BAD_HEADERS, QUARANTINE = Path("data/bad_headers.csv"), Path("data/quarantine.csv")
PATHS = [CORPUS, CLIPS, BAD_HEADERS, SHARDS, QUARANTINE]
NAMES = [f"{label}/{n}.wav" for label in ("a", "b") for n in range(6)]
BUCKET = "recordings"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "secret"}  # of no real account
AWS = {**KEYS, "AWS_DEFAULT_REGION": "us-east-1"}
SECONDS = 60.0  # bounds a wait that a failure would make endless

# A decoder that some clips crash, in any process of a worker. Python imports it first.
TRAPS = """
import os, signal
import soundfile
real = soundfile.SoundFile
class Trapped(real):
    def __init__(self, file, *others, **options):
        if "deadly" in os.fspath(file):
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(file, *others, **options)
soundfile.SoundFile = Trapped
"""


@dataclass(frozen=True)
class Running:
    """A scheduler with two workers, one of them with a nanny, and an S3 server."""

    address: str
    s3: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "traps").mkdir()
    (folder / "traps" / "sitecustomize.py").write_text(TRAPS)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        s3 = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        path = os.pathsep.join([str(folder / "traps"), str(REPOSITORY)])
        variables = {**AWS, "AWS_ENDPOINT_URL": s3, "PYTHONPATH": path}
        with ExitStack() as stack:
            address, _ = stack.enter_context(dask_processes.scheduler(folder))
            for name, nanny in (("one", False), ("two", True)):
                own = dask_processes.worker(address, folder / name, variables, nanny=nanny)
                stack.enter_context(own)
            yield Running(address, s3)
    finally:
        server.stop()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[str, Logged]]:
    """A scheduler of one test."""
    with dask_processes.scheduler(tmp_path) as found:
        yield found


@pytest.fixture(params=["by workers", "here"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where shards are written: workers here see the folder, and are said not to."""
    if request.param == "here":
        monkeypatch.setattr(cluster.Cluster, "sees", lambda *_: False)
    return str(request.param)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is said to see the folder of the shards."""
    monkeypatch.setattr(cluster.Cluster, "sees", lambda *_: False)


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A corpus of twelve clips, and the shards of it that this machine makes alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMBRE_JOBS", "1")
    monkeypatch.delenv(extract_spectrograms.SCHEDULER, raising=False)
    monkeypatch.setattr(cluster_shards, "PIECE_CLIPS", 2)  # several tasks for each worker
    for seed, name in enumerate(NAMES):
        write_wav(CORPUS / name, 0.3 + seed / 10, 8000, seed)
    list_clips(NAMES)
    assert extract().code == 0
    return shards()


def list_clips(names: list[str]) -> None:
    rows = [f"{name},{name[0]}" for name in names]
    (CORPUS / "filespaths.csv").write_text("FilePath,Class\n" + "\n".join(rows) + "\n")
    set_params()
    encode_labels.main(CORPUS, CLIPS, Path("data/labels.json"), BAD_HEADERS)


def set_params(**changes: object) -> None:
    """Change the settings of both sections."""
    document = {
        "data": DATA | {key: value for key, value in changes.items() if key in DATA},
        "extract": EXTRACT | {key: value for key, value in changes.items() if key in EXTRACT},
    }
    Path("params.yaml").write_text(yaml.safe_dump(document))


def extract(root: Path = CORPUS, **changes: Any) -> Done:  # noqa: ANN401 (values of settings)
    """Run the stage as DVC does, with the folder of its shards empty."""
    set_params(**changes)
    shutil.rmtree(SHARDS, ignore_errors=True)
    return run(extract_spectrograms.main, root, *PATHS[1:])


def shards() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(SHARDS.iterdir())}


class Hold:
    """Keeps a worker at one clip until something was done to it."""

    def __init__(self, clip: Path, then: Callable[[], object]) -> None:
        self._clip, self._aside, self._then = clip, clip.with_suffix(".aside"), then
        clip.rename(self._aside)
        os.mkfifo(clip)
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        with self._clip.open("wb"):  # opens when a worker has opened it
            self._aside.replace(self._clip)
            self._then()

    def wait(self) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


def shard_of(name: str) -> int:
    return shard_number(name, EXTRACT["n_shards"])


# In the order in which they are computed.
FIRST, *_, LAST = sorted(NAMES, key=lambda name: (shard_of(name), name))


@pytest.mark.usefixtures("written")
def test_a_cluster_gives_the_bytes_of_this_machine(
    running: Running, local: dict[str, bytes]
) -> None:
    done = extract(scheduler=running.address)
    assert (done.code, done.err) == (0, "")
    assert done.out == "extract_spectrograms: 12 clips: 12 computed, 0 reused\n"
    assert shards() == local


@pytest.mark.usefixtures("here")
def test_how_clips_are_dealt_to_tasks_decides_no_byte(
    running: Running, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for clips, n_bytes in ((256, 8 << 20), (256, 1)):
        monkeypatch.setattr(cluster_shards, "PIECE_CLIPS", clips)
        monkeypatch.setattr(cluster_shards, "PIECE_BYTES", n_bytes)
        assert extract(scheduler=running.address).code == 0
        assert shards() == local


@pytest.mark.usefixtures("written")
def test_audio_comes_from_s3(
    running: Running, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.s3)
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name in NAMES:
        s3.upload_file(str(CORPUS / name), BUCKET, f"some corpus/{name}")
    s3.close()
    shutil.rmtree(CORPUS)
    url = f"s3://{BUCKET}/some corpus"
    assert extract(scheduler=running.address, audio_url=url).code == 0
    assert shards() == local


@pytest.mark.parametrize("on_cluster", [True, False])
def test_audio_comes_from_a_url_of_a_file(
    running: Running, local: dict[str, bytes], on_cluster: bool
) -> None:
    CORPUS.rename("elsewhere")
    url = f"file://{Path('elsewhere').absolute()}/"
    assert extract(audio_url=url, scheduler=running.address if on_cluster else "").code == 0
    assert shards() == local


@pytest.mark.usefixtures("written")
def test_a_url_that_workers_cannot_read_is_one_message(running: Running) -> None:
    url = f"file://{Path('nowhere').absolute()}"
    (told,) = extract(scheduler=running.address, audio_url=url).errors()
    assert re.fullmatch(
        rf"{url}/[ab]/\d\.wav: cannot be read \(.*No such file or directory.*\), says the worker "
        r"on .+: look after extract\.audio_url, and after the workers' credentials and packages.*",
        told,
    )
    (told,) = extract(scheduler=running.address, audio_url="s3://no-such-bucket/").errors()
    assert "s3://no-such-bucket/" in told


@pytest.mark.usefixtures("written")
def test_a_worker_without_the_audio_is_one_message_when_this_machine_has_it(
    running: Running,
) -> None:
    # Each process finds another folder there, and a worker's is empty.
    (told,) = extract(Path("/proc/self/cwd/corpus"), scheduler=running.address).errors()
    assert re.fullmatch(
        r"/proc/self/cwd/corpus/[ab]/\d\.wav: cannot be read \(No such file or directory\), says "
        r"the worker on .+, and this machine can: share the folder under the same path, or name in "
        r"extract\.audio_url where workers find the audio",
        told,
    )


@pytest.mark.usefixtures("written")
def test_files_that_nobody_can_read_are_all_named_as_on_one_machine(running: Running) -> None:
    (CORPUS / NAMES[0]).unlink()
    (CORPUS / NAMES[7]).write_bytes(b"changed")
    alone, there = extract().errors(), extract(scheduler=running.address).errors()
    assert len(alone) == 3
    here = f"{Path.cwd()}/"
    assert sorted(line.removeprefix(here) for line in there) == sorted(alone)


@pytest.mark.usefixtures("written")
def test_a_clip_that_crashes_its_decoder_is_named_and_the_others_are_kept(
    running: Running, local: dict[str, bytes]
) -> None:
    write_wav(CORPUS / "a/deadly.wav", 0.3, 8000, 99)
    list_clips([*NAMES, "a/deadly.wav"])
    told = extract(scheduler=running.address).errors()
    assert told[0] == "corpus/a/deadly.wav: crashes its decoder (SIGSEGV)"
    policy: dict[str, Any] = {"bad_audio": "quarantine", "max_quarantined": 0.5}
    assert extract(scheduler=running.address, **policy).code == 0
    assert [clip.path for clip in read_unusable(QUARANTINE)] == ["a/deadly.wav"]
    assert shards() == local


@pytest.mark.usefixtures("written")
def test_only_what_changed_is_asked_of_the_cluster(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("cache").mkdir()
    for number, path in enumerate(sorted(SHARDS.iterdir())):
        shutil.copyfile(path, Path("cache", str(number)))
    old = sorted(Path("cache").iterdir())
    write_wav(CORPUS / NAMES[3], 0.5, 8000, 77)
    list_clips(NAMES)
    assert extract().code == 0
    anew = shards()
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: old)
    for name in {*NAMES} - {NAMES[3]}:
        (CORPUS / name).unlink()
    done = extract(scheduler=running.address)
    assert done.out == "extract_spectrograms: 12 clips: 1 computed, 11 reused\n"
    assert shards() == anew


@pytest.mark.usefixtures("here")
def test_old_windows_that_are_damaged_are_computed_here(
    running: Running, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = max(local, key=lambda name: len(local[name]))
    content = bytearray(local[held])
    row = read_log_mel(SHARDS / held)[0].tobytes()
    content[content.index(row)] ^= 1
    Path("cache").write_bytes(content)
    first, second, *_ = read_index(Path("cache")).clip_ids
    (CORPUS / second).rename(CORPUS / "a/renamed.wav")  # or the whole shard would be taken
    list_clips([*({*NAMES} - {second}), "a/renamed.wav"])
    assert extract().code == 0
    anew = shards()
    asked: list[str] = []

    def watched(source: Source, *others: Any, **named: Any) -> Outcome:  # noqa: ANN401 (handed on)
        asked.append(source.clip_id)
        return find_windows(source, *others, **named)

    monkeypatch.setattr(extraction, "find_windows", watched)
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: [Path("cache")])
    assert extract(scheduler=running.address).code == 0
    assert shards() == anew
    assert asked == [first]


def test_without_new_clips_no_scheduler_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cache").mkdir()
    for path in SHARDS.iterdir():
        shutil.copyfile(path, "cache" / Path(path.name))
    old = sorted(Path("cache").iterdir())
    monkeypatch.setattr("timbre.shard_plan.cached_files", lambda *_: old)
    assert extract(scheduler="tcp://127.0.0.1:9", n_shards=5).code == 0


@pytest.mark.usefixtures("written")
def test_a_worker_that_is_killed_in_the_middle_costs_no_byte(
    alone: tuple[str, Logged], local: dict[str, bytes], tmp_path: Path
) -> None:
    address, _ = alone
    with ExitStack() as stack:
        first = stack.enter_context(dask_processes.worker(address, tmp_path / "first"))

        def replace_it() -> None:
            first.process.kill()
            stack.enter_context(dask_processes.worker(address, tmp_path / "second"))

        hold = Hold(CORPUS / LAST, replace_it)
        done = extract(scheduler=address)
        hold.wait()
    assert (done.code, done.err) == (0, "")
    assert shards() == local


def test_clips_at_which_workers_die_one_after_the_other_end_the_run(tmp_path: Path) -> None:
    none = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with (
        dask_processes.scheduler(tmp_path, none) as (address, _),
        dask_processes.worker(address, tmp_path / "own") as only,
    ):
        hold = Hold(CORPUS / FIRST, only.process.kill)
        (told,) = extract(scheduler=address).errors()
        hold.wait()
    assert told.startswith(f"{address}: workers died one after the other at the same clips, maybe")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_that_vanishes_is_told_of_and_finished_shards_stay(
    alone: tuple[str, Logged],
    local: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    address, scheduler = alone
    n_written = threading.Semaphore(0)

    def written(*arguments: Any) -> ShardResult:  # noqa: ANN401 (handed on)
        result = write_task(*arguments)
        n_written.release()
        return result

    def vanish() -> None:
        for _ in range(EXTRACT["n_shards"] - 1):
            n_written.acquire(timeout=SECONDS)
        scheduler.process.send_signal(number)

    monkeypatch.setattr(cluster_shards, "write_task", written)
    with dask_processes.worker(address, tmp_path / "own"):
        hold = Hold(CORPUS / LAST, vanish)
        (told,) = extract(scheduler=address).errors()
        hold.wait()
        scheduler.process.send_signal(signal.SIGCONT)
    assert told == (
        f"{address}: the scheduler does not answer any more: start it again, or empty "
        "extract.scheduler and DASK_SCHEDULER_ADDRESS to use this machine alone, then run "
        "`dvc repro`: what is finished is not done again"
    )
    n_last = len([name for name in NAMES if shard_of(name) == shard_of(LAST)])
    done = extract()
    assert done.out == (
        f"extract_spectrograms: 12 clips: {n_last} computed, {12 - n_last} reused\n"
    )
    assert shards() == local


def test_shards_that_workers_wrote_before_the_scheduler_vanished_are_not_made_again(
    alone: tuple[str, Logged],
    local: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    address, scheduler = alone
    with dask_processes.worker(address, tmp_path / "own"):
        hold = Hold(CORPUS / LAST, scheduler.process.kill)
        (told,) = extract(scheduler=address).errors()
        hold.wait()
    assert told.startswith(f"{address}: the scheduler does not answer any more: start it again")
    staged = sorted(extract_spectrograms.STAGING.glob("*/shard-*.h5"))
    assert {path.name: path.read_bytes() for path in staged}.items() <= local.items()
    n_left = sum(shard_name(shard_of(name)) not in {path.name for path in staged} for name in NAMES)
    assert n_left < len(NAMES)
    done = extract()
    assert done.out == (
        f"extract_spectrograms: 12 clips: {n_left} computed, {12 - n_left} reused\n"
    )
    assert shards() == local


def test_workers_write_the_shards_that_they_see(
    running: Running, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_shards, "write_task", None)  # what this process writes with
    assert extract(scheduler=running.address).code == 0
    assert shards() == local
    assert not [*extract_spectrograms.STAGING.glob("*/.*")]


def test_a_worker_that_comes_later_and_sees_another_folder_is_told_of(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.Cluster, "sees", lambda _, sign: sign.unlink() is None)
    (told,) = extract(scheduler=running.address).errors()
    assert re.fullmatch(
        r"worker on .+: does not see .+/\.timbre/extract_spectrograms/\w+, and those before it do: "
        r"share that folder, or end this worker; then run `dvc repro`",
        told,
    )


def test_a_shard_that_a_worker_cannot_write_is_one_message(
    alone: tuple[str, Logged], tmp_path: Path
) -> None:
    address, _ = alone
    with dask_processes.worker(address, tmp_path / "own") as own:
        resource.prlimit(own.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        (told,) = extract(scheduler=address).errors()
    assert re.fullmatch(
        r".+/\.timbre/extract_spectrograms/\w+/shard-0000\.h5: File too large: raise the limit on "
        r"the size of files \(ulimit -f\), then run `dvc repro`: what is finished is not done .+",
        told,
    )


def test_a_scheduler_without_workers_is_told_of(
    alone: tuple[str, Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NO_WORKER_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.1)
    address, _ = alone
    (told,) = extract(scheduler=address).errors()
    assert told == (
        f"{address}: the scheduler has had no worker for 0.2 s: start some with `dask worker "
        f"{address}`, then run `dvc repro`: what is finished is not done again"
    )


def test_an_address_at_which_nobody_answers_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    (told,) = extract(scheduler=address).errors()
    assert re.fullmatch(
        rf"{address}: no Dask scheduler answers \(.+\): start one with `dask scheduler`, or empty "
        r"extract\.scheduler and DASK_SCHEDULER_ADDRESS to use this machine alone",
        told,
    )
    monkeypatch.setenv(extract_spectrograms.SCHEDULER, address)
    assert extract().errors()[0].startswith(f"{address}: no Dask scheduler answers (")


@pytest.mark.usefixtures("written")
def test_a_worker_that_would_compute_other_values_is_told_of(
    alone: tuple[str, Logged], tmp_path: Path
) -> None:
    address, _ = alone
    shutil.copytree(REPOSITORY / "timbre", tmp_path / "other" / "timbre")
    with (tmp_path / "other" / "timbre" / "log_mel.py").open("a") as code:
        code.write("# another version\n")
    variables = {"PYTHONPATH": str(tmp_path / "other")}
    with dask_processes.worker(address, tmp_path / "own", variables):
        (told,) = extract(scheduler=address).errors()
    assert re.fullmatch(
        r"worker on .+: has code \w{12} \(here \w{12}\), and would compute other values: install "
        r"there what is installed here, and start the worker again",
        told,
    )


def test_a_worker_without_timbre_is_told_of(alone: tuple[str, Logged], tmp_path: Path) -> None:
    address, _ = alone
    with dask_processes.worker(address, tmp_path / "own", {"PYTHONPATH": ""}):
        (told,) = extract(scheduler=address).errors()
    assert re.fullmatch(
        rf"{address}: Timbre is not installed where tcp://127\.0\.0\.1:\d+ runs: install there "
        r"what is installed here, and start it again, then run .+",
        told,
    )


def test_without_dask_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cluster", "cluster_shards"):
        monkeypatch.delitem(sys.modules, f"timbre.{name}")
    monkeypatch.setitem(sys.modules, "distributed", None)
    (told,) = extract(scheduler="tcp://127.0.0.1:9").errors()
    assert "run `pip install 'timbre[cluster]'`, or empty extract.scheduler and" in told


@pytest.mark.parametrize(
    ("key", "like"), [("scheduler", "tcp://host:8786"), ("audio_url", "s3://bucket/folder")]
)
def test_what_is_no_address_is_told_of(key: str, like: str) -> None:
    for value in ("elsewhere", "://", "s3://", "://host"):
        (told,) = extract(CORPUS, **{key: value}).errors()
        assert f"{key} must be empty or an address like {like}, not {value!r}" in told


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12), st.integers(1, 5))
def test_pieces_are_all_clips_in_order_and_none_is_too_large(
    counts: list[int], most: int, most_clips: int
) -> None:
    sources = [Source(str(number), "", "") for number in range(len(counts))]
    with mock.patch.object(cluster_shards, "PIECE_CLIPS", most_clips):
        cut = list(cluster_shards.pieces(sources, most, lambda source: counts[int(source.clip_id)]))
    assert [source for piece in cut for source in piece.sources] == sources
    for piece in cut:
        n_windows = sum(counts[int(source.clip_id)] for source in piece.sources)
        assert 1 <= len(piece.sources) <= most_clips
        assert n_windows <= most or len(piece.sources) == 1
