import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.cli import main
from timbre.job_share import share
from timbre.problems import InputError


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMBRE_JOBS", "4")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@given(cores=st.integers(1, 512), jobs=st.integers(1, 512))
def test_all_shares_together_are_no_more_than_the_cores(cores: int, jobs: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMBRE_JOBS", str(cores))
        if jobs > cores:
            with pytest.raises(InputError):
                share(jobs)
            return
        for number in map(int, share(jobs).values()):
            assert 1 <= number * jobs <= cores
            assert (number + 1) * jobs > cores


@pytest.mark.parametrize(("given_threads", "threads"), [("1", "1"), ("8", "2"), ("0", "2")])
def test_fewer_threads_that_are_set_already_stay(
    given_threads: str, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given_threads)
    assert share(2) == {"TIMBRE_JOBS": "2", "OMP_NUM_THREADS": threads}


def test_more_jobs_than_cores_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "--jobs", "5"]) == 1
    assert capsys.readouterr().err == (
        "error: --jobs 5: there are 4 cores to share (TIMBRE_JOBS, or what this process may use): "
        "run 4 at a time\n"
    )
