"""The simulated cluster obeys what no cluster can escape, and the page shows what it found."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cluster_simulation
from bench.cluster import CALM
from bench.cluster_simulation import simulate
from timbre import cluster

SECONDS = st.lists(st.integers(1, 100).map(float), min_size=1, max_size=60)
COST = st.integers(0, 20).map(float)


def test_one_worker_that_costs_nothing_to_serve_takes_the_sum_of_its_tasks() -> None:
    assert simulate([3.0, 1.0, 2.0], 1, 0.0, 0.0).total == 6.0


@given(SECONDS, st.integers(1, 8), COST, COST)
def test_nothing_is_quicker_than_its_busiest_part(
    seconds: list[float], n_workers: int, scheduler: float, client: float
) -> None:
    found = simulate(seconds, n_workers, scheduler, client)
    assert found.total >= sum(seconds) / n_workers
    assert found.total >= max(seconds) + scheduler + client
    assert found.total >= found.scheduler
    assert found.total >= found.client
    # Nobody waits for more than the one task before: all after each other is the slowest way.
    assert found.total <= sum(seconds) + found.scheduler + found.client


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 50))
def test_equal_tasks_on_workers_that_cost_nothing_to_serve_go_in_rounds(
    n_tasks: int, n_workers: int, seconds: int
) -> None:
    total = simulate([float(seconds)] * n_tasks, n_workers, 0.0, 0.0).total
    assert total == seconds * -(-n_tasks // n_workers)


@given(st.integers(1, 60), COST)
def test_with_a_worker_for_each_task_the_client_alone_decides(n_tasks: int, client: float) -> None:
    found = simulate([1.0] * n_tasks, n_tasks, 0.0, client)
    assert found.total == pytest.approx(1.0 + n_tasks * client)


def test_a_straggler_holds_up_only_what_waits_behind_it() -> None:
    most = cluster_simulation.DEPTH * 2
    seconds = [100.0] + [1.0] * (most + 2)
    assert simulate(seconds[:most], 2, 0.0, 0.0).total == 100.0
    assert simulate(seconds, 2, 0.0, 0.0).total == 100.0 + 2.0  # three more, for both workers


def test_it_gives_tasks_out_as_the_stage_does() -> None:
    ours = (cluster_simulation.DEPTH, cluster_simulation.LEAST_GIVEN)
    assert ours == (cluster.DEPTH, cluster.LEAST_GIVEN)


def test_the_page_of_clusters_is_that_of_the_committed_run() -> None:
    page = cluster_simulation.PAGE.read_text(encoding="utf-8")
    assert cluster_simulation.with_tables(page, cluster_simulation.read()) == page


def test_the_page_recommends_the_variables_that_were_measured_with() -> None:
    page = cluster_simulation.PAGE.read_text(encoding="utf-8")
    told = dict(re.findall(r"^export (DASK_\w+)=(\S+)$", page, re.MULTILINE))
    assert told == CALM
