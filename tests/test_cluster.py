"""A study on a real local Dask cluster, of which a worker is killed on the way."""

import json
import os
import signal
import threading
import time

import pytest
from test_studies import TINY

from rdlite.studies import run_grid

distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster'")
SPEC = TINY.but(seed=range(4))


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


@pytest.mark.slow
def test_a_killed_worker_loses_no_run_and_repeats_none(cluster, tmp_path):
    expected = run_grid(SPEC, store=tmp_path / "alone", progress=False)
    store = tmp_path / "store"
    with distributed.Client(cluster) as client:
        pids = client.run(os.getpid)
        victim = next(iter(pids.values()))

        def kill():
            while len(list(store.glob("*.json"))) < 5:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        table = run_grid(SPEC, executor=client, store=store, progress=False)
        killer.join()
        assert victim not in client.run(os.getpid).values(), "it was really killed"
    assert table.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    runs = {*SPEC.runs(), *(run.teacher for run in SPEC.runs() if run.teacher)}
    files = sorted(store.glob("*.json"))
    assert [file.stem for file in files] == sorted(run.key for run in runs)
    assert all(json.loads(file.read_text())["result"] for file in files)


@pytest.mark.slow
def test_the_address_of_a_scheduler_will_do(cluster, tmp_path):
    spec = TINY.but(seed=0, teacher="none")
    address = cluster.scheduler_address
    table = run_grid(spec, executor=address, store=tmp_path, progress=False)
    assert len(table) == len(spec.runs())
