"""A machine that is taken away after a notice: a real second raylet, drained as clouds drain theirs."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lab import Evaluation, Resources, Sgd, Steps
from lab.train.distributed import launch
from lab.train.loop import Evaluated, Resumed, Saved, Stepped
from lab.train.run import train
from tests.lab.failing import WatchedData, settings_in
from tests.lab.toy import FileLedger, Ledger, toy_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
NOTICE_SECONDS = 12
SPEC = toy_spec(
    data=WatchedData(pause=0.05), optimizer=Sgd(lr=0.05), duration=Steps(900),
    evaluation=Evaluation(every=Steps(300), at_end=("test",)),
)  # fmt: skip


@pytest.fixture
def cluster(monkeypatch):
    """Two machines of one CPU each; the driver is on the first."""
    from lab import cluster as _  # noqa: F401 (says what Ray reads when it is imported)

    import ray  # isort: skip
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    monkeypatch.setenv("RAY_TMPDIR", folder)  # a head notes its address there, for whoever asks for none
    machines = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": f"{folder}/ray"},
    )
    ray.init(
        address=machines.address, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}},
    )  # fmt: skip
    yield machines
    ray.shutdown()
    machines.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def drain(address, node):
    """The notice that a cloud gives before it takes a spot machine back."""
    subprocess.run(
        [
            str(Path(sys.executable).with_name("ray")), "drain-node", "--address", address,
            "--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION",
            "--reason-message", "reclaimed", "--deadline-remaining-seconds", str(NOTICE_SECONDS),
        ],
        check=True,
    )  # fmt: skip


def test_a_drained_machine_costs_less_than_a_step_and_fewer_workers_end_with_the_same_metrics(
    cluster, tmp_path
):
    settings = settings_in(str(tmp_path), "", patience=60)
    alone = Ledger()
    train(SPEC, data_root=str(tmp_path / "alone"), storage=str(tmp_path / "alone"), sink=alone)

    second = cluster.add_node(num_cpus=1)
    sink, events, drained = FileLedger(str(tmp_path / "ledger.json")), [], []

    def watch(event):
        events.append(event)
        if isinstance(event, Stepped) and event.step > 20 and not drained:
            drain(cluster.address, second)
            drained.append(time.monotonic())

    def take_away():
        if len(drained) == 1 and time.monotonic() - drained[0] > NOTICE_SECONDS:
            cluster.remove_node(second, allow_graceful=False)
            drained.append(time.monotonic())

    launch(
        SPEC, Resources(workers=2, min_workers=1, cpus=1), settings, sink,
        on_event=watch, on_tick=take_away, checkpoint_every=3600,
    )  # fmt: skip
    assert len(drained) == 2

    resumed = [number for number, event in enumerate(events) if isinstance(event, Resumed)]
    assert resumed
    before = events[: resumed[0]]
    saved = [event.step for event in before if isinstance(event, Saved)]
    assert len(saved) > 20
    assert saved == list(range(saved[0], saved[-1] + 1))
    reached = max(event.step for event in before if isinstance(event, Stepped))
    assert events[resumed[0]].step >= reached - 1
    assert [event.step for event in events if isinstance(event, Evaluated)] == [300, 600, 900]
    assert sink.curve() == pytest.approx(alone.curve(), rel=1e-4)
