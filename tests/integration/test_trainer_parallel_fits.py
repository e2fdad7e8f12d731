"""Parallel fits: in local processes and on a Dask cluster."""

import os
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from distributed import LocalCluster
from threadpoolctl import threadpool_limits

from ondeck_core.tasks import TASKS
from ondeck_trainer.data.dataset import build_dataset
from ondeck_trainer.model.ensemble import ClusterUnreachableError, ParallelFit, fit_members
from tests.fixtures.models import SMALL


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with LocalCluster(  # type: ignore[no-untyped-call]  # untyped library
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as started:
        yield started.scheduler_address


def test_members_fitted_on_a_cluster_equal_local_ones(cluster: str, sample_season: pl.DataFrame) -> None:
    rows = build_dataset(TASKS["whiff"], sample_season)
    messages: list[str] = []
    on_cluster = fit_members((rows,), SMALL, ParallelFit(dask=cluster), messages.append)
    with threadpool_limits(1):
        local = fit_members((rows,), SMALL, ParallelFit(), messages.append)
    assert messages == ["fitted boosting", "fitted network"] * 2
    for name, member in local.items():
        np.testing.assert_allclose(
            on_cluster[name].log_probabilities(rows.features), member.log_probabilities(rows.features), atol=1e-5
        )


def test_members_are_fitted_in_other_processes(cluster: str) -> None:
    for workers in (ParallelFit(dask=cluster), ParallelFit(jobs=2)):
        done = workers.run([(os.getpid, ())] * 4, names=["a", "b", "c", "d"], report=lambda _: None)
        assert os.getpid() not in done


def test_an_unreachable_cluster_is_reported(free_port: int) -> None:
    address = f"tcp://127.0.0.1:{free_port}"
    with pytest.raises(ClusterUnreachableError, match=f"no Dask scheduler answers at {address}"):
        ParallelFit(dask=address).run([(os.getpid, ())], names=["a"], report=print)
