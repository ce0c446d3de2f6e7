"""What several test files share: small seeded recordings, and the real ones where they are."""

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

# Threads that wait for each other on a busy machine make tiny networks a hundred times slower. Set
# before anything imports a library that reads it; the stages that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from clone import REPOSITORY, Clone, make_clone, make_small
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from small_model import Trained

# A shell's "&" has SIGINT ignored, what tests start inherits that, and no Ctrl-C would end it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machines are shared and uneven: how long an example takes says nothing. The same examples in
# every run, so that a failure is seen by all.
settings.register_profile("timbre", deadline=None, derandomize=True)
# For .ci/mutants: that a law is broken is enough, by which smallest example is not asked.
settings.register_profile(
    "mutants", settings.get_profile("timbre"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("timbre")


def write_wav(
    path: Path, seconds: float = 0.05, sample_rate: int = 8000, seed: int = 0, n_channels: int = 1
) -> Path:
    """Write a WAV of quiet noise; equal arguments give equal bytes, another seed gives others."""
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-0.1, 0.1, (round(seconds * sample_rate), n_channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, sample_rate, format="WAV", subtype="PCM_16")
    return path


@pytest.fixture(autouse=True)
def nobody_watches_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stages that a test calls from starting a thread that may end this very process."""
    monkeypatch.setattr("timbre.command.end_with_dvc", lambda: None)


@pytest.fixture(scope="session")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone as a user gets it; it never ran. Copy it to change it."""
    folder = tmp_path_factory.mktemp("defaults")
    return make_clone(folder / "clone", folder / "home")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, defaults: Clone) -> Clone:
    """Return a clone with little to compute; it never ran. Copy it to change it."""
    clone = defaults.copy(tmp_path_factory.mktemp("fresh") / "clone")
    make_small(clone)
    clone.commit()
    return clone


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, fresh: Clone) -> tuple[Clone, str]:
    """Return a clone after its first `dvc repro`, and what that printed. Copy it to change it."""
    clone = fresh.copy(tmp_path_factory.mktemp("finished") / "clone")
    output = clone.dvc("repro")
    clone.commit()
    return clone, output


@pytest.fixture(scope="session")
def finished(first_run: tuple[Clone, str]) -> Clone:
    """Return a clone after its first `dvc repro`. Copy it to change it."""
    return first_run[0]


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory, finished: Clone) -> tuple[Clone, str]:
    """Return a finished clone after an experiment, and what that printed. Look, change nothing."""
    clone = finished.copy(tmp_path_factory.mktemp("experiment") / "clone")
    return clone, clone.dvc("exp", "run", "-S", "train.lr=1e-4")


@pytest.fixture(scope="session")
def on_own_corpus(tmp_path_factory: pytest.TempPathFactory, finished: Clone) -> Clone:
    """Return a finished clone on a corpus in the folder `corpus`, after `dvc add`."""
    clone = finished.copy(tmp_path_factory.mktemp("on_own_corpus") / "clone")
    shutil.copytree(clone.folder / "data" / "demo", clone.folder / "corpus")
    clone.dvc("add", "corpus")
    clone.set_params({"data": {"root": "corpus"}})
    clone.dvc("repro")
    clone.commit()
    return clone


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real recordings; skip without it, but fail in CI."""
    folder = Path(os.environ.get("TIMBRE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"no real recordings in {folder}: set TIMBRE_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session", params=["all", "first"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Trained":
    """Return a small trained model that hears all windows of a clip, then one of the first."""
    from small_model import train  # it imports torch: not for each file of tests

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp(request.param)
        patch.chdir(folder)
        patch.setenv("TIMBRE_JOBS", "1")
        return train(folder, request.param)
